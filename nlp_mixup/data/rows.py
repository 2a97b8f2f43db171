"""Reads the rows of one split from a file or a loaded data set, and finds whatever is wrong with them.

Files are read with pyarrow rather than pandas: a text that says NA stays a text, and a row with a comma too many is an
error that names it.
"""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

if TYPE_CHECKING:
    from nlp_mixup.arguments import DataArguments

logger = logging.getLogger(__name__)

EXTENSIONS = (".csv", ".jsonl", ".json", ".parquet")

Source: TypeAlias = Path | datasets.Dataset
TEXTS = ("text", "text_pair")  # columns of a split as read ...
PLACE = "__place__"  # ... and where each of its rows stands, in words
UNLABELLED = "-100"
_ONE_CLASS = "Accepted is one class a row: whole numbers 0..K-1, or names. Type --label_column NAME."
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


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
    opened = _open(source, f"{args.dataset_name} ({split})")
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
        if _is_string(values.type):
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
    opened = _open(path, str(path))
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


@dataclass(frozen=True)
class _Opened:
    """A source whose columns are known and can be read."""

    name: str
    columns: list[str]
    first_row: int
    features: dict[str, Any]
    _read: Callable[[list[str]], pa.Table]

    def read(self, columns: list[str]) -> pa.Table:
        table = self._read(columns)
        if len(table) == 0:
            raise ValueError(f"{self.name} has no rows: every split that is given needs some. Check the file.")
        return table


def _open(source: Source, name: str) -> _Opened:
    if not isinstance(source, Path):
        return _Opened(
            name, source.column_names, 1, dict(source.features),
            lambda columns: source.select_columns(columns).with_format("arrow")[:],
        )  # fmt: skip
    name = str(source)
    if source.suffix.lower() == ".csv":
        return _Opened(name, _csv_header(source), 2, {}, lambda columns: _read_csv(source, columns))
    if source.suffix.lower() == ".parquet":
        parquet = open_parquet(source)
        features = datasets.Features.from_arrow_schema(parquet.schema_arrow)
        return _Opened(name, parquet.schema_arrow.names, 1, dict(features), parquet.read)
    records = _json_records(source)
    keys = list(dict.fromkeys(key for record in records for key in record))
    return _Opened(
        name, keys, 1, {}, lambda columns: pa.table({c: _json_column(records, c, name) for c in columns})
    )  # fmt: skip


def _checked(opened: _Opened, table: pa.Table, role: str, column: str) -> pa.ChunkedArray:
    where = f"{opened.name}: column {column!r}"
    values = complete(table[column], where, opened.first_row)
    if role == "label":
        return check_labels(values, opened.features.get(column), where, opened.first_row)
    if not _is_string(values.type):
        raise ValueError(f"{where} holds {values.type}, accepted are strings. Type --{role}_column NAME.")
    return values.cast(pa.string())


def existing_file(name: str, field: str) -> Path:
    """The file of an argument, which must be there and of a kind that can be read."""
    path = Path(name).expanduser()
    if not path.is_file():
        folder = path.parent
        inside = f"{folder} holds: {listing(folder)}" if folder.is_dir() else f"There is no folder {folder}"
        raise FileNotFoundError(f"{field}: there is no file {name}. {inside}. Type --{field} PATH.")
    if path.suffix.lower() not in EXTENSIONS:
        raise ValueError(
            f"{field}: {name} has the extension {path.suffix!r}; accepted are {', '.join(EXTENSIONS)}. "
            f"Convert the file, or rename it if it already is one of these."
        )
    return path


def is_hidden(name: str) -> bool:
    """Whether a file or folder was left by a tool, not by the one who made the data.

    >>> [is_hidden(name) for name in (".ipynb_checkpoints", "._train.csv", "__MACOSX", "train.csv")]
    [True, True, True, False]
    """
    return name.startswith(".") or name == "__MACOSX"


def listing(folder: Path) -> str:
    return shorten(sorted(entry.name for entry in folder.iterdir() if not is_hidden(entry.name))) or "nothing"


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


def _csv_header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines), [])
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}. Save it as UTF-8.") from error


def _read_csv(path: Path, columns: list[str]) -> pa.Table:
    """Columns as strings. An empty cell is missing; an empty text stands in quotes."""
    try:
        return pa.csv.read_csv(
            path,
            # One thread, so that errors name their row; one block, so that no long row is cut in two.
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=min(path.stat().st_size, 1 << 30)),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                include_columns=columns,
                column_types={column: pa.string() for column in columns},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path} cannot be read (its header is row 1): {error}. Accepted is UTF-8; a text with a comma, a "
            f'quote or a line break stands in quotes, "like, this".'
        ) from error


def open_parquet(path: Path) -> pa.parquet.ParquetFile:
    try:
        return pa.parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no parquet file: {error}") from error


def _json_records(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, or of one JSON list."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}. Save it as UTF-8.") from error
    # Not splitlines(), which also splits at the line separators that JSON allows inside a string.
    lines = [content] if content.lstrip().startswith("[") else content.split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line) if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: {error}. Accepted is one JSON object a line, or one list of objects."
            ) from error
        records += value if isinstance(value, list) else [value]
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise ValueError(f'{path}, row {number} is {record!r}; accepted is {{"text": "...", "label": 0}}.')
    return records


def _json_column(records: list[dict[str, Any]], column: str, name: str) -> pa.Array:
    values = [record.get(column) for record in records]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        integers = ((row, value) for row, value in enumerate(values, 1) if isinstance(value, int))
        if large := [f"{value} in row {row}" for row, value in integers if abs(value) >= 2**63]:
            raise ValueError(f"{name}: column {column!r} holds numbers beyond 64 bits: {shorten(large)}.") from error
        kinds: dict[str, str] = {}
        for row, value in enumerate(values, start=1):
            kinds.setdefault(type(value).__name__, f"{value!r} in row {row}")
        found = ", ".join(f"{example} ({kind})" for kind, example in kinds.items())
        raise ValueError(f"{name}: column {column!r} holds {found}. Write one type throughout.") from error


def complete(column: pa.ChunkedArray, where: str, first_row: int) -> pa.ChunkedArray:
    if column.null_count:
        rows = np.flatnonzero(pc.is_null(column)) + first_row
        header = " (the header is row 1)" if first_row == 2 else ""
        raise ValueError(
            f"{where} is missing in {len(rows)} of {len(column)} rows: row {shorten(rows)}{header}. Fill or "
            f'remove these rows, or leave them out: --drop_blank; an empty text is written "".'
        )
    return column


def _is_string(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


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
    elif not _is_string(kind):
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


def shorten(values: Iterable[Any], limit: int = 10) -> str:
    # Text from a file can hold control characters, which a terminal would obey.
    values = [text if (text := str(value)).isprintable() else repr(text) for value in values]
    return ", ".join(values[:limit]) + (f", ... ({len(values)} in all)" if len(values) > limit else "")
