"""What is wrong with a model's confidence, by how much, and what may be said of mending it: from logits alone.

The verdict, of 95 % intervals over rows:

- over-confident (or under-confident): the interval of the gap, mean confidence minus accuracy, lies above (below) 0
  *and* the ECE lies above what 97.5 % of perfectly calibrated models show at this n;
- mixed: the ECE is that high though the gap's interval holds 0, so it is too sure at some confidences and not sure enough
  at others;
- calibrated: the ECE is not that high. It means "not distinguishable at this n", and stands beside the n that would do; a gap
  whose interval excludes 0 is then a hint, and called one;
- too few rows: fewer than `MIN_ROWS_FOR_DIRECTION`, of which nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .floor import above_floor
from .inputs import as_array
from .intervals import MIN_ROWS_FOR_DIRECTION, Interval, Measured, difference_intervals, direction, score_intervals
from .label_entropy import mean_off_label_mass
from .logits import check_class_labels, check_logits
from .resampling import RowScores
from .summary import score_logits
from .temperature import NoFiniteTemperature, Temperature, fit_temperature

Verdict = Literal["over-confident", "under-confident", "mixed", "calibrated", "too few rows"]

ALPHAS = (0.1, 0.2, 0.4, 1.0)
#: The gap that `rows_needed` is about.
SMALL_GAP = 0.02


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A model's calibration on held-out rows, raw and after temperature scaling.

    Args:
        verdict: see the module.
        scores: of `score_logits`, under ``raw`` and, where it could be measured on rows that T has not seen, ``temperature``.
        intervals: of `score_intervals`, under the same keys.
        logits: (n, k) under the same keys.
        labels: (n,) class indices.
        temperature: T and its interval, of all rows it could be fitted on: the one to use.
        temperature_note: why there is none, or why it is there and was not measured.
        cross_fitted: whether "after temperature" divides each half of the rows by the T of the other half; else T comes
            from rows of its own.
        nll_change: NLL after temperature minus raw, paired over rows; None where that was not measured.
        rows_needed: rows at which a gap of .02 would show in four tests of five, by the gap's spread here.
        class_shares: (k,) the labels' shares.
        alpha: where to start with mixup, for an over-confident model: of .1, .2, .4 and 1, the one whose mixed labels
            carry about as much mass off the label as the gap is wide. A start, not a promise.
    """

    verdict: Verdict
    scores: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    logits: dict[str, NDArray[np.float64]]
    labels: NDArray[Any]
    temperature: Temperature | None
    temperature_note: str | None
    cross_fitted: bool
    nll_change: Interval | None
    rows_needed: int
    class_shares: NDArray[np.float64]
    alpha: float | None


def diagnose(
    logits: Any, labels: Any, *, fit_logits: Any = None, fit_labels: Any = None, n_bins: int = 15, seed: int = 0
) -> Diagnosis:
    """Judges a classifier by rows that it was not trained on.

    Args:
        logits: (n, k) of the rows to judge by, k at least 2.
        labels: (n,) class indices.
        fit_logits: (m, k) of other rows, for the temperature; without them it is cross-fitted, so that no row is scaled
            by a T that has seen it.
        fit_labels: (m,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        seed: of the halves that cross-fitting needs.

    Returns:
        The diagnosis. Without rows of its own, and with an error in one half of the rows alone, T stands there unmeasured.

    Raises:
        ValueError: for input that cannot be scored, the fit rows included, with the first offending row.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> logits = rng.normal(size=(4000, 3))
        >>> labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # drawn from softmax(logits)
        >>> diagnose(logits, labels).verdict, diagnose(3 * logits, labels).verdict, diagnose(logits / 3, labels).verdict
        ('calibrated', 'over-confident', 'under-confident')
    """
    raw = check_logits(logits)
    targets = check_class_labels(labels, *raw.shape)
    if (fit_logits is None) != (fit_labels is None):
        raise ValueError(
            "fit_logits and fit_labels belong together: give both, or neither to cross-fit the temperature"
        )
    cross_fitted = fit_logits is None
    fit_rows = (raw, targets) if cross_fitted else _check_fit_rows(fit_logits, fit_labels, raw.shape[1])
    shares = np.bincount(as_array(targets, "labels"), minlength=raw.shape[1]) / len(raw)
    all_logits = {"raw": raw}
    temperature, note = None, None
    try:
        temperature = fit_temperature(*fit_rows)
        all_logits["temperature"] = _cross_fit(raw, targets, seed) if cross_fitted else temperature.apply(raw)
    except NoFiniteTemperature as error:  # as where every row is right; the raw verdict stands without it
        note = str(error) if temperature is None else f"no two halves of the rows have a T each: {error}"
    scores = {key: score_logits(values, targets, n_bins=n_bins) for key, values in all_logits.items()}
    intervals = {key: score_intervals(values, targets, n_bins=n_bins) for key, values in all_logits.items()}
    nll_change = None
    if "temperature" in all_logits:
        nll_change = difference_intervals(all_logits["temperature"], raw, targets, n_bins=n_bins)["nll"]
    verdict = verdict_of(scores["raw"], intervals["raw"]["gap"])
    alpha = None
    if verdict == "over-confident" and (shares < 1).all():
        gap = scores["raw"]["gap"]
        alpha = min(ALPHAS, key=lambda alpha: abs(mean_off_label_mass(alpha, shares) - gap))
    rows = RowScores.from_logits(raw, targets, n_bins=n_bins)
    return Diagnosis(
        verdict=verdict,
        scores=scores,
        intervals=intervals,
        logits=all_logits,
        labels=targets,
        temperature=temperature,
        temperature_note=note,
        cross_fitted=cross_fitted,
        nll_change=nll_change,
        rows_needed=rows_needed(rows.confidence, rows.correct),
        class_shares=shares,
        alpha=alpha,
    )


def verdict_of(scores: Mapping[str, float], gap: Measured) -> Verdict:
    """The module's rule, for whoever has the numbers: doctor, training run, comparison and card.

    Args:
        scores: ``n``, ``ece`` and ``ece_floor_high``, as `score_logits` names them.
        gap: mean confidence minus accuracy, with its interval.

    Example:
        >>> scores = {"n": 500, "ece": 0.06, "ece_floor_high": 0.04}
        >>> verdict_of(scores, Interval(0.05, 0.02, 0.08)), verdict_of(scores, Interval(0.05, -0.01, 0.11))
        ('over-confident', 'mixed')
        >>> verdict_of(scores | {"ece": 0.03}, Interval(0.03, 0.01, 0.05)), verdict_of(scores | {"n": 20}, Interval(1, 1, 1))
        ('calibrated', 'too few rows')
    """
    n = int(scores["n"])
    if n < MIN_ROWS_FOR_DIRECTION:
        return "too few rows"
    if not above_floor(scores):
        return "calibrated"
    words: dict[int, Verdict] = {1: "over-confident", -1: "under-confident", 0: "mixed"}
    return words[direction(gap, n)]


def _check_fit_rows(logits: Any, labels: Any, n_classes: int) -> tuple[NDArray[np.float64], NDArray[Any]]:
    try:
        table = check_logits(logits)
        if table.shape[1] != n_classes:
            raise ValueError(f"logits: {table.shape[1]} columns; the rows to judge by have {n_classes}, one per class")
        return table, check_class_labels(labels, *table.shape)
    except ValueError as error:
        raise ValueError(f"the rows to fit the temperature on (fit_logits, fit_labels): {error}") from None


def _cross_fit(logits: NDArray[np.float64], labels: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """Each half of the rows divided by the T of the other half; halves are drawn within each class.

    Where one half has no T, as for want of errors, they are drawn again within the wrong and the right rows of each class.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    wrong_first = (logits.argmax(axis=1) == labels)[order]
    try:
        return _scale_halves(logits, labels, order[np.argsort(labels[order], kind="stable")])
    except NoFiniteTemperature:
        return _scale_halves(logits, labels, order[np.lexsort((labels[order], wrong_first))])


def _scale_halves(logits: NDArray[np.float64], labels: NDArray[Any], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """:func:`_cross_fit` with every other row of an order for a half."""
    second = np.zeros(len(labels), dtype=bool)
    second[order[1::2]] = True
    scaled = np.empty_like(logits)
    shifted = logits - logits.max(
        axis=1, keepdims=True
    )  # the same T, and no second warning of what the logits look like
    for half in (second, ~second):
        scaled[half] = fit_temperature(shifted[~half], labels[~half]).apply(logits[half])
    return scaled


def rows_needed(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> int:
    """Rows at which the interval of a gap of .02, over or under, excludes 0 in four sets of five.

    Its limit lies 1.96 standard errors and the extra row, 1/n at most, from the gap, and the gap is estimated .84 standard
    errors too near to 0 in one set of five: .02 = 2.8 s / sqrt(n) + 1 / n, solved for n. The spread s of confidence minus
    correctness is that of an accuracy .02 nearer to one half, as a model with such a gap may have it, and has one right and one
    wrong row added to those that were seen: few rows may show none that is wrong.

    Example:
        >>> rows_needed(np.full(30, 0.97), np.ones(30, dtype=bool))  # s = .225, not 0
        1059
    """
    mean = confidence.mean()
    excess = np.r_[confidence - correct, mean, mean - 1]
    accuracy = (correct.sum() + 1) / (len(correct) + 2)
    spread = float(np.sqrt(excess.var() + SMALL_GAP * abs(2 * accuracy - 1)))
    root = (2.8 * spread + np.sqrt((2.8 * spread) ** 2 + 4 * SMALL_GAP)) / (2 * SMALL_GAP)
    return int(np.ceil(root**2))


def __getattr__(name: str) -> Any:
    """``advice``: see `nlp_mixup.calibration`."""
    if name == "advice":
        return import_module("nlp_mixup.advice").advice
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
