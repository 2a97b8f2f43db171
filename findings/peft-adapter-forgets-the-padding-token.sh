#!/usr/bin/env bash
# The `Trainer` gives a model the padding token of the tokenizer, and says so. A saved LoRA adapter does not record it:
# a Llama classifier, which reads the last token that is no padding, reads another position once the adapter is loaded
# on its base, and padded rows have other logits, without a word.
# Seen with peft 0.21.2 and transformers 5.23.0: pad_token_id 1 while training, 2 after loading.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0 peft==0.21.2
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast, Trainer, TrainingArguments,
)
from transformers.utils import logging

logging.disable_progress_bar()
words = {"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "b": 4, "c": 5}
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), bos_token="<s>", eos_token="</s>",
    unk_token="<unk>", pad_token="</s>",
)
tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=6, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=2, initializer_range=0.5,
)
LlamaForSequenceClassification(config).save_pretrained("base")
model = get_peft_model(
    LlamaForSequenceClassification.from_pretrained("base"),
    LoraConfig(task_type=TaskType.SEQ_CLS, target_modules=["q_proj"]),
)
rows = Dataset.from_dict({"input_ids": [[3, 4], [4, 5]], "label": [0, 1]})
args = TrainingArguments("out", max_steps=1, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True)
trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
trainer.train()
trainer.save_model("adapter")
loaded = PeftModel.from_pretrained(LlamaForSequenceClassification.from_pretrained("base"), "adapter").eval()
batch = tokenizer(["a b c", "b"], padding=True, return_tensors="pt", return_token_type_ids=False)
model.eval()
with torch.no_grad():
    changes = (model(**batch).logits - loaded(**batch).logits).abs().max(1).values.tolist()
pads = (model.config.pad_token_id, loaded.config.pad_token_id)
print(f"pad_token_id {pads}; change of a logit: row without padding {changes[0]:.1e}, padded row {changes[1]:.3f}")
assert pads == (1, 2) and changes[0] < 1e-5 and changes[1] > 1e-2, "the behaviour has changed"
PY
