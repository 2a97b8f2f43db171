"""What stands in a column of labels: names or whole numbers, one class a row; anything else is refused."""

from __future__ import annotations

import re
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nlp_mixup.data.label_names import shorten
from nlp_mixup.data.table_files import is_string

UNLABELLED = "-100"
_ONE_CLASS = "Accepted is one class a row: whole numbers 0..K-1, or names. Type --label_column NAME."
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def check_labels(column: pa.ChunkedArray, feature: Any, where: str, first_row: int) -> pa.ChunkedArray:
    """Labels as names or int64; an error for what is no class."""
    kind = column.type
    if isinstance(feature, datasets.ClassLabel):
        name_of = dict(enumerate(feature.names))  # a hidden label, -1, has no name and stays "-1"
        return pa.chunked_array([[name_of.get(label, str(label)) for label in column.to_pylist()]], pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "True", "False")
    if pa.types.is_integer(kind):
        return _as_int64(column, where)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        raise ValueError(f"{where} holds lists, several labels a row. {_ONE_CLASS}")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        column = pa.chunked_array([[str(label) for label in column.to_pylist()]])  # Arrow would write 1.0 as "1"
    elif not is_string(kind):
        raise ValueError(f"{where} holds {kind}. {_ONE_CLASS}")

    column = column.cast(pa.string())
    blank = np.flatnonzero(pc.equal(pc.utf8_trim_whitespace(column), "")) + first_row
    if len(blank):
        raise ValueError(f"{where} is blank in row {shorten(blank)}. {_ONE_CLASS} Or leave them out: --drop_blank.")
    names = sorted(pc.unique(column).to_pylist())
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    if numbers == [UNLABELLED] and len(names) > 1:  # names, and rows without one
        return column
    if numbers and len(numbers) < len(names):
        others = [name for name in names if name not in numbers]
        raise ValueError(f"{where} mixes numbers ({shorten(numbers)}) and names ({shorten(others)}). {_ONE_CLASS}")
    if any(not float(number).is_integer() for number in numbers):
        raise ValueError(f"{where} holds decimal numbers, a regression target: {shorten(names)}. {_ONE_CLASS}")
    if not all(re.fullmatch(r"-?\d+", number) for number in numbers):
        raise ValueError(f"{where} holds decimal numbers: {shorten(names)}. Write 0 for 0.0, 1 for 1.0, ...")
    return _as_int64(column, where) if numbers else column


def _as_int64(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        large = sorted(int(label) for label in pc.unique(column).to_pylist() if abs(int(label)) >= 2**63)
        raise ValueError(f"{where} holds numbers beyond 64 bits: {shorten(large)}. {_ONE_CLASS}") from error
