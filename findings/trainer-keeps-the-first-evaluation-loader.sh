#!/usr/bin/env bash
# With persistent workers, the Trainer keeps the first evaluation loader that it made, whatever rows it was made for.
# `get_eval_dataloader(few)` followed by `get_eval_dataloader()` then yields the few rows again, so an evaluation scores
# the wrong rows without a word.
# Seen with transformers 5.23.0: 3 rows with persistent workers, 40 without.
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
rows = Dataset.from_dict({"input_ids": [[i % 20] * 4 for i in range(40)], "label": [0] * 40})
counts = {}
for persistent in (False, True):
    args = TrainingArguments(
        "out", dataloader_num_workers=1, dataloader_persistent_workers=persistent, report_to=[], use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(BertForSequenceClassification(config), args, eval_dataset=rows)
    trainer.get_eval_dataloader(rows.select(range(3)))
    counts[persistent] = len(trainer.evaluation_loop(trainer.get_eval_dataloader(), "evaluation").predictions)
print(counts)
assert counts == {False: 40, True: 3}, "the behaviour has changed"
PY
