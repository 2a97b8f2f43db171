"""What the doctor says of models whose fault is known."""

import csv
import json
import logging
import shutil

import pytest
from planted_models import CLASSES, both, record_of

from nlp_mixup import cli
from nlp_mixup.arguments import DataArguments
from nlp_mixup.doctor import DoctorArguments, evaluate


@pytest.mark.parametrize(
    ("name", "verdict", "temperature", "says"),
    [
        ("over", "over-confident", 3, "Mixup is worth a run: start with --mixup_alpha"),
        ("under", "under-confident", 1 / 3, "Mixup would hurt: it lowers the confidence further. Use the temperature."),
        ("calibrated", "calibrated", 1, "Leave it alone"),
    ],
)
@pytest.mark.parametrize("splits", ["two", "one"])
def test_a_planted_fault_gets_the_right_advice(planted, capsys, name, verdict, temperature, says, splits):
    files = both(planted) if splits == "two" else ("--test_file", planted / "test.csv")
    record = record_of(capsys, planted / name, *files)
    assert record["verdict"] == verdict
    assert record["cross_fitted"] == (splits == "one")
    assert record["split"] == "test"
    fitted = record["temperature"]
    assert fitted["low"] < temperature < fitted["high"]
    assert fitted["n"] == (1500 if splits == "two" else 2000)
    raw, after = record["rows"]
    assert (raw["n"], raw["calibration"], after["calibration"]) == (2000, "raw", "temperature")
    assert after["ece"] <= after["ece_floor_high"]
    assert raw["accuracy"] == after["accuracy"]
    advice_text = " ".join(record["advice"])
    assert says in advice_text
    assert (record["mixup_alpha"] is not None) == (name == "over")
    assert ("--mixup_alpha" in advice_text) == (name == "over")
    low, high = record["intervals"]["raw"]["gap"][1:]
    assert {"over": low > 0, "under": high < 0, "calibrated": low < 0 < high}[name]


@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_temperature_in_the_weights_is_told_in_one_line(kind, planted, image_model, tmp_path, capsys):
    if kind == "text":
        model, rows = planted / "over", ("--test_file", planted / "test.csv")
    else:
        model, rows = image_model[0] / "model", ("--dataset_name", image_model[0] / "data")
    folder = tmp_path / "folded"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    assert not any("temperature of" in note for note in record_of(capsys, folder, *rows)["notes"])
    recorded = {"method": "temperature", "temperature": 2.9416, "n": 1500, "split": "validation"}
    (folder / "config.json").write_text(json.dumps(config | {"calibration": recorded}))
    cli.main(["evaluate", str(folder), *map(str, rows)])
    told = "This model's weights carry a temperature of 2.942, fitted on 1,500 validation rows."
    assert told in " ".join(capsys.readouterr().out.split())
    # A record of another make says nothing, and breaks nothing.
    (folder / "config.json").write_text(json.dumps(config | {"calibration": ["isotonic"]}))
    assert not any("temperature of" in note for note in record_of(capsys, folder, *rows)["notes"])


def test_labels_that_fit_no_class_are_noticed(planted, tmp_path, caplog):
    """A wrong label map makes the model worse than the commonest class."""
    with caplog.at_level(logging.ERROR):
        found = evaluate(
            str(planted / "over"),
            DataArguments(
                test_file=str(planted / "test.csv"), label_map=["negative=positive", "positive=so_so", "so_so=negative"]
            ),
            DoctorArguments(),
        )
    assert "is right less often than always saying" in found.notes[-1]


def test_splits_on_which_the_model_is_not_equally_right_are_told(planted, tmp_path):
    """Validation labels moved on by one class: what is fitted on such rows is not for the test rows."""
    rows = list(csv.reader((planted / "validation.csv").open()))
    column = rows[0].index("label")
    for row in rows[1:]:
        row[column] = CLASSES[(CLASSES.index(row[column]) + 1) % 3]
    with (tmp_path / "moved.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    test = str(planted / "test.csv")
    said = [
        evaluate(
            str(planted / "over"), DataArguments(validation_file=str(file), test_file=test), DoctorArguments()
        ).notes
        for file in (tmp_path / "moved.csv", planted / "validation.csv")
    ]
    found = [any("Validation and test disagree beyond chance: accuracy ." in note for note in notes) for notes in said]
    assert found == [True, False]
