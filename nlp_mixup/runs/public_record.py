"""What a finished run stored, as others may see it: scores, predictions and settings, without folders or accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

import nlp_mixup
from nlp_mixup.calibration import Interval, Temperature
from nlp_mixup.runs.public_settings import BUILT_IN, is_hub_id, public_settings
from nlp_mixup.runs.scoring import score_run
from nlp_mixup.runs.stored import FORMAT, read_run, row_of


@dataclass(frozen=True)
class RunRecord:
    """A run's numbers and settings, fit to be published.

    Args:
        metrics: what metrics.json holds.
        settings: flat, as a recipe would have them; local files by their names alone.
        logits: split -> logits (n, k) and labels (n,).
        local: settings whose value was a file or folder of this machine.
    """

    metrics: dict[str, Any]
    settings: dict[str, Any]
    logits: dict[str, tuple[NDArray[Any], NDArray[Any]]]
    local: frozenset[str] = field(default_factory=frozenset)

    @property
    def split(self) -> str | None:
        """The split that the card reports: test, or validation where there is none, or nothing."""
        return next((split for split in ("test", "validation") if split in self.logits), None)

    @property
    def temperature(self) -> Temperature | None:
        stored = self.metrics.get("temperature")
        return None if stored is None else Temperature(**stored)

    def row(self, split: str, calibration: str) -> dict[str, Any] | None:
        """The scores of a split with or without temperature, as stored; None where there are none."""
        return row_of(self.metrics, split, calibration)

    def hub_id(self, name: str) -> str | None:
        """The Hub's id that a setting names; None for a file or folder, and for what is on the Hub under no name."""
        value, known = self.settings.get(name), BUILT_IN.get(name, {})
        if value is None:
            return None
        if value in known:
            return known[value]
        return value if name not in self.local and is_hub_id(value) else None

    def arguments_yaml(self) -> str:
        """The settings as a recipe: what replaces the pickled arguments."""
        header = (
            f"# Arm {self.metrics['arm']}, seed {self.metrics['seed']}, nlp_mixup {self.metrics['version']}. Local files are "
            "given by name.\n# Run it again: nlp-mixup train arguments.yaml --output_dir FOLDER\n"
        )
        content = {**self.settings, "arms": {self.metrics["arm"]: {}}}
        return header + yaml.safe_dump(content, sort_keys=True, allow_unicode=False)


def read_record(folder: Path) -> RunRecord:
    """Reads a run folder.

    Args:
        folder: ``OUT/<arm>/seed-<s>``.

    Raises:
        FileNotFoundError: it is no finished run.
        ValueError: it is not whole, or another version wrote it.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is no finished run: it has no metrics.json. Give the folder that nlp-mixup train names at its end, "
            "such as runs/quickstart/mixup/seed-0."
        )
    run = read_run(folder)
    logits = {}
    for split in ("validation", "test"):
        if (folder / f"logits-{split}.npz").is_file():
            stored = run.arrays(f"logits-{split}.npz")
            logits[split] = stored["logits"], stored["labels"]
    public, local = public_settings(run.settings, known_local=run.metrics.get("local", ()))
    return RunRecord(run.metrics, public, logits, local)


def scored_record(
    logits: NDArray[Any] | None,
    labels: NDArray[Any] | None,
    *,
    label_names: Sequence[str],
    settings: Mapping[str, Any],
    arm: str,
    seed: int,
    trained_on: Mapping[str, Any] | None = None,
    n_bins: int = 15,
) -> RunRecord:
    """The record of a model trained outside the command line, from its predictions on held-out rows.

    The temperature is fitted on the same rows that it is then scored on, and the record says "validation" of them.

    Args:
        logits: (n, k), or None where there are no held-out rows.
        labels: (n,) class indices.
        label_names: of the k classes.
        settings: arguments of the training.
        arm: a name for this way of training.
        seed: of the training.
        trained_on: what is known of held-out rows that were trained on; see `nlp_mixup.data.row_checks.RowReport`.
        n_bins: equal-width bins of ECE and OE.
    """
    metrics: dict[str, Any] = {
        "format": FORMAT, "version": nlp_mixup.__version__, "arm": arm, "seed": seed, "label_names": list(label_names),
        "rows": [], "intervals": {}, "verdicts": {}, "temperature": None, "temperature_note": None, "ood": {},
    }  # fmt: skip
    public, local = public_settings(dict(settings))
    if logits is None or labels is None:
        metrics["temperature_note"] = "there were no held-out rows to fit one on"
        return RunRecord(metrics, public, {}, local)
    predictions = {"validation": (np.asarray(logits, np.float32), np.asarray(labels))}
    metrics |= score_run(predictions, {}, n_bins=n_bins).metrics
    metrics["trained_on"] = dict(trained_on or {})
    named = {"arm": arm, "seed": seed, "selection": "as given"}
    metrics["rows"] = [named | row for row in metrics["rows"]]
    return RunRecord(metrics, public, predictions, local)


def interval_of(record: RunRecord, split: str, name: str, calibration: str = "raw") -> Interval:
    """A score of a split with the interval that the run stored."""
    return Interval(*record.metrics["intervals"][split][calibration][name])
