"""A classifier from anywhere and the labelled rows it is judged by, their labels matched with its classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from datasets import DatasetDict
from transformers import DataCollatorWithPadding

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import (
    HeldOut,
    judged_rows,
    match_labels,
    number_classes,
    read_held_out,
    tell_unlabelled,
    text_data,
    tokenize,
    trained_rows,
)
from nlp_mixup.doctor.arguments import DoctorArguments
from nlp_mixup.models import SAMPLE, load_trained, reads_images, settle_padding

NO_LIMIT = 10**6  # a tokenizer that knows none has a larger number


@dataclass(frozen=True)
class Subject:
    """A model and the rows that it is judged by; whatever makes one of these can be evaluated.

    Attributes:
        model: a classifier of K classes.
        splits: ``validation``, ``test`` or both: model inputs and ``labels``, the model's class ids.
        sources: split -> what its rows are called.
        label_names: the model's K class names.
        label_map: data label -> the model's class, as they were matched.
        data_collator: makes a batch of rows.
        notes: what a reader should know of how the rows were read.
        trained_on: split -> how many of its rows the model was trained on; see `nlp_mixup.data.row_checks.RowReport`.
    """

    model: Any
    splits: DatasetDict
    sources: dict[str, str]
    label_names: list[str]
    label_map: dict[str, str]
    data_collator: Callable[[list[Any]], dict[str, Any]]
    notes: list[str]
    trained_on: dict[str, dict[str, Any]] = field(default_factory=dict)


def prepare(model: str, data: DataArguments, options: DoctorArguments) -> Subject:
    """Reads the rows, loads the model and matches their labels with its classes, by ``task`` or as the model's config says.

    Raises:
        ValueError: settings, data, model or labels that cannot be used; so do FileNotFoundError and ImportError.
    """
    for name in ("train_file", "max_train_samples"):
        if getattr(data, name) is not None:
            raise ValueError(
                f"{name} has no use here: rows that a model was trained on say nothing of its calibration. Type "
                "--validation_file FILE, --test_file FILE or both."
            )
    files = [Path(name).expanduser() for name in (data.validation_file, data.test_file) if name]
    if len(files) == 2 and files[0].resolve() == files[1].resolve():
        raise ValueError(f"validation_file and test_file are both {files[0]}. Give it once: --validation_file.")
    if data.task == "image" or reads_images(model, revision=options.model_revision):
        from nlp_mixup.vision.doctor import prepare_images

        return prepare_images(model, data, options)
    return prepare_texts(model, data, options)


def prepare_texts(model: str, data: DataArguments, options: DoctorArguments) -> Subject:
    """`prepare` for texts. Raises what it raises."""
    held_out = read_held_out(data)
    network, tokenizer = load_trained(
        model,
        revision=options.model_revision,
        tokenizer_name=options.tokenizer_name,
        trust_remote_code=options.trust_remote_code,
        dtype=dtype_of(options),
    )
    classes, label_map, tables = match_classes(network, held_out, data)
    texts = text_data(tables, classes, data)
    splits = tokenize(texts, tokenizer, max_length=data.max_length)
    collate, notes = DataCollatorWithPadding(tokenizer), []
    if options.per_device_eval_batch_size > 1:
        change = settle_padding(network, collate, _sample(splits), tokenizer)
        notes += [change] if change else []
    limit = tokenizer.model_max_length
    longest = min(data.max_length, limit)
    full = sum(len(ids) >= longest for split in splits.values() for ids in split["input_ids"])
    total = sum(map(len, splits.values()))
    trained, unknown = trained_rows(model)
    rows = judged_rows(texts.facts, classes, trained, noun="pair of texts" if data.text_pair_column else "text")
    takes = f" the model takes {limit}: --max_length {limit}." if longest < limit < NO_LIMIT else " see --max_length."
    cut = f"{full:,} of {total:,} rows fill {longest} tokens and may have been cut:{takes}"
    return Subject(
        model=network,
        splits=splits,
        sources={split: read.rows.source for split, read in held_out.items()},
        label_names=classes,
        label_map=label_map,
        data_collator=collate,
        notes=[
            *unlabelled_notes(held_out),
            *notes,
            *([cut] if full else []),
            *([unknown] if unknown else []),
            *rows.notes,
        ],
        trained_on=rows.trained_on,
    )


def unlabelled_notes(held_out: dict[str, HeldOut]) -> list[str]:
    """How many rows of each split have no label."""
    return [line for read in held_out.values() for line in tell_unlabelled(read.rows)]


def _sample(splits: DatasetDict) -> list[dict[str, Any]]:
    """Some rows of the first split, as the collator gets them."""
    rows = next(iter(splits.values()))
    return [rows[row] for row in range(min(len(rows), SAMPLE))]


def dtype_of(options: DoctorArguments) -> torch.dtype | str:
    """What weights are loaded as: on a GPU the checkpoint's own type, on a CPU float32."""
    return "auto" if torch.accelerator.is_available() and not options.use_cpu else torch.float32


def match_classes(
    model: Any, held_out: dict[str, HeldOut], data: DataArguments
) -> tuple[list[str], dict[str, str], dict[str, pa.Table]]:
    """Matches the rows' labels with the model's classes.

    Args:
        model: a classifier.
        held_out: the splits as read.
        data: ``label_map``; ``label_noise``, and the seed of its draw.

    Returns:
        The model's K class names, data label -> class name, and the splits with class ids for labels.

    Raises:
        ValueError: a label that has no class, or whose class cannot be known.
    """
    config: Any = model.config
    classes = [str(config.id2label[index]) for index in range(config.num_labels)]
    id_of, label_map = {}, {}
    for split, read in held_out.items():
        id_of[split] = match_labels(read.counts, read.names, classes, data.label_map, read.rows.source)
        for label, class_id in sorted(id_of[split].items(), key=lambda item: item[1]):
            label_map[str(read.names.get(label, label) if isinstance(label, int) else label)] = classes[class_id]
    return classes, label_map, number_classes(held_out, id_of, len(classes), data)
