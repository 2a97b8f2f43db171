"""A results folder: the runs in it that may be compared, and their table, results.csv.

What is broken is named and left out; runs that did not score the same rows under the same rules are refused, never averaged.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nlp_mixup.arguments import BASELINE, DataArguments
from nlp_mixup.files import write_atomically
from nlp_mixup.runs.stored import BrokenRun, StoredRun, differing_settings, read_run

# Settings that decide which rows are scored, and how: one value for all runs of a comparison.
SHARED_SETTINGS = {field.name for field in fields(DataArguments)} | {"n_bins"}
# Where the rows lie: may differ from machine to machine, since digests tell whether they are the same rows.
PLACES = {"dataset_name", "train_file", "validation_file", "test_file", "ood_files", "glove_file"}
COLUMNS = (
    *("arm", "seed", "split", "calibration", "temperature", "selection", "epoch", "n", "n_bins"),
    *(
        "accuracy",
        "nll",
        "brier",
        "ece",
        "ece_floor",
        "ece_floor_low",
        "ece_floor_high",
        "oe",
        "mce",
        "gap",
        "confidence",
    ),
)


@dataclass(frozen=True)
class Results:
    """The finished runs of a folder that may be compared, and what was left out.

    Attributes:
        folder: the results folder.
        runs: arm -> seed -> run; ``no_mixup`` first, then the arms' names in their natural order.
        skipped: a line for every run that is not finished or is broken.
    """

    folder: Path
    runs: dict[str, dict[int, StoredRun]]
    skipped: list[str]

    @property
    def all_runs(self) -> list[StoredRun]:
        return [run for by_seed in self.runs.values() for run in by_seed.values()]

    @property
    def split(self) -> str:
        """The split that is reported: ``test``, or ``validation`` where there is no test split."""
        return self.all_runs[0].last_split

    @property
    def ood_names(self) -> list[str]:
        return list(self.all_runs[0].metrics["ood"])


def read_results(output_dir: Path) -> Results:
    """Reads all finished runs of a results folder and makes sure that they may be compared.

    Raises:
        FileNotFoundError: there is no such folder, or no finished run in it.
        ValueError: runs of one arm have different settings, runs scored other rows, with other bins or another rule of
            selection, or another version wrote them; the message names the runs and what differs.
    """
    if not output_dir.is_dir():
        raise FileNotFoundError(f"There is no results folder {output_dir}.")
    found: list[StoredRun] = []
    skipped: list[str] = []
    for folder in sorted(path for path in output_dir.glob("*/seed-*") if path.is_dir()):
        try:
            run = read_run(folder)
            if (run.arm, f"seed-{run.seed}") != (folder.parent.name, folder.name):
                skipped.append(f"{folder} holds the run {run.arm}/seed-{run.seed}: a copy, left out.")
                continue
            found.append(run)
        except (FileNotFoundError, BrokenRun) as error:
            skipped.append(f"{error} Left out.")
    if not found:
        hint = f" {skipped[0]}" if skipped else " Runs stand in FOLDER/<arm>/seed-<s>."
        raise FileNotFoundError(f"{output_dir} holds no finished run.{hint}")
    found.sort(key=lambda run: (run.arm != BASELINE, _natural(run.arm), run.seed))
    _check_alike(found)
    runs: dict[str, dict[int, StoredRun]] = {}
    for run in found:
        runs.setdefault(run.arm, {})[run.seed] = run
    return Results(output_dir, runs, skipped)


def _check_alike(runs: list[StoredRun]) -> None:
    first = runs[0]
    first_of_arm: dict[str, StoredRun] = {}
    for run in runs:
        same_arm = first_of_arm.setdefault(run.arm, run)
        if differing := [
            name for name in differing_settings(same_arm.settings, run.settings) if name not in {"seed", *PLACES}
        ]:
            _refuse(same_arm, run, differing[0], same_arm.settings.get(differing[0]), run.settings.get(differing[0]))
        for name in sorted(SHARED_SETTINGS - PLACES):
            if first.settings.get(name) != run.settings.get(name):
                _refuse(first, run, name, first.settings.get(name), run.settings.get(name))
        for name, values in (
            ("the labels of the scored rows", [r.metrics["labels"] for r in (first, run)]),
            ("what the rows of the splits say", [r.metrics.get("digests") for r in (first, run)]),
            ("the number of processes", [r.metrics.get("world_size") for r in (first, run)]),
            ("the out-of-distribution sets", [list(r.metrics["ood"]) for r in (first, run)]),
            ("the rule that chose the weights", [r.metrics["rows"][0]["selection"] for r in (first, run)]),
        ):
            if values[0] != values[1]:
                _refuse(first, run, name, *values)


def _refuse(one: StoredRun, other: StoredRun, name: str, value: Any, other_value: Any) -> None:
    raise ValueError(
        f"{one.folder} and {other.folder} cannot be compared: {name} is {value} in the first and {other_value} in the "
        "second. Put them into results folders of their own."
    )


def _natural(name: str) -> list[tuple[int, float, str]]:
    """Sorts mixup-2 before mixup-10.

    Example:
        >>> sorted(["mixup-10", "mixup-2", "mixup"], key=_natural)
        ['mixup', 'mixup-2', 'mixup-10']
    """
    parts = re.findall(r"\d+\.?\d*|\D+", name)
    return [(0, float(part), "") if part[0].isdigit() else (1, 0.0, part) for part in parts]


def write_results(results: Results) -> Path:
    """Writes results.csv, a row per run, split and calibration.

    It holds no time, host or path, so that a comparison that was stopped and resumed gives the same bytes.
    """
    rows = [row for run in results.all_runs for row in run.metrics["rows"]]
    extra = list(dict.fromkeys(name for row in rows for name in row if name not in COLUMNS))
    text = io.StringIO()
    writer = csv.DictWriter(text, (*COLUMNS, *extra), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = results.folder / "results.csv"
    write_atomically(path, text.getvalue())
    return path
