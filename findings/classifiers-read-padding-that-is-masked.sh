#!/usr/bin/env bash
# Some classifiers read right padding that a correct attention mask covers, so that a row has other logits alone than
# in a batch: ConvBERT's and Nystromformer's convolutions do not look at the mask, and YOSO's mask has no effect at
# all. FNet reads it too, but says so: it takes no mask, and its documentation advises one fixed length.
# Seen with transformers 5.23.0: logits of BERT stay the same; those of the others change by .07 to 1.4 with one pad.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

sizes = dict(
    vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=64, initializer_range=0.5, num_labels=3, pad_token_id=0,
)
variants = {
    "bert": {}, "convbert": {"embedding_size": 16}, "nystromformer": {}, "yoso": {}, "fnet": {},
    "convbert, kernel 1": {"embedding_size": 16, "conv_kernel_size": 1},
    "nystromformer, kernel 1": {"conv_kernel_size": 1},
}
alone, padded = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[5, 6, 7, 8, 0]])
changes = {}
for name, more in variants.items():
    torch.manual_seed(0)
    kind = name.split(",")[0]
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **sizes, **more)).eval()
    masks = [{} if kind == "fnet" else {"attention_mask": (ids != 0).long()} for ids in (alone, padded)]
    with torch.no_grad():
        one, with_pad = model(alone, **masks[0]).logits, model(padded, **masks[1]).logits
        if kind == "yoso":
            ignored = torch.equal(with_pad, model(padded, attention_mask=torch.ones_like(padded)).logits)
    changes[name] = round((with_pad - one).abs().max().item(), 4)
print(changes, "YOSO without a mask answers the same:", ignored)
exact = {name for name, change in changes.items() if change < 1e-4}
assert exact == {"bert", "convbert, kernel 1", "nystromformer, kernel 1"} and ignored, "the behaviour has changed"
PY
