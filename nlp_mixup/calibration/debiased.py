"""ECE less the bias that a plug-in of noisy bins carries.

Broecker 2012 and Kumar, Liang & Ma 2019, "Verified Uncertainty Calibration" (arXiv 1909.10155), appendix G.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .binning import EqualMass, EqualWidth
from .bins import reliability_table


def debiased_ece(
    probs: Any,
    labels: Any,
    *,
    norm: Literal[1, 2] = 1,
    n_bins: int = 15,
    binning: EqualWidth | EqualMass | str | None = None,
    validate: bool = True,
) -> float:
    """ECE with an estimate of its upward bias taken off; at least 0.

    norm 1: 2 ECE - sum_m w_m E|N(g_m, s_m^2)|, where g_m = conf - acc and s_m^2 = acc (1 - acc) / n_m, the normal
    approximation of Kumar et al. in closed form. norm 2: sqrt(sum_m w_m (g_m^2 - acc (1 - acc) / (n_m - 1))), unbiased
    under the root; bins of one row count nothing.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        norm: 1 for ECE, 2 for RMSCE.
        n_bins: number of equal-width bins (lo, hi].
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        validate: False skips the checks of values.

    Returns:
        The debiased error in [0, 1]; 0 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row, and another norm.

    Example:
        >>> probs, labels = [[0.25, 0.75]] * 4, [1, 1, 0, 0]  # gap .25, variance .5 * .5 / 3 under norm 2
        >>> debiased_ece(probs, labels, norm=2)
        0.0
        >>> round(debiased_ece(probs * 25, labels * 25, norm=2), 4)  # sqrt(.25^2 - .25 / 99)
        0.2449
    """
    if norm not in (1, 2):
        raise ValueError(f"norm: expected 1 for ECE or 2 for RMSCE, got {norm!r}")
    table = reliability_table(probs, labels, n_bins=n_bins, binning=binning, validate=validate)
    filled = table.count > 0
    count, accuracy = table.count[filled], table.accuracy[filled]
    gap = table.confidence[filled] - accuracy
    weight = count / table.n
    if norm == 2:
        unbiased = np.where(count > 1, gap**2 - accuracy * (1 - accuracy) / np.maximum(count - 1, 1), 0.0)
        return float(np.sqrt(max(float(weight @ unbiased), 0.0)))
    error = np.sqrt(accuracy * (1 - accuracy) / count)
    return float(max(2 * table.ece - weight @ expected_absolute(gap, error), 0.0))


def expected_absolute(mean: np.ndarray, error: np.ndarray) -> np.ndarray:
    """E|N(g, s^2)| = s sqrt(2/pi) exp(-g^2 / 2 s^2) + g (1 - 2 Phi(-g/s)), the mean of a folded normal.

    Example:
        >>> expected_absolute(np.array([3.0, 0.0]), np.array([0.0, 1.0])).round(4)
        array([3.    , 0.7979])
    """
    from scipy.special import ndtr

    ratio = np.divide(mean, error, out=np.full_like(mean, np.inf), where=error > 0)
    folded = error * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + mean * (1 - 2 * ndtr(-ratio))
    return np.where(error > 0, folded, np.abs(mean))
