"""Rows of csv, json and parquet files: every text is kept, and whatever is wrong is named with its row."""

import re

import datasets
import pytest
from text_files import load, message_of, rows_of, write

TEXTS = ["NA", "null", "None", "nan", "", 'she said "no", twice', "two\nlines", "naïve 日本 🙂", "1234", " "]


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


def test_several_labels_a_row(tmp_path):
    for extension in (".jsonl", ".parquet"):
        train = write(tmp_path / f"train{extension}", rows_of([[0, 1], [1]]))
        assert "holds lists, several labels a row. Accepted is one class a row" in message_of(ValueError, train)
