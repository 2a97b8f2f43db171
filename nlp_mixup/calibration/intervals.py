"""Bootstrap intervals over rows: percentiles for additive scores, ECE and OE corrected for their bias.

All scores and both models of a paired difference are resampled with the same rows, so that differences keep
their pairing. The plain percentile bootstrap (Efron 1979) of ECE is wrong near calibration: at n = 500 and a
true ECE of .02 it covers a third of the time, because the plug-in ECE of noise is not 0.
``benchmarks/interval_coverage.py`` prints what these intervals cover.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .floor import NoiseFloor, short
from .resampling import RowScores, resample_scores, scores_of_rows, shrunken_bias
from .temperature import Temperature

N_RESAMPLES = 1000
N_RESAMPLES_SLOW = 200
#: Below this many rows no direction is told, neither of a model nor of a difference: with 30 rows the gap's interval is
#: about .3 wide at an accuracy of .8, and two calibrated models of five at .97 have no error at all.
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
        n_resamples: resamples of rows.
    """

    value: float
    low: float
    high: float
    level: float = 0.95
    n_resamples: int = N_RESAMPLES

    def __str__(self) -> str:
        return f"{short(self.value)} ({short(self.low)} to {short(self.high)})"


def score_intervals(
    logits: Any,
    labels: Any,
    *,
    n_bins: int = 15,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of ``accuracy``, ``confidence``, ``gap``, ``nll``, ``brier``, ``ece`` and ``oe``.

    Args:
        logits: (n, k), k at least 2.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        n_resamples: resamples of rows, the same for every score. A thousand of 10,000 rows take about half a second.
        level: confidence level.
        seed: seed of the resamples; models given the same seed and n see the same rows.

    Returns:
        One interval per score.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> logits, labels = np.tile([0.0, np.log(3.0)], (100, 1)), np.arange(100) % 2
        >>> print(score_intervals(logits, labels)["accuracy"])  # .5, give or take 1.96 * .05
        .500 (.400 to .600)
    """
    rows = RowScores.from_logits(logits, labels, n_bins=n_bins)
    return intervals_of_rows(rows, n_resamples=n_resamples, level=level, seed=seed)


def intervals_of_rows(
    rows: RowScores, *, n_resamples: int = N_RESAMPLES, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """:func:`score_intervals` for rows scored before, with any binning."""
    return intervals_of_draws(rows, resample_scores(rows, n_resamples=n_resamples, seed=seed), level=level)


def intervals_of_draws(
    rows: RowScores, draws: dict[str, NDArray[np.float64]], *, level: float = 0.95
) -> dict[str, Interval]:
    """:func:`intervals_of_rows` from resamples that were drawn before."""
    values, shrunk = scores_of_rows(rows), shrunken_bias(rows)
    return {
        name: corrected_interval(values[name], drawn, shrunk.get(name), level, bounded=name in shrunk)
        for name, drawn in draws.items()
    }


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

    In the simulation the interval of an ECE difference covers .88 to .98, lowest at n = 500 where one model is close to
    calibrated: read a limit near 0 with care.

    Args:
        logits: (n, k) of the first model.
        other_logits: (n, k) of the second model, same rows in the same order.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        n_resamples: resamples of rows, shared by both models.
        level: confidence level.
        seed: seed of the resamples.

    Returns:
        One interval per score; where it excludes 0 the models differ on this test set's population.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> labels = np.arange(200) % 2
        >>> good = np.stack([1.0 - labels, labels], axis=1)
        >>> print(difference_intervals(4 * good, 4 * good, labels)["nll"])
        .000 (.000 to .000)
    """
    first = RowScores.from_logits(logits, labels, n_bins=n_bins)
    second = RowScores.from_logits(other_logits, labels, n_bins=n_bins)
    return differences_of_rows(first, second, n_resamples=n_resamples, level=level, seed=seed)


def differences_of_rows(
    first: RowScores,
    second: RowScores,
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """:func:`difference_intervals` for rows scored before.

    Raises:
        ValueError: if the two have different numbers of rows.
    """
    if len(first.confidence) != len(second.confidence):
        raise ValueError(
            f"paired differences need the same rows: got {len(first.confidence)} and {len(second.confidence)}"
        )
    draws = [resample_scores(rows, n_resamples=n_resamples, seed=seed) for rows in (first, second)]
    values = [scores_of_rows(rows) for rows in (first, second)]
    shrunk = [shrunken_bias(rows) for rows in (first, second)]
    return {
        name: corrected_interval(
            values[0][name] - values[1][name],
            draws[0][name] - draws[1][name],
            shrunk[0][name] - shrunk[1][name] if name in shrunk[0] else None,
            level,
            bounded=False,
        )
        for name in draws[0]
    }


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
        n_resamples: resamples of rows.
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
    for draw in range(n_resamples):
        rows = rng.integers(0, len(labels), len(labels))
        draws[draw] = score(probs[rows], labels[rows])
    value = score(probs, labels)
    return corrected_interval(value, draws, draws.mean() - value if biased else None, level, bounded=biased)


def describe_calibration(interval: Interval, floor: NoiseFloor) -> str:
    """What may be said of an ECE: near its noise floor, only that it is not distinguishable from calibrated.

    Example:
        >>> floor = NoiseFloor(0.019, 0.011, 0.028, 0.01, 0.005, 0.02, n=1066, n_bins=15, n_draws=1000)
        >>> print(describe_calibration(Interval(0.021, 0.0, 0.02), floor))
        not distinguishable from calibrated (n = 1066, 15 bins: a perfect model shows up to .028)
        >>> print(describe_calibration(Interval(0.071, 0.042, 0.083), floor))
        ECE .071 (.042 to .083), a perfect model here: .019 (n = 1066, 15 bins)
    """
    if not floor.distinguishable(interval.value):
        return (
            f"not distinguishable from calibrated (n = {floor.n}, {floor.n_bins} bins: "
            f"a perfect model shows up to {short(floor.high)})"
        )
    return f"ECE {interval}, a perfect model here: {short(floor.ece)} (n = {floor.n}, {floor.n_bins} bins)"


def corrected_interval(
    value: float, draws: NDArray[np.float64], shrunken_bias: float | None, level: float, *, bounded: bool
) -> Interval:
    """Percentiles of the resamples, moved by the bias where there is one.

    The resamples' mean shows a bias b on top of the value's own, which depends on the unknown true gaps: it is larger
    than b if they are 0, and smaller if they are wide. So the lower limit takes off the largest and the upper limit the
    smallest of b, b/2 and the bias of the shrunken gaps.
    """
    low, high = (float(q) for q in np.quantile(draws, ((1 - level) / 2, (1 + level) / 2)))
    if shrunken_bias is not None:
        bias = float(draws.mean()) - value
        candidates = (bias, bias / 2, shrunken_bias)
        low, high = low - bias - max(candidates), high - bias - min(candidates)
    if bounded:
        low, high = max(low, 0.0), max(high, 0.0)
    return Interval(value, low, high, level, len(draws))
