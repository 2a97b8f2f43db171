"""Turns probabilities and labels of any common type into NumPy blocks, and refuses what cannot be scored.

Probabilities are told apart from logits by the caller's words, never by looking at the values: every
function of this package that takes ``probs`` wants probabilities, and only functions that say ``logits``
take logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Values per block: many enough that NumPy's calls cost nothing, few enough that later passes find them in cache.
BLOCK_VALUES = 1 << 19
#: Rows that are scored before they are handed on together, so that binning works on long vectors.
SPAN_ROWS = 1 << 15
#: A row may miss the sum 1 by this much: rounding of one softmax in that number format, with a margin of
#: about ten.
ROW_SUM_TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "float16": 2e-3, "bfloat16": 8e-3}
#: Up to this many classes the winner is found column by column on a transposed block, above it row by row.
COLUMN_WISE_CLASSES = 48


def as_array(values: Any, name: str) -> Any:
    """Gives ``values`` a shape and slices without copying what already has them.

    Args:
        values: a NumPy array, a torch tensor (any float or integer dtype, any device) or nested lists.
        name: the argument's name, for messages.

    Returns:
        The NumPy array, or the detached tensor.

    Raises:
        ValueError: for ragged rows, with the first row whose length differs from row 0.

    Example:
        >>> as_array([[0.5, 0.5], [1.0]], "probs")
        Traceback (most recent call last):
        ...
        ValueError: probs: row 1 has 1 values, row 0 has 2; every row needs one value per class
    """
    if hasattr(values, "detach"):
        return values.detach()
    if isinstance(values, np.ndarray):
        return values
    try:
        return np.asarray(values)
    except ValueError as error:
        widths = [len(row) if hasattr(row, "__len__") else 1 for row in values]
        for row, width in enumerate(widths):
            if width != widths[0]:
                raise ValueError(
                    f"{name}: row {row} has {width} values, row 0 has {widths[0]}; every row needs one value per class"
                ) from None
        raise ValueError(f"{name}: cannot be read as an array of numbers: {error}") from None


def as_floats(block: Any, name: str) -> NDArray[Any]:
    """Brings a block to NumPy as float32 or float64; half formats widen to float32, integers to float64."""
    if hasattr(block, "detach"):
        if "bfloat16" in str(block.dtype):
            block = block.float()
        block = block.cpu().numpy()
    if block.dtype in (np.float32, np.float64):
        return block
    if block.dtype.kind not in "fiub" and "bfloat16" not in str(block.dtype):
        raise ValueError(f"{name}: expected numbers, got an array of {block.dtype}")
    return block.astype(np.float32 if block.dtype.itemsize == 2 and block.dtype.kind not in "iu" else np.float64)


def as_labels(labels: Any, n: int, name: str = "labels", rows_of: str = "probs") -> NDArray[Any]:
    """Integer class indices as a one-dimensional NumPy array of length n.

    Args:
        labels: (n,) or (n, 1) integers, one class index per row.
        n: the number of rows they belong to.
        name: the argument's name, for messages.
        rows_of: what has n rows, for messages.

    Raises:
        ValueError: for one-hot or multi-label tables, soft labels, and a wrong number of labels.

    Example:
        >>> as_labels([0, 2, 1], n=3)
        array([0, 2, 1])
        >>> as_labels([0.0, 1.0], n=2)
        Traceback (most recent call last):
        ...
        ValueError: labels: expected integer class indices, got float64; take the argmax of soft targets first
    """
    array = as_array(labels, name)
    if hasattr(array, "detach"):
        array = array.cpu()
        array = (array.float() if "bfloat16" in str(array.dtype) else array).numpy()
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one class index per row, shape (n,), got shape {tuple(array.shape)}")
    if len(array) != n:
        raise ValueError(f"{name}: {len(array)} labels for {n} rows of {rows_of}; give one label per row")
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind not in "iu" and n:
        raise ValueError(
            f"{name}: expected integer class indices, got {array.dtype}; take the argmax of soft targets first"
        )
    return array


def check_shape(probs: Any, name: str = "probs") -> int:
    """Returns the number of classes, 1 meaning the positive class's probability alone.

    Raises:
        ValueError: for an empty input and for anything but (n, k), (n, 1) or (n,).
    """
    shape = tuple(probs.shape)
    if len(shape) not in (1, 2):
        raise ValueError(f"{name}: expected shape (n, k), (n, 1) or (n,), got {shape}")
    if 0 in shape:
        raise ValueError(f"{name}: empty input, shape {shape}; give at least one row")
    return 1 if len(shape) == 1 else int(shape[1])


def row_sum_tolerance(probs: Any) -> float:
    """How far a row may be from the sum 1, by the number format it came in."""
    return ROW_SUM_TOLERANCE.get(str(probs.dtype).rpartition(".")[2], 1e-4)


def _raise_for_bad_rows(block: NDArray[Any], first_row: int, tolerance: float, name: str) -> None:
    """Raises ValueError for the first bad row of a block in which a quick look found one; float64 has the last word."""
    table = block.reshape(len(block), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        sums = table.sum(axis=1)
        finite = np.isfinite(sums)
        inside = (table.min(axis=1) >= 0) & (table.max(axis=1) <= 1 + tolerance)
        normalised = np.abs(sums - 1) <= tolerance
    good = finite & inside & normalised if block.ndim == 2 else finite & inside
    if good.all():
        return
    row = int(np.argmin(good))
    shown = np.array2string(table[row], threshold=8, precision=6)
    hint = "if these are logits, apply softmax to them first"
    if not finite[row]:
        raise ValueError(f"{name}: row {first_row + row} is not finite: {shown}")
    if not inside[row]:
        raise ValueError(f"{name}: row {first_row + row} has a value outside [0, 1]: {shown}; {hint}")
    raise ValueError(
        f"{name}: row {first_row + row} sums to {sums[row]:.6g}, expected 1 (within {tolerance:g}): {shown}; {hint}"
    )


def _check_labels(labels: NDArray[Any], n_classes: int, first_row: int) -> None:
    """Raises ValueError for the first label outside 0 .. n_classes - 1."""
    if labels.min() < 0 or labels.max() >= n_classes:
        row = int(np.argmax((labels < 0) | (labels >= n_classes)))
        raise ValueError(
            f"labels: row {first_row + row} has label {labels[row]}, "
            f"expected 0 to {n_classes - 1} ({n_classes} classes)"
        )


def _score_one_column(
    block: NDArray[Any], labels: NDArray[Any], positive: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence and correctness of a binary task given as P(class 1); at exactly one half, class 0 wins."""
    score = block.astype(np.float64)
    if positive:
        return score, labels == 1
    predicted = score > 0.5
    return np.where(predicted, score, 1.0 - score), predicted == (labels == 1)


def _score_few_classes(
    block: NDArray[Any], columns: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Winning score and correctness from a transposed block; only tied rows still need an argmax."""
    winning = columns.max(axis=0)
    rows = len(block)
    correct = columns.reshape(-1).take(labels * rows + np.arange(rows)) == winning
    is_winning = columns == winning
    if np.count_nonzero(is_winning) != len(block):
        tied = np.flatnonzero(is_winning.sum(axis=0) > 1)
        correct[tied] = block[tied].argmax(axis=1) == labels[tied]
    return winning.astype(np.float64), correct


def top_label_block(
    block: NDArray[Any],
    labels: NDArray[Any],
    *,
    first_row: int,
    tolerance: float,
    positive: bool = False,
    validate: bool = True,
    name: str = "probs",
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Winning scores (m,) and whether the winner is the label (m,), of one block of m rows, checked but for labels."""
    if block.ndim == 2 and block.shape[1] == 1:
        block = block[:, 0]
    if block.ndim == 1:
        if validate and not (block.min() >= 0 and block.max() <= 1):
            _raise_for_bad_rows(block, first_row, 0.0, name)
        return _score_one_column(block, labels, positive)
    few_classes = block.shape[1] <= COLUMN_WISE_CLASSES
    columns = np.ascontiguousarray(block.T) if few_classes else block
    if validate:
        sums = columns.sum(axis=0) if few_classes else np.einsum("nk->n", block)
        if not (columns.min() >= 0 and np.abs(sums - 1).max() <= tolerance):
            _raise_for_bad_rows(block, first_row, tolerance, name)
    if few_classes:
        confidence, correct = _score_few_classes(block, columns, labels)
    else:
        winner = block.argmax(axis=1)
        confidence = block[np.arange(len(block)), winner].astype(np.float64)
        correct = winner == labels
    return np.minimum(confidence, 1.0, out=confidence), correct


def top_label_blocks(
    probs: Any, labels: Any, *, positive: bool = False, validate: bool = True
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yields (confidence, correct) block by block, so that memory does not grow with n.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        positive: for one-column input, score P(class 1) against the event "label is 1" instead of the
            winning class.
        validate: False skips the checks of values (not of shapes), for data checked before.

    Raises:
        ValueError: as the module says, with the first offending row.
    """
    probs = as_array(probs, "probs")
    n_classes = check_shape(probs)
    labels = as_labels(labels, len(probs))
    tolerance = row_sum_tolerance(probs)
    step = min(SPAN_ROWS, max(1, BLOCK_VALUES // n_classes))
    for span in range(0, len(probs), SPAN_ROWS):
        stop = min(span + SPAN_ROWS, len(probs))
        if validate:
            _check_labels(labels[span:stop], max(n_classes, 2), span)
        confidence, correct = np.empty(stop - span), np.empty(stop - span, dtype=bool)
        for start in range(span, stop, step):
            end = min(start + step, stop)
            confidence[start - span : end - span], correct[start - span : end - span] = top_label_block(
                as_floats(probs[start:end], "probs"),
                labels[start:end],
                first_row=start,
                tolerance=tolerance,
                positive=positive,
                validate=validate,
            )
        yield confidence, correct


def top_label(
    probs: Any, labels: Any, *, positive: bool = False, validate: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Winning scores and whether the winner is the label; ties go to the first index, as argmax does.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        positive: for one-column input, score P(class 1) against the event "label is 1" instead of the
            winning class.
        validate: False skips the checks of values.

    Returns:
        Two arrays of length n: confidence in [0, 1], and correctness.

    Raises:
        ValueError: for NaN, infinities, values outside [0, 1], rows that do not sum to 1, labels out of
            range, ragged rows, different lengths and empty input, with the first offending row.

    Example:
        >>> top_label([[0.2, 0.8], [0.5, 0.5]], [1, 1])
        (array([0.8, 0.5]), array([ True, False]))
    """
    blocks = list(top_label_blocks(probs, labels, positive=positive, validate=validate))
    return np.concatenate([c for c, _ in blocks]), np.concatenate([a for _, a in blocks])
