"""A finished run's folder in the stored format, made in a second from a random model and generated texts."""

import numpy as np
import torch
import yaml
from stored_runs import scored_once
from transformers import BertConfig, BertForSequenceClassification

from nlp_mixup.calibration import softmax
from nlp_mixup.models import TextCNNConfig, TextCNNForSequenceClassification, build_word_tokenizer
from nlp_mixup.runs import stored as stored_run
from nlp_mixup.runs.probe import chosen_rows, probe_of, write_probe

WORDS = [
    "film",
    "plot",
    "a",
    "the",
    "very",
    "fine",
    "great",
    "nice",
    "superb",
    "poor",
    "awful",
    "dull",
    "weak",
    "long",
    "short",
    "old",
]
SETTINGS = {
    "model_name_or_path": "text-cnn", "train_file": "/home/secret-person/data/train.csv",
    "validation_file": "data/validation.csv", "test_file": "data/test.csv", "mixup_alpha": 0.4,
    "num_train_epochs": 3.0, "learning_rate": 0.001, "per_device_train_batch_size": 16, "seed": 0,
    "output_dir": "/home/secret-person/runs/tiny", "run_name": "secret-person's run", "report_to": ["none"],
    "eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1, "logging_strategy": "epoch",
    "per_device_eval_batch_size": 64,
}  # fmt: skip


def texts_of(n, seed):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, 4 + row % 7)) for row in range(n)]


def build(kind, n_labels, names, sharpness):
    tokenizer = build_word_tokenizer(texts_of(200, 0))
    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    if kind == "text-cnn":
        config = TextCNNConfig(vocab_size=len(tokenizer), hidden_size=12, num_filters=8, num_labels=n_labels, **labels)
        model = TextCNNForSequenceClassification(config)
    else:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=24,
                max_position_embeddings=64,
                pad_token_id=tokenizer.pad_token_id,
                num_labels=n_labels,
                **labels,
            )
        )
    torch.nn.init.normal_(model.get_submodule("classifier").weight, std=sharpness)
    return model.eval(), tokenizer


def logits_of(model, tokenizer, texts):
    with torch.no_grad():
        return model(**model_inputs(tokenizer, texts)).logits.numpy()


def model_inputs(tokenizer, texts):
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    return {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}


def labels_for(logits, divisor, seed):
    """Labels by which logits / divisor are perfectly calibrated."""
    random = np.random.default_rng(seed)
    return np.array([random.choice(len(row), p=row) for row in softmax(logits / divisor)])


def write_run(
    folder,
    kind="bert",
    names=("bad", "good", "so-so"),
    settings=None,
    divisor=3.0,
    sharpness=3.0,
    n=(400, 600),
    test_divisor=None,
):
    """Writes a run whose logits are too large by `divisor`, on test by `test_divisor`; returns its model, tokenizer and (logits, labels) by split."""
    model, tokenizer = build(kind, len(names), names, sharpness)
    stored = {}
    for seed, (split, size) in enumerate(zip(("validation", "test"), n, strict=True), start=1):
        logits = logits_of(model, tokenizer, texts_of(size, seed))
        stored[split] = logits, labels_for(logits, (split == "test" and test_divisor) or divisor, seed)
    noise = {"noise": logits_of(model, tokenizer, [" ".join(["[UNK]"] * (3 + row % 5)) for row in range(100)])}
    scored = scored_once(stored, noise, 15)
    stored_run.write_run(
        folder, {"arm": "mixup", "seed": 0, "selection": "last epoch"}, stored, noise, scored.resamples, scored.confidence,
        {**scored.metrics, "label_names": list(names), "train_runtime": 12.5},
    )  # fmt: skip
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    texts = texts_of(n[0], 1)
    write_probe(folder, probe_of(model, model_inputs(tokenizer, [texts[row] for row in chosen_rows(n[0])])))
    (folder / "model" / "training_args.bin").write_bytes(b"a pickle")
    content = {**SETTINGS, **(settings or {}), "arms": {"mixup": {}}}
    (folder / "arguments.yaml").write_text(f"# nlp_mixup 0\n{yaml.safe_dump(content)}")
    return model, tokenizer, stored
