"""Turns probabilities and labels of any common type into NumPy blocks, and refuses what cannot be scored.

Probabilities are told apart from logits by the caller's words, never by looking at the values: every
function of this package that takes ``probs`` wants probabilities, and only functions that say ``logits``
take logits. What looks like the other is warned of, never taken for it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .precision import HALF_FORMATS, TOLERANCE, half_sums, mend_rows

#: Values per block: many enough that NumPy's calls cost nothing, few enough that later passes find them in cache.
BLOCK_VALUES = 1 << 19
#: Rows that are scored before they are handed on together, so that binning works on long vectors.
SPAN_ROWS = 1 << 15
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
        >>> as_labels([[0, 1], [1, 0]], n=2)
        Traceback (most recent call last):
        ...
        ValueError: labels: expected one class index per row, shape (n,), got shape (2, 2); of one-hot or soft labels \
take the argmax first: labels.argmax(axis=1)
    """
    array = as_array(labels, name)
    if hasattr(array, "detach"):
        array = array.cpu()
        array = (array.float() if "bfloat16" in str(array.dtype) else array).numpy()
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name}: expected one class index per row, shape (n,), got shape {tuple(array.shape)}; "
            f"of one-hot or soft labels take the argmax first: {name}.argmax(axis=1)"
        )
    if len(array) != n:
        raise ValueError(f"{name}: {len(array)} labels for {n} rows of {rows_of}; give one label per row")
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind not in "iu" and n:
        raise ValueError(
            f"{name}: expected integer class indices, got {array.dtype}; take the argmax of soft targets first, "
            f"or {name}.astype(int) of whole numbers"
        )
    return array


def check_shape(probs: Any, name: str = "probs") -> int:
    """Returns the number of classes, 1 meaning the positive class's probability alone.

    Raises:
        ValueError: for an empty input, for anything but (n, k), (n, 1) or (n,), and for one column of whole numbers or
            truth values: no probability is of that type, but class ids are.

    Example:
        >>> check_shape(np.array([1, 0, 1]))
        Traceback (most recent call last):
        ...
        ValueError: probs: one column of int64 is class ids, not probabilities; give (n, k) rows of probabilities, or \
P(class 1) as floats
    """
    shape = tuple(probs.shape)
    if len(shape) not in (1, 2):
        raise ValueError(f"{name}: expected shape (n, k), (n, 1) or (n,), got {shape}")
    if 0 in shape:
        raise ValueError(f"{name}: empty input, shape {shape}; give at least one row")
    n_classes = 1 if len(shape) == 1 else int(shape[1])
    if n_classes == 1 and ("int" in str(probs.dtype) or "bool" in str(probs.dtype)):
        raise ValueError(
            f"{name}: one column of {probs.dtype} is class ids, not probabilities; "
            "give (n, k) rows of probabilities, or P(class 1) as floats"
        )
    return n_classes


def warn_caller(message: str) -> None:
    """Warns of the line that called into this package, so that Python shows it once for that line."""
    package, level, frame = __name__.partition(".")[0], 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def half_format(probs: Any) -> str | None:
    """``"bfloat16"`` or ``"float16"`` where an array or tensor has that type."""
    name = str(probs.dtype).rpartition(".")[2]
    return name if name in HALF_FORMATS else None


def _check_column(column: NDArray[Any], first_row: int, half: str | None) -> None:
    """Raises ValueError for the first value of P(class 1) that lies further outside [0, 1] than rounding explains."""
    tolerance = 4 * HALF_FORMATS[half] if half else TOLERANCE
    if column.min() >= -tolerance and column.max() <= 1 + tolerance:
        return
    row = int(np.argmin((column >= -tolerance) & (column <= 1 + tolerance)))
    said = "has a value outside [0, 1]" if np.isfinite(column[row]) else "is not finite"
    hint = "; if these are logits, apply the sigmoid to them first" if np.isfinite(column[row]) else ""
    raise ValueError(f"probs: row {first_row + row} {said}: [{column[row]:.9g}]{hint}")


def _warn_of_class_ids(column: Any) -> None:
    """Warns of ten or more values of P(class 1) that are all exactly 0 or 1, as class ids in floats are.

    Not refused: only the values tell, and a model may be that sure.
    """
    if len(column) < 10 or not np.isin(as_floats(column[:10], "probs"), (0, 1)).all():
        return
    if np.isin(as_floats(column, "probs"), (0, 1)).all():
        warn_caller(
            f"probs: P(class 1) is exactly 0 or 1 in all {len(column)} rows; if these are class ids, "
            "give probabilities: of class ids every calibration error is the error rate"
        )


def check_labels(labels: NDArray[Any], n_classes: int, first_row: int = 0) -> None:
    """Raises ValueError for the first label outside 0 .. n_classes - 1; of one column, n_classes is 1 and they are 0, 1."""
    if labels.min() < 0 or labels.max() >= max(n_classes, 2):
        row = int(np.argmax((labels < 0) | (labels >= max(n_classes, 2))))
        raise ValueError(bad_label(first_row + row, labels[row], n_classes, rows_of="probs"))


def bad_label(row: int, label: Any, n_classes: int, *, rows_of: str) -> str:
    """What is wrong with a label outside 0 .. n_classes - 1; of one column, n_classes is 1.

    Example:
        >>> print(bad_label(7, -100, 3, rows_of="logits"))
        labels: row 7 has label -100, which marks a row without a label; leave such rows out: logits[labels != -100], \
labels[labels != -100]
    """
    if label == -100:
        return (
            f"labels: row {row} has label -100, which marks a row without a label; leave such rows out: "
            f"{rows_of}[labels != -100], labels[labels != -100]"
        )
    meant = "; one column is P(class 1), so of more classes give (n, k)" if n_classes == 1 and label > 1 else ""
    n_classes = max(n_classes, 2)
    return f"labels: row {row} has label {label}, expected 0 to {n_classes - 1} ({n_classes} classes){meant}"


def _score_one_column(
    block: NDArray[Any], labels: NDArray[Any], positive: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence and correctness of a binary task given as P(class 1); at exactly one half, class 0 wins."""
    score = np.clip(block.astype(np.float64), 0.0, 1.0)  # a sum of rounded numbers may reach 1.0000001
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
    half: str | None,
    positive: bool = False,
    validate: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Winning scores (m,) and whether the winner is the label (m,), of one block of m rows, checked but for labels."""
    if block.ndim == 2 and block.shape[1] == 1:
        block = block[:, 0]
    if block.ndim == 1:
        if validate:
            _check_column(block, first_row, half)
        return _score_one_column(block, labels, positive)
    few_classes = block.shape[1] <= COLUMN_WISE_CLASSES
    columns = np.ascontiguousarray(block.T) if few_classes else block
    divisor = None
    if validate:
        sums = columns.sum(axis=0) if few_classes else np.einsum("nk->n", block)
        if not (columns.min() >= 0 and np.abs(sums - 1).max() <= TOLERANCE):
            divisor = half_sums(block, half) if half else None
            if divisor is None:
                block = mend_rows(block, first_row, "probs")
                columns = np.ascontiguousarray(block.T)
    if few_classes:
        confidence, correct = _score_few_classes(block, columns, labels)
    else:
        winner = block.argmax(axis=1)
        confidence = block[np.arange(len(block)), winner].astype(np.float64)
        correct = winner == labels
    if divisor is not None:
        confidence /= divisor
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
        validate: False skips the checks of values (not of shapes), for data checked before, and with them the mending
            of rows that :mod:`nlp_mixup.calibration.precision` describes.

    Raises:
        ValueError: as the module says, with the first offending row.
    """
    probs = as_array(probs, "probs")
    n_classes = check_shape(probs)
    labels = as_labels(labels, len(probs))
    half = half_format(probs)
    if validate and n_classes == 1:
        _warn_of_class_ids(probs)
    step = min(SPAN_ROWS, max(1, BLOCK_VALUES // n_classes))
    for span in range(0, len(probs), SPAN_ROWS):
        stop = min(span + SPAN_ROWS, len(probs))
        if validate:
            check_labels(labels[span:stop], n_classes, span)
        confidence, correct = np.empty(stop - span), np.empty(stop - span, dtype=bool)
        for start in range(span, stop, step):
            end = min(start + step, stop)
            confidence[start - span : end - span], correct[start - span : end - span] = top_label_block(
                as_floats(probs[start:end], "probs"),
                labels[start:end],
                first_row=start,
                half=half,
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
        ValueError: for NaN, infinities, values outside [0, 1], rows that miss the sum 1 by more than the precision of
            their values explains (:mod:`nlp_mixup.calibration.precision`), class ids in place of probabilities, labels
            out of range, ragged rows, different lengths and empty input, with the first offending row.

    Example:
        >>> top_label([[0.2, 0.8], [0.5, 0.5]], [1, 1])
        (array([0.8, 0.5]), array([ True, False]))
    """
    blocks = list(top_label_blocks(probs, labels, positive=positive, validate=validate))
    return np.concatenate([c for c, _ in blocks]), np.concatenate([a for _, a in blocks])
