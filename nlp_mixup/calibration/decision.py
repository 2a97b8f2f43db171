"""A decision line: above which confidence a model may answer alone, so that its errors stay rare enough.

Selective classification with a bounded risk is Geifman & El-Yaniv 2017 (arXiv 1705.08500). What is bounded here is the
upper confidence limit of the error rate, not the rate seen on the given rows: of few rows, or of many thresholds tried,
some look better than they are. Choose the line on validation rows and measure it on others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .inputs import top_label

#: Confidence level of the error rate's upper limit.
LEVEL = 0.95


class Decision(NamedTuple):
    """Rows whose confidence is at least ``threshold`` are accepted.

    Args:
        threshold: the lowest accepted confidence.
        coverage: share of the rows that are accepted.
        risk: error rate of the accepted rows; nan where none is.
    """

    threshold: float
    coverage: float
    risk: float


def decision_line(probs: Any, labels: Any, *, max_risk: float, validate: bool = True) -> Decision | None:
    """The lowest threshold whose accepted rows keep the error rate at ``max_risk``: the largest coverage.

    A threshold keeps it where the one-sided 95 % upper limit of the error rate (Clopper & Pearson 1934) is at most
    ``max_risk``: with k errors in m accepted rows, the p at which k or fewer errors have probability .05. That takes
    `least_rows` accepted rows at least, all of them right. In simulations of calibrated models (n = 100 to 4,000, errors
    of 1 to 10 %) up to 5.5 % of the lines had a true error rate above ``max_risk``, though the best of all thresholds is
    taken.

    Rows of equal confidence are accepted together or not at all. The threshold is rounded down to the fewest decimals,
    at least two, at which it accepts the same of these rows, so that a printed threshold is the rule itself.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        max_risk: the error rate that is borne, in [0, 1]; no number of rows shows a rate of 0.
        validate: False skips the checks of values.

    Returns:
        Threshold, with the coverage and the risk seen on these rows; None where no threshold keeps ``max_risk``.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row, and a max_risk outside [0, 1].

    Example:
        >>> probs = [[0.05, 0.95]] * 30 + [[0.3, 0.7]] * 10
        >>> decision_line(probs, [1] * 40, max_risk=0.1)  # 40 right: the limit is 1 - .05^(1/40) = .072
        Decision(threshold=0.7, coverage=1.0, risk=0.0)
        >>> decision_line(probs, [1] * 30 + [0] * 10, max_risk=0.1)  # 30 right: .095
        Decision(threshold=0.95, coverage=0.75, risk=0.0)
        >>> decision_line(probs[5:], [1] * 25 + [0] * 10, max_risk=0.1) is None  # 25 right: .113
        True
    """
    if not 0 <= max_risk <= 1:
        raise ValueError(f"max_risk: expected an error rate in [0, 1], got {max_risk!r}; 0.02 bears 2 errors in 100")
    return decision_line_of_confidences(*top_label(probs, labels, validate=validate), max_risk=max_risk)


def decision_line_of_confidences(
    confidence: NDArray[Any], correct: NDArray[Any], *, max_risk: float, copies: int = 1
) -> Decision | None:
    """:func:`decision_line` where the winning scores (n,), and whether they are right, are already known.

    ``copies`` models that scored the same rows, one after the other, say no more of the population than so many rows:
    the limit is that of n / copies.
    """
    descending, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    accepted = np.cumsum(size)
    wrong = np.cumsum(np.bincount(group, weights=~correct))
    bearable = np.flatnonzero(wrong <= max_risk * accepted)
    bearable = bearable[upper_limit(wrong[bearable] / copies, accepted[bearable] / copies) <= max_risk]
    if len(bearable) == 0:
        return None
    last = int(bearable[-1])
    least, below = -descending[last], -descending[last + 1] if last + 1 < len(descending) else -np.inf
    return Decision(
        _rounded_down(float(least), float(below)),
        float(accepted[last] / len(confidence)),
        float(wrong[last] / accepted[last]),
    )


def upper_limit(wrong: NDArray[Any], n: NDArray[Any]) -> NDArray[np.float64]:
    """One-sided upper 95 % limit of an error rate (Clopper & Pearson 1934); 1 where all rows are wrong.

    Example:
        >>> upper_limit(np.array([0, 1, 5]), np.array([29, 46, 5])).round(4)  # 1 - .05^(1/29) = .0981
        array([0.0981, 0.099 , 1.    ])
    """
    from scipy.special import betaincinv

    right = n - wrong
    return np.where(right > 0, betaincinv(wrong + 1, np.where(right > 0, right, 1), LEVEL), 1.0)


def least_rows(max_risk: float) -> int:
    """Rows that must be right without exception before an error rate of ``max_risk`` can be claimed, (1 - r)^n <= .05.

    Example:
        >>> least_rows(0.1), least_rows(0.05), least_rows(0.01)
        (29, 59, 299)
    """
    return int(np.ceil(np.log(1 - LEVEL) / np.log1p(-max_risk)))


def _rounded_down(least: float, below: float) -> float:
    """``least`` with the fewest decimals, at least two, that leave it above ``below``."""
    for digits in range(2, 16):
        rounded = round(least, digits)
        if rounded > least:
            rounded = round(rounded - 10.0**-digits, digits)
        if below < rounded <= least:
            return rounded
    return least


def accept_above(probs: Any, labels: Any, *, threshold: float, validate: bool = True) -> Decision:
    """What a threshold chosen on other rows gives on these.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        threshold: the lowest accepted confidence, as :func:`decision_line` returns it.
        validate: False skips the checks of values.

    Returns:
        The threshold with the coverage and the risk of these rows; the risk is nan where no row is accepted.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row, and a threshold that is not a number.

    Example:
        >>> accept_above([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], [1, 0, 1, 1], threshold=0.8)
        Decision(threshold=0.8, coverage=0.5, risk=0.5)
    """
    if np.isnan(threshold):
        raise ValueError("threshold: expected a confidence in [0, 1], got nan")
    return accept_above_of_confidences(*top_label(probs, labels, validate=validate), threshold=threshold)


def accept_above_of_confidences(confidence: NDArray[Any], correct: NDArray[Any], *, threshold: float) -> Decision:
    """:func:`accept_above` where the winning scores (n,), and whether they are right, are already known."""
    accepted = confidence >= threshold
    risk = float(np.mean(~correct[accepted])) if accepted.any() else float("nan")
    return Decision(float(threshold), float(accepted.mean()), risk)
