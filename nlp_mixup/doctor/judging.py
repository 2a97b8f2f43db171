"""Logits and labels -> a diagnosis, and the notes that belong beside it.

With a validation and a test split, the temperature is fitted on validation and everything is judged on test; with one split, the
temperature is cross-fitted in two halves. The rules of the verdict stand in `nlp_mixup.calibration.diagnosis`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets.utils.logging import disable_progress_bar as disable_datasets_bars
from transformers.utils.logging import disable_progress_bar as disable_transformers_bars

from nlp_mixup.advice import disagreement_line
from nlp_mixup.arguments import DataArguments
from nlp_mixup.calibration import Diagnosis, diagnose
from nlp_mixup.calibration.disagreement import compare_accuracies
from nlp_mixup.data import shorten
from nlp_mixup.doctor.arguments import DoctorArguments
from nlp_mixup.doctor.predicting import predict
from nlp_mixup.doctor.subject import Subject, prepare


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found.

    Attributes:
        model: as it was named.
        subject: what was judged.
        split: the split that everything is judged by.
        logits: split -> (n, K).
        labels: split -> (n,).
        diagnosis: numbers and verdict.
        notes: what a reader should know beside them.
    """

    model: str
    subject: Subject
    split: str
    logits: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    diagnosis: Diagnosis
    notes: list[str]


def evaluate(model: str, data: DataArguments, options: DoctorArguments) -> Evaluation:
    """Loads, predicts and judges; from Python what ``nlp-mixup evaluate`` does.

    Raises:
        ValueError: settings, data, model or labels that cannot be used; so do FileNotFoundError and ImportError.
    """
    if not sys.stderr.isatty():
        disable_datasets_bars()
        disable_transformers_bars()
    if options.output_dir is not None:
        Path(options.output_dir).mkdir(parents=True, exist_ok=True)  # found out now, not after the predictions
    subject = prepare(model, data, options)
    return judge(model, subject, predict(subject, options), options, data.data_split_seed)


def judge(
    model: str, subject: Subject, logits: dict[str, np.ndarray], options: DoctorArguments, seed: int = 0
) -> Evaluation:
    """Scores test by a temperature of validation, or the only split by one that is cross-fitted.

    Args:
        model: what it is called.
        subject: from `prepare`.
        logits: from `predict`.
        options: the number of bins.
        seed: of the halves of cross-fitting.

    Raises:
        ValueError: logits that are not finite.
    """
    labels = {split: np.asarray(rows.with_format("numpy")["labels"][:]) for split, rows in subject.splits.items()}
    split = "test" if "test" in logits else "validation"
    both = len(logits) == 2
    diagnosis = diagnose(
        logits[split],
        labels[split],
        fit_logits=logits["validation"] if both else None,
        fit_labels=labels["validation"] if both else None,
        n_bins=options.n_bins,
        seed=seed,
    )
    notes = [*_folded(subject.model.config), *subject.notes]
    if both:
        right = {name: float((logits[name].argmax(1) == labels[name]).mean()) for name in logits}
        found = compare_accuracies(right["validation"], len(labels["validation"]), right["test"], len(labels["test"]))
        if shifted := disagreement_line(found):
            notes.append(shifted)
    commonest = int(diagnosis.class_shares.argmax())
    share = diagnosis.class_shares[commonest]
    if diagnosis.intervals["raw"]["accuracy"].high < share:
        notes.append(
            f"The model is right less often than always saying {subject.label_names[commonest]!r}, {share:.0%}: check that "
            "these rows are of its kind and that the labels mean its classes."
        )
    return Evaluation(model, subject, split, logits, labels, diagnosis, notes)


def _folded(config: Any) -> list[str]:
    """What `nlp_mixup.models.fold` recorded of a temperature in the weights, in a sentence; the record may be anybody's."""
    recorded = getattr(config, "calibration", None)
    if not isinstance(recorded, dict) or not isinstance(recorded.get("temperature"), float):
        return []
    n, split = recorded.get("n"), shorten([recorded.get("split")])
    rows = f"{n:,} {split} rows" if isinstance(n, int) else f"{split} rows"
    return [
        f"This model's weights carry a temperature of {recorded['temperature']:.3f}, fitted on {rows}. "
        "Any temperature here comes on top of it."
    ]
