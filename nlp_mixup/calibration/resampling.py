"""Rows as the sums they add to every score, and resamples of them with replacement (Efron 1979)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binning import EqualMass, EqualWidth, resolve_binning
from .debiased import expected_absolute
from .inputs import top_label
from .logits import check_class_labels, log_softmax
from .scores import brier_per_row


@dataclass(frozen=True, eq=False)
class RowScores:
    """What every row adds to the scores; all of it additive, so a resample is a weighted sum.

    Args:
        confidence: (n,) winning scores.
        correct: (n,) whether the winner is the label.
        bin_of_row: (n,) bin index; equal-mass bins stay those of all rows.
        n_bins: number of bins.
        nll: (n,) or None.
        brier: (n,) or None.
    """

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    bin_of_row: NDArray[np.intp]
    n_bins: int
    nll: NDArray[np.float64] | None = None
    brier: NDArray[np.float64] | None = None

    @classmethod
    def from_confidence(
        cls, confidence: Any, correct: Any, *, n_bins: int = 15, binning: EqualWidth | EqualMass | str | None = None
    ) -> RowScores:
        """From winning scores and correctness; leaves NLL and Brier out."""
        rule = resolve_binning(n_bins, binning)
        size = len(rule.lower) if isinstance(rule, EqualWidth) else rule.n_bins
        confidence = np.asarray(confidence, dtype=np.float64)
        return cls(confidence, np.asarray(correct, dtype=bool), rule.assign(confidence), size)

    @classmethod
    def from_logits(
        cls, logits: Any, labels: Any, *, n_bins: int = 15, binning: EqualWidth | EqualMass | str | None = None
    ) -> RowScores:
        """From logits (n, k) and labels (n,), with NLL and Brier."""
        log_probs = log_softmax(logits)
        targets = check_class_labels(labels, *log_probs.shape)
        probs = np.exp(log_probs)
        confidence, correct = top_label(probs, targets, validate=False)
        binned = cls.from_confidence(confidence, correct, n_bins=n_bins, binning=binning)
        nll = -log_probs[np.arange(len(targets)), targets]
        return cls(confidence, correct, binned.bin_of_row, binned.n_bins, nll, brier_per_row(probs, targets))


def resample_scores(rows: RowScores, *, n_resamples: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Every score of ``n_resamples`` resamples of rows, (n_resamples,) each; the same n and seed draw the same rows."""
    rng = np.random.default_rng(seed)
    n = len(rows.confidence)
    draws = [scores_of_rows(rows, np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(n_resamples)]
    return {name: np.array([draw[name] for draw in draws]) for name in draws[0]}


def scores_of_rows(rows: RowScores, counts: NDArray[np.int64] | None = None) -> dict[str, float]:
    """Every score of the rows, or of a resample that holds each row ``counts`` times."""
    n = len(rows.confidence)
    weights = np.ones(n) if counts is None else counts.astype(np.float64)
    size = rows.n_bins
    count = np.bincount(rows.bin_of_row, weights=weights, minlength=size)
    confidence = np.bincount(rows.bin_of_row, weights=weights * rows.confidence, minlength=size)
    correct = np.bincount(rows.bin_of_row, weights=weights * rows.correct, minlength=size)
    excess = confidence - correct
    share = confidence / np.maximum(count, 1.0)
    scores = {
        "accuracy": correct.sum() / n,
        "confidence": confidence.sum() / n,
        "gap": excess.sum() / n,
        "ece": np.abs(excess).sum() / n,
        "oe": np.maximum(excess, 0.0) @ share / n,
    }
    if rows.nll is not None and rows.brier is not None:
        scores |= {"nll": weights @ rows.nll / n, "brier": weights @ rows.brier / n}
    return {name: float(value) for name, value in scores.items()}


def shrunken_bias(rows: RowScores) -> dict[str, float]:
    """The bias of ECE and OE if the true gaps were the observed ones shrunk by their standard errors.

    With g a bin's gap and s its standard error, the shrunken gap is t = sign(g) sqrt(max(g^2 - s^2, 0)). ECE's bias is
    sum_m w_m (E|N(t, s^2)| - |t|); E max(N(t, s^2), 0), which OE needs, is half of E|N(t, s^2)| + t.
    """
    count = np.bincount(rows.bin_of_row, minlength=rows.n_bins)
    filled = count > 0
    count = count[filled]
    confidence = np.bincount(rows.bin_of_row, weights=rows.confidence, minlength=rows.n_bins)[filled]
    correct = np.bincount(rows.bin_of_row, weights=rows.correct, minlength=rows.n_bins)[filled]
    gap = (confidence - correct) / count
    accuracy = (correct + 0.5) / (count + 1.0)
    error = np.sqrt(accuracy * (1 - accuracy) / count)
    true = np.sign(gap) * np.sqrt(np.maximum(gap**2 - error**2, 0.0))
    folded = expected_absolute(true, error)
    weight = count / count.sum()
    return {
        "ece": float(weight @ (folded - np.abs(true))),
        "oe": float((weight * confidence / count) @ ((folded + true) / 2 - np.maximum(true, 0.0))),
    }
