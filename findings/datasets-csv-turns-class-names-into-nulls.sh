#!/usr/bin/env bash
# The CSV reader of `datasets` reads classes called "None", "NA" or "null" as missing, and a column of "True", "False"
# and "NA" as booleans with a null: rows lose their label, or their label's name, without a word.
# Seen with datasets 5.2.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
from pathlib import Path

from datasets import load_dataset
from datasets.utils.logging import disable_progress_bar

disable_progress_bar()

def read(name, classes):
    rows = "".join(f"text {i},{label}\n" for i, label in enumerate(classes))
    Path(f"{name}.csv").write_text("text,label\n" + rows)
    return load_dataset("csv", data_files=f"{name}.csv", split="train")["label"][:]

names, booleans = read("names", ["None", "NA", "other", "null"]), read("booleans", ["True", "False", "NA"])
print(names, booleans)
assert names == [None, None, "other", None] and booleans == [True, False, None], "the behaviour has changed"
PY
