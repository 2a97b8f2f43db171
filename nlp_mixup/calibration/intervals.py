"""Intervals over rows that hold with few rows and near the ends: Clopper-Pearson for accuracy, weighted draws for the rest.

All scores and both models of a paired difference are drawn with the same weights of rows (`resampling`), so that differences
keep their pairing. ECE and OE are corrected for their bias: the plug-in ECE of noise is not 0, so the plain percentile bootstrap
(Efron 1979) covers a third of the time at n = 500 and a true ECE of .02. ``benchmarks/interval_coverage.py`` prints what these
intervals cover, for n from 10 to 500 and confidences up to .995.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .floor import short
from .logits import check_logits
from .resampling import Draws, RowScores, resample_scores, scaled_draws, scores_of_rows
from .temperature import Temperature

N_RESAMPLES = 1000
N_RESAMPLES_SLOW = 200

CLOPPER_PEARSON = "Clopper-Pearson"
WEIGHTED = "weighted rows and one more"
UNBIASED = "weighted rows and one more, corrected for bias"
BOOTSTRAP = "bootstrap of rows and one more"
#: Rows below which nothing is called better or worse, higher or lower. The intervals hold there too, but one row more or less
#: moves an accuracy by 1/30, a gap must be about .15 wide to show, and two calibrated models of five at .97 have no error.
MIN_ROWS_FOR_DIRECTION = 30


class Measured(Protocol):
    """A number with the limits of its 95 % interval: an `Interval`, or an estimate over seeds."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def direction(change: Measured, n: int | None = None) -> int:
    """Whether a difference may be called higher or lower in words: the one rule for everything that is printed.

    Its interval excludes 0, it does not round to nothing at the three decimals it is printed with, and at least
    `MIN_ROWS_FOR_DIRECTION` rows stand behind it.

    Args:
        change: the difference, or a gap.
        n: rows scored, where they are known.

    Returns:
        1 (higher), -1 (lower) or 0 (not to be told).

    Example:
        >>> direction(Interval(0.02, 0.01, 0.03), 500), direction(Interval(0.02, 0.01, 0.03), 29)
        (1, 0)
        >>> direction(Interval(-0.0004, -0.0005, -0.0003), 500)  # prints as .000
        0
    """
    if (n is not None and n < MIN_ROWS_FOR_DIRECTION) or float(f"{change.value:.3f}") == 0:
        return 0
    return int(change.low > 0) - int(change.high < 0)


@dataclass(frozen=True)
class Interval:
    """A score, its interval, and how it was made.

    Args:
        value: the score on all rows. Being biased, an ECE near the noise floor may lie above its own interval.
        low: lower limit.
        high: upper limit.
        level: confidence level, .95.
        n_resamples: draws of the rows' weights, or resamples of rows.
        method: how it was made.
    """

    value: float
    low: float
    high: float
    level: float = 0.95
    n_resamples: int = N_RESAMPLES
    method: str = WEIGHTED

    def __str__(self) -> str:
        return f"{short(self.value)} ({short(self.low)} to {short(self.high)})"


def score_intervals(
    logits: Any, labels: Any, *, n_bins: int = 15, n_resamples: int = N_RESAMPLES, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of ``accuracy``, ``confidence``, ``gap``, ``nll``, ``brier``, ``ece`` and ``oe``.

    Args:
        logits: (n, k), k at least 2.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        n_resamples: draws of the rows' weights, the same for every score. A thousand of 10,000 rows take about half a second.
        level: confidence level.
        seed: seed of the draws; models given the same seed and n see the same weights.

    Returns:
        One interval per score.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> sure = np.tile([0.0, np.log(99.0)], (50, 1))  # claims .99
        >>> intervals = score_intervals(sure, np.ones(50, dtype=int))
        >>> print(intervals["accuracy"])  # 50 of 50 right: .025 = low^50
        1.000 (.929 to 1.000)
        >>> intervals["gap"].low < 0 < intervals["gap"].high
        True
    """
    rows = RowScores.from_logits(logits, labels, n_bins=n_bins)
    return intervals_of_rows(rows, n_resamples=n_resamples, level=level, seed=seed)


def intervals_of_rows(
    rows: RowScores, *, n_resamples: int = N_RESAMPLES, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """:func:`score_intervals` for rows scored before, with any binning."""
    return intervals_of_draws(rows, resample_scores(rows, n_resamples=n_resamples, seed=seed), level=level)


def intervals_of_draws(rows: RowScores, draws: Draws, *, level: float = 0.95) -> dict[str, Interval]:
    """:func:`intervals_of_rows` from draws that were made before."""
    values = scores_of_rows(rows)
    found = {
        name: interval_of_draws(values[name], draws.low[name], draws.high[name], draws.bias.get(name), level)
        for name in values
    }
    for name in draws.bias:  # neither can be below 0
        found[name] = replace(found[name], low=max(found[name].low, 0.0), high=max(found[name].high, 0.0))
    return found | {"accuracy": accuracy_interval(int(rows.correct.sum()), len(rows.correct), level=level)}


def accuracy_interval(right: int, n: int, *, level: float = 0.95) -> Interval:
    """The exact interval of a share of right rows (Clopper & Pearson 1934): it covers at least ``level`` at any n and accuracy.

    Example:
        >>> print(accuracy_interval(8, 10))
        .800 (.444 to .975)
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, right, n - right + 1)) if right > 0 else 0.0
    high = float(beta.ppf(1 - tail, right + 1, n - right)) if right < n else 1.0
    return Interval(right / n, low, high, level, 0, CLOPPER_PEARSON)


def difference_intervals(
    logits: Any,
    other_logits: Any,
    labels: Any,
    *,
    n_bins: int = 15,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Paired differences, first minus second, of two models' scores on the same rows.

    Two models may differ in one more row's answer, whatever they say of these: by the toss of a coin it is the worst for the
    difference, or for both models. Logits that are another's divided by temperatures give the same answers by construction: one
    more row then adds what the two differ in. ECE and OE differences are wide near calibration, where two biases are unknown.

    Args:
        logits: (n, k) of the first model.
        other_logits: (n, k) of the second model, same rows in the same order.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        n_resamples: draws of the rows' weights, shared by both models.
        level: confidence level.
        seed: seed of the draws.

    Returns:
        One interval per score, all of them 0 for a model and itself; where it excludes 0 the models differ on this test set's population.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> labels = np.arange(200) % 2
        >>> good = np.stack([1.0 - labels, labels], axis=1)
        >>> print(difference_intervals(4 * good, 4 * good, labels)["nll"])
        .000 (.000 to .000)
    """
    tables = check_logits(logits), check_logits(other_logits)
    first, second = (RowScores.from_logits(table, labels, n_bins=n_bins) for table in tables)
    if len(first.confidence) != len(second.confidence):
        _refuse_other_rows(first, second)
    if np.array_equal(*tables):
        values = scores_of_rows(first)
        return {name: Interval(0.0, 0.0, 0.0, level, n_resamples, _method(name)) for name in values}
    scale = _scale(*tables) if tables[0].shape == tables[1].shape else None
    return differences_of_rows(first, second, n_resamples=n_resamples, level=level, seed=seed, scale=scale)


def _scale(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The positive number (n,) by which each row of the second, less its largest, is multiplied in the first, if there is one."""
    below = [table - table.max(axis=1, keepdims=True) for table in (first, second)]
    sums = [table.sum(axis=1, keepdims=True) for table in below]
    ratio = np.divide(sums[1], sums[0], out=np.ones_like(sums[0]), where=sums[0] != 0)
    precision = 1e-6 * np.abs(second).max(axis=1, keepdims=True)  # float32 logits are as good as that
    same = (ratio > 0).all() and (np.abs(below[0] * ratio - below[1]) <= precision).all()
    return 1 / ratio[:, 0] if same else None


def differences_of_rows(
    first: RowScores,
    second: RowScores,
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    scale: NDArray[np.float64] | None = None,
) -> dict[str, Interval]:
    """:func:`difference_intervals` for rows scored before.

    Args:
        first: rows of the first model.
        second: the same rows of the second model.
        n_resamples: draws of the rows' weights.
        level: confidence level.
        seed: seed of the draws.
        scale: (n,) where the first's logits are the second's multiplied by it, as after a temperature: the answers are the same.

    Raises:
        ValueError: if the two have different numbers of rows.
    """
    if len(first.confidence) != len(second.confidence):
        _refuse_other_rows(first, second)
    one, other = (resample_scores(rows, n_resamples=n_resamples, seed=seed) for rows in (first, second))
    values = [scores_of_rows(rows) for rows in (first, second)]
    between = difference_of_draws(one, other, same_answers=scale is not None)
    if scale is not None:
        low, high = scaled_draws(first, second, (one, other), scale)
        between = replace(between, low=between.low | low, high=between.high | high)
    return {
        name: interval_of_draws(
            values[0][name] - values[1][name], between.low[name], between.high[name], between.bias.get(name), level
        )
        for name in values[0]
    }


def difference_of_draws(first: Draws, second: Draws, *, same_answers: bool = False) -> Draws:
    """The draws of a difference from both models' paired draws.

    In every other draw, which is as the toss of a coin, one model alone has the extra row right: the lowest has the first model's
    lower and the second's upper end. In the others both are on one side, and so they are in all where the answers are the same,
    but for ECE and OE: one wrong row may raise one model's and lower the other's. `differences_of_rows`, which knows the rows and
    not their draws alone, then has better limits of the additive scores.
    """
    low, high = {}, {}
    for name in first.low:
        sides = (first.low[name] - second.low[name], first.high[name] - second.high[name])
        low[name], high[name] = np.minimum(*sides), np.maximum(*sides)
        if not same_answers or name in first.bias:
            low[name][::2] = (first.low[name] - second.high[name])[::2]
            high[name][::2] = (first.high[name] - second.low[name])[::2]
    return Draws(low, high, {name: bias_of_difference(first.bias[name], second.bias[name]) for name in first.bias})


def bias_of_difference(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """The range of the difference of two biases, each within its own: the half ranges add as independent errors do.

    Were the biases taken to go together, as they do in two calibrated models, the interval would often miss a calibrated model
    beside one whose errors do not show yet.

    Args:
        first: least and largest bias of the first model.
        second: of the second.

    Example:
        >>> low, high = bias_of_difference((0.0, 0.06), (0.01, 0.09))  # half ranges .03 and .04
        >>> round(low, 3), round(high, 3)
        (-0.07, 0.03)
    """
    middle = (first[0] + first[1] - second[0] - second[1]) / 2
    half = float(np.hypot(first[1] - first[0], second[1] - second[0])) / 2
    return middle - half, middle + half


def _refuse_other_rows(first: RowScores, second: RowScores) -> None:
    raise ValueError(f"paired differences need the same rows: got {len(first.confidence)} and {len(second.confidence)}")


def nll_gain(logits: Any, labels: Any, temperature: Temperature) -> Interval:
    """NLL(z / T) - NLL(z) with its paired 95 % interval.

    Args:
        logits: (n, k).
        labels: (n,) class indices.
        temperature: as `fit_temperature` gives it.

    Returns:
        The difference in nats per row; negative is better with T.

    Example:
        >>> from nlp_mixup.calibration import fit_temperature
        >>> sure, labels = np.tile([0.0, 4 * np.log(3.0)], (400, 1)), np.arange(400) % 4 > 0
        >>> gain = nll_gain(sure, labels.astype(int), fit_temperature(sure, labels.astype(int)))
        >>> round(gain.value, 3), gain.high < 0
        (-0.549, True)
    """
    return difference_intervals(temperature.apply(np.asarray(logits, np.float64)), logits, labels)["nll"]


def resample_interval(
    score: Callable[[NDArray[Any], NDArray[Any]], float],
    probs: NDArray[Any],
    labels: NDArray[Any],
    *,
    biased: bool,
    n_resamples: int = N_RESAMPLES_SLOW,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The interval of a score that is not additive, such as smooth ECE or AURC, by calling it once per resample.

    Args:
        score: a function of (probs, labels), for example ``smooth_ece``.
        probs: (n, k) NumPy array.
        labels: (n,) NumPy array.
        biased: True for the calibration errors, which noise moves upwards and which are at least 0.
        n_resamples: resamples of rows. Each holds besides, Geometric(1/2) times, one more row: a copy whose label is the winner
            or the runner-up by the toss of a coin, so that rows that are all alike do not give an interval without width.
        level: confidence level.
        seed: seed of the resamples.

    Example:
        >>> from nlp_mixup.calibration import accuracy
        >>> probs, labels = np.tile([0.25, 0.75], (100, 1)), np.arange(100) % 2
        >>> resample_interval(accuracy, probs, labels, biased=False).value
        0.5
    """
    rng = np.random.default_rng(seed)
    draws = np.empty(n_resamples)
    n = len(labels)
    best, runner_up = probs.argmax(axis=1), np.argsort(probs, axis=1)[:, -2]
    plain = np.empty(n_resamples)
    for draw in range(n_resamples):
        rows, extra = rng.integers(0, n, n), rng.integers(0, n, 1).repeat(rng.geometric(0.5) - 1)
        more = np.where(rng.random() < 0.5, best, runner_up)[extra]
        draws[draw] = score(probs[np.r_[rows, extra]], np.r_[labels[rows], more])
        plain[draw] = score(probs[rows], labels[rows]) if biased else 0.0
    value = score(probs, labels)
    if not biased:
        return replace(interval_of_draws(value, draws, draws, None, level), method=BOOTSTRAP)
    # The resamples' mean shows a bias on top of the value's own, which may be half of it or, in a calibrated model, all.
    bias = float(plain.mean()) - value
    draws -= bias
    found = interval_of_draws(value, draws, draws, (min(bias, bias / 2), max(bias, bias / 2)), level)
    return replace(found, low=max(found.low, 0.0), high=max(found.high, 0.0), method=BOOTSTRAP)


def interval_of_draws(
    value: float, low: NDArray[Any], high: NDArray[Any], bias: tuple[float, float] | None, level: float
) -> Interval:
    """The lower quantile of the lowest and the upper quantile of the highest draws, less the bias that widens most."""
    least, largest = bias or (0.0, 0.0)
    limits = np.quantile(low, (1 - level) / 2) - largest, np.quantile(high, (1 + level) / 2) - least
    return Interval(value, float(limits[0]), float(limits[1]), level, len(low), WEIGHTED if bias is None else UNBIASED)


def _method(name: str) -> str:
    return UNBIASED if name in ("ece", "oe") else WEIGHTED
