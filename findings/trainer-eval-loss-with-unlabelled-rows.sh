#!/usr/bin/env bash
# The Trainer weighs a batch's loss by its rows, not by its labelled rows: with labels of -100, which the loss leaves
# out, `eval_loss` is not the mean over the labelled rows and depends on the batch size.
# Seen with transformers 5.23.0: 1.79 instead of 2.86, the mean over the five labelled rows of eight.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

torch.manual_seed(0)
config = BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, initializer_range=1.0
)
model = BertForSequenceClassification(config)
labels = [0, -100, -100, -100, 1, 1, 0, 1]
rows = Dataset.from_dict({"input_ids": [[i + 1] * 4 for i in range(8)], "label": labels})
args = TrainingArguments("out", per_device_eval_batch_size=4, report_to=[], use_cpu=True, disable_tqdm=True)
trainer = Trainer(model, args, eval_dataset=rows)
losses = torch.nn.functional.cross_entropy(
    torch.tensor(trainer.predict(rows).predictions), torch.tensor(labels), reduction="none"
)
exact = losses[torch.tensor(labels) != -100].mean().item()
of_batches = (losses[:1].mean().item() + losses[4:].mean().item()) / 2
reported = trainer.evaluate()["eval_loss"]
print(f"reported {reported:.4f}, mean over the labelled rows {exact:.4f}, mean of the batches' means {of_batches:.4f}")
assert abs(reported - of_batches) < 1e-5 < abs(reported - exact), "the behaviour has changed"
PY
