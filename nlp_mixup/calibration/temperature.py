"""Temperature scaling: one number T that divides the logits, fitted on held-out rows with hard labels.

Guo et al. 2017 (arXiv 1706.04599), section 4.2. T > 1 softens an over-confident model; T < 1 sharpens an under-
confident one, as mixup and label smoothing often leave it. The winning class never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .floor import short
from .inputs import as_array
from .logits import check_class_labels, check_logits, nll_from_logits, softmax
from .scores import expected_calibration_error

#: log 1/T is sought within 2^9 of the log of the logits' scale, near the ends of float64.
MAX_DOUBLINGS = 10


class NoFiniteTemperature(ValueError):
    """The rows are fit to be scored, but no finite positive T is best for them.

    Example:
        >>> try:
        ...     fit_temperature([[0.0, 1.0], [0.0, 2.0]], [1, 1])
        ... except NoFiniteTemperature as error:
        ...     print(str(error).partition(",")[0])
        all 2 rows are right
    """


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature, its interval, and what it did on the rows it was fitted on.

    Args:
        value: T.
        low: lower limit of T's interval.
        high: upper limit of T's interval.
        n: rows it was fitted on.
        nll_before: NLL of these rows at T = 1.
        nll_after: NLL of these rows at T.
        ece_before: ECE (15 equal-width bins) of these rows at T = 1.
        ece_after: ECE of these rows at T; in-sample, so measure it again on other rows.
        level: confidence level of the interval.
    """

    value: float
    low: float
    high: float
    n: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    level: float = 0.95

    def apply(self, logits: Any) -> Any:
        """Logits divided by T; a torch tensor stays one, lists become a NumPy array."""
        return as_array(logits, "logits") / self.value

    def __str__(self) -> str:
        return f"T {short(self.value)} ({short(self.low)} to {short(self.high)}, n = {self.n})"


def fit_temperature(logits: Any, labels: Any, *, level: float = 0.95) -> Temperature:
    """The T that minimises the NLL of softmax(z / T) on held-out rows, and its interval.

    The NLL is convex in b = 1/T, so T solves mean_i (E_b[z_i] - z_i[y_i]) = 0, where E_b is the mean over classes under
    softmax(b z_i). The interval is log b +- q se / b with the sandwich error se^2 = mean(g^2) / (n mean(h)^2), g the
    derivative and h the second derivative of each row's NLL (Huber 1967): it holds though the model be wrong.

    Args:
        logits: (n, k) of rows that were not trained on, k at least 2.
        labels: (n,) hard class indices; never mixed or smoothed targets.
        level: confidence level of the interval.

    Returns:
        T, found to a relative 1e-12, with its interval and NLL and ECE before and after.

    Raises:
        NoFiniteTemperature: (a ValueError) where no finite positive T is best: all rows right, all logits of every row
            equal, or logits that say no more of the labels than the uniform prediction, as a collapsed model's.
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> sure = np.tile([0.0, 4 * np.log(3.0)], (4, 1))  # claims 81/82, is right 3 times of 4
        >>> round(fit_temperature(sure, [1, 1, 1, 0]).value, 6)  # softmax must say 3/4, so z / T = log 3
        4.0
    """
    raw = check_logits(logits)
    targets = check_class_labels(labels, *raw.shape)
    with np.errstate(over="ignore"):
        table = raw - raw.max(axis=1, keepdims=True)
        scale = float(-table.mean())
    if not np.isfinite(scale):
        raise ValueError("logits: a row's values lie further apart than float64 holds; check the model")
    table /= scale or 1.0  # 0 where all logits are equal
    of_label = table[np.arange(len(table)), targets]
    inverse = _best_inverse(table, of_label)
    expected, variance = _moments(table, inverse)
    information = float(variance.mean())
    error = np.sqrt(np.mean((expected - of_label) ** 2) / len(table)) / information if information > 0 else np.inf
    width = NormalDist().inv_cdf((1 + level) / 2) * float(error) / inverse
    temperature = scale / inverse
    if not 0 < temperature < np.inf:
        raise NoFiniteTemperature(f"T lies outside float64: the logits' scale is {scale:g}; check the model")
    with np.errstate(over="ignore"):  # almost no information: the limits are 0 and infinity
        low_limit, high_limit = temperature * np.exp(-width), temperature * np.exp(width)
    return Temperature(
        value=temperature,
        low=float(low_limit),
        high=float(high_limit),
        n=len(table),
        nll_before=nll_from_logits(raw, targets),
        nll_after=nll_from_logits(table * inverse, targets),
        ece_before=_ece(raw, targets),
        ece_after=_ece(table * inverse, targets),
        level=level,
    )


def _ece(logits: Any, targets: NDArray[Any]) -> float:
    return expected_calibration_error(softmax(logits), targets, validate=False)


def _moments(table: NDArray[np.float64], inverse: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance over classes of each row's logits under softmax(inverse * logits), two (n,) arrays."""
    weights = np.exp(inverse * table)
    weights /= weights.sum(axis=1, keepdims=True)
    mean = np.einsum("nk,nk->n", weights, table)
    return mean, np.einsum("nk,nk->n", weights, (table - mean[:, None]) ** 2)


def _best_inverse(table: NDArray[np.float64], of_label: NDArray[np.float64]) -> float:
    """The b = 1/T at which the NLL's slope, mean_i (E_b[z_i] - z_i[y_i]), is 0; winners have logit 0, the mean is -1.

    The slope rises with b, so there is such a b > 0 if and only if it is below 0 at b = 0 and above 0 at b = infinity. The
    first is decided by the sum that the search uses: another mean of the same logits may differ from it in the last bit,
    and the search would then run to b = 0 without end.
    """
    from scipy.optimize import brentq

    if not table.any():
        raise NoFiniteTemperature(
            "logits: every row's logits are all equal, so every T gives the same NLL; check the model"
        )
    if not of_label.any():
        raise NoFiniteTemperature(
            f"all {len(table)} rows are right, so the NLL falls all the way to T = 0; "
            "fit on a held-out set with at least one error"
        )

    def slope(log_inverse: float) -> float:
        expected, _ = _moments(table, np.exp(log_inverse))
        return float((expected - of_label).mean())

    # The best b wins about slope^2 / (2 variance) nats over b = 0: within the NLL's own rounding, nothing.
    expected, variance = _moments(table, 0.0)
    if (expected - of_label).mean() >= -np.sqrt(np.finfo(np.float64).eps * variance.mean()):
        raise NoFiniteTemperature(
            "the labels' logits are no larger than the average logit, so T = infinity, the uniform prediction, "
            "is best; "
            "check that labels and logits belong together"
        )
    ends = 2.0 ** np.arange(1, MAX_DOUBLINGS)
    low = next((-end for end in ends if slope(-end) <= 0), None)
    high = next((end for end in ends if slope(end) >= 0), None)
    if low is None or high is None:
        raise NoFiniteTemperature("the NLL falls as far as T can go in float64; check that the logits are a model's")
    return float(np.exp(brentq(slope, low, high, xtol=1e-13, rtol=1e-14, maxiter=1000)))
