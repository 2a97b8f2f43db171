"""The images and the model of a recipe -> what the runs of a comparison share; see `nlp_mixup.runs.prepared`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import datasets
import numpy as np

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import HELD_OUT, NOISE, UNIFORM, check_settings, digest, report_rows, trained_rows
from nlp_mixup.recipe import RunArguments
from nlp_mixup.runs import Prepared
from nlp_mixup.vision.data import (
    Augmenter,
    ImageData,
    ImageReader,
    NoiseTransform,
    Normalization,
    PixelTransform,
    Stream,
    build_processor,
    collate_images,
    count_readers,
    decode_table,
    load_image_data,
    load_ood_tables,
    open_image,
    pixel_statistics,
    read_content,
    resized_processor,
    take_apart,
)
from nlp_mixup.vision.models import check_channels, check_model_name, find_start, load_image_model, load_image_processor
from nlp_mixup.vision.training import ImageMixupTrainer

STREAM_SAMPLE = 1024  # images of a stream that its statistics are taken from


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
