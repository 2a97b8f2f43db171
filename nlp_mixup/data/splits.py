"""Which rows go into which split: drawn by class, cut to a number, taken out by class, or left out where labels are hidden."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nlp_mixup.data.label_names import shorten
from nlp_mixup.data.numbered_labels import labels_of
from nlp_mixup.data.rows import PLACE, Rows

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from nlp_mixup.arguments import DataArguments

logger = logging.getLogger(__name__)


def stratified_rows(
    labels: np.ndarray, size: int, seed: int, *, keep: int = 0, at_least: int = 0, groups: np.ndarray | None = None
) -> np.ndarray:
    """Draws rows at random so that each class gets its share, to within one row (largest remainder).

    With groups, all rows of a group are drawn or none; the classes' shares are then met as nearly as that allows. Where
    every row is a group of its own, the same rows are drawn as without.

    >>> labels = np.array([0] * 80 + [1] * 20)
    >>> np.bincount(labels[stratified_rows(labels, 10, seed=13)]).tolist()
    [8, 2]

    Args:
        labels: (n,) class ids 0..K-1.
        size: How many rows to draw.
        seed: Seed of the draw, which is the same on every machine and for every numpy.
        keep: So many rows of each class are never drawn.
        at_least: So many rows of each class are drawn, where the class has them.
        groups: (n,) what is alike for the rows of a group.

    Returns:
        Sorted indices into `labels`: `size` of them, or fewer where `keep` leaves no more.
    """
    counts = np.bincount(labels)
    room = np.maximum(counts - keep, 0)
    floor = np.minimum(at_least, room)
    share = counts * size / len(labels)
    take = np.clip(np.floor(share).astype(int), floor, room)
    while take.sum() < size and (take < room).any():
        take[np.argmax(np.where(take < room, share - take, -np.inf))] += 1
    while take.sum() > size and (take > floor).any():
        take[np.argmax(np.where(take > floor, take - share, -np.inf))] -= 1
    random = np.random.RandomState(seed)  # its stream is frozen; that of default_rng may change
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(counts))]
    if groups is not None and len(np.unique(groups)) < len(groups):
        return _grouped_rows(labels, orders, take, room, groups)
    return np.sort(np.concatenate([order[:n] for order, n in zip(orders, take, strict=True)]))


def _grouped_rows(
    labels: np.ndarray, orders: list[np.ndarray], take: np.ndarray, room: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Whole groups in the order of their rows, as near to `take` rows of each class as they come, within `room`."""
    which = np.unique(groups, return_inverse=True)[1]
    members = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    taken, chosen = np.zeros_like(take), np.zeros(len(labels), bool)
    for may_exceed in (False, True):  # what fits, and then what comes nearer than it was
        for label, order in enumerate(orders):
            for row in order:
                if taken[label] >= take[label]:
                    break
                if chosen[row]:
                    continue
                group = members[which[row]]
                after = taken + np.bincount(labels[group], minlength=len(take))
                is_possible = (after <= (room if may_exceed else np.minimum(take, room))).all()
                gain = np.abs(taken - take).sum() - np.abs(after - take).sum()
                if is_possible and (gain > 0 or (gain == 0 and taken[label] == 0)):
                    taken = after
                    chosen[group] = True
    if not chosen.any() and take.any():  # groups are large beside the share that is asked for: one of the smallest
        rows = np.concatenate(orders)
        for row in rows[np.argsort([len(members[which[row]]) for row in rows], kind="stable")]:
            if (np.bincount(labels[members[which[row]]], minlength=len(take)) <= room).all():
                return members[which[row]]
    return np.flatnonzero(chosen)


def drop_hidden_test(rows: dict[str, Rows], args: DataArguments) -> None:
    """Leaves out a test split none of whose rows has a label: all are -1, unless ``label_map`` names it, or -100."""
    if "test" not in rows:
        return
    labels = set(map(str, labels_of(rows["test"])))
    if not labels or (labels == {"-1"} and not any(entry.startswith("-1=") for entry in args.label_map)):
        hidden = "-1" if labels else "-100"
        logger.warning("%s is left out: its labels are hidden (all are %s).", rows["test"].source, hidden)
        del rows["test"]


def take_out(rows: dict[str, Rows], classes: list[str]) -> tuple[dict[str, Rows], datasets.Dataset | None]:
    """The splits without some classes, which are then named, not numbered; and the last split's rows of those classes."""
    kept: dict[str, Rows] = {}
    texts = pa.table({})
    found = set()
    for split, part in rows.items():
        labels = part.table["label"]
        if "label_name" in part.table.column_names:
            labels = part.table["label_name"]
        table = part.table.drop_columns(["label", *({"label_name"} & set(part.table.column_names))])
        table = table.append_column("label", labels.cast(pa.string()))
        is_out = pc.is_in(table["label"], pa.array(classes))
        found |= set(pc.unique(table["label"].filter(is_out)).to_pylist())
        texts = table.filter(is_out).drop_columns(["label", *({PLACE} & set(table.column_names))])
        names = [name for name in part.label_names if name not in classes] if part.label_names else None
        kept[split] = Rows(table.filter(pc.invert(is_out)), part.source, names, part.unlabelled)
    if missing := sorted(set(classes) - found):
        logger.warning(
            "ood_classes: no row is of the class %s; the classes are %s.",
            shorten(missing), shorten(sorted(pc.unique(next(iter(kept.values())).table["label"]).to_pylist())),
        )  # fmt: skip
    return kept, datasets.Dataset(texts) if len(texts) else None


def subset(table: pa.Table, split: str, args: DataArguments) -> pa.Table:
    """At most ``max_train_samples`` or ``max_eval_samples`` rows; in train, each class keeps one at least."""
    limit = args.max_train_samples if split == "train" else args.max_eval_samples
    if limit is None or limit >= len(table):
        return table
    labels = table["label"].to_numpy()
    classes = len(np.unique(labels))
    if split == "train" and limit < classes:
        raise ValueError(
            f"max_train_samples is {limit}, but there are {classes} classes, each of which needs a row. "
            f"Type --max_train_samples {classes} or more."
        )
    at_least = 1 if split == "train" else 0
    return table.take(stratified_rows(labels, limit, args.data_split_seed, at_least=at_least))
