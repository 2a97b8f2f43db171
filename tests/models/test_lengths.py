"""The most tokens that a model takes: each type at its limit and beyond it, and what the commands do with longer texts."""

import re

import numpy as np
import pytest
import torch
from datasets import Dataset
from run_folders import WORDS, write_run
from tiny_architectures import MODEL_TYPES, PAD_TO_MULTIPLE, MissingDependency, forward, tiny_batch, tiny_classifier
from transformers import AutoTokenizer, RobertaConfig, RobertaForSequenceClassification, pipeline

from nlp_mixup import cli
from nlp_mixup.arguments import DataArguments
from nlp_mixup.calibration import softmax
from nlp_mixup.doctor import DoctorArguments, evaluate
from nlp_mixup.models import build_word_tokenizer
from nlp_mixup.models.lengths import limit_length, max_positions
from nlp_mixup.release.save import prepare_run


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_every_type_takes_a_row_of_its_limit_and_no_longer_one(model_type):
    try:
        model = tiny_classifier(model_type)
    except MissingDependency:
        pytest.skip("it cannot be built")
    limit = max_positions(model.config)
    assert limit in (None, 62, 64)  # of 64 positions, two are lost to the padding id
    taken = limit or 160  # no table has more than 64 rows
    assert forward(model, tiny_batch(model, [taken, taken])).isfinite().all()
    if limit is not None:
        longer = limit + PAD_TO_MULTIPLE.get(model_type, 1)
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            forward(model, tiny_batch(model, [longer, longer]))


def test_the_lowest_limit_counts():
    tokenizer = build_word_tokenizer(WORDS)
    limit_length(tokenizer, RobertaConfig(max_position_embeddings=66, pad_token_id=1))
    assert tokenizer.model_max_length == 64
    limit_length(tokenizer, max_length=100)
    assert tokenizer.model_max_length == 64
    limit_length(tokenizer, max_length=48)
    assert tokenizer.model_max_length == 48


def long_texts(n, low, high):
    random = np.random.default_rng(3)
    return [" ".join(random.choice(WORDS, random.integers(low, high))) for _ in range(n)]


@pytest.fixture
def roberta(tmp_path):
    """A classifier of 32 tokens at most, whose tokenizer names no limit, and a file of rows of up to 60."""
    tokenizer = build_word_tokenizer(WORDS)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    # RoBERTa counts positions from the padding id on, so that one is lost.
    assert tokenizer.pad_token_id == 0
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=33, pad_token_id=0, **sizes)
    RobertaForSequenceClassification(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    texts = long_texts(40, 10, 60)
    Dataset.from_dict({"text": texts, "label": [f"LABEL_{row % 2}" for row in range(40)]}).to_csv(tmp_path / "rows.csv")
    return tmp_path


def test_training_cuts_rows_to_the_models_positions_and_saves_the_limit(roberta, monkeypatch):
    monkeypatch.chdir(roberta)
    settings = ["--model_name_or_path", "model", "--train_file", "rows.csv", "--output_dir", "runs", "--max_steps", "2"]
    cli.main(["train", "quickstart", "--arm", "mixup", *settings, "--use_cpu", "true", "--max_length", "128"])
    saved = AutoTokenizer.from_pretrained(roberta / "runs" / "mixup" / "seed-0" / "model")
    assert saved.model_max_length == 32


def test_evaluate_cuts_rows_to_the_models_positions_and_says_so(roberta):
    data = DataArguments(validation_file=str(roberta / "rows.csv"))
    evaluation = evaluate(str(roberta / "model"), data, DoctorArguments(use_cpu=True))
    rows = evaluation.subject.splits["validation"]["input_ids"]
    full = sum(len(ids) == 32 for ids in rows)
    assert max(map(len, rows)) == 32
    assert f"{full} of 40 rows fill 32 tokens and may have been cut" in evaluation.notes[0]


def card_probabilities(folder, repo_id, texts, classes):
    """What the card's own lines of code give, the repository's name being a folder's."""
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)[1]
    loading = code[: code.index("classifier(")].replace(f'"{repo_id}"', repr(str(folder)))
    found = {}
    exec(loading, {"pipeline": pipeline}, found)
    rows = found["classifier"](texts, top_k=None)
    return np.array([[{entry["label"]: entry["score"] for entry in row}[name] for name in classes] for row in rows])


def test_the_cards_own_lines_give_the_probabilities_that_were_measured(tmp_path):
    """Of texts of up to 60 tokens cut to 20: what the model takes is 64, so that nothing but the saved limit cuts them."""
    names = ("bad", "good", "so-so")
    model, tokenizer, _ = write_run(tmp_path, names=names, settings={"max_length": 20})
    texts = long_texts(30, 5, 100)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=20, return_tensors="pt")
    with torch.no_grad():
        measured = softmax(model(**batch).logits.double().numpy())
    folder = next(iter(prepare_run(tmp_path, "me/cut", fold="never").files.values())).parent
    np.testing.assert_allclose(card_probabilities(folder, "me/cut", texts, names), measured, atol=1e-5)
    assert "Texts are cut to 20 tokens, as they were when it was measured" in (folder / "README.md").read_text()

    rows = {"text": texts, "label": [names[row % 3] for row in range(30)]}
    Dataset.from_dict(rows).to_csv(tmp_path / "rows.csv")
    data = DataArguments(validation_file=str(tmp_path / "rows.csv"))
    logits = evaluate(str(folder), data, DoctorArguments(use_cpu=True)).logits["validation"]
    np.testing.assert_allclose(softmax(logits.astype(np.float64)), measured, atol=1e-5)


def test_the_card_of_a_model_of_pairs_shows_how_to_give_two_texts(tmp_path):
    write_run(tmp_path, settings={"text_pair_column": "question"})
    folder = next(iter(prepare_run(tmp_path, "me/pairs", fold="never").files.values())).parent
    assert 'classifier({"text": "...", "text_pair": "..."})' in (folder / "README.md").read_text()


def test_the_doctor_names_the_limit_that_a_longer_release_was_measured_with(tmp_path):
    write_run(tmp_path, settings={"max_length": 40})
    folder = next(iter(prepare_run(tmp_path, "me/cut", fold="never").files.values())).parent
    rows = {"text": long_texts(30, 5, 30), "label": [("bad", "good", "so-so")[row % 3] for row in range(30)]}
    Dataset.from_dict(rows).to_csv(tmp_path / "rows.csv")
    data = DataArguments(validation_file=str(tmp_path / "rows.csv"), max_length=16)
    notes = evaluate(str(folder), data, DoctorArguments(use_cpu=True)).notes
    assert any("the model takes 40: --max_length 40" in note for note in notes)
