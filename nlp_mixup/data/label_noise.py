"""Labels that are redrawn at random, to see how training bears it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nlp_mixup.data.row_checks import GIVEN
from nlp_mixup.data.sources import SPLIT_NAMES

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from nlp_mixup.arguments import DataArguments


def add_label_noise(tables: dict[str, pa.Table], num_labels: int, args: DataArguments) -> None:
    """Redraws the share ``label_noise`` of every split's labels, each split with a seed of its own."""
    if args.label_noise == 0:
        return
    for number, split in enumerate(SPLIT_NAMES):
        if split in tables:
            labels = tables[split]["label"].to_numpy()
            noisy = redraw_labels(labels, num_labels, args.label_noise, args.data_split_seed + number)
            given = [*(GIVEN if name == "label" else name for name in tables[split].column_names)]
            tables[split] = tables[split].rename_columns(given).append_column("label", pa.array(noisy))


def redraw_labels(labels: np.ndarray, num_labels: int, share: float, seed: int) -> np.ndarray:
    """Labels of which a share, chosen at random, is redrawn uniformly over all classes, its own included.

    >>> labels = np.zeros(1000, np.int64)
    >>> int((redraw_labels(labels, 10, share=0.2, seed=0) != 0).sum())  # 200 redrawn, a tenth of them or so as before
    172

    Args:
        labels: (n,) class ids.
        num_labels: K, how many classes there are.
        share: Of the labels, in [0, 1); the number is rounded.
        seed: Of the choice and the draws.
    """
    random = np.random.RandomState(seed)  # its stream is frozen; that of default_rng may change
    chosen = random.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[chosen] = random.randint(0, num_labels, len(chosen))
    return noisy
