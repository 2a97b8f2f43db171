"""Text data for classification: files, a Hub data set or the packaged demo become splits with class ids.

Everything about the data that can be wrong is found here, before a model is loaded. Local files are read anew each time,
so that no cached copy can be stale; only tokenised rows are cached, by a hash of what they say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa

from nlp_mixup.data.class_ids import HeldOut, class_tables, name_labels
from nlp_mixup.data.row_checks import Facts, facts_of
from nlp_mixup.data.row_hashes import hashed
from nlp_mixup.data.rows import TEXTS, read_rows
from nlp_mixup.data.sources import SPLIT_NAMES, find_sources
from nlp_mixup.data.splits import drop_hidden_test, subset, take_out

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from nlp_mixup.arguments import DataArguments


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
