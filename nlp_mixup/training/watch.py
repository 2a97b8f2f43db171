"""What is watched while training: the settings, checked anew as it begins, and the plain loss of some training rows.

Reading rows for it leaves no trace in the run: neither a random stream nor a loader of the Trainer's own is moved.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, Subset
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import has_length

if TYPE_CHECKING:
    from nlp_mixup.training.trainer import MixupMixin

CLEAN_SAMPLE = 256  # training rows of which each epoch logs the plain loss


@contextmanager
def random_streams_kept(device: torch.device | None = None, seed: int = 0) -> Iterator[None]:
    """Within this context Python's, NumPy's and torch's random streams start from a seed; afterwards they are as before.

    Args:
        device: whose stream is kept beside the CPU's, where it is a CUDA device.
        seed: what they start from.

    Example:
        >>> _ = torch.manual_seed(1)
        >>> first = torch.get_rng_state()
        >>> with random_streams_kept():
        ...     _ = torch.rand(3), random.random()
        >>> torch.equal(torch.get_rng_state(), first)
        True
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    python, numpy = random.getstate(), np.random.get_state()  # the stream that data sets draw from
    try:
        with torch.random.fork_rng(devices):
            random.seed(seed)
            np.random.seed(seed)
            torch.default_generator.manual_seed(seed)  # manual_seed would also set every CUDA device
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def clean_sample(rows: Any) -> Any:
    """The same `CLEAN_SAMPLE` rows (or all) of a data set that can be indexed, each time.

    >>> [sample["row"] for sample in clean_sample([{"row": index} for index in range(4)])]
    [2, 0, 1, 3]
    """
    return _rows_at(rows, np.random.default_rng(0).permutation(len(rows))[:CLEAN_SAMPLE].tolist())


def first_batch(trainer: Trainer, rows: Any) -> dict[str, Tensor]:
    """The first evaluation batch of a data set, as the trainer makes it, without a trace in the run; empty without rows."""
    with random_streams_kept(trainer.args.device):
        if not can_be_indexed(rows):
            return next(iter(trainer.get_test_dataloader(rows)), {})
        # Read to the end: accelerate would count a loader that is left half-way as being read.
        first = _rows_at(rows, range(min(len(rows), trainer.args.eval_batch_size)))
        return next(iter(list(trainer.get_test_dataloader(first))), {})


def can_be_indexed(rows: Any) -> bool:
    """Whether a data set has rows to choose from, which a stream has not, though it may know its length.

    >>> can_be_indexed([{"label": 0}])
    True
    """
    return has_length(rows) and not isinstance(rows, IterableDataset)


def _rows_at(rows: Any, indices: Sequence[int]) -> Any:
    # A table of datasets stays one, so that its unused columns go.
    return rows.select(indices) if hasattr(rows, "select") else Subset(rows, indices)


class TrainingWatch(TrainerCallback):
    """Checks the settings anew as training begins, since a search sets them late; logs the clean loss of each epoch."""

    def __init__(self, trainer: MixupMixin):
        self._trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        self._trainer._begin_training()

    def on_epoch_end(self, args, state, control, **kwargs):
        rows = self._trainer.train_dataset
        if args.logging_strategy != "no" and can_be_indexed(rows):
            should_log = control.should_log
            self._trainer.log({"clean_loss": self._trainer.clean_loss()})
            control.should_log = should_log  # logging resets it, and the epoch's own entry would be lost
