"""Rows of probabilities that miss the sum 1: taken, and made to sum to 1, where the precision of their values explains it.

A sum within `TOLERANCE` is taken as it is. A row that misses 1 by more is looked at, and mended so that no value leaves the
interval it was rounded from:

- Values of bfloat16 or float16, whatever array they lie in by now. A softmax in such a format rounds the sum of the
  exponentials, its reciprocal and the product once each, by at most u = 2^-8 or 2^-11 of their size; one u is to spare.
  Within 4 u the row is divided by its sum. (float16 below 2^-14 rounds by up to 2^-25 whatever the size: k times that is
  added.)
- Values of 3 to 6 decimals. With h the unit of the last one, each is off by at most h/2 and the sum of k by k h/2; more
  than .05 is not borne. What is missing is shared out evenly over the row, what is too much is taken evenly off the values
  above 0. Dividing by the sum would turn a winning .996, whose nine losers of .0004 were rounded to 0, into 1.

Probabilities are never told from logits here: a row that no precision explains is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What a row may miss the sum 1 by, and a value the range [0, 1], and be taken as it is: the rounding of a float32
#: softmax or of an average of some, with a margin.
TOLERANCE = 1e-4
#: Unit roundoff u: a rounded value is off by at most u times its size.
HALF_FORMATS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
MOST_BY_DECIMALS = 0.05

#: Of rows (m, k), what their sums exceed 1 by (m,), and the spacing of the array's own numbers: whether the rows' values
#: have this precision (m,), what it explains (m,), and the rows mended (m, k).
Look = Callable[
    [NDArray[np.float64], NDArray[np.float64], float],
    tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]],
]


def clean_rows(table: NDArray[Any], first_row: int = 0, name: str = "probs") -> NDArray[Any]:
    """Rows of probabilities, (m, k) floats, that sum to 1; the array itself where there was nothing to mend.

    Raises:
        ValueError: for the first row that is not finite, has a value outside [0, 1] or misses the sum 1 by more than the
            precision of its values explains; row 0 is called ``first_row``.

    Example:
        >>> clean_rows(np.array([[0.996] + 9 * [0.0]]))[:, :2].round(6)  # .996 and nine losers, of three decimals
        array([[9.964e-01, 4.000e-04]])
        >>> clean_rows(np.array([[0.94921875, 0.050048828125]])).round(4)  # .95 and .05 in bfloat16
        array([[0.9499, 0.0501]])
    """
    if table.min() >= 0 and np.abs(np.einsum("nk->n", table) - 1).max() <= TOLERANCE:
        return table
    return mend_rows(table, first_row, name)


def mend_rows(table: NDArray[Any], first_row: int, name: str) -> NDArray[np.float64]:
    """:func:`clean_rows` where a quick look found something; float64 has the last word."""
    spacing = float(np.finfo(table.dtype).eps)
    table = table.astype(np.float64)
    np.maximum(table, 0.0, out=table, where=table >= -TOLERANCE)
    with np.errstate(invalid="ignore"):
        off = table.sum(axis=1) - 1
    usable = np.isfinite(off) & (table.min(axis=1) >= 0)
    left = np.flatnonzero(usable & (np.abs(off) > TOLERANCE))
    for look in PRECISIONS.values():
        if len(left) == 0:
            break
        has_it, explained, mended = look(table[left], off[left], spacing)
        taken = has_it & (np.abs(off[left]) <= explained)
        table[left[taken]] = mended[taken]
        left = left[~taken]
    if len(left) or not usable.all():
        first = min(int(np.argmin(usable)) if not usable.all() else len(table), *left[:1].tolist(), len(table))
        raise ValueError(_complaint(table[first], first + first_row, off[first], spacing, name))
    return table


def _complaint(row: NDArray[np.float64], number: int, off: float, spacing: float, name: str) -> str:
    shown = np.array2string(row, threshold=8, precision=6)
    hint = "if these are logits, apply softmax to them first"
    if not np.isfinite(off):
        return f"{name}: row {number} is not finite: {shown}"
    if row.min() < 0 or row.max() > 1 + TOLERANCE:
        return f"{name}: row {number} has a value outside [0, 1]: {shown}; {hint}"
    within = f"within {TOLERANCE:g}"
    for precision, look in PRECISIONS.items():
        has_it, explained, _ = look(row[None], np.array([off]), spacing)
        if has_it[0] and explained[0] > TOLERANCE:
            within = f"within {explained[0]:.3g}, which its {precision} explain"
    return (
        f"{name}: row {number} sums to {1 + off:.6g}, expected 1 ({within}): {shown}; {hint}; "
        "if these are probabilities of low precision, divide each row by its sum"
    )


def half_sums(table: NDArray[Any], unit: str) -> NDArray[np.float64] | None:
    """What :func:`mend_rows` divides rows by, (m,), where the array itself came in a half format; None to look closer."""
    sums = np.einsum("nk->n", table, dtype=np.float64)
    off = np.abs(sums - 1)
    if not (table.min() >= 0 and off.max() <= _explained_by_half(unit, table.shape[1])):
        return None
    return np.where(off <= TOLERANCE, 1.0, sums)


def _explained_by_half(unit: str, k: int) -> float:
    return 4 * HALF_FORMATS[unit] + (k * 2.0**-25 if unit == "float16" else 0.0)


def _half(
    rows: NDArray[np.float64], off: NDArray[np.float64], spacing: float, *, unit: str
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    single = rows.astype(np.float32)
    bits = single.view(np.uint32)
    if unit == "float16":  # 13 bits fewer than float32; below 2^-14, multiples of 2^-24
        exact = np.where(single >= 2.0**-14, bits & 0x1FFF == 0, single * 2.0**24 == np.rint(single * 2.0**24))
    else:
        exact = bits & 0xFFFF == 0
    has_it = np.all(exact & (single == rows), axis=1)
    return has_it, np.full(len(rows), _explained_by_half(unit, rows.shape[1])), rows / (1 + off[:, None])


def _decimals(
    rows: NDArray[np.float64], off: NDArray[np.float64], spacing: float, *, digits: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    has_it = np.all(np.abs(rows - rows.round(digits)) <= spacing, axis=1)
    shares = (rows > 0) | (off[:, None] < 0)
    sharers = shares.sum(axis=1)
    explained = np.minimum(sharers * 0.5 * 10.0**-digits, MOST_BY_DECIMALS)
    slack = rows.shape[1] * spacing  # the array's own rounding of each value
    return has_it, explained + slack, rows - shares * (off / np.maximum(sharers, 1))[:, None]


#: Finest first: what a finer precision explains is not laid to a coarser one.
PRECISIONS: dict[str, Look] = {
    "float16 values": partial(_half, unit="float16"),
    "bfloat16 values": partial(_half, unit="bfloat16"),
    **{f"{digits} decimals": partial(_decimals, digits=digits) for digits in (6, 5, 4, 3)},
}
