#!/usr/bin/env bash
# Zamba's layers share the weights of one attention block. `target_modules="all-linear"` gives each use of a shared
# weight adapters of its own, and `merge_and_unload` adds those of every use to the one weight: the merged model answers
# otherwise than the adapted one, without a word.
# Seen with peft 0.21.2 and transformers 5.23.0: the weight moves by the sum of both uses' adapters, and logits change
# by .2; they stay the same where only layers that share nothing are adapted.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 peft==0.21.2
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import ZambaConfig, ZambaForSequenceClassification
from transformers.utils import logging

logging.set_verbosity_error()
config = ZambaConfig(
    vocab_size=50, hidden_size=16, attention_hidden_size=32, attention_head_dim=16, num_hidden_layers=6,
    num_attention_heads=2, num_key_value_heads=2, intermediate_size=16, n_mamba_heads=2, mamba_d_state=4,
    mamba_dt_rank=4, attn_layer_period=2, attn_layer_offset=1, pad_token_id=0, num_labels=3,
)
ids = torch.tensor([[5, 6, 7, 8]])
changes = {}
for targets in ("all-linear", ("in_proj", "out_proj", "linear")):
    torch.manual_seed(0)
    plain = ZambaForSequenceClassification(config).eval()
    weights = [plain.model.layers[i].shared_transf.self_attn.q_proj.weight for i in (2, 4)]
    assert weights[0] is weights[1]
    before = weights[0].detach().clone()
    wanted = targets if isinstance(targets, str) else list(targets)
    model = get_peft_model(plain, LoraConfig(task_type=TaskType.SEQ_CLS, target_modules=wanted, r=2)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)  # not 0, as after training
        uses = [part for name, part in model.named_modules() if name.endswith("q_proj") and hasattr(part, "lora_A")]
        moves = [part.get_delta_weight("default") for part in uses]
        adapted = model(input_ids=ids).logits
        merged = model.merge_and_unload().eval()
        change = (merged(input_ids=ids).logits - adapted).abs().max().item()
    moved = merged.model.layers[2].shared_transf.self_attn.q_proj.weight - before
    changes[targets] = (len(uses), torch.allclose(moved, sum(moves, torch.zeros(())), atol=1e-6), change)
print(changes)
shared, unshared = changes.values()
assert shared[:2] == (2, True) and shared[2] > 1e-2, "the behaviour has changed"
assert unshared[:2] == (0, True) and unshared[2] < 1e-5, "the behaviour has changed"
PY
