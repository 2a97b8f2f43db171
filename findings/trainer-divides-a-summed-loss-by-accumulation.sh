#!/usr/bin/env bash
# A loss function that sums over rows and divides by `num_items_in_batch`, as the Trainer asks for, is divided by the
# accumulation steps once more in transformers 5.5.3: the same eight rows give a quarter of the gradient as 2 x 4.
# Seen with transformers 5.5.3: ratio 0.25; with 5.5.4: 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 accelerate==1.15.0 datasets==5.2.0
cd "$work"
cat > steps.py <<'PY'
import copy
import sys

import torch
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

torch.manual_seed(0)
config = BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)
model = BertForSequenceClassification(config)
rows = Dataset.from_dict({"input_ids": [[i + 1] * 4 for i in range(8)], "labels": [0, 1] * 4})


class Norm(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm().item()


def summed(outputs, labels, num_items_in_batch=None):
    return torch.nn.functional.cross_entropy(outputs["logits"], labels, reduction="sum") / num_items_in_batch


norms = []
for size, steps in ((8, 1), (2, 4)):
    seen = Norm()
    args = TrainingArguments(
        "out", per_device_train_batch_size=size, gradient_accumulation_steps=steps, max_steps=1, max_grad_norm=0.0,
        report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
    )
    Trainer(copy.deepcopy(model), args, train_dataset=rows, compute_loss_func=summed, callbacks=[seen]).train()
    norms.append(seen.norm)
ratio = norms[1] / norms[0]
print(f"gradient 8 x 1 {norms[0]:.4f}, 2 x 4 {norms[1]:.4f}, ratio {ratio:.3f}")
assert abs(ratio - float(sys.argv[1])) < 1e-3, "the behaviour has changed"
PY
for seen in "5.5.3 0.25" "5.5.4 1"; do
    read -r version ratio <<< "$seen"
    venv/bin/pip install -q "transformers==$version"
    HF_HUB_OFFLINE=1 HF_HOME="$work/cache" venv/bin/python -W ignore steps.py "$ratio"
done
