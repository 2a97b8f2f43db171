"""Out-of-distribution texts: files, held-out classes, random tokens of matched length; and what they score."""

import numpy as np
import pytest

from nlp_mixup.arguments import DataArguments
from nlp_mixup.calibration import energy_score, ood_scores, softmax
from nlp_mixup.data.ood import load_ood_texts, tokenize_ood
from nlp_mixup.data.texts import load_text_data
from nlp_mixup.data.tokens import tokenize
from nlp_mixup.models.word_tokenizer import build_word_tokenizer
from nlp_mixup.runs.scoring import score_run


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [("red car", "colour"), ("blue sky here", "colour"), ("two plus two", "sum"), ("one plus one", "sum")]
    rows += [("who are you", "oos"), ("what", "oos")]
    for split in ("train", "validation", "test"):
        lines = [f"{text} {split},{label}" for text, label in rows * 2]
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    (tmp_path / "far.csv").write_text("text,kind\nthe moon,a\na comet tail,b\nmars,a\n")
    return tmp_path


def data_of(files, **settings):
    return DataArguments(dataset_name=str(files), **settings)


def test_named_files_and_chosen_rows(files):
    far = files / "far.csv"
    sets = load_ood_texts(data_of(files, ood_files=[f"far={far}", f"near={far}:kind=a"]))
    assert sets["far"]["text"][:] == ["the moon", "a comet tail", "mars"]
    assert sets["near"]["text"][:] == ["the moon", "mars"]
    assert len(load_ood_texts(data_of(files, ood_files=[f"far={far}"], max_eval_samples=2))["far"]) == 2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("far.csv", "is not NAME=FILE"),
        ("noise=far.csv", "the name 'noise' is taken"),
        ("far=fat.csv", "ood_files: there is no file fat.csv"),
        ("far=far.csv:sort=a", "has no column 'sort' to choose rows by; it has text, kind"),
        ("far=far.csv:kind=c", "no row has 'c' in column 'kind', which holds a, b"),
        ("far=no_text.csv", "has no column 'text' for the text; its columns are: words"),
        ("far=empty.csv", "is empty"),
    ],
)
def test_wrong_files_are_named(files, monkeypatch, entry, message):
    monkeypatch.chdir(files)
    (files / "no_text.csv").write_text("words\nhello\n")
    (files / "empty.csv").write_text("")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_ood_texts(data_of(files, ood_files=[entry]))


def test_held_out_classes_leave_every_split(files, caplog):
    data = load_text_data(data_of(files, ood_classes=["oos"]))
    assert data.label_names == ["colour", "sum"]
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 8, "validation": 8, "test": 8}
    assert data.out_of_classes["text"][:] == ["who are you test", "what test"] * 2
    assert load_text_data(data_of(files, ood_classes=["out"])).out_of_classes is None
    assert "no row is of the class out; the classes are colour, oos, sum" in caplog.text


def test_noise_has_the_lengths_of_the_test_rows_and_every_word(files):
    args = data_of(files, noise_samples=500, ood_classes=["oos"])
    data = load_text_data(args)
    tokenizer = build_word_tokenizer(list(data.splits["train"]["text"]))
    splits = tokenize(data, tokenizer, max_length=16)
    sets = tokenize_ood(args, data, {}, splits, tokenizer)
    assert list(sets) == ["held-out", "noise"]
    noise = sets["noise"]["input_ids"][:]
    assert {len(ids) for ids in noise} == {len(ids) for ids in splits["test"]["input_ids"][:]}
    counts = np.bincount(np.concatenate(noise), minlength=len(tokenizer))
    special = list(tokenizer.all_special_ids)
    assert counts[special].sum() == 0
    ordinary = np.delete(counts, special)
    assert ordinary.min() > 0.5 * ordinary.mean()
    assert sets["noise"]["input_ids"][:] == tokenize_ood(args, data, {}, splits, tokenizer)["noise"]["input_ids"][:]


def test_special_tokens_stay_in_their_places(files):
    from transformers import PreTrainedTokenizerFast

    args = data_of(files, noise_samples=20)
    data = load_text_data(args)
    inner = build_word_tokenizer(list(data.splits["train"]["text"]))
    inner.backend_tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    from tokenizers.processors import TemplateProcessing

    ids = [(token, inner.backend_tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    inner.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ids)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner.backend_tokenizer, cls_token="[CLS]", sep_token="[SEP]", pad_token=inner.pad_token
    )
    splits = tokenize(data, tokenizer, max_length=16)
    for row in tokenize_ood(args, data, {}, splits, tokenizer)["noise"]:
        assert row["input_ids"][0] == tokenizer.cls_token_id
        assert row["input_ids"][-1] == tokenizer.sep_token_id
        assert not {tokenizer.cls_token_id, tokenizer.sep_token_id} & set(row["input_ids"][1:-1])
        assert len(row["attention_mask"]) == len(row["input_ids"])


def test_scores_of_foreign_rows_are_those_of_the_last_split():
    random = np.random.default_rng(0)
    splits = {name: (3 * random.normal(size=(90, 4)), random.integers(0, 4, 90)) for name in ("validation", "test")}
    foreign = random.normal(size=(60, 4))
    metrics = score_run(splits, {"far": foreign}, n_bins=15).metrics
    row = next(r for r in metrics["rows"] if (r["split"], r["calibration"]) == ("test", "raw"))
    inside = splits["test"][0]
    msp = ood_scores(softmax(inside).max(1), softmax(foreign).max(1))
    energy = ood_scores(energy_score(inside), energy_score(foreign))
    assert (row["auroc_msp_far"], row["fpr95_msp_far"]) == (msp["auroc"], msp["fpr95"])
    assert (row["auroc_energy_far"], row["fpr95_energy_far"]) == (energy["auroc"], energy["fpr95"])
    assert row["confidence_far"] == pytest.approx(softmax(foreign).max(1).mean())
    assert not any("far" in name for r in metrics["rows"] if r["split"] == "validation" for name in r)
