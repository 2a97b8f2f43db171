"""The word tokenizer of the sentence CNN, and its GloVe reader."""

import logging

import pytest
import torch
from torch import nn
from transformers import AutoTokenizer

from nlp_mixup.models import TextCNNConfig, TextCNNForSequenceClassification, build_word_tokenizer, load_glove

TEXTS = ["the film , it's good", "The plot isn't good", "good grief"]


def words(tokenizer, *text) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(*text)["input_ids"])


def test_vocabulary_order_is_frequency_then_alphabet():
    tokenizer = build_word_tokenizer(TEXTS)
    expected = ["[PAD]", "[UNK]", "[SEP]", "good", "the", "'s", ",", "film", "grief", "is", "it", "n't", "plot"]
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == expected
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.sep_token_id) == (0, 1, 2)
    again = build_word_tokenizer(iter(TEXTS))
    assert again.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good FILM", ["good", "film"]),
        ("it's good, isn't it", ["it", "'s", "good", ",", "is", "n't", "it"]),
        ("it\u2019s", ["it", "'s"]),
        ("good superb", ["good", "[UNK]"]),
        ("  good \t\n plot ", ["good", "plot"]),
        ("", []),
        ("   ", []),
    ],
)
def test_words(text, expected):
    assert words(build_word_tokenizer(TEXTS), text) == expected


def test_tweets_keep_mentions_tags_links_and_emoticons_whole():
    tweet = "@You luv #nlp :) ... http://t.co/ab?c=1 caf\u00e9 cafe\u0301"
    expected = ["@you", "luv", "#nlp", ":)", "...", "http://t.co/ab?c=1", "caf\u00e9", "caf\u00e9"]
    assert words(build_word_tokenizer([tweet]), tweet) == expected


def test_case_can_be_kept():
    assert words(build_word_tokenizer(["The the"], lowercase=False), "The the THE") == ["The", "the", "[UNK]"]


def test_rare_words_and_the_vocabulary_limit():
    assert len(build_word_tokenizer(TEXTS, min_frequency=2)) == 5
    assert words(build_word_tokenizer(TEXTS, max_vocab_size=4), "the good film") == ["[UNK]", "good", "[UNK]"]


def test_pairs_are_joined_by_a_separator_and_cut_to_length():
    tokenizer = build_word_tokenizer(TEXTS)
    assert words(tokenizer, "good film", "the plot") == ["good", "film", "[SEP]", "the", "plot"]
    cut = tokenizer("good film film film", "the plot", truncation=True, max_length=5)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(cut) == ["good", "film", "[SEP]", "the", "plot"]


def test_only_ids_come_out_padded_with_zero():
    batch = build_word_tokenizer(TEXTS)(["good", "good the film"], padding=True, return_tensors="pt")
    assert list(batch) == ["input_ids"]
    assert batch["input_ids"].tolist() == [[3, 0, 0], [3, 4, 7]]


def test_tokenizer_comes_back_through_auto_tokenizer(tmp_path):
    tokenizer = build_word_tokenizer(TEXTS)
    tokenizer.save_pretrained(tmp_path)
    TextCNNForSequenceClassification(TextCNNConfig(vocab_size=len(tokenizer))).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is type(tokenizer)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    for text in (("It isn't GOOD superb",), ("good film", "the plot"), ("",)):
        assert loaded(*text).data == tokenizer(*text).data
    assert list(loaded(TEXTS, padding=True)) == ["input_ids"]


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts is empty"),
        (["a", None, "b"], {}, r"texts\[1\] is None, not a string"),
        (["a", "b", float("nan")], {}, r"texts\[2\] is nan, not a string"),
        ("one string", {}, "texts is one string; give a list"),
        (["", "  "], {}, "No word occurs min_frequency=1 times"),
        (["a b"], {"min_frequency": 2}, "No word occurs min_frequency=2 times or more"),
        (["a"], {"min_frequency": 0}, "min_frequency=0: must be 1"),
        (["a"], {"max_vocab_size": 3}, "max_vocab_size=3: must be 4 or more"),
    ],
)
def test_texts_that_give_no_vocabulary(texts, options, message):
    with pytest.raises(ValueError, match=message):
        build_word_tokenizer(texts, **options)


def read_glove(tmp_path, content: str, dimension=2):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content.encode())
    tokenizer = build_word_tokenizer(TEXTS)
    embedding = nn.Embedding(len(tokenizer), dimension, padding_idx=0)
    before = embedding.weight.detach().clone()
    found = load_glove(path, tokenizer, embedding)
    return found, embedding.weight.detach(), before, tokenizer.get_vocab()


def test_glove_vectors_are_copied_and_counted(tmp_path, caplog):
    lines = ["good 1 2", "[PAD] 9 9", ". . . 5 5", "unseen 7 7", "2012 3 3", "n't -.5 1e-3", "film\u2028x 1 1"]
    with caplog.at_level(logging.INFO, logger="nlp_mixup"):
        found, weight, before, vocabulary = read_glove(tmp_path, "\n".join(lines) + "\n")
    assert found == 2
    assert "2 of 10 words found" in caplog.text
    assert weight[vocabulary["good"]].tolist() == [1.0, 2.0]
    assert weight[vocabulary["n't"]].tolist() == pytest.approx([-0.5, 0.001])
    copied = [vocabulary["good"], vocabulary["n't"]]
    others = [row for row in vocabulary.values() if row not in copied]
    assert torch.equal(weight[others], before[others])
    assert (weight[0] == 0).all()


@pytest.mark.parametrize(
    "content", ["400000 2\ngood 1 2\n", "good 1 2\r\nzzz 1 1\r\n", "good 1 2 \n", ". . 4 4\ngood 1 2"]
)
def test_glove_variants_of_the_format(tmp_path, content):
    found, weight, _, vocabulary = read_glove(tmp_path, content)
    assert found == 1
    assert weight[vocabulary["good"]].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good 1 2 3\n", "vectors of 3 values, the embedding has 2"),
        ("400000 300\ngood 1 2\n", "vectors of 300 values, the embedding has 2.*hidden_size=300"),
        ("film 1 2\ngood 1\n", "line 2: 'good' is not followed by 2 numbers"),
        ("film 1 2\ngood 1 x\n", "line 2: 'good' is not followed by 2 numbers"),
        ("zzz 1 2\n", "none of the 10 words of the vocabulary"),
        ("", "none of the 10 words of the vocabulary"),
    ],
)
def test_glove_files_that_do_not_fit(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_glove(tmp_path, content)


def test_glove_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No GloVe file at .*absent.txt.*its 2 values per line"):
        load_glove(tmp_path / "absent.txt", build_word_tokenizer(TEXTS), nn.Embedding(13, 2))
