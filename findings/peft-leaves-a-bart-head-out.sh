#!/usr/bin/env bash
# PEFT's SEQ_CLS trains and saves, beside the adapters, modules called `classifier` or `score`. The head of a BART
# classifier is called `classification_head`: it is frozen, not saved, and random again when the base is loaded from a
# checkpoint without it. The saved adapter then answers otherwise than the model it was saved from.
# Seen with peft 0.21.2 and transformers 5.23.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 peft==0.21.2
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import BartConfig, BartForConditionalGeneration, BartForSequenceClassification

torch.manual_seed(0)
config = BartConfig(
    vocab_size=50, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
    decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
)
BartForConditionalGeneration(config).save_pretrained("base")  # as published: no classification head
model = get_peft_model(
    BartForSequenceClassification.from_pretrained("base", num_labels=3),
    LoraConfig(task_type=TaskType.SEQ_CLS, target_modules=["q_proj", "v_proj"]),
).eval()
trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
ids = torch.tensor([[5, 6, 7, 2]])
before = model(input_ids=ids).logits
model.save_pretrained("adapter")
torch.manual_seed(1)
base = BartForSequenceClassification.from_pretrained("base", num_labels=3)
after = PeftModel.from_pretrained(base, "adapter").eval()(input_ids=ids).logits
head = any("classification_head" in name for name in trained)
change = (after - before).abs().max().item()
print(f"head among the trained parameters: {head}; largest change of a logit after saving and loading: {change:.3f}")
assert not head and change > 1e-3, "the behaviour has changed"
PY
