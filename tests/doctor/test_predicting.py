"""A row's logits are its own, whatever batch it travels in."""

import csv

import numpy as np
from planted_models import CLASSES, build, draw_labels, logits_of, record_of, texts_of, write_rows


def test_the_logits_are_the_rows_own_whatever_batch_they_travel_in(planted, tmp_path, capsys):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    out = tmp_path / "out"
    validation = planted / "validation.csv"
    record_of(capsys, planted / "over", "--validation_file", validation, "--max_eval_samples", 40, "--output_dir", out)
    stored = np.load(out / "logits-validation.npz")
    assert len(stored["logits"]) == 40
    model = AutoModelForSequenceClassification.from_pretrained(planted / "over").eval()
    tokenizer = AutoTokenizer.from_pretrained(planted / "over")
    with validation.open() as file:
        rows = list(csv.DictReader(file))
    logits = logits_of(model, tokenizer, [row["text"] for row in rows]).numpy()
    labels = [CLASSES.index(row["label"]) for row in rows]
    # The sampled rows keep the file's order.
    at = 0
    for wanted, label in zip(stored["logits"], stored["labels"], strict=True):
        while not np.allclose(logits[at], wanted, atol=1e-4) or labels[at] != label:
            at += 1
    assert at < len(rows)


def test_pairs_of_texts(tmp_path, capsys):
    model, tokenizer, _ = build()
    first, second = texts_of(300, 1), texts_of(300, 2)
    labels = draw_labels(logits_of(model, tokenizer, first, second), 3)
    write_rows(tmp_path / "rows.csv", [CLASSES[i] for i in labels], first, other=second)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    record_of(capsys, tmp_path / "model", "--validation_file", tmp_path / "rows.csv", "--text_pair_column", "other",
              "--output_dir", out)  # fmt: skip
    stored = np.load(out / "logits-validation.npz")
    np.testing.assert_allclose(stored["logits"], logits_of(model, tokenizer, first, second), atol=1e-4)
    assert (stored["labels"] == labels).all()


def test_a_decoder_without_a_pad_token(tmp_path, capsys):
    model, tokenizer, _ = build("llama")
    texts = texts_of(200, 1)
    logits = logits_of(model, tokenizer, texts)
    write_rows(tmp_path / "rows.csv", [CLASSES[i] for i in draw_labels(logits, 3)], texts)
    tokenizer.add_special_tokens({"eos_token": "word39"})
    tokenizer.pad_token = None
    model.config.pad_token_id = None
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    record_of(capsys, tmp_path / "model", "--test_file", tmp_path / "rows.csv", "--output_dir", out)
    kept = [i for i, text in enumerate(texts) if not text.endswith("word39")]  # else its last token counts as padding
    np.testing.assert_allclose(np.load(out / "logits-test.npz")["logits"][kept], logits[kept], atol=1e-4)
