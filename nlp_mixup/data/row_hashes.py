"""Hashes by which equal rows are told: of their texts, apart from blanks and Unicode form.

A run keeps 64-bit hashes of its training rows, from which no row can be read, so that whatever is judged later can be
told apart from what was trained on. They stay in the run's folder and are never uploaded.
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nlp_mixup.data.rows import TEXTS

TRAINED = "trained-rows.npy"
HASH = "__hash__"  # a column of a split: `row_hash` of each row
Hashes = NDArray[np.uint64]


def row_hash(*parts: bytes) -> int:
    """64 bits of what a row says.

    >>> row_hash(b"a", b"b") == row_hash(b"ab")
    False
    """
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return int.from_bytes(found.digest(), "little")


def text_hashes(table: pa.Table) -> Hashes:
    """(n,) hashes of the texts, or pairs of texts; equal where they are, apart from blanks and Unicode form.

    >>> table = pa.table({"text": ["caf\\u00e9  au lait", " cafe\\u0301 au\\u00a0lait", "Caf\\u00e9 au lait"]})
    >>> first, second, third = text_hashes(table)
    >>> bool(first == second), bool(first == third)
    (True, False)
    """
    columns = [table[name].to_pylist() for name in TEXTS if name in table.column_names]
    return np.array(
        [
            row_hash(*(" ".join(unicodedata.normalize("NFC", text).split()).encode("utf-8", "replace") for text in row))
            for row in zip(*columns, strict=True)
        ],
        np.uint64,
    )


def hashed(table: pa.Table, hashes_of: Callable[[pa.Table], Hashes] = text_hashes) -> pa.Table:
    """The table with the column `HASH`."""
    return table if HASH in table.column_names else table.append_column(HASH, pa.array(hashes_of(table)))


def npy(hashes: Hashes) -> bytes:
    """What `TRAINED` holds, without pickle."""
    content = io.BytesIO()
    np.save(content, hashes, allow_pickle=False)
    return content.getvalue()


def trained_rows(model: str | None) -> tuple[Hashes | None, str]:
    """The hashes of the rows that a model was trained on, by its name or folder, and why a run has none.

    Args:
        model: a run's folder, or the folder of weights in it; of any other model nothing is known.

    Returns:
        Sorted hashes, or None; and a sentence where it is a run that has none.

    Raises:
        ValueError: the file with the hashes is damaged.

    Example:
        >>> trained_rows("somebody/model")
        (None, '')
    """
    folder = Path(model or "").expanduser()
    if not model or not folder.is_dir():
        return None, ""
    for place in (folder, folder.resolve().parent):
        path = place / TRAINED
        if path.is_file():
            try:
                return np.load(path, allow_pickle=False).astype(np.uint64, casting="safe"), ""
            except (OSError, ValueError, EOFError, TypeError) as error:
                raise ValueError(f"{path} is damaged ({error}). Delete it to go on without.") from error
        if (place / "metrics.json").is_file():
            return None, (
                "Whether the model was trained on these rows is not known: its run keeps no hashes of its training rows, as "
                "of streamed ones, or of any in nlp_mixup 0.1."
            )
    return None, ""
