"""Where rows are: files, folders and data sets on the Hub; no network."""

import datasets
import pytest
from text_files import load, message_of, rows_of, write

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data.texts import load_text_data


def test_local_folder_with_other_split_names(tmp_path):
    write(tmp_path / "set" / "train.jsonl", rows_of([0, 1, 2]))
    write(tmp_path / "set" / "dev.csv", rows_of([2, 1]))
    write(tmp_path / "set" / "test.parquet", rows_of([0]))
    data = load_text_data(DataArguments(dataset_name=str(tmp_path / "set")))
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 3, "validation": 2, "test": 1}


def test_train_file_wins_over_dataset_name_and_validation_file_replaces_a_split(tmp_path):
    write(tmp_path / "set" / "train.csv", rows_of([0, 1]))
    write(tmp_path / "set" / "validation.csv", rows_of([0, 1, 1]))
    other = write(tmp_path / "other.csv", rows_of([0, 1] * 10))
    only_files = load(other, dataset_name="no-such-user/no-such-set")
    assert len(only_files.splits["train"]) + len(only_files.splits["validation"]) == 20
    replaced = load_text_data(DataArguments(dataset_name=str(tmp_path / "set"), validation_file=other))
    assert (len(replaced.splits["train"]), len(replaced.splits["validation"])) == (2, 20)


def test_no_source():
    with pytest.raises(ValueError, match=r"neither dataset_name nor train_file.*--train_file.*demo-tweets"):
        load_text_data(DataArguments())


def test_only_a_validation_file(tmp_path):
    path = write(tmp_path / "v.csv", rows_of([0, 1]))
    with pytest.raises(ValueError, match=r"validation_file, but no dataset_name or train_file.*--train_file"):
        load_text_data(DataArguments(validation_file=path))


def test_missing_file_lists_its_folder(tmp_path):
    write(tmp_path / "training.csv", rows_of([0, 1]))
    message = message_of(FileNotFoundError, str(tmp_path / "train.csv"))
    assert message.startswith("train_file: there is no file")
    assert "holds: training.csv" in message
    assert "--train_file PATH" in message
    assert "no folder" in message_of(FileNotFoundError, str(tmp_path / "nowhere" / "train.csv"))


def test_unknown_extension(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text("text\tlabel\n")
    assert "'.tsv'; accepted are .csv, .jsonl, .json, .parquet" in message_of(ValueError, str(path))


def test_missing_folder_is_not_asked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", None)
    for name in (str(tmp_path / "nothing"), "./nothing", "../a/b/nothing"):
        with pytest.raises(FileNotFoundError, match=r"there is no folder .*--train_file"):
            load_text_data(DataArguments(dataset_name=name))


def test_folder_without_train_and_folder_with_two(tmp_path):
    write(tmp_path / "set" / "tests.csv", rows_of([0, 1]))
    with pytest.raises(ValueError, match=r"no train split. It holds: tests.csv.*--train_file"):
        load_text_data(DataArguments(dataset_name=str(tmp_path / "set")))
    write(tmp_path / "set" / "train.csv", rows_of([0, 1]))
    write(tmp_path / "set" / "train.jsonl", rows_of([0, 1]))
    with pytest.raises(ValueError, match=r"several files for the train split: train.csv, train.jsonl.*--train_file"):
        load_text_data(DataArguments(dataset_name=str(tmp_path / "set")))
    with pytest.raises(ValueError, match=r"is a file.*--train_file"):
        load_text_data(DataArguments(dataset_name=str(tmp_path / "set" / "train.csv")))


def test_hub_without_network_names_the_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"'nobody/nothing'.*Hub.*--train_file.*--validation_file.*--test_file"):
        load_text_data(DataArguments(dataset_name="nobody/nothing"))


def test_hub_splits_and_config(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["n", "p"])})

    def split(labels):
        rows = {"sentence": [f"s {i}" for i in range(len(labels))], "label": labels}
        return datasets.Dataset.from_dict(rows, features=features)

    hub = datasets.DatasetDict({"train": split([0, 1] * 5), "test": split([-1, -1]), "unsupervised": split([-1])})
    asked = []

    def load_dataset(*arguments, **settings):
        asked.append((arguments, settings))
        if arguments[1] is None:
            raise ValueError("Config name is missing.")
        return hub

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    settings = {"dataset_name": "glue", "text_column": "sentence", "validation_fraction": 0.2}
    data = load_text_data(DataArguments(**settings, dataset_config_name="sst2", dataset_revision="main"))
    assert asked == [(("glue", "sst2"), {"revision": "main"})]
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 8, "validation": 2}
    assert data.label_names == ["n", "p"]
    assert "not used: unsupervised" in caplog.text
    with pytest.raises(ValueError, match=r"Config name is missing.*--dataset_config_name NAME"):
        load_text_data(DataArguments(**settings))
    del hub["train"]
    with pytest.raises(ValueError, match="no train split; its splits are: test, unsupervised"):
        load_text_data(DataArguments(**settings, dataset_config_name="sst2"))
