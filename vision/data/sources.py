"""Where the images of a data set are: folders of classes, parquet files, a Hub data set or scikit-learn's digits.

Every split becomes a table of encoded images, {bytes, path}, and labels; a file of a folder is not read before it is decoded.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from PIL import Image

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import (
    HELD_OUT,
    NOISE,
    PLACE,
    SPLIT_NAMES,
    UNIFORM,
    Rows,
    check_columns,
    check_labels,
    choose_rows,
    complete,
    drop_blank,
    find_sources,
    is_hidden,
    labelled,
    named_sets,
    named_splits,
    open_parquet,
    shorten,
    stratified_rows,
    with_places,
)

DIGITS = "sklearn-digits"
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
CONTENT = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def image_sources(args: DataArguments, *, held_out: bool = False) -> dict[str, Any]:
    """Split name -> rows, a parquet file, or a data set that `datasets` has loaded; if `held_out`, without train."""
    return find_sources(args, held_out=held_out, named=_named_images)


def _named_images(name: str, args: DataArguments, *, needs_train: bool = True) -> dict[str, Any]:
    """The splits of ``dataset_name``; without need of train, a folder may hold the classes of one split alone."""
    if name == DIGITS:
        return dict(_digits(args.data_split_seed))
    folder = Path(name).expanduser()
    found = {
        split: folder / alias
        for split, aliases in SPLIT_NAMES.items()
        for alias in reversed(aliases)
        if (folder / alias).is_dir()
    }
    if "train" in found or (found and not needs_train):
        return {split: _folder_rows(place) for split, place in found.items() if needs_train or split != "train"}
    sources: dict[str, Any] = dict(named_splits(name, args, needs_train=needs_train))
    if (
        not sources
        and folder.is_dir()
        and any(entry.is_dir() and not is_hidden(entry.name) for entry in folder.iterdir())
    ):
        return {"test": _folder_rows(folder)}
    return sources


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and the folders below it, in order.

    What begins with a dot is no row: notebooks keep copies in ``.ipynb_checkpoints``, and macOS puts ``._NAME`` beside a file
    and ``__MACOSX`` into archives.
    """
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in EXTENSIONS and file.is_file())
    return [file for file in found if not any(map(is_hidden, file.relative_to(folder).parts))]


def _folder_rows(folder: Path) -> Rows:
    """The files of a folder whose sub-folders are the classes."""
    entries = sorted(entry for entry in folder.iterdir() if not is_hidden(entry.name))
    loose = [entry.name for entry in entries if entry.is_file() and entry.suffix.lower() in EXTENSIONS]
    if loose:
        raise ValueError(
            f"{folder} holds images outside of a class folder: {shorten(sorted(loose))}. Move them into CLASS/."
        )
    files, labels, places = [], [], []
    for place in (entry for entry in entries if entry.is_dir()):
        images = image_files(place)
        if not images:
            raise ValueError(
                f"{place} holds no images ({', '.join(EXTENSIONS)}), so the class {place.name!r} would have no rows. Add "
                "images, or remove the folder."
            )
        files += images
        labels += [place.name] * len(images)
        places += [file.relative_to(folder).as_posix() for file in images]
    if not files:
        raise ValueError(f"{folder} has no class folders. Accepted is {folder.name}/CLASS/NAME.png.")
    images = pa.array([{"bytes": None, "path": str(file)} for file in files], CONTENT)
    columns = {"image": images, "label": pa.array(labels, pa.string()), PLACE: pa.array(places, pa.string())}
    return Rows(pa.table(columns), str(folder), None)


def _digits(seed: int) -> dict[str, Rows]:
    """The 1,797 digits of 8x8 pixels that come with scikit-learn: 300 for training, 300 for validation, 1,197 for test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    contents = []
    for number, pixels in enumerate(digits.images):
        file = io.BytesIO()
        Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8)).save(file, format="png")
        contents.append({"bytes": file.getvalue(), "path": f"digit {number}"})
    table = pa.table({"image": pa.array(contents, CONTENT), "label": pa.array(digits.target.astype(np.int64))})
    held = stratified_rows(digits.target, 600, seed)
    validation = held[stratified_rows(digits.target[held], 300, seed)]
    rows = {
        "train": np.setdiff1d(held, validation),
        "validation": validation,
        "test": np.setdiff1d(np.arange(len(table)), held),
    }
    table = table.append_column(PLACE, pa.array([content["path"] for content in contents]))
    return {split: Rows(table.take(chosen), f"{DIGITS} ({split})", None) for split, chosen in rows.items()}


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
    images = _contents(table[args.image_column], f"{name}: column {args.image_column!r}")
    names = feature.names if isinstance(feature, datasets.ClassLabel) else None
    return labelled(Rows(pa.table({"image": images, "label": labels, PLACE: table[PLACE]}), name, names), split)


def _contents(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
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


def load_ood_tables(args: DataArguments) -> dict[str, pa.Table]:
    """The images that ``ood_files`` names, encoded, without labels.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: an entry is not NAME=PATH or NAME=FILE:COLUMN=VALUE, or a name is taken.
    """
    tables: dict[str, pa.Table] = {}
    for name, place, where in named_sets(args.ood_files or [], (NOISE, UNIFORM, HELD_OUT)):
        path = Path(place).expanduser()
        if path.is_dir() and where is not None:
            raise ValueError(
                f"ood_files: {place} is a folder, whose images have no column {where[0]!r}. Name a folder in it."
            )
        if path.is_dir():
            files = image_files(path)
            if not files:
                raise ValueError(f"ood_files: {path} holds no images ({', '.join(EXTENSIONS)}).")
            images = pa.chunked_array([[{"bytes": None, "path": str(file)} for file in files]], CONTENT)
        elif path.is_file():
            table = open_parquet(path).read()
            check_columns(str(path), table.column_names, {"image": args.image_column})
            table = choose_rows(table, str(path), where)
            images = _contents(table[args.image_column], f"{path}: column {args.image_column!r}")
        else:
            raise FileNotFoundError(f"ood_files: there is no file or folder {place}.")
        limit = args.max_eval_samples or len(images)
        chosen = np.random.RandomState(args.data_split_seed).permutation(len(images))[:limit]
        tables[name] = pa.table({"image": images}).take(np.sort(chosen))
    return tables
