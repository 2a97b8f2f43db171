"""Files of generated texts, and what is read from them."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data.texts import TextData, load_text_data

WORDS = {"good": ["fine", "great", "nice", "superb"], "bad": ["poor", "awful", "dull", "weak"]}


def write_csv(path, n, seed):
    """n short generated texts in two classes; a fifth of the labels are wrong."""
    random = np.random.default_rng(seed)
    lines = ["text,label"]
    for _ in range(n):
        label = random.choice(["good", "bad"])
        words = [*random.choice(WORDS[label], 2), *random.choice(["film", "plot", "a", "the", "very"], 4)]
        random.shuffle(words)
        lines.append(f"{' '.join(words)},{label if random.random() < 0.8 else random.choice(['good', 'bad'])}")
    path.write_text("\n".join(lines) + "\n")


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
