"""Where the images of a data set are: folders of classes, parquet files, a Hub data set or scikit-learn's digits.

A folder becomes a table of its files and the names of their classes; a file is not read before it is decoded.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import PLACE, SPLIT_NAMES, Rows, find_sources, is_hidden, named_splits, shorten, stratified_rows
from nlp_mixup.vision.data.decoding import CONTENT

DIGITS = "sklearn-digits"
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


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
