"""Reads the rows of one split from a file or a loaded data set, and finds whatever is wrong with them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nlp_mixup.data.label_names import shorten
from nlp_mixup.data.label_values import UNLABELLED, check_labels
from nlp_mixup.data.table_files import Opened, Source, is_string, open_table

if TYPE_CHECKING:
    from nlp_mixup.arguments import DataArguments

logger = logging.getLogger(__name__)

TEXTS = ("text", "text_pair")  # columns of a split as read ...
PLACE = "__place__"  # ... and where each of its rows stands, in words


@dataclass(frozen=True)
class Rows:
    """A split as read: strings in ``text`` (and ``text_pair``) and in `PLACE`, names or int64 in ``label``."""

    table: pa.Table
    source: str
    label_names: list[str] | None  # of a ClassLabel feature, in its order
    unlabelled: int = 0  # rows that had the label -100 and are not in the table


def read_rows(source: Source, split: str, args: DataArguments) -> Rows:
    """The wanted columns under the names of their roles, with every row accounted for."""
    wanted = {"text": args.text_column, "label": args.label_column}
    if args.text_pair_column:
        wanted["text_pair"] = args.text_pair_column
    opened = open_table(source, f"{args.dataset_name} ({split})")
    check_columns(opened.name, opened.columns, wanted)
    names_column = ["label_name"] if args.label_column == "label" and "label_name" in opened.columns else []
    table = with_places(opened.read(list(dict.fromkeys([*wanted.values(), *names_column]))), opened.first_row)
    if args.drop_blank:
        table = drop_blank(table, list(wanted.values()), opened.name)
    checked = {role: _checked(opened, table, role, column) for role, column in wanted.items()}
    for column in names_column:
        checked[column] = table[column]
    checked[PLACE] = table[PLACE]
    feature = opened.features.get(args.label_column)
    names = feature.names if isinstance(feature, datasets.ClassLabel) else None
    return labelled(Rows(pa.table(checked), opened.name, names), split)


def labelled(rows: Rows, split: str) -> Rows:
    """The rows that have a label, and how many have none: -100, as PyTorch's losses have it.

    Raises:
        ValueError: no row of train or validation has a label. A test split may be without, as those of contests are.
    """
    keep = pc.not_equal(rows.table["label"].cast(pa.string()), UNLABELLED)
    table = rows.table.filter(keep)
    if len(table) == 0 and split != "test":
        raise ValueError(
            f"{rows.source}: all {len(rows.table)} rows are without a label ({UNLABELLED}). Give rows with one."
        )
    return replace(rows, table=table, unlabelled=len(rows.table) - len(table))


def tell_unlabelled(rows: Rows) -> list[str]:
    """How many rows of a split have no label, in a sentence, where there are any."""
    if not rows.unlabelled:
        return []
    total = rows.unlabelled + len(rows.table)
    return [f"{rows.source}: {rows.unlabelled:,} of {total:,} rows have no label ({UNLABELLED}) and are left out."]


def with_places(table: pa.Table, first_row: int) -> pa.Table:
    """The table with `PLACE`: "row 2" is the first of a CSV file, whose header is row 1."""
    if PLACE in table.column_names:
        table = table.drop_columns([PLACE])
    return table.append_column(PLACE, pa.array([f"row {row}" for row in range(first_row, first_row + len(table))]))


def blank_rows(table: pa.Table, columns: list[str]) -> np.ndarray:
    """The rows with a column that is missing, empty or all blanks.

    >>> blank_rows(pa.table({"a": ["x", " ", None, "y"], "b": [1, 2, 3, None]}), ["a", "b"])
    array([1, 2, 3])
    """
    blank = np.zeros(len(table), bool)
    for column in columns:
        values = table[column]
        blank |= pc.is_null(values).to_numpy()
        if is_string(values.type):
            trimmed = pc.utf8_trim_whitespace(values.cast(pa.string()))
            blank |= pc.fill_null(pc.equal(trimmed, ""), False).to_numpy()
    return np.flatnonzero(blank)


def drop_blank(table: pa.Table, columns: list[str], name: str) -> pa.Table:
    """The table without its blank rows, of which the log tells.

    Raises:
        ValueError: no row is left.
    """
    blank = blank_rows(table, columns)
    if len(blank) == 0:
        return table
    if len(blank) == len(table):
        raise ValueError(f"{name}: all {len(table)} rows are blank, so that --drop_blank leaves none. Check the file.")
    first = table[PLACE][int(blank[0])]
    logger.warning("%s: %d of %d rows are blank and left out (%s).", name, len(blank), len(table), first)
    return table.take(np.setdiff1d(np.arange(len(table)), blank))


def read_texts(path: Path, args: DataArguments, where: tuple[str, str] | None = None) -> pa.Table:
    """The texts of a file, labels aside; of the rows alone whose column has a value, if `where` says so."""
    wanted = {"text": args.text_column}
    if args.text_pair_column:
        wanted["text_pair"] = args.text_pair_column
    opened = open_table(path, str(path))
    check_columns(opened.name, opened.columns, wanted)
    _check_choice(opened.name, opened.columns, where)
    table = with_places(
        opened.read(list(dict.fromkeys([*wanted.values(), *(where[:1] if where else ())]))), opened.first_row
    )
    table = choose_rows(table, str(path), where)
    if args.drop_blank:
        table = drop_blank(table, list(wanted.values()), opened.name)
    return pa.table({role: _checked(opened, table, role, column) for role, column in wanted.items()})


def choose_rows(table: pa.Table, name: str, where: tuple[str, str] | None) -> pa.Table:
    """The rows whose column has a value, as text; all of them where `where` is None.

    Raises:
        ValueError: there is no such column or value; the message names those that are there.
    """
    if where is None:
        return table
    _check_choice(name, table.column_names, where)
    column, value = where
    values = table[column].cast(pa.string())
    if value not in (present := set(pc.unique(values).to_pylist())):
        raise ValueError(
            f"{name}: no row has {value!r} in column {column!r}, which holds {shorten(sorted(map(str, present)))}."
        )
    return table.filter(pc.equal(values, value))


def _check_choice(name: str, columns: list[str], where: tuple[str, str] | None) -> None:
    if where and where[0] not in columns:
        raise ValueError(f"{name} has no column {where[0]!r} to choose rows by; it has {', '.join(columns)}.")


def _checked(opened: Opened, table: pa.Table, role: str, column: str) -> pa.ChunkedArray:
    where = f"{opened.name}: column {column!r}"
    values = complete(table[column], where, opened.first_row)
    if role == "label":
        return check_labels(values, opened.features.get(column), where, opened.first_row)
    if not is_string(values.type):
        raise ValueError(f"{where} holds {values.type}, accepted are strings. Type --{role}_column NAME.")
    return values.cast(pa.string())


def check_columns(name: str, there: list[str], wanted: dict[str, str]) -> None:
    if not there:
        raise ValueError(f"{name} is empty: every split that is given needs rows. Check the file.")
    for role, column in wanted.items():
        if there.count(column) != 1:
            count = "no column" if column not in there else "several columns"
            raise ValueError(
                f"{name} has {count} {column!r} for the {role}; its columns are: {', '.join(there)}. "
                f"Type --{role}_column NAME."
            )
    if "text_pair" in there and "text_pair" not in wanted:
        logger.warning("%s: column 'text_pair' is not used. For pairs: --text_pair_column text_pair.", name)


def complete(column: pa.ChunkedArray, where: str, first_row: int) -> pa.ChunkedArray:
    if column.null_count:
        rows = np.flatnonzero(pc.is_null(column)) + first_row
        header = " (the header is row 1)" if first_row == 2 else ""
        raise ValueError(
            f"{where} is missing in {len(rows)} of {len(column)} rows: row {shorten(rows)}{header}. Fill or "
            f'remove these rows, or leave them out: --drop_blank; an empty text is written "".'
        )
    return column
