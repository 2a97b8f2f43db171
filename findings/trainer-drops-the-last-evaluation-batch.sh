#!/usr/bin/env bash
# `dataloader_drop_last=True`, set so that training has no small last batch, holds for evaluation and prediction too:
# the rows after the last whole batch are not scored, and `predict` returns fewer rows than it got, without a word.
# Seen with transformers 5.23.0: 8 of 12 rows with batches of 8, of `evaluate` and of `predict`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
rows = Dataset.from_dict({"input_ids": [[i] * 4 for i in range(12)], "label": [0] * 12})
counts = {}
for drop in (False, True):
    args = TrainingArguments(
        "out", dataloader_drop_last=drop, per_device_eval_batch_size=8, report_to=[], use_cpu=True, disable_tqdm=True
    )
    trainer = Trainer(
        BertForSequenceClassification(config), args, eval_dataset=rows,
        compute_metrics=lambda prediction: {"rows": len(prediction.label_ids)},
    )
    counts[drop] = (trainer.evaluate()["eval_rows"], len(trainer.predict(rows).predictions))
print(counts)
assert counts == {False: (12, 12), True: (8, 8)}, "the behaviour has changed"
PY
