"""What results/ and the README claim is what the stored scores say, and the printed commands can be typed."""

import csv
import importlib.util
import re
import shlex
from pathlib import Path
from statistics import mean

import pytest

from nlp_mixup.recipe import load_recipe, parse_arguments

ROOT = Path(__file__).parents[1]
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
                    score: mean(float(row[score]) for row in rows) for score in rows[0] if is_number(rows[0][score])
                }
                score = {key: evidence.decimal(value, "+" if key == "gap" else "") for key, value in means.items()}
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
            before, after = (
                evidence.decimal(mean(float(row["ece"]) for row in rows[arm, "raw"])) for arm in ("no_mixup", of.mixup)
            )
            row = shown[of.short]
            assert row[1] == str(len(rows[of.mixup, "raw"]))
            assert row[3].startswith(f"{before} → {after} (")


def test_the_commands_are_recipes_with_flags_they_know(evidence, tmp_path):
    for name, of in evidence.SETS.items():
        for command in of.commands(name):
            recipe_name, *flags = shlex.split(command)[2:]
            recipe, overrides, chosen = load_recipe(recipe_name), [], ""
            for flag in flags:
                chosen = flag if flag.startswith("--") else chosen
                if chosen not in ("--arms", "--seeds"):
                    overrides.append(flag)
                elif chosen == "--arms" and flag != chosen:
                    assert flag in recipe.arms
            parse_arguments(recipe, of.mixup, [*overrides, "--output_dir", str(tmp_path)])
