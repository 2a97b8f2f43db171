"""From logits to probabilities and NLL, in float64 whatever the model ran in; the only door for logits.

Nothing here looks at values to decide whether they are logits: a caller says so by calling these functions. Rows that
are all non-negative and sum to 1 are warned of, and scored as the logits that they are said to be.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from .inputs import as_array, as_floats, as_labels, bad_label, warn_caller

#: Checked tables that the caller was warned of: what is computed from them in the same call need not say it again.
_WARNED_OF: WeakValueDictionary[int, NDArray[np.float64]] = WeakValueDictionary()
#: Sums of probabilities in bfloat16 miss 1 by up to twice its unit roundoff.
_SUM_TOLERANCE = 2.0**-7


def check_logits(logits: Any) -> NDArray[np.float64]:
    """Logits as finite float64 (n, k), k at least 2; a UserWarning where all rows look like probabilities.

    Raises:
        ValueError: for another shape, empty input, and the first row that is not finite.

    Example:
        >>> check_logits([[0.0, float("inf")]])
        Traceback (most recent call last):
        ...
        ValueError: logits: row 0 is not finite: [ 0. inf]
    """
    array = as_array(logits, "logits")
    if len(array.shape) != 2 or array.shape[1] < 2:
        raise ValueError(
            f"logits: expected shape (n, k) with k at least 2, got {tuple(array.shape)}; "
            "for one log-odds column z give np.stack([0 * z, z], axis=1)"
        )
    if len(array) == 0:
        raise ValueError(f"logits: empty input, shape {tuple(array.shape)}; give at least one row")
    table = as_floats(array, "logits").astype(np.float64)
    finite = np.isfinite(table)
    if not finite.all():
        row = int(np.argmin(finite.all(axis=1)))
        raise ValueError(f"logits: row {row} is not finite: {np.array2string(table[row], threshold=8, precision=6)}")
    if _look_like_probabilities(table):
        if _WARNED_OF.get(id(logits)) is not logits:
            warn_caller(
                f"logits: all {len(table)} rows are non-negative and sum to 1, as probabilities do; "
                "of probabilities give the logarithm, np.log(probs), or use the functions that take probs"
            )
        _WARNED_OF[id(table)] = table
    return table


def _look_like_probabilities(table: NDArray[np.float64]) -> bool:
    """Whether all rows are non-negative and sum to 1; of logits the first few say no."""
    return all(
        bool(part.min() >= 0) and bool(np.abs(part.sum(axis=1) - 1).max() <= _SUM_TOLERANCE)
        for part in (table[:8], table)
    )


def check_class_labels(labels: Any, n: int, n_classes: int) -> NDArray[Any]:
    """Integer labels (n,) within 0 .. n_classes - 1.

    Raises:
        ValueError: with the first row whose label is outside.

    Example:
        >>> check_class_labels([0, 2], 2, 2)
        Traceback (most recent call last):
        ...
        ValueError: labels: row 1 has label 2, expected 0 to 1 (2 classes)
    """
    array = as_labels(labels, n, rows_of="logits")
    outside = (array < 0) | (array >= n_classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(bad_label(row, array[row], n_classes, rows_of="logits"))
    return array


def log_softmax(logits: Any) -> NDArray[np.float64]:
    """log softmax(z)_k = z_k - log sum_j exp(z_j), rows of (n, k), in float64.

    Args:
        logits: (n, k), k at least 2; NumPy, torch or lists.

    Returns:
        (n, k) log probabilities, each at most 0.

    Raises:
        ValueError: for another shape or values that are not finite.

    Example:
        >>> log_softmax([[0.0, 0.0]]).round(4)
        array([[-0.6931, -0.6931]])
    """
    table = check_logits(logits)
    table -= table.max(axis=1, keepdims=True)
    return table - np.log(np.exp(table).sum(axis=1, keepdims=True))


def softmax(logits: Any) -> NDArray[np.float64]:
    """softmax(z)_k = exp(z_k) / sum_j exp(z_j), rows of (n, k), in float64.

    Args:
        logits: (n, k), k at least 2; NumPy, torch or lists.

    Returns:
        (n, k) probabilities; every row sums to 1.

    Raises:
        ValueError: for another shape or values that are not finite.

    Example:
        >>> softmax([[0.0, 0.0], [0.0, np.log(3.0)]])
        array([[0.5 , 0.5 ],
               [0.25, 0.75]])
    """
    table = check_logits(logits)
    table -= table.max(axis=1, keepdims=True)
    np.exp(table, out=table)
    table /= table.sum(axis=1, keepdims=True)
    return table


def nll_from_logits(logits: Any, labels: Any) -> float:
    """NLL = mean_i -log softmax(z_i)[y_i] in nats, through a float64 log-softmax: nothing underflows.

    Args:
        logits: (n, k), k at least 2.
        labels: (n,) class indices.

    Returns:
        NLL in [0, inf); 0 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> nll_from_logits([[1000.0, 0.0]], [1])
        1000.0
    """
    table = log_softmax(logits)
    array = check_class_labels(labels, *table.shape)
    return float(-table[np.arange(len(table)), array].mean()) + 0.0
