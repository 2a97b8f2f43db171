"""Classifiers whose fault is known, as labels were drawn from softmax(z) and the logits are z times a factor; rows for them."""

import csv
import json

import numpy as np
import pytest
import torch
from conftest import tiny_model

from nlp_mixup import cli
from nlp_mixup.models import build_word_tokenizer

CLASSES = ["negative", "so_so", "positive"]
WORDS = [f"word{i}" for i in range(40)]


def texts_of(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 9))) for _ in range(n)]


def build(model_type="bert", classes=CLASSES):
    """A tiny random classifier whose logits have mean 0 and spread 1.5 over the texts, and its tokenizer."""
    tokenizer = build_word_tokenizer(WORDS)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    names = {"id2label": dict(enumerate(classes)), "label2id": {name: i for i, name in enumerate(classes)}}
    settings = {
        **names,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": len(classes),
    }
    model = tiny_model(model_type, **settings)
    head = model.score if hasattr(model, "score") else model.classifier
    logits = logits_of(model, tokenizer, texts_of(500, seed=99))
    with torch.no_grad():
        factor = 1.5 / logits.std(0)
        head.weight *= factor[:, None]
        if head.bias is not None:
            head.bias.copy_((head.bias - logits.mean(0)) * factor)
    return model, tokenizer, head


def logits_of(model, tokenizer, texts, pairs=None):
    """Rows of one length at a time, so that neither padding nor its mask can matter."""
    encoded = tokenizer(texts, *([pairs] if pairs else []))["input_ids"]
    logits = torch.empty(len(texts), model.config.num_labels)
    with torch.no_grad():
        for length in set(map(len, encoded)):
            rows = [i for i, ids in enumerate(encoded) if len(ids) == length]
            logits[rows] = model(input_ids=torch.tensor([encoded[i] for i in rows])).logits
    return logits


def write_rows(path, labels, texts, **columns):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", *columns])
        writer.writerows(zip(texts, labels, *columns.values(), strict=True))


def draw_labels(logits, seed):
    rng = np.random.default_rng(seed)
    return (logits.numpy() + rng.gumbel(size=logits.shape)).argmax(1)


def drawn(n, k=3, spread=1.5, seed=0):
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(n, k))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(1)


def nearly_always_right(seed, errors=2, n=100):
    """Confidences near .98 and as many errors as asked for, anywhere."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    logits = np.zeros((n, 2))
    logits[np.arange(n), labels] = rng.normal(4, 0.5, n)
    wrong = rng.choice(n, errors, replace=False)
    logits[wrong] = logits[wrong, ::-1]
    return logits, labels


def record_of(capsys, *argv):
    capsys.readouterr()
    cli.main(["evaluate", *map(str, argv), "--json"])
    return json.loads(capsys.readouterr().out)


def fails(capsys, *argv):
    with pytest.raises(SystemExit) as caught:
        cli.main(["evaluate", *map(str, argv)])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    line = error.splitlines()[-1]
    assert line.startswith("nlp-mixup: error: ")
    return line


def both(folder):
    return "--validation_file", folder / "validation.csv", "--test_file", folder / "test.csv"
