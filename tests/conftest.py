"""Tiny random models built from configs; nothing here reaches a network."""

import gc
import os
from dataclasses import fields

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForSequenceClassification, TrainingArguments

from nlp_mixup import MixupTrainingArguments
from nlp_mixup.runs import scoring

scoring.SLOW_RESAMPLES = 10  # of 100: no test of a run reads the intervals made of these

ENCODERS = ("bert", "roberta", "distilbert", "albert", "electra", "mpnet", "deberta-v2", "modernbert", "longformer")
DECODERS = ("gpt2", "llama", "qwen3", "gemma")
TINY = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "num_labels": 3,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
SPECIAL = {
    "distilbert": {
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 24,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "seq_classif_dropout": 0.0,
    },
    "albert": {"embedding_size": 8},
    "electra": {"embedding_size": 8},
    "modernbert": {"cls_token_id": 0, "sep_token_id": 2},
    "longformer": {"attention_window": [4, 4]},
    "gpt2": {
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 64,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "resid_pdrop": 0.0,
    },
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "llama": {"num_key_value_heads": 1},
    "gemma": {"num_key_value_heads": 1, "head_dim": 8},
}


def tiny_model(model_type: str = "bert", seed: int = 0, **overrides):
    """A random classifier of this type with two layers and no dropout, weights large enough to matter."""
    settings = {**TINY, **SPECIAL.get(model_type, {}), **overrides}
    config = AutoConfig.for_model(model_type, **settings)
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def tiny_batch(lengths=(12, 9, 7, 11), side="right", pad=1, seed=0):
    """Random token ids of these lengths, padded, with their mask."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths)
    ids, mask = torch.full((len(lengths), width), pad), torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        where = slice(0, length) if side == "right" else slice(width - length, width)
        ids[row, where] = torch.randint(3, TINY["vocab_size"], (length,), generator=generator)
        mask[row, where] = 1
    return {"input_ids": ids, "attention_mask": mask}


def tiny_dataset(n=8, seed=0, n_labels=3):
    """n rows of ragged token ids with labels, as a tokenised data set."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 12, (n,), generator=generator).tolist()
    return Dataset.from_dict(
        {
            "input_ids": [torch.randint(3, 60, (k,), generator=generator).tolist() for k in lengths],
            "attention_mask": [[1] * k for k in lengths],
            "label": [i % n_labels for i in range(n)],
        }
    )


class PadCollator:
    """Pads ids with 1 and masks with 0, so that no tokenizer is needed."""

    def __call__(self, rows):
        width = max(len(row["input_ids"]) for row in rows)
        return {
            "input_ids": torch.tensor([row["input_ids"] + [1] * (width - len(row["input_ids"])) for row in rows]),
            "attention_mask": torch.tensor(
                [row["attention_mask"] + [0] * (width - len(row["input_ids"])) for row in rows]
            ),
            "labels": torch.tensor([row["label"] for row in rows]),
        }


def training_arguments(folder, **settings):
    """Quiet arguments for a tiny run: plain SGD on the CPU, rows in order."""
    defaults = {
        "per_device_train_batch_size": 4,
        "learning_rate": 0.1,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "train_sampling_strategy": "sequential",
        "use_cpu": True,
    }
    return MixupTrainingArguments(output_dir=str(folder), **(defaults | settings))


def stock_arguments(args):
    """The same settings without ours, for the stock Trainer."""
    known = {f.name for f in fields(TrainingArguments)}
    settings = {name: value for name, value in args.to_dict().items() if name in known}
    return TrainingArguments(**settings | {"accelerator_config": None})


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: threads only cost time, and sums keep one order."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def settled_imports():
    """Each training collects garbage: it need not walk again through all that torch and transformers have imported."""
    gc.collect()
    gc.freeze()
