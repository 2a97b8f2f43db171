"""A results folder, OUT/<arm>/seed-<s>/: what its runs stored, written whole or not at all, and never mixed up.

A run is done when its metrics.json is there and whole. What is broken is named and left out; runs that did not score the
same rows under the same rules are refused, never averaged.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import nlp_mixup
from nlp_mixup.arguments import BASELINE, DataArguments, used_settings
from nlp_mixup.files import write_atomically, write_npz

FORMAT = 3  # of metrics.json; raised when a stored number would mean something else
READABLE = (2, FORMAT)  # 2, of 0.1, has other resamples; comparisons draw them again from its logits
# Settings that may differ between a run's first start and its resumption: they change no number.
FREE_SETTINGS = {
    *("output_dir", "keep_models", "disable_tqdm", "report_to", "run_name", "per_device_eval_batch_size"),
    *("dataloader_num_workers", "dataloader_pin_memory"),
}
# Settings that decide which rows are scored, and how: one value for all runs of a comparison.
SHARED_SETTINGS = {field.name for field in fields(DataArguments)} | {"n_bins"}
# Where the rows lie: may differ from machine to machine, since digests tell whether they are the same rows.
PLACES = {"dataset_name", "train_file", "validation_file", "test_file", "ood_files", "glove_file"}
COLUMNS = (
    *(
        "arm",
        "seed",
        "split",
        "calibration",
        "temperature",
        "selection",
        "epoch",
        "n",
        "n_bins",
        "accuracy",
        "nll",
        "brier",
    ),
    *("ece", "ece_floor", "ece_floor_low", "ece_floor_high", "oe", "mce", "gap", "confidence"),
)


class BrokenRun(ValueError):
    """A run whose files are half-written or corrupted; training it again mends it."""


@dataclass(frozen=True)
class StoredRun:
    """A finished run.

    Attributes:
        folder: OUT/<arm>/seed-<s>.
        arm, seed: which run it is.
        settings: the flat settings of arguments.yaml.
        metrics: the content of metrics.json; see `nlp_mixup.runs.scoring.Scored`.
    """

    folder: Path
    arm: str
    seed: int
    settings: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def last_split(self) -> str:
        """``test``, or ``validation`` where there is no test split."""
        return self.metrics["rows"][-1]["split"]

    @property
    def epoch(self) -> float | None:
        """The epoch whose weights were scored; None of a run that did not store it."""
        return self.metrics["rows"][0].get("epoch")

    def row(self, split: str, calibration: str) -> dict[str, Any] | None:
        """The scores of a split, ``raw`` or after ``temperature``; None where no temperature could be fitted."""
        for row in self.metrics["rows"]:
            if (row["split"], row["calibration"]) == (split, calibration):
                return row
        return None

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one of the folder's .npz files. Raises BrokenRun if they cannot be read."""
        try:
            with np.load(self.folder / name) as stored:
                return dict(stored)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise BrokenRun(f"{self.folder / name} cannot be read ({error}).") from error

    def history(self) -> list[dict[str, Any]]:
        """The validation scores of every evaluation; empty where none was made while training."""
        path = self.folder / "history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


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


def installed_versions() -> dict[str, str]:
    """The versions of the libraries that train.

    >>> list(installed_versions())
    ['torch', 'transformers']
    """
    return {name: version(name) for name in ("torch", "transformers")}


def write_run(
    folder: Path,
    named: dict[str, Any],
    predictions: dict[str, tuple[np.ndarray, np.ndarray]],
    ood_logits: dict[str, np.ndarray],
    resamples: dict[str, np.ndarray],
    confidence: dict[str, np.ndarray],
    metrics: dict[str, Any],
) -> None:
    """Writes a finished run's numbers, metrics.json last.

    Args:
        folder: OUT/<arm>/seed-<s>.
        named: ``arm``, ``seed``, ``selection``, the rule that chose the weights, and ``epoch``, the one it chose.
        predictions: logits and labels of each split.
        ood_logits: logits of each out-of-distribution set.
        resamples, confidence, metrics: as `nlp_mixup.runs.scoring.score_run` returns them.
    """
    for split, (logits, labels) in predictions.items():
        write_npz(folder / f"logits-{split}.npz", logits=logits, labels=labels)
    for name, logits in ood_logits.items():
        write_npz(folder / f"logits-ood-{name}.npz", logits=logits)
    write_npz(folder / "resamples.npz", **resamples)
    write_npz(folder / "confidence.npz", **confidence)
    content = {
        "format": FORMAT,
        "version": nlp_mixup.__version__,
        "versions": installed_versions(),
        "arm": named["arm"],
        "seed": named["seed"],
        **metrics,
        "rows": [named | row for row in metrics["rows"]],
    }
    write_atomically(folder / "metrics.json", json.dumps(content, indent=1))


def read_run(folder: Path) -> StoredRun:
    """Reads a finished run.

    Raises:
        FileNotFoundError: the run is not finished.
        BrokenRun: a file is half-written, corrupted or gone.
        ValueError: another version of this library wrote it, whose numbers may mean something else.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not finished: it has no metrics.json.")
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        stored_format = metrics["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenRun(f"{path} is not a whole metrics.json ({error}).") from error
    if stored_format not in READABLE:
        raise ValueError(
            f"{folder} was written by another version of nlp_mixup (format {stored_format}; this one reads {' and '.join(map(str, READABLE))}). "
            "Choose another --output_dir, or delete that folder."
        )
    try:
        settings = yaml.safe_load((folder / "arguments.yaml").read_text(encoding="utf-8"))
        arm, seed, splits = metrics["arm"], metrics["seed"], metrics["labels"]
        names = [
            "resamples",
            "confidence",
            *(f"logits-{split}" for split in splits),
            *(f"logits-ood-{n}" for n in metrics["ood"]),
        ]
        damaged = [name for name in names if not _is_whole(folder / f"{name}.npz", read=name in names[:2])]
        history = folder / "history.jsonl"
        if history.is_file() and any(not json.loads(line) for line in history.read_text().splitlines()):
            damaged.append("history")
        if damaged or not isinstance(settings, dict) or not metrics["rows"]:
            raise BrokenRun(f"{folder} is not whole: {damaged[0]}.npz is damaged or gone." if damaged else f"{path}.")
    except BrokenRun:
        raise
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise BrokenRun(f"{folder} is not whole ({error}).") from error
    settings.pop("arms", None)
    return StoredRun(folder, arm, seed, used_settings(settings), metrics)


def _is_whole(path: Path, *, read: bool) -> bool:
    """Whether an .npz has its end; with `read`, whether all of it is as it was written."""
    if not zipfile.is_zipfile(path):
        return False
    if not read:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return False


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


def differing_settings(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The settings in which two runs differ, but those that change no number."""
    return [name for name in sorted((one.keys() | other.keys()) - FREE_SETTINGS) if one.get(name) != other.get(name)]


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
