"""Text data as a whole: settings, imports, and the sizes of shared data sets."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from text_files import message_of, rows_of, write

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data.texts import load_text_data

SHARED = Path(__file__).parents[3] / "shared" / "data"


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


def test_import_is_free_of_torch_and_transformers():
    code = (
        "import sys, nlp_mixup.data.splits; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
