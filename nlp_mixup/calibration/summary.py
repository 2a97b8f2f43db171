"""The numbers of one evaluation in one dictionary, from logits; also as a Trainer's ``compute_metrics``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binning import EqualWidth
from .bins import CalibrationBins
from .classwise import classwise_ece
from .debiased import debiased_ece
from .floor import noise_floor_of_confidences
from .inputs import as_array, top_label
from .intervals import N_RESAMPLES_SLOW, Interval, resample_interval
from .logits import check_class_labels, log_softmax
from .scores import adaptive_ece, brier_per_row
from .selective import aurc
from .smooth import smooth_ece


def score_logits(logits: Any, labels: Any, *, n_bins: int = 15) -> dict[str, float]:
    """Accuracy, proper scores and calibration of one set of logits.

    NLL comes from the log-softmax in float64, not from clipped probabilities. ``confidence`` is the mean
    winning score and ``gap`` is confidence minus accuracy; bins are equal-width (lo, hi].

    Args:
        logits: (n, k), k at least 2; NumPy, torch or lists.
        labels: (n,) class indices.
        n_bins: number of bins of ECE, OE and MCE.

    Returns:
        ``accuracy``, ``nll``, ``brier``, ``ece``, ``oe``, ``mce``, ``gap``, ``confidence``, ``n`` and
        ``n_bins``.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> scores = score_logits([[0.0, np.log(3.0)], [0.0, np.log(3.0)]], [1, 0])
        >>> scores["accuracy"], [round(scores[key], 6) for key in ("confidence", "ece", "oe")]
        (0.5, [0.75, 0.25, 0.1875])
    """
    scores, confidence = _scores_and_confidence(logits, labels, n_bins)
    floor = noise_floor_of_confidences(confidence, EqualWidth(n_bins))
    return scores | {"ece_floor": floor.ece, "ece_floor_low": floor.low, "ece_floor_high": floor.high}


def _scores_and_confidence(logits: Any, labels: Any, n_bins: int) -> tuple[dict[str, float], NDArray[np.float64]]:
    """:func:`score_logits` without the floor, whose simulation a Trainer's every evaluation can do without."""
    rule = EqualWidth(n_bins)
    log_probs = log_softmax(logits)
    targets = check_class_labels(labels, *log_probs.shape)
    probs = np.exp(log_probs)
    confidence, correct = top_label(probs, targets, validate=False)
    table = CalibrationBins(binning=rule).update_scored(confidence, correct).table()
    scores = {
        "accuracy": table.overall_accuracy,
        "nll": float(-log_probs[np.arange(len(targets)), targets].mean()) + 0.0,
        "brier": float(brier_per_row(probs, targets).mean()),
        "ece": table.ece,
        "oe": table.oe,
        "mce": table.mce,
        "gap": table.gap,
        "confidence": table.overall_confidence,
        "n": table.n,
        "n_bins": table.n_bins,
    }
    return scores, confidence


def slow_score_intervals(
    logits: Any, labels: Any, *, n_bins: int = 15, n_resamples: int = N_RESAMPLES_SLOW, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of the scores that are not sums over rows: compute them once, at a run's end, and store them.

    Args:
        logits: (n, k), k at least 2.
        labels: (n,) class indices.
        n_bins: number of bins of the binned ones.
        n_resamples: resamples of rows.
        seed: seed of the resamples.

    Returns:
        ``adaptive_ece``, ``classwise_ece`` and ``smooth_ece``, corrected for their bias, and ``debiased_ece`` and
        ``aurc`` by percentiles.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> logits, labels = np.tile([0.0, np.log(3.0)], (100, 1)), np.arange(100) % 2
        >>> round(slow_score_intervals(logits, labels, n_resamples=20)["smooth_ece"].value, 3)
        0.25
    """
    log_probs = log_softmax(logits)
    targets = check_class_labels(labels, *log_probs.shape)
    probs = np.exp(log_probs)
    scores = {
        "adaptive_ece": (partial(adaptive_ece, n_bins=n_bins, validate=False), True),
        "classwise_ece": (partial(classwise_ece, n_bins=n_bins, validate=False), True),
        "smooth_ece": (partial(smooth_ece, validate=False), True),
        "debiased_ece": (partial(debiased_ece, n_bins=n_bins, validate=False), False),
        "aurc": (partial(aurc, validate=False), False),
    }
    return {
        name: resample_interval(score, probs, targets, biased=biased, n_resamples=n_resamples, seed=seed)
        for name, (score, biased) in scores.items()
    }


def calibration_metrics(n_bins: int = 15) -> Callable[[Any], dict[str, float]]:
    """A ``compute_metrics`` for any ``transformers.Trainer`` of a classifier with integer labels.

    Args:
        n_bins: number of equal-width bins (lo, hi] of ECE and OE.

    Returns:
        A function from an ``EvalPrediction`` (anything with ``predictions``, the logits or a tuple that
        starts with them, and ``label_ids``) to ``accuracy``, ``nll``, ``brier``, ``ece``, ``oe``, ``mce``,
        ``gap`` and ``confidence``. A label of -100 marks a row without one, which is left out.

    Raises:
        ValueError: for a wrong ``n_bins``; from the returned function, for soft or multi-label targets, or
            where no row has a label.

    Example:
        >>> from types import SimpleNamespace
        >>> compute_metrics = calibration_metrics()
        >>> result = SimpleNamespace(predictions=np.array([[0.0, 0.0]]), label_ids=np.array([0]))
        >>> compute_metrics(result)["confidence"]
        0.5
    """
    if hasattr(n_bins, "predictions"):
        raise ValueError(
            "calibration_metrics makes the function that scores: write compute_metrics=calibration_metrics(), with brackets"
        )
    EqualWidth(n_bins)
    return _CalibrationMetrics(n_bins)


class _CalibrationMetrics:
    """A class, not a closure, so that a Trainer that holds it can be pickled."""

    keys = ("accuracy", "nll", "brier", "ece", "oe", "mce", "gap", "confidence")

    def __init__(self, n_bins: int) -> None:
        self.n_bins = n_bins

    def __call__(self, eval_prediction: Any) -> dict[str, float]:
        logits, labels = eval_prediction.predictions, eval_prediction.label_ids
        if isinstance(logits, tuple):
            logits = logits[0]
        if labels is None:
            raise ValueError("calibration_metrics: label_ids is None; evaluate a dataset with a label column")
        if isinstance(labels, tuple):
            raise ValueError(
                f"calibration_metrics: {len(labels)} arrays of labels; "
                "set label_names in the TrainingArguments to one column"
            )
        targets = as_array(labels, "label_ids")
        shape = tuple(targets.shape)
        if (len(shape) > 1 and shape[1:] != (1,)) or "int" not in str(targets.dtype):
            raise ValueError(
                f"calibration_metrics: expected one integer label per row, "
                f"got {targets.dtype} of shape {shape}; "
                "leave compute_metrics out for a multi-label or regression task, "
                "and take the argmax of soft targets first"
            )
        labelled = targets.reshape(-1) != -100
        if not labelled.any():
            raise ValueError(
                "calibration_metrics: no row has a label, all are -100; evaluate rows with labels, or take the label "
                "column out to predict only"
            )
        if not labelled.all():
            logits, targets = as_array(logits, "predictions")[labelled], targets[labelled]
        scores, _ = _scores_and_confidence(logits, targets, self.n_bins)
        return {key: scores[key] for key in self.keys}
