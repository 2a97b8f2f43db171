"""Tiny classifiers whose heads are not what they look like, or under adapters."""

import pytest
import torch
from conftest import tiny_model
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from transformers import BertConfig, BertForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput


class Altered(BertForSequenceClassification):
    """A BERT whose logits are changed behind the classifier, or whose classifier is another layer."""

    alter = "none"

    def forward(self, **inputs):
        logits = super().forward(**inputs).logits
        if self.alter == "cap":
            logits = 30 * torch.tanh(logits / 30)
        elif self.alter == "norm":
            logits = nn.functional.layer_norm(logits, logits.shape[-1:])
        elif self.alter == "prior":
            logits = logits + torch.tensor([0.1, 0.2, 0.7])
        elif self.alter == "two heads":
            logits = logits + self.second(torch.ones(len(logits), 16))
        elif self.alter == "noise":
            logits = logits + torch.rand_like(logits)
        elif self.alter == "zero":
            logits = 0 * logits
        return SequenceClassifierOutput(logits=logits)


class OwnLinear(nn.Linear):
    pass


def altered(alter):
    config = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, num_labels=3,
        pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Altered(config).eval()
    model.alter = alter
    nn.init.normal_(model.classifier.weight)
    if alter == "two heads":
        model.second = nn.Linear(16, 3)
    elif alter == "own class":
        model.classifier = OwnLinear(16, 3)
    elif alter == "weight norm":
        weight_norm(model.classifier)
    elif alter == "tied":
        model.spare = nn.Linear(16, 3)
        model.spare.weight = model.classifier.weight
    elif alter == "registered twice":
        model.spare = model.classifier
    elif alter == "convolution":
        model.classifier = nn.Sequential(nn.Unflatten(1, (16, 1)), nn.Conv1d(16, 3, 1), nn.Flatten())
    return model


def adapted(kind, model_type="bert"):
    """A tiny model under an adapter whose weights are not at their neutral start."""
    peft = pytest.importorskip("peft")
    targets = {
        "bert": (["query", "value"], "word_embeddings"),
        "albert": (["query", "value"], "word_embeddings"),
        "llama": (["q_proj", "v_proj"], "embed_tokens"),
    }
    attention, embedding = targets[model_type]
    config = {
        "lora": lambda: peft.LoraConfig(task_type="SEQ_CLS", target_modules=attention, r=2),
        "lora_embedding": lambda: peft.LoraConfig(task_type="SEQ_CLS", target_modules=[*attention, embedding], r=2),
        "modules_to_save": lambda: peft.LoraConfig(
            task_type="SEQ_CLS", target_modules=attention, r=2, modules_to_save=[embedding]
        ),
        "prompt_tuning": lambda: peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3),
    }[kind]()
    model = peft.get_peft_model(tiny_model(model_type), config)
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()
