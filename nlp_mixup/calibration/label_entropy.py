"""The entropy of mixed training labels as a function of alpha: exact, no data needed.

Thulasidasan et al. 2019 (arXiv 1905.11001) show its distribution. A pair of DIFFERENT classes mixed with weight lambda
~ Beta(alpha, alpha) has the label entropy H(lambda) = -lambda log lambda - (1 - lambda) log(1 - lambda), in nats; a pair
of the same class has none, so the mass off the label also depends on the classes' shares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: exp of this is the smallest positive float64.
LOG_SMALLEST = -745.0


def label_entropy_cdf(entropy: ArrayLike, alpha: float) -> NDArray[np.float64]:
    """P(H <= h) = 2 I_m(alpha, alpha) for a pair of different classes, where m <= 1/2 solves H(m) = h.

    I is the regularised incomplete beta function; the 2 counts lambda <= m and lambda >= 1 - m.

    Args:
        entropy: h in nats, any shape; 0 is a hard label, log 2 = .693 is half and half.
        alpha: of Beta(alpha, alpha); 0 is no mixup, where every label is hard.

    Returns:
        Probabilities in [0, 1] of the same shape: 0 below h = 0, 1 from h = log 2 on.

    Raises:
        ValueError: for an alpha below 0 or not finite, and for an entropy that is not a number.

    Example:
        >>> at_a_tenth = -0.1 * np.log(0.1) - 0.9 * np.log(0.9)
        >>> label_entropy_cdf([0.0, at_a_tenth, np.log(2)], 1.0).round(6)  # uniform: lambda <= .1 or >= .9
        array([0. , 0.2, 1. ])
    """
    from scipy.special import betainc

    _check_alpha(alpha)
    wanted = np.asarray(entropy, dtype=np.float64)
    if np.isnan(wanted).any():
        raise ValueError("entropy: expected numbers of nats, got nan")
    if alpha == 0:
        return np.where(wanted >= 0, 1.0, 0.0)
    below = 2 * betainc(alpha, alpha, _smaller_share(np.clip(wanted, 0, np.log(2))))
    return np.where(wanted <= 0, 0.0, np.where(wanted >= np.log(2), 1.0, np.minimum(below, 1.0)))


def mean_label_entropy(alpha: float) -> float:
    """E[H] = digamma(2 alpha + 1) - digamma(alpha + 1), for a pair of different classes.

    Args:
        alpha: of Beta(alpha, alpha); 0 is no mixup.

    Returns:
        Nats in [0, log 2); it grows with alpha.

    Raises:
        ValueError: for an alpha below 0 or not finite.

    Example:
        >>> round(mean_label_entropy(1.0), 6)  # digamma(3) - digamma(2) = 1/2
        0.5
    """
    from scipy.special import digamma

    _check_alpha(alpha)
    return float(digamma(2 * alpha + 1) - digamma(alpha + 1))


def mean_off_label_mass(alpha: float, class_shares: ArrayLike) -> float:
    """Mean label mass that mixup moves to the other class: E[min(lambda, 1 - lambda)] (1 - sum_k p_k^2).

    E[min(lambda, 1 - lambda)] = I_1/2(alpha + 1, alpha); the second factor is the probability that a random partner has
    another class. Two balanced classes are smoothed about half as much as ten at the same alpha.

    Args:
        alpha: of Beta(alpha, alpha); 0 is no mixup.
        class_shares: (k,) the classes' shares of the training rows; they sum to 1.

    Returns:
        A mass in [0, 1/2), comparable with the epsilon of label smoothing times (k - 1) / k.

    Raises:
        ValueError: for an alpha below 0 or not finite, and for shares that are negative or do not sum to 1.

    Example:
        >>> round(mean_off_label_mass(1.0, [0.5, 0.5]), 6)  # the smaller of lambda and 1 - lambda is 1/4 on average
        0.125
    """
    from scipy.special import betainc

    _check_alpha(alpha)
    shares = np.asarray(class_shares, dtype=np.float64)
    if shares.ndim != 1 or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(
            f"class_shares: expected one share per class, at least 0, with sum 1, got {class_shares!r}; "
            "divide the class counts by their sum"
        )
    if alpha == 0:
        return 0.0
    return float(betainc(alpha + 1, alpha, 0.5) * (1 - np.sum(shares**2)))


def _smaller_share(entropy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The m in [0, 1/2] with H(m) = entropy, by bisection of log m: small m keep their digits."""
    low, high = np.full(entropy.shape, LOG_SMALLEST), np.full(entropy.shape, np.log(0.5))
    for _ in range(64):
        middle = (low + high) / 2
        m = np.exp(middle)
        too_small = -m * middle - (1 - m) * np.log1p(-m) < entropy
        low, high = np.where(too_small, middle, low), np.where(too_small, high, middle)
    return np.exp(high)


def _check_alpha(alpha: float) -> None:
    if not (np.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha: expected a finite number of at least 0, got {alpha!r}; 0.2 to 0.4 is usual")
