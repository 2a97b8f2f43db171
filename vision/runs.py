"""Image data for classification: folders, parquet files, a Hub data set or scikit-learn's digits become model inputs.

Everything about the data that can be wrong is found here, before a model is trained: every image is decoded once, and kept
as plain pixels by a hash of what the files say. A stream alone is decoded while it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL
import pyarrow as pa
import transformers
from datasets.fingerprint import Hasher

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import (
    HELD_OUT,
    NOISE,
    SPLIT_NAMES,
    UNIFORM,
    Facts,
    check_settings,
    class_tables,
    digest,
    drop_hidden_test,
    facts_of,
    hashed,
    report_rows,
    subset,
    take_out,
    trained_rows,
)
from nlp_mixup.recipe import RunArguments
from nlp_mixup.runs import Prepared
from nlp_mixup.vision.data import (
    Augmenter,
    ImageReader,
    NoiseTransform,
    Normalization,
    PixelTransform,
    Stream,
    build_processor,
    collate_images,
    count_readers,
    image_hashes,
    image_sources,
    load_ood_tables,
    load_stream,
    open_image,
    pixel_statistics,
    read_content,
    read_split,
    resized_processor,
    stream_of_files,
    take_apart,
)
from nlp_mixup.vision.models import (
    check_channels,
    check_model_name,
    find_start,
    load_image_model,
    load_image_processor,
)
from nlp_mixup.vision.training import ImageMixupTrainer

STREAM_SAMPLE = 1024  # images of a stream that its statistics are taken from
_FORMAT = 2  # of the pixels that are kept: raise it when they are read in another way


@dataclass(frozen=True)
class ImageData:
    """Encoded images and their classes.

    Attributes:
        tables: ``train``, but for a stream, ``validation`` and, where the source has one, ``test``. Columns: ``image``,
            {bytes, path}, and ``label``, ids 0..K-1.
        label_names: The K names, in the order of the ids.
        stream: the training rows, where they are streamed.
        held_out: the test images of the classes that ``ood_classes`` takes out, without labels.
        facts: what tells equal images of the splits, but for those of a stream.
        drawn: whether validation was drawn from train.
        follows: whether the ids are those of the model that training starts from, whose head then goes on.
    """

    tables: dict[str, pa.Table]
    label_names: list[str]
    stream: Stream | None = None
    held_out: pa.Table | None = None
    facts: dict[str, Facts] = field(default_factory=dict)
    drawn: bool = False
    follows: bool = False


def prepare_images(arguments: RunArguments) -> Prepared:
    """What the runs of a comparison on images share; see `nlp_mixup.runs.prepared.Prepared`.

    Images are brought to size and normalised as the image processor does that is saved with the model: a pretrained one's
    own, or one with the mean and standard deviation of the training images.

    Raises:
        FileNotFoundError: a named file or folder does not exist.
        OSError: the model cannot be found.
        ValueError: anything else that is wrong with the settings or the data. The message says where it is, what is
            accepted and what to type.
    """
    args = arguments.data
    check_model_name(arguments.model)
    check_channels(arguments.model)
    check_image_settings(arguments)
    start = find_start(arguments.model)
    data = load_image_data(args, start.classes)
    start.tell(data.label_names, data.follows)
    ood_tables = load_ood_tables(args)
    if data.held_out is not None:
        ood_tables[HELD_OUT] = data.held_out
    pretrained = load_image_processor(arguments.model)
    if pretrained is not None and args.image_size is not None:
        pretrained = resized_processor(pretrained, args.image_size)
    reader, normalization = choose_reader(args, pretrained, data)
    size = reader.size

    splits: dict[str, Any] = {
        name: decode_table(table, name, data.label_names, reader) for name, table in data.tables.items()
    }
    statistics = pixel_statistics(_training_pixels(splits.get("train"), data.stream, reader))
    if normalization is None:
        normalization = statistics
    transform = PixelTransform(size, normalization)
    digests = {name: digest(rows) for name, rows in splits.items()}
    splits = {name: rows.with_transform(transform) for name, rows in splits.items()}
    if data.stream is not None:
        splits["train"] = data.stream.rows(reader, transform, count_readers(arguments.training))
    ood = {
        name: decode_table(table, name, None, reader).with_transform(transform) for name, table in ood_tables.items()
    }
    if args.noise_samples > 0:
        numbers = datasets.Dataset.from_dict({"pixel_values": list(range(args.noise_samples))})
        noise = partial(
            NoiseTransform, statistics=statistics, size=size, normalization=normalization, seed=args.data_split_seed
        )
        ood |= {NOISE: numbers.with_transform(noise("gaussian")), UNIFORM: numbers.with_transform(noise("uniform"))}
    return Prepared(
        arguments=arguments,
        splits=datasets.DatasetDict(splits),
        ood=ood,
        label_names=data.label_names,
        data_collator=collate_images,
        processing_class=pretrained or build_processor(size, normalization),
        load_model=partial(load_image_model, label_names=data.label_names, start=start, follows=data.follows),
        trainer_class=partial(ImageMixupTrainer, augmenter=Augmenter(args.image_augment, normalization.black)),
        digests=digests,
        rows=report_rows(
            data.facts,
            data.label_names,
            noun="image",
            drawn=data.drawn,
            base=trained_rows(arguments.model.model_name_or_path)[0],
        ),
    )


def load_image_data(args: DataArguments, classes: list[str] | None = None) -> ImageData:
    """The encoded splits and the names of their classes. Raises what `prepare_images` raises.

    Args:
        args: sources, columns and ``label_map``.
        classes: those of the model that training starts from, if it has any, in the order of its ids.
    """
    is_folder = Path(args.dataset_name or "").expanduser().joinpath("train").is_dir() and not args.train_file
    if args.streaming and not is_folder:
        tables, label_names, rows_of_stream, follows = load_stream(args, classes)
        return ImageData(tables, label_names, rows_of_stream, facts=image_facts(tables), follows=follows)
    sources = image_sources(args)
    rows = {split: read_split(source, split, args) for split, source in sources.items()}
    drop_hidden_test(rows, args)
    held_out = None
    if args.ood_classes:
        rows, taken = take_out(rows, args.ood_classes)
        held_out = taken and taken.with_format("arrow")[:]
    # The images of a stream are not read beforehand, so that equal ones are not known.
    hashes_of = None if args.streaming else partial(image_hashes, name="train")
    tables, naming = class_tables(rows, sources, args, classes, hashes_of)
    label_names = naming.label_names
    tables = {split: subset(tables[split], split, args) for split in SPLIT_NAMES if split in tables}
    stream = None
    if args.streaming:
        stream = stream_of_files(tables.pop("train"), rows["train"].source, args.data_split_seed, len(label_names))
    drawn = "validation" not in rows
    return ImageData(tables, label_names, stream, held_out, image_facts(tables), drawn, naming.follows)


def image_facts(tables: dict[str, pa.Table]) -> dict[str, Facts]:
    """What tells equal images of the splits, by split. Raises ValueError where an image cannot be read."""
    return {split: facts_of(hashed(table, partial(image_hashes, name=split))) for split, table in tables.items()}


def decode_table(table: pa.Table, split: str, label_names: list[str] | None, reader: ImageReader) -> datasets.Dataset:
    """Decodes every image into plain pixels, which are kept under ``HF_DATASETS_CACHE`` by a hash of what the files say.

    Args:
        table: column ``image`` and, with `label_names`, ``label``.
        split: what to call it in an error.
        label_names: the classes; None leaves the labels out.
        reader: what brings them to size.

    Returns:
        Columns ``pixel_values``, the bytes of (height, width, 3), and ``labels``.

    Raises:
        ValueError: an image cannot be read, or has another size; the message names the file.
    """
    contents = [
        read_content(content, f"{split}, row {row}") for row, content in enumerate(table["image"].to_pylist(), 1)
    ]
    columns: dict[str, Any] = {"image": pa.array(contents, table["image"].type)}
    features = {"pixel_values": datasets.Value("binary")}
    if label_names is not None:
        columns["labels"] = table["label"]
        features["labels"] = datasets.ClassLabel(names=label_names)
    encoded = datasets.Dataset(pa.table(columns))
    how = [_FORMAT, type(reader.to_size).__name__, reader.to_size.to_json_string(), reader.size, reader.resize]
    decoders = [PIL.__version__, transformers.__version__]
    key = Hasher.hash([digest(encoded), label_names, how, decoders])
    return encoded.map(
        partial(_decode, split=split, reader=reader),
        batched=True,
        batch_size=256,
        remove_columns=["image"],
        features=datasets.Features(features),
        cache_file_name=str(Path(datasets.config.HF_DATASETS_CACHE) / "nlp_mixup" / f"pixels-{key}.arrow"),
        new_fingerprint=key,
        with_indices=True,
        desc=f"decode {split}",
    )


def _decode(rows: dict[str, Any], indices: list[int], split: str, reader: ImageReader) -> dict[str, Any]:
    return {"pixel_values": reader.read(rows["image"], [f"{split}, row {row + 1}" for row in indices])}


def choose_reader(args: DataArguments, pretrained: Any, data: ImageData) -> tuple[ImageReader, Normalization | None]:
    """What reads the images, and the normalisation where a pretrained model's image processor says it.

    Images have ``image_size``, else the pretrained model's size, else that of the first training image.
    """
    if pretrained is not None:
        to_size, size, normalization = take_apart(pretrained)
        return ImageReader(to_size, size, resize=True), normalization
    if args.image_size is not None:
        size = args.image_size, args.image_size
    elif data.stream is not None:
        raise ValueError("A stream needs to know the size of its images beforehand. Type --image_size 224 or the like.")
    else:
        content = read_content(data.tables["train"]["image"][0].as_py(), "train, row 1")
        width, height = open_image(content["bytes"], content["path"]).size
        size = height, width
    to_size, size, _ = take_apart(build_processor(size))
    return ImageReader(to_size, size, resize=args.image_size is not None), None


def _training_pixels(
    train: datasets.Dataset | None, stream: Stream | None, reader: ImageReader
) -> Iterator[np.ndarray]:
    if stream is not None:
        for content in stream.contents(STREAM_SAMPLE):
            yield np.frombuffer(reader.read([content], [stream.source])[0], np.uint8).reshape(*reader.size, 3)
    elif train is not None:
        for batch in train.select_columns(["pixel_values"]).iter(1000):
            yield np.frombuffer(b"".join(batch["pixel_values"]), np.uint8).reshape(-1, *reader.size, 3)


def check_image_settings(arguments: RunArguments) -> None:
    """Refuses settings that are out of range or do not go together.

    Raises:
        ValueError: the message names the setting, its value and what to type.
    """
    args = arguments.data
    check_settings(args)
    if args.image_size is not None and args.image_size < 1:
        raise ValueError(f"image_size is {args.image_size}; it is the height and width in pixels, say --image_size 32.")
    if args.noise_samples < 0:
        raise ValueError(f"noise_samples must be >= 0, got {args.noise_samples}.")
    if args.streaming and arguments.training.max_steps <= 0:
        raise ValueError("streaming has no end that is known beforehand: type --max_steps N, the steps to train for.")
