"""Whether confidence says which rows to trust: selective risk, AURC, and telling foreign inputs apart.

AURC: Geifman & El-Yaniv 2017; Geifman et al. 2019 (arXiv 1805.08206). Out-of-distribution scores: Hendrycks & Gimpel
2017 (arXiv 1610.02136) for the maximum softmax probability, Liu et al. 2020 (arXiv 2010.03759) for the energy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import as_array, as_floats, top_label
from .logits import check_logits


def risk_coverage(probs: Any, labels: Any, *, validate: bool = True) -> NDArray[np.float64]:
    """r(j/n) = error rate of the j most confident rows, for j = 1 .. n.

    Rows of equal confidence are taken together: each gets the group's mean error, so that their order does not matter.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        validate: False skips the checks of values.

    Returns:
        (n,) risks in [0, 1]; the last is the plain error rate.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> risk_coverage([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], [1, 0, 1, 1]).round(3)
        array([0.   , 0.5  , 0.333, 0.25 ])
    """
    return risk_coverage_of_confidences(*top_label(probs, labels, validate=validate))


def risk_coverage_of_confidences(confidence: NDArray[Any], correct: NDArray[Any]) -> NDArray[np.float64]:
    """:func:`risk_coverage` where the winning scores (n,), and whether they are right, are already known."""
    _, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    errors = np.bincount(group, weights=~correct) / size
    return np.cumsum(np.repeat(errors, size)) / np.arange(1, len(confidence) + 1)


def aurc(probs: Any, labels: Any, *, validate: bool = True) -> float:
    """AURC = (1/n) sum_j r(j/n), the area under the risk-coverage curve.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        validate: False skips the checks of values.

    Returns:
        AURC in [0, 1]; lower is better, and the error rate is what a confidence without information would give.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(aurc([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], [1, 0, 1, 1]), 6)  # (0 + 1/2 + 1/3 + 1/4)/4
        0.270833
    """
    return float(risk_coverage(probs, labels, validate=validate).mean())


def risk_at_coverage(probs: Any, labels: Any, *, coverage: float, validate: bool = True) -> float:
    """Error rate of the most confident share of the rows.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        coverage: the share that is answered, in (0, 1]; rounded up to whole rows.
        validate: False skips the checks of values.

    Returns:
        The risk in [0, 1]; lower is better.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row, and a coverage outside (0, 1].

    Example:
        >>> risk_at_coverage([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], [1, 0, 1, 1], coverage=0.5)
        0.5
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage: expected a share in (0, 1], got {coverage!r}; 0.8 answers 80 % of the rows")
    risks = risk_coverage(probs, labels, validate=validate)
    return float(risks[int(np.ceil(coverage * len(risks) - 1e-9)) - 1])


def energy_score(logits: Any) -> NDArray[np.float64]:
    """log sum_k exp(z_k), the negative energy of every row of (n, k) logits; higher looks more familiar.

    Example:
        >>> energy_score([[0.0, 0.0]]).round(4)  # log 2
        array([0.6931])
    """
    table = check_logits(logits)
    top = table.max(axis=1)
    return top + np.log(np.exp(table - top[:, None]).sum(axis=1))


def ood_scores(familiar: Any, foreign: Any) -> dict[str, float]:
    """How well a score tells in-distribution rows from out-of-distribution rows; scikit-learn draws the curves.

    Args:
        familiar: (n,) score of in-distribution rows; higher must mean more familiar, for example the winning score
            or :func:`energy_score`.
        foreign: (m,) score of out-of-distribution rows.

    Returns:
        ``auroc`` and ``aupr`` (in-distribution is the positive class; higher is better), ``aupr_out`` (out-of-
        distribution is), and ``fpr95``: the share of foreign rows accepted where 95 % of the familiar ones are (lower
        is better).

    Raises:
        ValueError: for empty, wrongly shaped or non-finite scores, with the first offending row.

    Example:
        >>> ood_scores([0.9, 0.8, 0.7, 0.6], [0.65, 0.1])  # 7 of 8 pairs in order; at 95 % one foreign row passes
        {'auroc': 0.875, 'aupr': 0.95, 'aupr_out': 0.8333333333333333, 'fpr95': 0.5}
    """
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    inside, outside = _score_column(familiar, "familiar"), _score_column(foreign, "foreign")
    score = np.concatenate([inside, outside])
    is_inside = np.repeat([1, 0], [len(inside), len(outside)])
    false_positive, true_positive, _ = roc_curve(is_inside, score, drop_intermediate=False)
    return {
        "auroc": float(roc_auc_score(is_inside, score)),
        "aupr": float(average_precision_score(is_inside, score)),
        "aupr_out": float(average_precision_score(1 - is_inside, -score)),
        "fpr95": float(false_positive[np.argmax(true_positive >= 0.95)]),
    }


def _score_column(values: Any, name: str) -> NDArray[np.float64]:
    array = as_array(values, name)
    if len(array.shape) != 1 or len(array) == 0:
        raise ValueError(f"{name}: expected a non-empty score per row, shape (n,), got shape {tuple(array.shape)}")
    column = as_floats(array, name).astype(np.float64)
    finite = np.isfinite(column)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"{name}: row {row} is not finite: {column[row]}")
    return column
