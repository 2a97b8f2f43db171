"""What labels that are numbers are called: by a `ClassLabel`, a column ``label_name`` or ``labels.json``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from nlp_mixup.data.label_names import shorten, typed
from nlp_mixup.data.rows import Rows
from nlp_mixup.data.table_files import Source

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from nlp_mixup.arguments import DataArguments


def labels_of(rows: Rows) -> list[Any]:
    return sorted(pc.unique(rows.table["label"]).to_pylist())


def call_labels(
    rows: dict[str, Rows], sources: Mapping[str, Any], args: DataArguments, classes: list[str] | None
) -> tuple[dict[str, list[str]], list[str] | None, list[int]]:
    """What the label of every row is called, split by split; train's names in their order; and the numbers without names.

    Numbers of a `ClassLabel` mean the same in every split; numbers beside bare names are names themselves; and where train's
    numbers have names, those that another split gives its own numbers count.
    """
    train = rows["train"]
    names: dict[int, str] = {}
    label_names, bare = train.label_names, []
    if train.label_names is not None:
        names = dict(enumerate(train.label_names))
    elif pa.types.is_integer(train.table["label"].type):
        numbers = labels_of(train)
        names = names_of_integers(train, sources["train"], numbers) or {}
        if not names:
            bare = [int(label) for label in {number for read in rows.values() for number in labels_of(read)}]
        if not args.label_map:
            _check_numbers(train.source, names or {label: str(label) for label in numbers}, classes)
            label_names = [names.get(label, str(label)) for label in range(len(names or numbers))]
        elif names:
            label_names = [names[label] for label in sorted(names)]
    called = {}
    for split, read in rows.items():
        own = names
        if split != "train" and names and "label_name" in read.table.column_names:
            own = _read_names_column(read)
        called[split] = [
            own.get(label, str(label)) if isinstance(label, int) else label for label in read.table["label"].to_pylist()
        ]
    return called, label_names, bare


def _check_numbers(source: str, names: dict[int, str], classes: list[str] | None) -> None:
    """Refuses numbers other than 0..K-1, whose names or places nobody has said."""
    numbers = sorted(names)
    if numbers == list(range(len(numbers))):
        return
    wanted = classes if classes and len(classes) == len(numbers) else [_own_name(label, names) for label in numbers]
    hidden = " If -1 marks rows without a label, write -100, which leaves a row out." if -1 in names else ""
    raise ValueError(
        f"{source}: the labels are {shorten(numbers)}; accepted are whole numbers from 0 without a gap, here "
        f"0..{len(numbers) - 1}.{hidden} If these are the classes, give each a name, for instance: --label_map "
        f"{typed(f'{label}={name}' for label, name in zip(numbers, wanted, strict=True))}"
    )


def _own_name(label: int, names: dict[int, str]) -> str:
    return f"class {label}" if names[label] == str(label) else names[label]


def names_of_integers(rows: Rows, source: Source, labels: list[int]) -> dict[int, str] | None:
    """Integer label -> name, from the column ``label_name`` or ``labels.json``; None where there is neither."""
    if "label_name" in rows.table.column_names:
        return _read_names_column(rows)
    if not isinstance(source, Path) or not (path := source.parent / "labels.json").is_file():
        return None
    names = _read_names_file(path)
    if unnamed := [label for label in labels if label not in names]:
        raise ValueError(f"{path} has no name for the labels {shorten(unnamed)} of {source}. Add them.")
    return names


def _read_names_column(train: Rows) -> dict[int, str]:
    pairs = train.table.group_by(["label", "label_name"]).aggregate([]).to_pydict()
    named = sorted(zip(pairs["label"], map(str, pairs["label_name"]), strict=True))
    ids, names = (Counter(part) for part in zip(*named, strict=True))
    clashes = [f"{label} is {name!r}" for label, name in named if ids[label] > 1 or names[name] > 1]
    if clashes:
        raise ValueError(
            f"{train.source}: columns 'label' and 'label_name' disagree: {shorten(clashes)}. Accepted is one "
            f"name for each number; or train on the names: --label_column label_name."
        )
    return dict(named)


def _read_names_file(path: Path) -> dict[int, str]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig")).items()
        names = {int(label): str(name) for label, name in entries}
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{path}: accepted is {{"0": "negative", "1": "positive"}}, but {error}.') from error
    if len(set(names.values())) < len(names):
        raise ValueError(f"{path} gives one name to several labels: {shorten(names.values())}.")
    return names
