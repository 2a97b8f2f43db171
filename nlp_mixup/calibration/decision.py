"""A decision line: above which confidence a model may answer alone, so that its errors stay rare enough.

Selective classification with a guaranteed risk is Geifman & El-Yaniv 2017 (arXiv 1705.08500). Here the risk is the one
seen on the given rows, so choose the line on validation rows and measure it on others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .inputs import top_label


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
    """The lowest threshold whose accepted rows have an error rate of at most ``max_risk``: the largest coverage.

    Rows of equal confidence are accepted together or not at all.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        max_risk: the error rate that is borne, in [0, 1].
        validate: False skips the checks of values.

    Returns:
        Threshold, coverage and risk; None where even the most confident rows err more often than that.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row, and a max_risk outside [0, 1].

    Example:
        >>> decision_line([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], [1, 1, 0, 1], max_risk=0.25)
        Decision(threshold=0.6, coverage=1.0, risk=0.25)
        >>> decision_line([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], [1, 1, 0, 1], max_risk=0.2)
        Decision(threshold=0.8, coverage=0.5, risk=0.0)
    """
    if not 0 <= max_risk <= 1:
        raise ValueError(f"max_risk: expected an error rate in [0, 1], got {max_risk!r}; 0.02 bears 2 errors in 100")
    return decision_line_of_confidences(*top_label(probs, labels, validate=validate), max_risk=max_risk)


def decision_line_of_confidences(
    confidence: NDArray[Any], correct: NDArray[Any], *, max_risk: float
) -> Decision | None:
    """:func:`decision_line` where the winning scores (n,), and whether they are right, are already known."""
    descending, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    accepted = np.cumsum(size)
    risks = np.cumsum(np.bincount(group, weights=~correct)) / accepted
    bearable = np.flatnonzero(risks <= max_risk)
    if len(bearable) == 0:
        return None
    last = bearable[-1]
    return Decision(float(-descending[last]), float(accepted[last] / len(confidence)), float(risks[last]))


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
