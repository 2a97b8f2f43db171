"""Opens a csv, json or parquet file: which columns it has, and their rows as an Arrow table.

Files are read with pyarrow rather than pandas: a text that says NA stays a text, and a row with a comma too many is an
error that names it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from nlp_mixup.data.label_names import shorten

EXTENSIONS = (".csv", ".jsonl", ".json", ".parquet")

Source: TypeAlias = Path | datasets.Dataset


@dataclass(frozen=True)
class Opened:
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


def open_table(source: Source, name: str) -> Opened:
    if not isinstance(source, Path):
        return Opened(
            name, source.column_names, 1, dict(source.features),
            lambda columns: source.select_columns(columns).with_format("arrow")[:],
        )  # fmt: skip
    name = str(source)
    if source.suffix.lower() == ".csv":
        return Opened(name, _csv_header(source), 2, {}, lambda columns: _read_csv(source, columns))
    if source.suffix.lower() == ".parquet":
        parquet = open_parquet(source)
        features = datasets.Features.from_arrow_schema(parquet.schema_arrow)
        return Opened(name, parquet.schema_arrow.names, 1, dict(features), parquet.read)
    records = _json_records(source)
    keys = list(dict.fromkeys(key for record in records for key in record))
    return Opened(
        name, keys, 1, {}, lambda columns: pa.table({c: _json_column(records, c, name) for c in columns})
    )  # fmt: skip


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


def is_string(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
