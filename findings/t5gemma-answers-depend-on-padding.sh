#!/usr/bin/env bash
# T5Gemma's encoder-decoder classifier reads the longest row of a batch one token early: the same text has other logits
# alone than beside a longer text, with right padding and a correct attention mask.
# Seen with transformers 5.23.0: a row alone differs from the same row with one pad; one and two pads agree.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from transformers import T5GemmaConfig, T5GemmaForSequenceClassification, T5GemmaModuleConfig

torch.manual_seed(0)
sizes = dict(
    vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
    head_dim=8, max_position_embeddings=64, sliding_window=64, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    layer_types=["full_attention"],
)
config = T5GemmaConfig(
    encoder=T5GemmaModuleConfig(**sizes), decoder=T5GemmaModuleConfig(**sizes), num_labels=3, pad_token_id=0
)
model = T5GemmaForSequenceClassification(config).eval()
logits = []
for pads in (0, 1, 2):
    ids = torch.tensor([[5, 6, 7, 8] + [0] * pads])
    logits.append(model(input_ids=ids, attention_mask=(ids != 0).long()).logits)
alone, two = ((row - logits[1]).abs().max().item() for row in (logits[0], logits[2]))
print(f"largest difference to the row with one pad: alone {alone:.4f}, with two pads {two:.1e}")
assert alone > 1e-3 and two < 1e-5, "the behaviour has changed"
PY
