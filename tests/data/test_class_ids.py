"""Labels become class ids."""

import datasets
import pytest
from text_files import load, message_of, pair_of_files, rows_of, write


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
