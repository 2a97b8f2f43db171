#!/usr/bin/env bash
# `from_pretrained(..., id2label=...)` renames the rows of a trained head, in whatever order the names come: a
# checkpoint of {0: pos, 1: neg} loaded with {0: neg, 1: pos} answers the opposite, without a word. And a config.json
# whose names have the keys 1, 2 and 3 is accepted as three classes: class 0 has no name, and class 1 that of the first.
# Seen with transformers 5.23.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import json
from pathlib import Path

import torch
from transformers import AutoConfig, BertConfig, BertForSequenceClassification
from transformers.utils import logging

logging.disable_progress_bar()
config = BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
    id2label={0: "pos", 1: "neg"}, label2id={"pos": 0, "neg": 1},
)
torch.manual_seed(0)
model = BertForSequenceClassification(config).eval()
model.save_pretrained("saved")
names = {"id2label": {0: "neg", 1: "pos"}, "label2id": {"neg": 0, "pos": 1}}
renamed = BertForSequenceClassification.from_pretrained("saved", **names).eval()
ids = torch.tensor([[5, 6, 7]])
answers = [one.config.id2label[one(input_ids=ids).logits.argmax().item()] for one in (model, renamed)]
moved = not torch.equal(model.classifier.weight, renamed.classifier.weight)

written = json.loads(Path("saved/config.json").read_text())
written.update(id2label={"1": "bad", "2": "fair", "3": "good"}, label2id={"bad": 1, "fair": 2, "good": 3})
Path("saved/config.json").write_text(json.dumps(written))
from_one = AutoConfig.from_pretrained("saved")
print(answers, "head moved:", moved, "| classes:", from_one.num_labels, from_one.id2label)
assert len(set(answers)) == 2 and not moved, "the behaviour has changed"
assert from_one.num_labels == 3 and from_one.id2label == {1: "bad", 2: "fair", 3: "good"}, "the behaviour has changed"
PY
