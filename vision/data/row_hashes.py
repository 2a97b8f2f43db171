"""Hashes by which equal images are told: of their pixels, whatever file they lie in and however that was compressed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL
import pyarrow as pa
from datasets.fingerprint import Hasher

from nlp_mixup.data import Hashes, digest, row_hash
from nlp_mixup.vision.data.decoding import called, open_image, read_contents


def image_hashes(table: pa.Table, name: str) -> Hashes:
    """(n,) hashes of the pixels, before any change of size; kept under ``HF_DATASETS_CACHE``, since they need decoding.

    Args:
        table: column ``image``, {bytes, path}.
        name: what to call it in an error.

    Raises:
        ValueError: an image cannot be read; the message names it.
    """
    encoded = datasets.Dataset(pa.table({"image": pa.array(read_contents(table, name), table["image"].type)}))
    key = Hasher.hash(["row hashes", digest(encoded), PIL.__version__])
    hashed = encoded.map(
        partial(_hash, name=name),
        batched=True,
        batch_size=256,
        remove_columns=["image"],
        features=datasets.Features({"hash": datasets.Value("int64")}),
        cache_file_name=str(Path(datasets.config.HF_DATASETS_CACHE) / "nlp_mixup" / f"hashes-{key}.arrow"),
        new_fingerprint=key,
        with_indices=True,
        desc=f"compare {name}",
    )
    return np.asarray(hashed.with_format("numpy")["hash"][:], np.int64).view(np.uint64)


def file_hashes(table: pa.Table, name: str) -> Hashes:
    """(n,) hashes of the files' bytes: what `image_hashes` gives, without decoding, for equal files alone."""
    return np.array([row_hash(content["bytes"]) for content in read_contents(table, name)], np.uint64)


def _hash(rows: dict[str, Any], indices: list[int], name: str) -> dict[str, Any]:
    hashes = []
    for content, row in zip(rows["image"], indices, strict=True):
        image = open_image(content["bytes"], called(content, f"{name}, row {row + 1}"))
        hashes.append(row_hash(repr(image.size).encode(), image.tobytes()))
    return {"hash": np.array(hashes, np.uint64).view(np.int64)}  # Arrow takes Python's integers for signed ones
