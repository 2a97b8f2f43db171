"""What `nlp-mixup evaluate` needs of an image classifier: its rows and weights as the doctor's `Subject`.

Images are read as the model's own image processor reads them, and so as a pipeline would; with ``image_size``, as a copy of
it set to that size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import datasets
import pyarrow as pa
import torch
from torch import Tensor
from transformers import default_data_collator

import nlp_mixup.vision.models  # noqa: F401  registers its types
from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import Facts, check_settings, facts_of, hashed, judged_rows, name_labels, subset, trained_rows
from nlp_mixup.doctor import DoctorArguments, Subject, dtype_of, match_classes, unlabelled_notes
from nlp_mixup.models import load_trained_on_images
from nlp_mixup.vision.data import (
    CONTENT,
    file_hashes,
    image_hashes,
    image_sources,
    open_image,
    read_content,
    read_split,
    resized_processor,
)


def prepare_images(model: str, data: DataArguments, options: DoctorArguments) -> Subject:
    """`nlp_mixup.doctor.subject.prepare` for images. Raises what it raises; a broken image is found when it is read."""
    check_settings(data)
    sources = image_sources(data, held_out=True)
    rows = {split: read_split(source, split, data) for split, source in sources.items()}
    held_out = name_labels(rows, sources, data)
    network, processor = load_trained_on_images(
        model, revision=options.model_revision, trust_remote_code=options.trust_remote_code, dtype=dtype_of(options)
    )
    if data.image_size is not None:
        processor = resized_processor(processor, data.image_size)
    classes, label_map, tables = match_classes(network, held_out, data)
    trained, unknown = trained_rows(model)
    facts: dict[str, Facts] = {}
    splits = {}
    for split, table in tables.items():
        table, name = subset(table, split, data), held_out[split].rows.source
        table = hashed(table, partial(file_hashes if trained is None else image_hashes, name=split))
        facts[split] = facts_of(table)
        splits[split] = encoded_rows(table, name).with_transform(ProcessorTransform(processor))
    found = judged_rows(facts, classes, trained, noun="image")
    return Subject(
        model=network,
        splits=datasets.DatasetDict(splits),
        sources={split: read.rows.source for split, read in held_out.items()},
        label_names=classes,
        label_map=label_map,
        data_collator=partial(collate, dtype=network.dtype),
        notes=[*unlabelled_notes(held_out), *([unknown] if unknown else []), *found.notes],
        trained_on=found.trained_on,
    )


def encoded_rows(table: pa.Table, source: str) -> datasets.Dataset:
    """Encoded images, each with a name, under the name of the model's input, which the Trainer keeps; and ``labels``.

    Args:
        table: columns ``image``, {bytes, path}, and ``label``.
        source: what it is called in an error.
    """
    contents = [
        {"bytes": content["bytes"], "path": content["path"] or f"{source}, row {row}"}
        for row, content in enumerate(table["image"].to_pylist(), 1)
    ]
    return datasets.Dataset(pa.table({"pixel_values": pa.array(contents, CONTENT), "labels": table["label"]}))


@dataclass(frozen=True)
class ProcessorTransform:
    """Turns rows of encoded images into model inputs, as the transform of a `datasets.Dataset`.

    Attributes:
        processor: the model's own image processor.
    """

    processor: Any

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Decodes and processes a batch.

        Raises:
            ValueError: an image cannot be read; the message names it.
        """
        contents = [read_content(content, content["path"]) for content in rows["pixel_values"]]
        images = [open_image(content["bytes"], content["path"]) for content in contents]
        return rows | dict(self.processor(images, return_tensors="pt"))


def collate(rows: list[dict[str, Any]], dtype: torch.dtype) -> dict[str, Tensor]:
    """A batch of rows, its pixels in the type of the model's weights.

    Example:
        >>> batch = collate([{"pixel_values": torch.zeros(3, 4, 4), "labels": 1}], torch.bfloat16)
        >>> batch["pixel_values"].dtype, batch["labels"]
        (torch.bfloat16, tensor([1]))
    """
    batch = default_data_collator(rows)
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.items()}
