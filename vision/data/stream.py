"""Training images that are decoded while they are read, for data sets such as ImageNet; the other splits are read whole."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from nlp_mixup.arguments import DataArguments, MixupTrainingArguments
from nlp_mixup.data import SPLIT_NAMES, UNLABELLED, DataError, class_order, find_sources
from nlp_mixup.vision.data.decoding import CONTENT
from nlp_mixup.vision.data.normalization import PixelTransform
from nlp_mixup.vision.data.pixels import ImageReader

logger = logging.getLogger(__name__)

SHUFFLE_BUFFER = 1000  # images that wait, still encoded, to be drawn
SHARDS = 64  # parts of a folder's files, which processes and workers share out


@dataclass(frozen=True)
class Stream:
    """Training rows, still encoded.

    Attributes:
        dataset: rows with ``image``, {bytes, path}, and ``labels``.
        source: what to call it in an error.
        seed: of the shuffle buffer; each pass draws another order.
        num_labels: the labels are 0 to num_labels - 1.
    """

    dataset: datasets.IterableDataset
    source: str
    seed: int
    num_labels: int

    def contents(self, n: int) -> list[dict[str, Any]]:
        """The first encoded images, shuffled: a file often holds one class after the other."""
        return [row["image"] for row in _shuffled(self.dataset, self.seed).take(n)]

    def rows(self, reader: ImageReader, transform: PixelTransform, readers: int = 1) -> datasets.IterableDataset:
        """Shuffled model inputs without end, one pass after the other.

        A pass is no epoch of the Trainer's, which on resuming skips rows of the first epoch alone.

        Args:
            reader: what decodes the images.
            transform: what makes model inputs of pixels.
            readers: how many processes or workers read, each its own part; see `count_readers`.
        """
        parts = list(range(min(readers, self.dataset.num_shards)))
        passes = datasets.IterableDataset.from_generator(
            partial(_passes, stream=self, of=len(parts)), gen_kwargs={"parts": parts}
        )
        return passes.map(
            partial(_decode, reader=reader, transform=transform, stream=self),
            batched=True, batch_size=32, remove_columns=["image"],
        )  # fmt: skip


def _shuffled(dataset: datasets.IterableDataset, seed: int) -> datasets.IterableDataset:
    return dataset.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER)


def _passes(parts: list[int], stream: Stream, of: int) -> Iterator[dict[str, Any]]:
    """The rows of one part of the shards, over and over. Several parts would wait for the end of the first."""
    (part,) = parts
    dataset = stream.dataset
    for number in itertools.count():
        shards = np.random.RandomState([stream.seed, number]).permutation(np.arange(dataset.num_shards)[part::of])
        joined = datasets.concatenate_datasets([dataset.shard(dataset.num_shards, shard) for shard in shards.tolist()])
        is_empty = True
        try:
            for row in joined.shuffle(seed=[stream.seed, number], buffer_size=SHUFFLE_BUFFER):
                is_empty = False
                yield row
        except ValueError as error:  # such as a label beyond its ClassLabel
            raise DataError(f"{stream.source}: {error}") from error
        if is_empty:
            return


def count_readers(training: MixupTrainingArguments) -> int:
    """How many processes and workers read a stream at the same time.

    One process reads for all others, unless ``accelerator_config`` has ``dispatch_batches: false``.
    """
    config: Any = training.accelerator_config  # an AcceleratorConfig, once the arguments are made
    apart = config.dispatch_batches is False
    return max(1, training.dataloader_num_workers) * (training.world_size if apart else 1)


def _decode(rows: dict[str, list], reader: ImageReader, transform: PixelTransform, stream: Stream) -> dict[str, Any]:
    try:
        check_labels(rows["labels"], stream.num_labels, stream.source)
        stored = reader.read(rows["image"], [stream.source] * len(rows["image"]))
    except ValueError as error:
        raise DataError(str(error)) from error
    return {"pixel_values": list(transform({"pixel_values": stored})["pixel_values"]), "labels": rows["labels"]}


def stream_of_files(train: pa.Table, source: str, seed: int, num_labels: int) -> Stream:
    """A stream of the files that a table names by path and label, in an order drawn once."""
    order = np.random.RandomState(seed).permutation(len(train))
    rows = list(zip(train["image"].to_pylist(), train["label"].to_pylist(), strict=True))
    shards = [[rows[row] for row in part] for part in np.array_split(order, min(SHARDS, len(order)))]
    return Stream(
        datasets.IterableDataset.from_generator(_files, gen_kwargs={"shards": shards}), source, seed, num_labels
    )


def _files(shards: list[list[tuple[dict[str, Any], int]]]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        for content, label in shard:
            yield {"image": content, "labels": label}


def load_stream(
    args: DataArguments, classes: list[str] | None = None
) -> tuple[dict[str, pa.Table], list[str], Stream, bool]:
    """The other splits' tables, of ``max_eval_samples`` rows; the names of the classes; the stream of train; and whether the
    ids are those of the model that training starts from, whose classes are given. Rows without a label (-100) are left out.

    Raises:
        ValueError: a setting needs all training rows; the data set cannot be loaded, has no train or validation split, or does not name its classes.
    """
    for name in ("label_map", "label_noise", "max_train_samples", "ood_classes"):
        if value := getattr(args, name):
            raise ValueError(
                f"{name}={value} needs all training rows at once, which a stream does not have. Leave {name} out, or set "
                "streaming=false."
            )
    loaded = _load(args)
    found = {split: alias for split, names in SPLIT_NAMES.items() for alias in reversed(names) if alias in loaded}
    if "train" not in found or "validation" not in found:
        raise ValueError(
            f"{args.dataset_name} has the splits {', '.join(loaded)}; a stream needs train and validation, since none can be "
            "drawn from it. Name a file for each, or set streaming=false."
        )
    feature = (loaded[found["train"]].features or {}).get(args.label_column)
    if not isinstance(feature, datasets.ClassLabel):
        raise ValueError(
            f"{args.dataset_name} cannot be streamed: its column {args.label_column!r} does not name the classes (a "
            "ClassLabel). Type --label_column NAME, or set streaming=false."
        )
    order = class_order(feature.names, classes) if classes else None
    label_names = order or feature.names
    ids = [label_names.index(name) for name in feature.names]
    rows = {split: _numbered(_encoded(loaded[alias], args), ids) for split, alias in found.items()}
    tables = {}
    for split in ("validation", "test"):
        taken = (
            list(
                _shuffled(rows[split], args.data_split_seed).take(args.max_eval_samples)
                if args.max_eval_samples
                else rows[split]
            )
            if split in rows
            else []
        )
        labels = [row["labels"] for row in taken]
        if labels and set(labels) != {-1}:  # hidden, as ImageNet's test labels are
            check_labels(labels, len(feature.names), f"{args.dataset_name} ({split})")
            tables[split] = pa.table({"image": pa.array([row["image"] for row in taken], CONTENT), "label": labels})
    if "validation" not in tables:
        raise ValueError(
            f"{args.dataset_name}: the validation split has no labels. Name another, or set streaming=false."
        )
    train = Stream(rows["train"], f"{args.dataset_name} (train)", args.data_split_seed, len(label_names))
    return tables, label_names, train, order is not None


def _numbered(rows: datasets.IterableDataset, ids: list[int]) -> datasets.IterableDataset:
    """The rows that have a label, under the ids of the model that training starts from."""
    # A ClassLabel would refuse -100.
    rows = rows.cast_column("labels", datasets.Value("int64"))
    rows = rows.filter(_has_label, input_columns=["labels"])
    if ids == list(range(len(ids))):
        return rows
    return rows.map(partial(_renumber, ids=ids), input_columns=["labels"], features=rows.features)


def _has_label(label: int | None) -> bool:
    return label != int(UNLABELLED)


def _renumber(label: int | None, ids: list[int]) -> dict[str, int | None]:
    return {"labels": ids[label] if label is not None and 0 <= label < len(ids) else label}


def _load(args: DataArguments) -> Any:
    """The splits as streams."""
    if args.train_file or Path(args.dataset_name or "").expanduser().is_dir():
        files = {split: str(source) for split, source in find_sources(args).items()}
        if other := [file for file in files.values() if not file.endswith(".parquet")]:
            raise ValueError(f"{other[0]}: images are read from .parquet files or folders, train/CLASS/NAME.png.")
        return datasets.load_dataset("parquet", data_files=files, streaming=True)
    try:
        return datasets.load_dataset(
            args.dataset_name, args.dataset_config_name, revision=args.dataset_revision, streaming=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"dataset_name: {args.dataset_name!r} could not be streamed from the Hub: {error}") from error


def _encoded(rows: datasets.IterableDataset, args: DataArguments) -> datasets.IterableDataset:
    there = list(rows.features or {})
    for role, column in (("image", args.image_column), ("label", args.label_column)):
        if column not in there:
            raise ValueError(
                f"{args.dataset_name} has no column {column!r} for the {role}; its columns are: {', '.join(there)}. Type "
                f"--{role}_column NAME."
            )
    chosen = rows.select_columns([args.image_column, args.label_column])
    if args.drop_blank:
        chosen = chosen.filter(partial(_is_whole, columns=[args.image_column, args.label_column]))
    chosen = chosen.cast_column(args.image_column, datasets.Image(decode=False))
    names = {args.image_column: "image", args.label_column: "labels"}
    return chosen.rename_columns({old: new for old, new in names.items() if old != new})


def _is_whole(row: dict[str, Any], columns: list[str]) -> bool:
    return all(row[column] is not None for column in columns)


def check_labels(labels: list[int | None], num_labels: int, source: str) -> None:
    """Refuses labels that are missing or no class."""
    for label in labels:
        if label is None:
            raise ValueError(
                f"{source} has a row without a label. Remove it, or leave such rows out: --drop_blank; or name another column: "
                "--label_column NAME."
            )
        if not 0 <= label < num_labels:
            raise ValueError(f"{source} has the label {label}, which is no class: they are 0 to {num_labels - 1}.")
