"""Reading, checking, splitting and tokenising text data. Rows are made up here; no network."""

import csv
import json
import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data.splits import stratified_rows
from nlp_mixup.data.texts import TextData, load_text_data
from nlp_mixup.data.tokens import tokenize

SHARED = Path(__file__).parents[3] / "shared" / "data"
TEXTS = ["NA", "null", "None", "nan", "", 'she said "no", twice', "two\nlines", "naïve 日本 🙂", "1234", " "]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(path: Path, rows: list[dict], **writer) -> str:
    """Writes rows as the extension of the path says. CSV: None is an empty cell, a string stands in quotes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            quoted = csv.DictWriter(file, list(rows[0]), **({"quoting": csv.QUOTE_NONNUMERIC} | writer))
            csv.writer(file).writerow(rows[0])
            quoted.writerows(rows)
        if any(None in row.values() for row in rows):  # this csv module writes None as "", which is a text
            path.write_text(path.read_text(encoding="utf-8").replace('""', ""), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def rows_of(labels, prefix="row") -> list[dict]:
    return [{"text": f"{prefix} {i}", "label": label} for i, label in enumerate(labels)]


def load(train, validation=None, test=None, **settings) -> TextData:
    return load_text_data(DataArguments(train_file=train, validation_file=validation, test_file=test, **settings))


def message_of(error, train, **settings) -> str:
    with pytest.raises(error) as raised:
        load(train, **settings)
    return str(raised.value)


def pair_of_files(folder, labels, validation_labels):
    return (
        write(folder / "train.csv", rows_of(labels)),
        write(folder / "validation.csv", rows_of(validation_labels, "held out")),
    )


# Formats and texts


@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".json", ".parquet"])
def test_every_format_keeps_every_text(tmp_path, extension):
    rows = [{"id": i, "text": text, "label": i % 2, "weight": 0.5} for i, text in enumerate(TEXTS)]
    train = write(tmp_path / f"train{extension}", rows)
    data = load(train, validation=train, test=train)
    assert set(data.splits) == {"train", "validation", "test"}
    for split in data.splits.values():
        assert split.column_names == ["text", "label"]
        assert split["text"][:] == TEXTS
        assert split["label"][:] == [0, 1] * 5
        assert split.features["label"] == datasets.ClassLabel(names=["0", "1"])
    assert (data.label_names, data.num_labels) == (["0", "1"], 2)


def test_excel_csv_with_byte_order_mark_and_crlf(tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes('\ufefftext,label\r\n"a\r\nb",x\r\nc,y\r\n'.encode())
    assert load(str(path), validation=str(path)).splits["train"]["text"][:] == ["a\r\nb", "c"]


def test_json_text_with_unicode_line_separator_and_number_like_text(tmp_path):
    texts = ["a\u2028b", "2020-01-01 10:00:00"]
    train = write(tmp_path / "t.jsonl", [{"text": text, "label": i} for i, text in enumerate(texts)])
    assert load(train, validation=train).splits["train"]["text"][:] == texts


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


def test_pairs(tmp_path):
    rows = [{"premise": f"p {i}", "hypothesis": f"h {i}", "gold": "ab"[i % 2]} for i in range(4)]
    train = write(tmp_path / "train.csv", rows)
    columns = {"text_column": "premise", "text_pair_column": "hypothesis", "label_column": "gold"}
    data = load(train, validation=train, **columns)
    assert data.splits["train"][2] == {"text": "p 2", "text_pair": "h 2", "label": 0}


def test_an_unused_pair_column_is_told(tmp_path, caplog):
    train = write(tmp_path / "t.csv", [{"text": "a", "text_pair": "b", "label": i} for i in range(2)])
    load(train, validation=train)
    assert "--text_pair_column text_pair" in caplog.text


def test_changed_file_at_the_same_path_and_time(tmp_path):
    train, validation = pair_of_files(tmp_path, [0, 1], [0, 1])
    stamp = os.stat(train)
    before = load(train, validation)
    write(Path(train), rows_of([0, 1], "new"))
    os.utime(train, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = load(train, validation)
    assert before.splits["train"]["text"][:] == ["row 0", "row 1"]
    assert after.splits["train"]["text"][:] == ["new 0", "new 1"]
    tokenizer = word_tokenizer()
    assert tokenize(before, tokenizer, max_length=8)["train"][0]["input_ids"] == [3, 4]
    assert tokenize(after, tokenizer, max_length=8)["train"][0]["input_ids"] == [1, 4]


# Labels


def test_string_labels_are_numbered_in_sorted_order(tmp_path):
    train, validation = pair_of_files(tmp_path, ["pos", "neg", "neutral", "pos"], ["neutral", "pos"])
    data = load(train, validation)
    assert data.label_names == ["neg", "neutral", "pos"]
    assert data.splits["train"]["label"][:] == [2, 0, 1, 2]
    assert data.splits["validation"]["label"][:] == [1, 2]


@pytest.mark.parametrize(
    ("labels", "names"),
    [(["0", "1", "1"], ["0", "1"]), ([False, True, True], ["False", "True"]), ([0, 1, 1], ["0", "1"])],
)
def test_numbers_as_strings_and_booleans(tmp_path, labels, names):
    train = write(tmp_path / "train.jsonl", rows_of(labels))
    data = load(train, validation=train)
    assert data.label_names == names
    assert data.splits["train"]["label"][:] == [0, 1, 1]


def test_label_name_column(tmp_path):
    names = ["zebra", "ant", "cow"]
    rows = [{"text": "x", "label": i % 3, "label_name": names[i % 3]} for i in range(6)]
    train = write(tmp_path / "train.csv", rows)
    (tmp_path / "labels.json").write_text('{"0": "not", "1": "these"}')
    assert load(train, validation=train).label_names == names
    by_name = load(train, validation=train, label_column="label_name")
    assert by_name.label_names == sorted(names)
    assert by_name.splits["train"]["label"][:3] == [2, 0, 1]


def test_labels_json(tmp_path, caplog):
    train = write(tmp_path / "train.jsonl", rows_of([0, 1, 0]))
    (tmp_path / "labels.json").write_text('{"0": "bad", "2": "never seen", "1": "good"}')
    assert load(train, validation=train).label_names == ["bad", "good", "never seen"]
    assert "has no row of these classes: never seen" in caplog.text


def test_class_label_feature_of_parquet_and_named_validation(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["z", "a"])})
    rows = {"text": ["u", "v", "w"], "label": [0, 1, 1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    named = write(tmp_path / "named.csv", rows_of(["a", "z"]))
    numbered = write(tmp_path / "numbered.csv", rows_of([1, 0]))
    for validation in (named, numbered):
        data = load(str(tmp_path / "train.parquet"), validation)
        assert data.label_names == ["z", "a"]
        assert data.splits["train"]["label"][:] == [0, 1, 1]
        assert data.splits["validation"]["label"][:] == [1, 0]


def test_hidden_test_labels_are_dropped_with_a_warning(tmp_path, caplog):
    train, validation = pair_of_files(tmp_path, [0, 1], [0, 1])
    test = write(tmp_path / "test.csv", rows_of([-1, -1]))
    assert "test" not in load(train, validation, test).splits
    assert "hidden" in caplog.text


# Drawing rows


def test_validation_from_train_is_stratified_and_repeats(tmp_path):
    labels = ["a"] * 70 + ["b"] * 20 + ["c"] * 10 + ["once"]
    train = write(tmp_path / "train.csv", rows_of(labels))
    data = load(train, validation_fraction=0.2)
    assert "test" not in data.splits
    assert np.bincount(data.splits["validation"]["label"][:]).tolist() == [14, 4, 2]
    assert np.bincount(data.splits["train"]["label"][:]).tolist() == [56, 16, 8, 1]
    texts = {split: rows["text"][:] for split, rows in data.splits.items()}
    assert sorted(texts["train"] + texts["validation"]) == sorted(row["text"] for row in rows_of(labels))
    assert load(train, validation_fraction=0.2).splits["validation"]["text"][:] == texts["validation"]
    other = load(train, validation_fraction=0.2, data_split_seed=14).splits["validation"]["text"][:]
    assert other != texts["validation"]


def test_subsets_are_stratified_and_keep_every_class_of_train(tmp_path):
    train = write(tmp_path / "train.csv", rows_of([0] * 900 + [1] * 98 + [2] * 2))
    data = load(train, validation=train, test=train, max_train_samples=20, max_eval_samples=50)
    assert np.bincount(data.splits["train"]["label"][:]).tolist() == [18, 1, 1]
    for split in ("validation", "test"):
        assert np.bincount(data.splits[split]["label"][:]).tolist() == [45, 5]
    again = load(train, validation=train, max_train_samples=20)
    assert again.splits["train"]["text"][:] == data.splits["train"]["text"][:]
    assert len(load(train, validation=train, max_train_samples=5000).splits["train"]) == 1000


def test_stratified_rows_by_hand():
    labels = np.array([0, 1, 1, 2, 2, 2, 0, 1, 2, 2])  # 2, 3 and 5 rows
    assert np.bincount(labels[stratified_rows(labels, 5, 0)]).tolist() == [1, 2, 2]  # shares 1, 1.5, 2.5
    assert np.bincount(labels[stratified_rows(labels, 10, 0, keep=1)]).tolist() == [1, 2, 4]
    assert np.bincount(labels[stratified_rows(labels, 3, 0, at_least=1)]).tolist() == [1, 1, 1]
    assert stratified_rows(labels, 4, 7).tolist() == stratified_rows(labels, 4, 7).tolist()
    assert stratified_rows(np.array([0, 1]), 1, 0, keep=1).tolist() == []


# Bad input


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


@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".parquet"])
def test_missing_column_lists_those_there_are(tmp_path, extension):
    train = write(tmp_path / f"train{extension}", [{"sentence": "a", "label": 0}, {"sentence": "b", "label": 1}])
    message = message_of(ValueError, train)
    assert "no column 'text' for the text; its columns are: sentence, label. Type --text_column NAME" in message
    assert "--label_column NAME" in message_of(ValueError, train, text_column="sentence", label_column="y")
    assert "--text_pair_column" in message_of(ValueError, train, text_column="sentence", text_pair_column="b")


@pytest.mark.parametrize(("extension", "row"), [(".csv", "row 3 (the header is row 1)"), (".jsonl", "row 2")])
def test_missing_text_names_file_row_and_column(tmp_path, extension, row):
    rows = [{"text": "a", "label": 0}, {"text": None, "label": 1}, {"text": "c", "label": 1}]
    train = write(tmp_path / f"train{extension}", rows)
    message = message_of(ValueError, train)
    assert f"{train}: column 'text' is missing in 1 of 3 rows: {row}" in message


def test_missing_label(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('text,label\na,0\nb,\nc,1\nd," "\n')
    assert "column 'label' is missing in 1 of 4 rows: row 3" in message_of(ValueError, str(path))
    path.write_text('text,label\na,x\nb," "\n')
    assert "blank in row 3" in message_of(ValueError, str(path))


@pytest.mark.parametrize("row", ["hello, world,1", "only a text", '"never closed,1'])
def test_ragged_csv_names_the_row(tmp_path, row):
    path = tmp_path / "train.csv"
    path.write_text(f"text,label\nfine,0\n{row}\n")
    message = message_of(ValueError, str(path))
    assert re.search(r"Row #3: Expected 2 columns, got [13]", message)
    assert "stands in quotes" in message


def test_not_utf8_not_json_not_parquet(tmp_path):
    for name in ("train.csv", "train.jsonl"):
        (tmp_path / name).write_bytes(
            b'{"text": "caf\xe9", "label": 0}\n' if "json" in name else b"text,label\ncaf\xe9,0\n"
        )
        assert "UTF-8" in message_of(ValueError, str(tmp_path / name))
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": 0}\n{"text": \n')
    assert "line 2" in message_of(ValueError, str(tmp_path / "train.jsonl"))
    (tmp_path / "train.jsonl").write_text('"just a string"\n')
    assert 'accepted is {"text": "...", "label": 0}' in message_of(ValueError, str(tmp_path / "train.jsonl"))
    (tmp_path / "train.parquet").write_text("text,label\n")
    assert "no parquet file" in message_of(ValueError, str(tmp_path / "train.parquet"))


@pytest.mark.parametrize(
    ("name", "content"), [("t.csv", ""), ("t.csv", "text,label\n"), ("t.jsonl", ""), ("t.json", "[]")]
)
def test_empty_split(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    message = message_of(ValueError, str(tmp_path / name))
    assert "every split that is given needs" in message


def test_texts_that_are_no_strings(tmp_path):
    train = write(tmp_path / "train.parquet", [{"text": 5, "label": 0}, {"text": 6, "label": 1}])
    assert "holds int64, accepted are strings. Type --text_column NAME" in message_of(ValueError, train)
    train = write(tmp_path / "train.jsonl", [{"text": "a", "label": 0}, {"text": 6, "label": 1}])
    assert "'a' in row 1 (str), 6 in row 2 (int). Write one type" in message_of(ValueError, train)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0.5, 1.25, 2.0], "a regression target: 0.5, 1.25, 2.0"),
        ([0.0, 1.0, 1.0], "decimal numbers: 0.0, 1.0. Write 0 for 0.0"),
        (["0", "1", "NA"], "mixes numbers (0, 1) and names (NA)"),
        (
            [1, 2, 5],
            "the labels are 1, 2, 5; accepted are whole numbers from 0 without a gap, here 0..2. If these are the classes, give each a name, for instance: --label_map '1=class 1' '2=class 2' '5=class 5'",
        ),
        ([-1, 0, 1], "the labels are -1, 0, 1"),
        (["a", "a", "a"], "has a single class, 'a': there is nothing to classify"),
        ([0, 0, 0], "single class"),
    ],
)
@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".parquet"])
def test_labels_that_are_no_classes(tmp_path, labels, told, extension):
    train = write(tmp_path / f"train{extension}", rows_of(labels))
    assert told in message_of(ValueError, train)


def test_several_labels_a_row(tmp_path):
    for extension in (".jsonl", ".parquet"):
        train = write(tmp_path / f"train{extension}", rows_of([[0, 1], [1]]))
        assert "holds lists, several labels a row. Accepted is one class a row" in message_of(ValueError, train)


@pytest.mark.parametrize(
    ("labels", "held_out", "told"),
    [
        (["a", "b"], ["c", "c", "d", "a"], "'c' (2 rows), 'd' (1 rows). Train has: a, b"),
        ([0, 1], [1, 2, 2], "'2' (2 rows). Train has: 0, 1"),
        (
            [0, 1],
            [1, -1],
            "'-1' (1 rows). Train has: 0, 1. Remove these rows, or add such rows to train. Rows of no class",
        ),
        (["a", "b"], [0, 1], "'0' (1 rows), '1' (1 rows)"),
    ],
)
def test_labels_that_train_never_had(tmp_path, labels, held_out, told):
    train, validation = pair_of_files(tmp_path, labels, held_out)
    for split in ("validation", "test"):
        message = message_of(ValueError, train, **{"validation": train, split: validation})
        assert f"{validation} has labels that are no class of train: " in message
        assert told in message


def test_label_names_that_contradict(tmp_path):
    rows = [{"text": "x", "label": label, "label_name": name} for label, name in [(0, "a"), (1, "b"), (1, "c")]]
    message = message_of(ValueError, write(tmp_path / "train.csv", rows))
    assert "disagree: 1 is 'b', 1 is 'c'" in message
    train = write(tmp_path / "other.csv", rows_of([0, 1, 2]))
    for content, told in [
        ('{"0": "a", "1": "b"}', "has no name for the labels 2"),
        ('{"0": "a", "1": "b", "2": "a"}', "one name to several labels"),
        ('["a", "b"]', 'accepted is {"0": "negative", "1": "positive"}'),
    ]:
        (tmp_path / "labels.json").write_text(content)
        assert told in message_of(ValueError, train)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"validation_fraction": 0.0}, "above 0 and below 1: --validation_fraction 0.1"),
        ({"validation_fraction": 1.0}, "validation_fraction is 1.0"),
        ({"max_train_samples": 0}, "max_train_samples is 0; give 1 or more"),
        ({"max_eval_samples": -3}, "max_eval_samples is -3"),
        ({"max_train_samples": 2}, "3 classes, each of which needs a row. Type --max_train_samples 3"),
    ],
)
def test_settings_out_of_range(tmp_path, settings, told):
    train = write(tmp_path / "train.csv", rows_of([0, 1, 2] * 4))
    assert told in message_of(ValueError, train, **settings)


def test_no_row_to_spare_for_validation(tmp_path):
    train = write(tmp_path / "train.csv", rows_of(["a", "b", "c"]))
    assert "one row of each class" in message_of(ValueError, train)


# Tokenising


def word_tokenizer(**settings) -> PreTrainedTokenizerFast:
    """[PAD] 0, [UNK] 1, [SEP] 2, row 3, then the numbers 0..99; a pair is joined by [SEP]."""
    words = ["[PAD]", "[UNK]", "[SEP]", "row", *map(str, range(100))]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A [SEP] $B:1", special_tokens=[("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", **settings)


def test_tokenize_cuts_and_leaves_padding_to_the_collator(tmp_path):
    rows = [{"text": "row 0 1 2", "label": "b"}, {"text": "row 9", "label": "a"}]
    train = write(tmp_path / "train.csv", rows)
    tokenizer = word_tokenizer()
    tokenized = tokenize(load(train, validation=train), tokenizer, max_length=3)
    assert set(tokenized) == {"train", "validation"}
    assert set(tokenized["train"].column_names) == {"labels", "input_ids", "attention_mask"}
    assert tokenized["train"]["input_ids"][:] == [[3, 4, 5], [3, 13]]
    assert tokenized["train"].features["labels"].names == ["a", "b"]
    batch = DataCollatorWithPadding(tokenizer)([tokenized["train"][0], tokenized["train"][1]])
    assert batch["input_ids"].tolist() == [[3, 4, 5], [3, 13, 0]]
    assert batch["labels"].tolist() == [1, 0]


def test_tokenize_pairs(tmp_path):
    rows = [{"text": "row 1 2", "text_pair": "row 3", "label": i} for i in range(2)]
    train = write(tmp_path / "train.csv", rows)
    data = load(train, validation=train, text_pair_column="text_pair")
    assert tokenize(data, word_tokenizer(), max_length=16)["train"]["input_ids"][0] == [3, 5, 6, 2, 3, 7]
    assert tokenize(data, word_tokenizer(), max_length=5)["train"]["input_ids"][0] == [3, 5, 2, 3, 7]


def test_tokenize_once_per_rows_tokenizer_and_length(tmp_path):
    train, validation = pair_of_files(tmp_path, [0, 1], [0, 1])
    folder = tmp_path / "cache" / "nlp_mixup"
    tokenizer = word_tokenizer()
    tokenize(load(train, validation), tokenizer, max_length=8)
    first = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(first) == 2
    tokenizer(["row 1", "row"], padding=True)  # leaves its traces in the tokenizer, but makes it no other
    copy = write(tmp_path / "copy" / "train.jsonl", rows_of([0, 1]))
    tokenize(load(copy, validation), tokenizer, max_length=8)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == first
    tokenize(load(train, validation), tokenizer, max_length=7)
    assert len(list(folder.iterdir())) == 4
    grown = word_tokenizer()
    grown.add_tokens(["held"])
    assert tokenize(load(train, validation), grown, max_length=8)["validation"]["input_ids"][0][0] == len(tokenizer)


def test_tokens_kept_under_other_class_names_do_not_bring_these_along(tmp_path):
    data = load(*pair_of_files(tmp_path, [0, 1], [0, 1]))
    renamed = {
        name: rows.cast_column("label", datasets.ClassLabel(names=["bad", "good"]))
        for name, rows in data.splits.items()
    }
    renamed = TextData(datasets.DatasetDict(renamed), ["bad", "good"])
    for rows, names in ((data, ["0", "1"]), (renamed, ["bad", "good"]), (data, ["0", "1"])):
        tokenized = tokenize(rows, word_tokenizer(), max_length=8)
        assert {split: part.features["labels"].names for split, part in tokenized.items()} == {
            "train": names,
            "validation": names,
        }


def test_tokenize_from_several_threads_at_once(tmp_path):
    train, validation = pair_of_files(tmp_path, [0, 1] * 200, [0, 1])
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: tokenize(load(train, validation), word_tokenizer(), max_length=8), range(4)))
    assert all(run["train"]["input_ids"][:] == runs[0]["train"]["input_ids"][:] for run in runs)
    assert len(runs[0]["train"]) == 400


def test_max_length_out_of_range(tmp_path, caplog):
    train = write(tmp_path / "train.csv", [{"text": "row 1 2 3 4 5", "label": i} for i in range(2)])
    data = load(train, validation=train)
    with pytest.raises(ValueError, match=r"max_length is 0.*--max_length 128"):
        tokenize(data, word_tokenizer(), max_length=0)
    with caplog.at_level(logging.WARNING):
        cut = tokenize(data, word_tokenizer(model_max_length=4), max_length=128)
    assert len(cut["train"][0]["input_ids"]) == 4
    assert "max_length 128 is lowered to 4" in caplog.text


def test_import_is_free_of_torch_and_transformers():
    code = (
        "import sys, nlp_mixup.data.splits; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Real sets, outside this repository


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the data sets in ../shared/data")
@pytest.mark.parametrize(
    ("name", "counts", "label_names", "settings"),
    [
        ("mr", (8528, 1066, 1066), ["negative", "positive"], {}),
        ("sick_nli", (4420, 495, 4927), ["entailment", "neutral", "contradiction"], {"text_pair_column": "text_pair"}),
        ("clinc150", (14939, 2995, 4500), None, {}),
        ("tweet_emotion", (3226, 374, 1421), None, {}),
    ],
)
def test_shared_sets(name, counts, label_names, settings):
    data = load_text_data(DataArguments(dataset_name=str(SHARED / name), **settings))
    assert tuple(len(data.splits[split]) for split in ("train", "validation", "test")) == counts
    assert data.label_names == (label_names or list(json.loads((SHARED / name / "labels.json").read_text()).values()))
    with (SHARED / name / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert data.splits["train"]["text"][:] == [row["text"] for row in rows]
    assert data.splits["train"]["label"][:] == [int(row["label"]) for row in rows]
    assert ("text_pair" in data.splits["test"].column_names) == bool(settings)
