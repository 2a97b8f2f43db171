#!/usr/bin/env bash
# `tokenizer.padding_side = "left"` is not saved by itself. It survives `save_pretrained` only where the tokenizer has
# padded a batch since; otherwise the loaded tokenizer pads on the right. Likewise for `truncation_side`. Set in the
# constructor, both are saved.
# Seen with transformers 5.23.0: ("right", "right") without a batch, ("left", "left") after one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

def sides_after_loading(batch, **sides):
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", **sides)
    if not sides:
        tokenizer.padding_side = tokenizer.truncation_side = "left"
    if batch:
        assert tokenizer(["a", "a b"], padding=True, truncation=True, max_length=8)["input_ids"] == [[0, 2], [2, 3]]
    tokenizer.save_pretrained("saved")
    loaded = AutoTokenizer.from_pretrained("saved")
    return loaded.padding_side, loaded.truncation_side

seen = {
    "set, then saved": sides_after_loading(False),
    "set, a batch, then saved": sides_after_loading(True),
    "constructed, then saved": sides_after_loading(False, padding_side="left", truncation_side="left"),
}
print(seen)
assert list(seen.values()) == [("right", "right"), ("left", "left"), ("left", "left")], "the behaviour has changed"
PY
