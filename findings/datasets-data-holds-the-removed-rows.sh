#!/usr/bin/env bash
# `Dataset.data` is the table behind a data set, not its rows: after `filter`, `shuffle` or `train_test_split` it still
# holds every row, in the first order. Labels read from it, or a file written from it, are those of other rows.
# Seen with datasets 5.2.0: 10 rows in `.data` of the 3 kept, and of both halves of a split.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar

disable_progress_bar()
rows = Dataset.from_dict({"row": list(range(10))})
kept = rows.filter(lambda row: row["row"] >= 7)
parts = {"filtered": kept, "shuffled": rows.shuffle(seed=0), **rows.train_test_split(test_size=0.5, seed=0)}
table_of_all = {name: part.data["row"].to_pylist() == list(range(10)) for name, part in parts.items()}
flattened = kept.flatten_indices().data["row"].to_pylist()
print({name: len(part) for name, part in parts.items()}, "table of all ten:", table_of_all, "flattened:", flattened)
assert all(table_of_all.values()) and len(kept) == 3 and flattened == [7, 8, 9], "the behaviour has changed"
PY
