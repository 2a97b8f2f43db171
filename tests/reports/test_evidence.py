"""What results/ and the README claim is what the stored scores say, and the printed commands can be typed."""

import csv
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def evidence():
    spec = importlib.util.spec_from_file_location("evidence", RESULTS / "evidence.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows(name: str) -> dict[tuple[str, str], list[dict[str, str]]]:
    """(arm, calibration) -> the test rows of its seeds."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    with (RESULTS / f"{name}.csv").open() as file:
        for row in csv.DictReader(file):
            if row["split"] == "test":
                found.setdefault((row["arm"], row["calibration"]), []).append(row)
    return found


test_rows.__test__ = False


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_every_table_says_what_its_csv_says(evidence):
    text = (RESULTS / "README.md").read_text()
    for name, of in evidence.SETS.items():
        section = re.search(rf"^## {re.escape(of.title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL).group(1)
        assert all(command in section for command in of.commands(name))
        table = {
            cells(line)[0]: cells(line)[1:7]
            for line in section.splitlines()
            if re.match(r"\| [\w.+ -]+ \| \d+ \|", line)
        }
        expected = {}
        for (arm, calibration), rows in test_rows(name).items():
            if calibration == "raw" or arm == "no_mixup":
                means = {
                    score: np.mean([float(row[score]) for row in rows])
                    for score in rows[0]
                    if is_number(rows[0][score])
                }
                score = {key: evidence.short(value, "+" if key == "gap" else "") for key, value in means.items()}
                expected[arm if calibration == "raw" else f"{arm} + T"] = [
                    str(len(rows)), score["accuracy"], score["nll"], f"{score['ece']} ({score['ece_floor']})",
                    score["oe"], score["gap"],
                ]  # fmt: skip
        assert table == expected, name


def is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is not None


def test_the_readme_shows_the_same_sets_and_scores(evidence):
    text = (ROOT / "README.md").read_text()
    between = text.split("<!-- summary", 1)[1].split("<!-- end of summary", 1)[0]
    shown = {cells(line)[0]: cells(line) for line in between.splitlines() if line.startswith("| ")}
    for name, of in evidence.SETS.items():
        if of.kind != "ablation":
            rows = test_rows(name)
            before, scaled, after = (
                evidence.short(np.mean([float(row["ece"]) for row in rows[key]]))
                for key in (("no_mixup", "raw"), ("no_mixup", "temperature"), (of.mixup, "raw"))
            )
            row = shown[of.short]
            assert row[2:4] == [str(len(rows[of.mixup, "raw"])), f"{int(rows[of.mixup, 'raw'][0]['n']):,}"]
            assert row[5].startswith(f"{before} → {scaled} → {after} (")


def test_the_runs_are_those_of_the_commands(evidence):
    """That the commands name recipes, arms and fields that exist is found on the way."""
    for name in evidence.SETS:
        stored = {(row["arm"], int(row["seed"])) for rows in test_rows(name).values() for row in rows}
        assert stored == evidence.runs_of(name).keys(), name
