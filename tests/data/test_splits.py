"""Which rows go into which split."""

import numpy as np
from text_files import load, message_of, pair_of_files, rows_of, write

from nlp_mixup.data.splits import stratified_rows


def test_hidden_test_labels_are_dropped_with_a_warning(tmp_path, caplog):
    train, validation = pair_of_files(tmp_path, [0, 1], [0, 1])
    test = write(tmp_path / "test.csv", rows_of([-1, -1]))
    assert "test" not in load(train, validation, test).splits
    assert "hidden" in caplog.text


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


def test_no_row_to_spare_for_validation(tmp_path):
    train = write(tmp_path / "train.csv", rows_of(["a", "b", "c"]))
    assert "one row of each class" in message_of(ValueError, train)
