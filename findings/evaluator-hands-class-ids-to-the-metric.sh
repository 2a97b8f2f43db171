#!/usr/bin/env bash
# `evaluate.evaluator("text-classification")` gives a metric the ids of the winning classes, whatever inputs the metric
# declares. A metric of a binary classifier's probabilities (float predictions in [0, 1]) gets 0.0 and 1.0, a valid
# input, and answers with a number that means something else: a calibration error becomes an error rate.
# Seen with evaluate 0.4.6 and transformers 5.23.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 datasets==5.2.0 "evaluate[evaluator]==0.4.6"
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import evaluate
import torch
from datasets import Dataset, Features, Value
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

class Mean(evaluate.Metric):
    def _info(self):
        features = Features({"predictions": Value("float64"), "references": Value("int64")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        return {"distinct": sorted(set(predictions))}

words = {"[PAD]": 0, "[UNK]": 1, **{f"w{i}": i + 2 for i in range(20)}}
words_alone = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
words_alone.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words_alone, pad_token="[PAD]", unk_token="[UNK]")
torch.manual_seed(0)
config = BertConfig(vocab_size=22, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
rows = Dataset.from_dict({"text": [f"w{i}" for i in range(10)], "label": [i % 2 for i in range(10)]})
result = evaluate.evaluator("text-classification").compute(
    model_or_pipeline=BertForSequenceClassification(config), tokenizer=tokenizer, data=rows, metric=Mean(),
    label_mapping={"LABEL_0": 0, "LABEL_1": 1},
)
print(result["distinct"])
assert set(result["distinct"]) <= {0.0, 1.0}, "the behaviour has changed"
PY
