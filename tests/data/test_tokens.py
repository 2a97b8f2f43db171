"""Texts become tokens once for equal rows, tokenizers and lengths."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import pytest
from text_files import load, pair_of_files, rows_of, write
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

from nlp_mixup.data.texts import TextData
from nlp_mixup.data.tokens import tokenize


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
    pytest.importorskip("datasets", minversion="4.8", reason="older ones hash a tokenizer with the traces of its calls")
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
