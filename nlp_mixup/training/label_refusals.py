"""Which labels the trainer refuses: what is no class of the model, told from a data set's columns or its first batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset
from transformers.utils import logging

from nlp_mixup.training.watch import can_be_indexed, first_batch

if TYPE_CHECKING:
    from nlp_mixup.training.trainer import MixupMixin

logger = logging.get_logger(__name__)

LABEL_COLUMNS = ("labels", "label", "label_ids")  # what collators make the batch's labels of


def check_data_sets(train: Any, evaluation: Any, config: Any) -> None:
    """Refuses labels that are no classes of the model, in the training rows and in those of every evaluation set.

    Args:
        train: the training data set, or None.
        evaluation: the evaluation data set, several of them by name, or None.
        config: the model's configuration.
    """
    sets = {"train_dataset": train}
    if isinstance(evaluation, dict):
        sets |= {f"eval_dataset[{name!r}]": rows for name, rows in evaluation.items()}
    else:
        sets["eval_dataset"] = evaluation
    names: list[str] | None = None
    for where, rows in sets.items():
        if rows is not None:
            check_label_column(rows, where, config.num_labels)
            names = check_class_names(rows, where, config, names)


def check_label_column(dataset: Any, where: str, num_labels: int | None) -> None:
    """Refuses missing, float, multi-label, string and out-of-range labels where a data set tells them without reading rows."""
    for name in LABEL_COLUMNS:
        column = _label_column(dataset, name)
        if column is None:
            continue
        missing = column.null_count
        if missing:
            first = pc.index(pc.is_null(column), True).as_py()
            raise ValueError(
                f"The column {name!r} of {where} has no label in {missing:,} of {len(column):,} rows, first in row {first}. "
                "(load_dataset('csv') reads classes called None, NA or null as missing: give it keep_default_na=False.) "
                "Write -100 where a row has no label, or leave it out: dataset.filter(lambda row: row["
                f"{name!r}] is not None)"
            )
        kind = column.type
        check_label_type(_kind_of(kind))
        if pa.types.is_integer(kind):
            known = column.filter(pc.not_equal(column, -100))
            bounds = pc.min_max(known).as_py()
            if bounds["min"] is not None:
                low, high = bounds["min"], bounds["max"]
                wrong = low if low < 0 else high
                check_label_range(low, high, num_labels, f" (row {pc.index(column, wrong).as_py()} of {where})")


def check_first_evaluation_batches(trainer: MixupMixin) -> None:
    """Refuses the labels of evaluation sets that declare none, by their first batch; a stream is not opened for it."""
    evaluation = trainer.eval_dataset
    for rows in evaluation.values() if isinstance(evaluation, dict) else [evaluation]:
        if rows is None or hasattr(rows, "features") or not can_be_indexed(rows):
            continue
        batch = first_batch(trainer, rows)
        if "labels" in batch:
            check_batch_labels(batch["labels"], trainer.model.config.num_labels)


def check_training_batch(inputs: dict, num_labels: int | None) -> None:
    """Refuses a training batch without labels, or with others than the model's classes."""
    labels = inputs.get("labels")
    if labels is None:
        raise ValueError(
            f"The training batch has no labels, only {', '.join(sorted(inputs))}. Add a 'label' column of class ids, "
            "with a label in every row."
        )
    check_batch_labels(labels, num_labels)


def check_batch_labels(labels: Tensor, num_labels: int | None) -> None:
    """The same of a collated batch: it tells what a data set that declares nothing does not."""
    kind = "lists" if labels.dim() > 1 else "floats" if labels.dtype.is_floating_point else "integers"
    check_label_type("booleans" if labels.dtype == torch.bool else kind)
    known = labels
    if len(known) and known.min() == -100:  # marks a row without label
        known = labels[labels != -100]
    if len(known):
        lowest, highest = known.aminmax()
        check_label_range(int(lowest), int(highest), num_labels)


def check_label_range(low: int, high: int, num_labels: int | None, where: str = "") -> None:
    """Refuses labels outside the model's classes."""
    if num_labels is not None and (low < 0 or high >= num_labels):
        raise ValueError(
            f"Label {low if low < 0 else high} is outside the model's classes 0 to {num_labels - 1}{where}. Load the model "
            "with num_labels=K, or renumber the labels; -100 marks a row without one."
        )


def check_label_type(kind: str) -> None:
    """Refuses labels that are no integers, by what they are."""
    fixes = {
        "floats": "Convert them: dataset.cast_column('label', datasets.Value('int64')).",
        "booleans": "Convert them: dataset.cast_column('label', datasets.Value('int64')).",
        "strings": "Number them: dataset.class_encode_column('label'), in the order of model.config.id2label.",
        "lists": "Multi-label targets are not supported.",
    }
    if kind in fixes:
        raise ValueError(f"The labels are {kind}; mixup needs one integer class id per example. {fixes[kind]}")


def _label_column(dataset: Any, name: str) -> pa.ChunkedArray | pa.Array | None:
    """A column of labels, where it costs no more than reading that column."""
    if isinstance(dataset, Subset):
        column = _label_column(dataset.dataset, name)
        return None if column is None else column.take(pa.array(list(dataset.indices)))
    if isinstance(dataset, ConcatDataset):
        columns = [_label_column(part, name) for part in dataset.datasets]
        known = [column for column in columns if column is not None]
        if len(known) < len(columns) or len({column.type for column in known}) > 1:
            return None
        chunks = (column.chunks if isinstance(column, pa.ChunkedArray) else [column] for column in known)
        return pa.chunked_array([chunk for part in chunks for chunk in part])
    if isinstance(dataset, (list, tuple)):
        if not dataset or not all(isinstance(row, Mapping) and name in row for row in dataset):
            return None
        values = [row[name] for row in dataset]
        try:
            return pa.array([value.tolist() if hasattr(value, "tolist") else value for value in values])
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # no one type: the first batch tells
            return None
    features = getattr(dataset, "features", None) or {}
    # A transform made on the fly may make labels of what stands in the column.
    if name not in features or not hasattr(dataset, "format") or dataset.format["type"] == "custom":
        return None
    return dataset.select_columns(name).with_format("arrow")[:][name]


def _kind_of(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return "floats"
    if pa.types.is_boolean(kind):
        return "booleans"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "strings"
    return "integers" if pa.types.is_integer(kind) else "lists"


def _described(dataset: Any) -> Iterator[Any]:
    """The data sets that torch's wrappers hold, which say nothing of their columns themselves."""
    if isinstance(dataset, Subset):
        yield from _described(dataset.dataset)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _described(part)
    else:
        yield dataset


def check_class_names(dataset: Any, where: str, config: Any, others: list[str] | None = None) -> list[str] | None:
    """Refuses a data set whose classes bear the model's names, or an earlier data set's, under other numbers.

    Args:
        dataset: the rows.
        where: what they are called.
        config: the model's configuration.
        others: the names in the data sets before, where the model has none of its own.

    Returns:
        The names that the data set's were compared with, or its own.
    """
    for part in _described(dataset):
        others = _check_names_of(part, where, config, others)
    return others


def _check_names_of(dataset: Any, where: str, config: Any, others: list[str] | None) -> list[str] | None:
    features = getattr(dataset, "features", None) or {}
    found = [features[name].names for name in LABEL_COLUMNS if hasattr(features.get(name), "names")]
    ids = getattr(config, "id2label", None) or {}
    own = [str(ids[index]) for index in range(len(ids))]
    has_own = any(name != f"LABEL_{index}" for index, name in enumerate(own))
    known = own if has_own else others
    if not found or found[0] == [str(index) for index in range(len(found[0]))]:  # numbers are no names
        return known
    names = found[0]
    if known is None:
        return names
    spelt = {name.strip().casefold(): index for index, name in reversed(list(enumerate(known)))}
    places = {name: known.index(name) if name in known else spelt.get(name.strip().casefold()) for name in names}
    moved = next((name for index, name in enumerate(names) if places[name] not in (None, index)), None)
    if moved is not None:
        against = "model.config.id2label" if has_own else "the data sets before it"
        raise ValueError(
            f"{where} numbers the class {moved!r} {names.index(moved)}, and {against} {places[moved]}. Renumber the rows: "
            f"dataset.align_labels_with_mapping({{name: index for index, name in enumerate({known[:6]})}}, 'label')"
            + (f"; or, for a new head, set model.config.id2label = dict(enumerate({names[:6]}))" if has_own else "")
        )
    if has_own and None in places.values():
        logger.warning_once(
            f"{where} calls its classes {', '.join(names[:6])}; model.config.id2label calls them {', '.join(known[:6])}, which "
            "is what is saved and published. If they are others, set model.config.id2label = "
            f"dict(enumerate({names[:6]}))."
        )
    return known
