"""Image data for classification: folders, parquet files, a Hub data set or scikit-learn's digits become splits with class ids.

Everything about the data that can be wrong is found here, before a model is trained, but for images of a stream, which are
decoded while they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data import SPLIT_NAMES, Facts, class_tables, drop_hidden_test, facts_of, hashed, subset, take_out
from nlp_mixup.vision.data.row_hashes import image_hashes
from nlp_mixup.vision.data.rows import read_split
from nlp_mixup.vision.data.sources import image_sources
from nlp_mixup.vision.data.stream import Stream, load_stream, stream_of_files


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


def load_image_data(args: DataArguments, classes: list[str] | None = None) -> ImageData:
    """The encoded splits and the names of their classes. Raises what `nlp_mixup.vision.runs.prepare_images` raises.

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
