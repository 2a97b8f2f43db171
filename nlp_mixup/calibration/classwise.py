"""Calibration of every class, not of the winner alone: class-wise ECE, and the Brier score taken apart.

Class-wise ECE: Kull et al. 2019 (arXiv 1910.12656). Decomposition: Murphy 1973; Stephenson et al. 2008 for its bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binning import EqualMass, EqualWidth, resolve_binning
from .scores import full_probabilities


def classwise_ece(
    probs: Any,
    labels: Any,
    *,
    n_bins: int = 15,
    binning: EqualWidth | EqualMass | str | None = None,
    validate: bool = True,
) -> float:
    """cwECE = mean over classes k of sum_m |B_mk|/n |mean of p_k in B_mk - share of label k in B_mk|.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi] of each class's probability.
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        validate: False skips the checks of values.

    Returns:
        Class-wise ECE in [0, 1]; 0 is best. With many classes it is small: most probabilities are near 0.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(classwise_ece([[0.1, 0.9], [0.1, 0.9]], [1, 0], n_bins=10), 6)  # both classes are off by .4
        0.4
    """
    table, targets = full_probabilities(probs, labels, validate=validate)
    rule = resolve_binning(n_bins, binning)
    total = 0.0
    for k in range(table.shape[1]):
        binned = _BinnedClass.of(table[:, k].astype(np.float64), targets == k, rule)
        total += float(np.abs(binned.claimed - binned.occurred).sum()) / len(table)
    return total / table.shape[1]


@dataclass(frozen=True)
class BrierDecomposition:
    """The Brier score's parts, which add up: brier = reliability - resolution + uncertainty + within_bins.

    Args:
        brier: the score itself, in [0, 2].
        reliability: what recalibration could win, at least 0; 0 is best.
        resolution: what the bins tell apart, at least 0; higher is better.
        uncertainty: the Brier score of always predicting the base rates.
        within_bins: variance and covariance of the probabilities within bins; small when bins are narrow.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


def brier_decomposition(probs: Any, labels: Any, *, n_bins: int = 15, validate: bool = True) -> BrierDecomposition:
    """Murphy's decomposition of the multi-class Brier score over bins of every class's probability.

    With p_m and o_m the mean probability and the share of label k in bin m, and o the share of label k, class k adds
    reliability sum_m w_m (p_m - o_m)^2, resolution sum_m w_m (o_m - o)^2 and uncertainty o (1 - o). Within bins remain
    the variance of p minus twice its covariance with the outcome.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi] of each class's probability.
        validate: False skips the checks of values.

    Returns:
        The parts.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> parts = brier_decomposition([[0.1, 0.9], [0.1, 0.9]], [1, 0], n_bins=10)
        >>> round(parts.reliability, 6), round(parts.resolution, 6), round(parts.uncertainty, 6), round(parts.brier, 6)
        (0.32, 0.0, 0.5, 0.82)
    """
    table, targets = full_probabilities(probs, labels, validate=validate)
    rule = EqualWidth(n_bins)
    n = len(table)
    reliability = resolution = uncertainty = brier = 0.0
    for k in range(table.shape[1]):
        score, outcome = table[:, k].astype(np.float64), targets == k
        binned = _BinnedClass.of(score, outcome, rule)
        filled = binned.count > 0
        count = binned.count[filled]
        claimed, occurred = binned.claimed[filled] / count, binned.occurred[filled] / count
        base = float(outcome.mean())
        reliability += float(count @ (claimed - occurred) ** 2) / n
        resolution += float(count @ (occurred - base) ** 2) / n
        uncertainty += base * (1 - base)
        brier += float(np.mean((score - outcome) ** 2))
    within = brier - (reliability - resolution + uncertainty)
    return BrierDecomposition(brier, reliability, resolution, uncertainty, within)


@dataclass(frozen=True)
class _BinnedClass:
    """Counts, sums of one class's probability, and how often it was the label, per bin."""

    count: NDArray[Any]
    claimed: NDArray[Any]
    occurred: NDArray[Any]

    @classmethod
    def of(cls, score: NDArray[np.float64], outcome: NDArray[np.bool_], rule: EqualWidth | EqualMass) -> _BinnedClass:
        size = len(rule.lower) if isinstance(rule, EqualWidth) else rule.n_bins
        index = rule.assign(score)
        return cls(
            np.bincount(index, minlength=size),
            np.bincount(index, weights=score, minlength=size),
            np.bincount(index, weights=outcome, minlength=size),
        )
