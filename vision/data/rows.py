"""Reads the rows of one split, encoded images {bytes, path} and labels, and finds whatever is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import (
    PLACE,
    Rows,
    check_columns,
    check_labels,
    complete,
    drop_blank,
    labelled,
    open_parquet,
    with_places,
)
from nlp_mixup.vision.data.decoding import CONTENT


def read_split(source: Any, split: str, args: DataArguments) -> Rows:
    if isinstance(source, Rows):
        return source
    name = str(source) if isinstance(source, Path) else f"{args.dataset_name} ({split})"
    if isinstance(source, Path):
        if source.suffix.lower() != ".parquet":
            raise ValueError(f"{name}: images are read from .parquet files or folders, train/CLASS/NAME.png.")
        parquet = open_parquet(source)
        there, features = parquet.schema_arrow.names, datasets.Features.from_arrow_schema(parquet.schema_arrow)
    else:
        there, features = source.column_names, source.features
    check_columns(name, there, {"image": args.image_column, "label": args.label_column})
    columns = [args.image_column, args.label_column]
    table = with_places(
        parquet.read(columns) if isinstance(source, Path) else source.select_columns(columns).with_format("arrow")[:], 1
    )
    if len(table) == 0:
        raise ValueError(f"{name} has no rows: every split that is given needs some. Check the file.")
    if args.drop_blank:
        table = drop_blank(table, columns, name)
    where, feature = f"{name}: column {args.label_column!r}", features.get(args.label_column)
    labels = check_labels(complete(table[args.label_column], where, 1), feature, where, 1)
    images = encoded_column(table[args.image_column], f"{name}: column {args.image_column!r}")
    names = feature.names if isinstance(feature, datasets.ClassLabel) else None
    return labelled(Rows(pa.table({"image": images, "label": labels, PLACE: table[PLACE]}), name, names), split)


def encoded_column(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Images as {bytes, path}; an error for what is none."""
    column = complete(column, where, 1)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.chunked_array([[{"bytes": content, "path": None} for content in column.to_pylist()]], CONTENT)
    fields = {field.name for field in column.type} if pa.types.is_struct(column.type) else set()
    if not {"bytes", "path"} <= fields:
        raise ValueError(
            f"{where} holds {column.type}, accepted are images: the bytes of files, as the Image feature of `datasets` "
            "stores them. Type --image_column NAME."
        )
    return pa.chunked_array([[{"bytes": row["bytes"], "path": row["path"]} for row in column.to_pylist()]], CONTENT)
