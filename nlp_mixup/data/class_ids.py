"""A row's label becomes a class id: those of training number the classes, those of held-out rows follow them or a model."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nlp_mixup.data.class_names import Naming, name_classes
from nlp_mixup.data.label_names import plain, shorten, shown, typed
from nlp_mixup.data.label_noise import add_label_noise
from nlp_mixup.data.numbered_labels import call_labels, labels_of, names_of_integers
from nlp_mixup.data.row_hashes import HASH, Hashes, hashed, text_hashes
from nlp_mixup.data.rows import Rows, tell_unlabelled
from nlp_mixup.data.splits import drop_hidden_test, stratified_rows, take_out

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from nlp_mixup.arguments import DataArguments

logger = logging.getLogger(__name__)


def class_tables(
    rows: dict[str, Rows],
    sources: Mapping[str, Any],
    args: DataArguments,
    classes: list[str] | None = None,
    hashes_of: Callable[[pa.Table], Hashes] | None = text_hashes,
) -> tuple[dict[str, pa.Table], Naming]:
    """Gives every split class ids for labels, draws a validation split where there is none, and then the label noise.

    Args:
        rows: ``train`` and the other splits, as read.
        sources: Of each split; a file may have names of the classes beside it.
        args: ``label_map``, ``validation_fraction``, ``label_noise`` and ``data_split_seed``.
        classes: Those of the model that training starts from, if it has any.
        hashes_of: alike for equal rows, which a drawn split keeps together; None where that is not known.

    Returns:
        The splits, each with its own columns and ``label``, and where there is noise the labels before it as `GIVEN`; and
        what the classes are called.

    Raises:
        ValueError: What is wrong with the labels, where it is, and what to type.
    """
    train = rows["train"]
    for line in [line for read in rows.values() for line in tell_unlabelled(read)]:
        logger.warning("%s", line)
    called, label_names, bare = call_labels(rows, sources, args, classes)
    naming = name_classes(
        {split: Counter(labels) for split, labels in called.items()}, label_names, bare, args.label_map, classes,
        {split: read.source for split, read in rows.items()},
    )  # fmt: skip
    label_names = naming.label_names
    tables = {"train": _with_class_ids(train, called["train"], naming, range(len(label_names)))}
    present = np.unique(tables["train"]["label"])
    if len(present) < 2:
        raise ValueError(
            f"{train.source} has a single class, {label_names[present[0]]!r}: there is nothing to classify. "
            f"Give rows of two classes or more, or name another column: --label_column NAME."
        )
    if len(present) < len(label_names):
        absent = [name for label, name in enumerate(label_names) if label not in present]
        logger.warning("%s has no row of these classes: %s.", train.source, shorten(absent))
    for split in rows.keys() - {"train"}:
        tables[split] = _with_class_ids(rows[split], called[split], naming, present)

    if "validation" not in tables:
        labels = tables["train"]["label"].to_numpy()
        size = max(1, round(args.validation_fraction * len(labels)))
        groups = None
        if hashes_of is not None:
            tables["train"] = hashed(tables["train"], hashes_of)
            groups = tables["train"][HASH].to_numpy()
        chosen = stratified_rows(labels, size, args.data_split_seed, keep=1, groups=groups)
        if len(chosen) == 0:
            raise ValueError(
                f"{train.source} has one row of each class, equal ones counted once, so no validation split can be drawn from "
                f"it. Type --validation_file FILE."
            )
        tables["validation"] = tables["train"].take(chosen)
        tables["train"] = tables["train"].take(np.setdiff1d(np.arange(len(labels)), chosen))
    add_label_noise(tables, len(label_names), args)
    return tables, naming


@dataclass(frozen=True)
class HeldOut:
    """A validation or test split as read, before anything numbers its classes.

    Attributes:
        rows: Its texts, and labels as the source has them.
        names: What integer labels are called, by a `ClassLabel`, a column ``label_name`` or ``labels.json``; empty
            where nothing names them.
    """

    rows: Rows
    names: dict[int, str]

    @property
    def counts(self) -> Counter[str | int]:
        """How many rows each label has."""
        return Counter(self.rows.table["label"].to_pylist())


def name_labels(rows: dict[str, Rows], sources: Mapping[str, Any], args: DataArguments) -> dict[str, HeldOut]:
    """Held-out rows with what their integer labels are called, without a test split whose labels are hidden.

    Args:
        rows: The splits as read.
        sources: Of each split; a file may have names of the classes beside it.
        args: ``ood_classes``, whose rows are left out.

    Raises:
        ValueError: No rows are left, or the names of the labels contradict each other.
    """
    drop_hidden_test(rows, args)
    if args.ood_classes:
        rows, _ = take_out(rows, args.ood_classes)
    rows = {split: read for split, read in rows.items() if len(read.table)}
    if not rows:
        raise ValueError("No labelled rows are left. Type --validation_file FILE.")
    held_out = {}
    for split, read in rows.items():
        names = dict(enumerate(read.label_names or []))
        if pa.types.is_integer(read.table["label"].type):
            names = names_of_integers(read, sources[split], labels_of(read)) or {}
        held_out[split] = HeldOut(read, names)
    return held_out


def number_classes(
    held_out: dict[str, HeldOut], id_of: dict[str, dict[str | int, int]], num_labels: int, args: DataArguments
) -> dict[str, pa.Table]:
    """Held-out rows with a model's class ids for labels, and then the label noise.

    Args:
        held_out: What `read_held_out` returned.
        id_of: For each split, every label of its rows -> the model's class id.
        num_labels: K, how many classes the model has.
        args: ``label_noise`` and ``data_split_seed``.
    """
    tables = {}
    for split, read in held_out.items():
        ids = [id_of[split][label] for label in read.rows.table["label"].to_pylist()]
        tables[split] = _with_label_column(read.rows, ids)
    add_label_noise(tables, num_labels, args)
    return tables


def _with_class_ids(rows: Rows, called: list[str], naming: Naming, known: Iterable[int]) -> pa.Table:
    """The table with class ids for labels, all of them among `known`, the ids that train has rows of."""
    id_of = {name: label for label, name in enumerate(naming.label_names)}
    ids = [id_of.get(naming.class_of[label], -1) for label in called]
    known = sorted(int(label) for label in known)
    unknown = Counter(label for label, class_id in zip(called, ids, strict=True) if class_id not in set(known))
    if unknown:
        counts = [f"{shown(label)} ({count} rows)" for label, count in unknown.most_common()]
        hint = ""
        if "-1" in unknown:
            hint = " Rows of no class (-1) go into a file of their own, or get the label -100, which leaves a row out."
        names = {plain(naming.label_names[label]): naming.label_names[label] for label in known}
        if alike := [f"{label}=={names[plain(label)]}" for label in unknown if plain(label) in names]:
            hint += (
                f" Some differ by blanks, case or Unicode form alone; if they are one class: --label_map {typed(alike)}"
            )
        raise ValueError(
            f"{rows.source} has labels that are no class of train: {shorten(counts)}. Train has: "
            f"{shorten(naming.label_names[label] for label in known)}. Remove these rows, or add such rows to train.{hint}"
        )
    return _with_label_column(rows, ids)


def _with_label_column(rows: Rows, ids: list[int]) -> pa.Table:
    others = [name for name in rows.table.column_names if name not in ("label", "label_name")]
    return rows.table.select(others).append_column("label", pa.array(ids, pa.int64()))
