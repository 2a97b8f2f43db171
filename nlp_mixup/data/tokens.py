"""Texts become tokens, kept by a hash of what the rows say."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa
from datasets.fingerprint import Hasher

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from transformers import PreTrainedTokenizerBase

from nlp_mixup.data.texts import TextData

logger = logging.getLogger(__name__)


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
        # The names too: a cached file tells which it was made with, and the trainer compares them with the model's.
        key = Hasher.hash([digest(dataset), data.label_names, tokenizer, max_length])
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
