"""Which rows and models can be judged, and what is said of those that cannot."""

import csv
import json
import shutil

import pytest
import torch
from conftest import tiny_model
from datasets import ClassLabel, Dataset, Features, Value
from planted_models import WORDS, fails, record_of, write_rows
from transformers import AutoConfig, AutoModel

from nlp_mixup import cli
from nlp_mixup.arguments import DataArguments
from nlp_mixup.doctor import DoctorArguments, evaluate
from nlp_mixup.models import build_word_tokenizer


def test_labels_match_by_name_and_integers_by_the_names_the_data_gives_them(planted, tmp_path, capsys):
    with (planted / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    texts, names = [row["text"] for row in rows], [row["label"] for row in rows]
    expected = record_of(capsys, planted / "over", "--test_file", planted / "test.csv")["rows"][0]["accuracy"]
    others = {
        "negative": ("NEGATIVE", 2),
        "so_so": ("So  so", 0),
        "positive": (" positive", 1),
    }  # ids unlike the model's

    def accuracy(path, *more):
        return record_of(capsys, planted / "over", "--test_file", path, *more)["rows"][0]["accuracy"]

    write_rows(tmp_path / "spelt.csv", [others[name][0] for name in names], texts)
    assert accuracy(tmp_path / "spelt.csv") == expected
    ids = [others[name][1] for name in names]
    write_rows(tmp_path / "column.csv", ids, texts, label_name=names)
    assert accuracy(tmp_path / "column.csv") == expected
    write_rows(tmp_path / "bare.csv", ids, texts)
    line = fails(capsys, planted / "over", "--test_file", tmp_path / "bare.csv")
    assert "has labels without names" in line
    assert "The model's classes: 0 negative, 1 so_so, 2 positive." in line
    assert "--label_map" in line
    assert accuracy(tmp_path / "bare.csv", "--label_map", "2=negative", "0=so so", "1=2") == expected
    assert accuracy(tmp_path / "bare.csv", "--label_map", "identity") != expected
    (tmp_path / "labels.json").write_text(json.dumps({str(number): name for name, (_, number) in others.items()}))
    assert accuracy(tmp_path / "bare.csv") == expected
    features = Features({"text": Value("string"), "label": ClassLabel(names=["so_so", "positive", "negative"])})
    Dataset.from_dict({"text": texts, "label": ids}, features).to_parquet(tmp_path / "feature.parquet")
    assert accuracy(tmp_path / "feature.parquet") == expected


def test_data_that_cannot_be_judged_by(planted, tmp_path, capsys):
    model, test = planted / "over", planted / "test.csv"
    assert "There are no labelled rows to judge on" in fails(capsys, model)
    assert "train_file has no use here" in fails(capsys, model, "--train_file", test)
    assert "are both" in fails(capsys, model, "--test_file", test, "--validation_file", test)
    assert "there is no file" in fails(capsys, model, "--test_file", tmp_path / "none.csv")
    assert "has no column 'txt'" in fails(capsys, model, "--test_file", test, "--text_column", "txt")
    assert "Did you mean '--label_map'?" in fails(capsys, model, "--test_file", test, "--lable_map", "a=1")
    assert "n_bins must be at least 1" in fails(capsys, model, "--test_file", test, "--n_bins", "0")
    assert "exists" in fails(capsys, model, "--test_file", test, "--output_dir", test).lower()
    shutil.copy(test, tmp_path / "train.csv")
    assert "has neither a validation nor a test split" in fails(capsys, model, "--dataset_name", tmp_path)
    write_rows(tmp_path / "hidden.csv", [-1, -1], ["a", "b"])
    assert "No labelled rows are left" in fails(capsys, model, "--test_file", tmp_path / "hidden.csv")
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--test_file", str(test), str(model)])
    assert "MODEL comes first" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        cli.main(["evaluate", "--help"])
    assert caught.value.code == 0
    assert "--label_map" in capsys.readouterr().out


def test_models_that_cannot_be_judged(planted, tmp_path, capsys):
    test = ("--test_file", planted / "test.csv")
    assert "There is no folder" in fails(capsys, tmp_path / "none", *test)
    assert "holds no model: there is no config.json" in fails(capsys, tmp_path, *test)
    unknown = fails(capsys, "nobody/nothing-here", *test)
    assert "cannot be loaded as a text or image classifier: there is no folder of that name here, and" in unknown
    tokenizer = build_word_tokenizer(WORDS)
    for name, settings, message in (
        ("one", {"num_labels": 1}, "has num_labels 1: one number a row"),
        ("multi", {"problem_type": "multi_label_classification"}, "is a model for multi label classification"),
    ):
        tiny_model("bert", vocab_size=len(tokenizer), **settings).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        assert message in fails(capsys, tmp_path / name, *test)
    # An encoder without a head would get a random one.
    AutoModel.from_config(AutoConfig.from_pretrained(planted / "over")).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    message = fails(capsys, tmp_path / "encoder", *test)
    assert "is no trained classifier: it has no weights for classifier.bias, classifier.weight" in message
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "adapter_config.json names no base_model_name_or_path" in fails(capsys, tmp_path / "adapter", *test)


def test_weights_that_are_a_pickle_run_nothing(planted, tmp_path, capsys):
    """The old format is read with torch's weights_only: code in it is refused, not run."""
    folder, trace = tmp_path / "pickled", tmp_path / "ran"
    shutil.copytree(planted / "over", folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": _Touches(trace)}, folder / "pytorch_model.bin")
    message = fails(capsys, folder, "--test_file", planted / "test.csv")
    assert "its weights are a pickle of more than tensors, which is not run" in message
    assert not trace.exists()
    (folder / "pytorch_model.bin").unlink()
    (folder / "model.safetensors").write_bytes((planted / "over" / "model.safetensors").read_bytes()[:500])
    assert "cannot be loaded" in fails(capsys, folder, "--test_file", planted / "test.csv")


class _Touches:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_of_a_model_is_not_run_unasked(planted, tmp_path, capsys):
    folder = tmp_path / "custom"
    shutil.copytree(planted / "over", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "custom", "auto_map": {"AutoConfig": "custom.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "custom.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    message = fails(capsys, folder, "--test_file", planted / "test.csv")
    assert "it brings code of its own. Read it, then type --trust_remote_code" in message
    assert not (tmp_path / "ran").exists()


def test_rows_that_are_cut_are_counted(planted):
    found = evaluate(
        str(planted / "over"), DataArguments(test_file=str(planted / "test.csv"), max_length=4), DoctorArguments()
    )
    assert "rows fill 4 tokens and may have been cut: the model takes 64: --max_length 64." in found.notes[0]
