#!/usr/bin/env bash
# EuroBERT's code on the Hub called the pooling of its classifier `clf_pooling`. The type in transformers calls it
# `classifier_pooling`, takes the older key without a word, and answers as `late`, its default.
# Seen with transformers 5.23.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from transformers import EuroBertConfig, EuroBertForSequenceClassification

def logits(**pooling):
    torch.manual_seed(0)
    config = EuroBertConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, mask_token_id=3, **pooling,
    )
    return EuroBertForSequenceClassification(config).eval()(input_ids=torch.tensor([[1, 6, 7, 8]])).logits

late = logits(classifier_pooling="late")
is_late = {
    f"{key}={value}": torch.equal(logits(**{key: value}), late)
    for key in ("classifier_pooling", "clf_pooling") for value in ("bos", "mean")
}
print("answers as late:", is_late)
assert list(is_late.values()) == [False, False, True, True], "the behaviour has changed"
PY
