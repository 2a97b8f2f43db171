"""One run's folder, OUT/<arm>/seed-<s>/: what a finished run stored, written whole or not at all, and read back.

A run is done when its metrics.json is there and whole.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import nlp_mixup
from nlp_mixup.arguments import used_settings
from nlp_mixup.files import write_atomically, write_npz

FORMAT = 3  # of metrics.json; raised when a stored number would mean something else
READABLE = (2, FORMAT)  # 2, of 0.1, has other resamples; comparisons draw them again from its logits
# Settings that may differ between a run's first start and its resumption: they change no number.
FREE_SETTINGS = {
    *("output_dir", "keep_models", "disable_tqdm", "report_to", "run_name", "per_device_eval_batch_size"),
    *("dataloader_num_workers", "dataloader_pin_memory"),
}


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
        return row_of(self.metrics, split, calibration)

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


def row_of(metrics: Mapping[str, Any], split: str, calibration: str) -> dict[str, Any] | None:
    """Of what metrics.json holds, the scores of a split with or without temperature; None where there are none."""
    return next((row for row in metrics["rows"] if (row["split"], row["calibration"]) == (split, calibration)), None)


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


def differing_settings(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The settings in which two runs differ, but those that change no number."""
    return [name for name in sorted((one.keys() | other.keys()) - FREE_SETTINGS) if one.get(name) != other.get(name)]
