"""Who is mixed with whom in a step, and by which lambda: its micro-batches -> their pairs, drawn before the forward pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, Trainer
from transformers.utils import logging

from nlp_mixup.arguments import MixupTrainingArguments
from nlp_mixup.mixing import STEPS_AHEAD, Mix, Pairing, draw_ahead, draw_mix, pool_batches
from nlp_mixup.models import pad_token_id
from nlp_mixup.training.label_refusals import check_training_batch

logger = logging.get_logger(__name__)

if TYPE_CHECKING:

    class _Base(Trainer):  # what the mixin is mixed into
        args: MixupTrainingArguments
        model: PreTrainedModel
else:
    _Base = object


class PairingMixin(_Base):
    """The part of `MixupMixin` that draws."""

    def __init__(self, *args, **kwargs):
        self._pairings: list[tuple[dict, Pairing | None]] = []
        self._first_batch_checked = False
        super().__init__(*args, **kwargs)

    def get_batch_samples(self, epoch_iterator, num_batches, *args, **kwargs):
        batches, num_items_in_batch = super().get_batch_samples(epoch_iterator, num_batches, *args, **kwargs)
        if 0 < len(batches) < num_batches:
            # The stock Trainer takes no optimiser step here, and adds this gradient to the next pass's first one.
            logger.warning_once(
                f"The stream ended within a step: its last {len(batches)} of {num_batches} micro-batches are left out."
            )
            batches = []
        batches = self._augmented(batches)
        self._pairings = list(zip(batches, self.pair(batches), strict=True))
        return batches, num_items_in_batch

    def _augmented(self, batches: list[dict]) -> list[dict]:
        """The micro-batches to train on: those that were read, or random copies of their rows."""
        return batches

    def pair(self, batches: list[dict]) -> list[Pairing | None]:
        """Draws the pairs of a step's micro-batches from (seed, process, global step) alone; None is no mixing.

        At the embedding level partners come from all micro-batches of the step, so that accumulating 4 batches of 2 is
        one batch of 8, with mixup too; above it they come from the micro-batch's own forward pass.
        """
        for batch in batches:
            # On an accelerator only the first batch: waiting for the answer would cost time.
            on_cpu = all(value.device.type == "cpu" for value in batch.values() if isinstance(value, Tensor))
            if on_cpu or not self._first_batch_checked:
                self._check_batch(batch)
        off_epoch = self.args.mixup_off_epoch
        is_off = off_epoch is not None and (self.state.epoch or 0) >= off_epoch
        if self.args.mixup_alpha == 0 or is_off:
            return [None] * len(batches)
        groups = [batches] if self.args.mixup_level == "embedding" else [[batch] for batch in batches]
        pairings: list[Pairing | None] = []
        for micro_step, group in enumerate(groups):
            sizes = [len(batch["labels"]) for batch in group]
            if sum(sizes) == 1 and self.state.global_step == 0:
                logger.warning_once(
                    "The first batch has one row, and nothing to mix it with: is the data set that small?"
                )
            mix = self._draw(group, micro_step) if sum(sizes) > 1 else None
            if mix is None:
                pairings += [None] * len(group)
                continue
            pool = self._pool([self._prepare_inputs(batch) for batch in group])
            mix = mix.to(pool["labels"].device)
            ends = list(itertools.accumulate(sizes))
            slices = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
            widths = None
            if len({batch["input_ids"].shape[1] for batch in group if "input_ids" in batch}) > 1:
                widths = torch.cat(
                    [torch.full((m,), b["input_ids"].shape[1]) for m, b in zip(sizes, group, strict=True)]
                )
                widths = widths.to(mix.lam.device)
            pairings += [Pairing(pool, mix, rows, widths) for rows in slices]
        return pairings

    def _draw(self, group: list[dict], micro_step: int) -> Mix | None:
        """The pairs among the rows of some micro-batches."""
        mix = self._drawn_ahead(draw_mix, group, micro_step)
        if mix is None or self.args.mixup_level == "sentence":
            return mix
        # Inputs and labels must see one lambda: round it as the model's numbers will be.
        dtype = self.model.dtype
        return Mix(mix.partners, mix.lam.to(dtype).float(), mix.label_lam.to(dtype).float())

    def _drawn_ahead(
        self, draw: Callable[..., Mix | None], group: list[dict], micro_step: int, **more: Any
    ) -> Mix | None:
        """What `draw` gives for this step, the arguments and more, made with the draws of the steps around it."""
        args, coordinates = self.args, self._coordinates(micro_step)
        block, step = divmod(coordinates.pop("step"), STEPS_AHEAD)
        return draw_ahead(
            draw, block, n=sum(len(batch["labels"]) for batch in group), alpha=args.mixup_alpha, **coordinates,
            lambda_per=args.mixup_lambda_per, mode=args.mixup_mode, probability=args.mixup_probability, **more,
        )[step]  # fmt: skip

    def _coordinates(self, micro_step: int) -> dict[str, int]:
        return {
            "seed": self.args.seed, "rank": self.args.process_index, "step": self.state.global_step,
            "micro_step": micro_step,
        }  # fmt: skip

    def _pool(self, batches: list[dict]) -> dict[str, Tensor]:
        """The rows of all micro-batches that share pairs, as one batch."""
        return pool_batches(batches, *self._padding())

    def _padding(self) -> tuple[int, str]:
        """What fills rows up to the width of the others, and on which side."""
        tokenizer: Any = self.processing_class
        pad_id = pad_token_id(self.model.config)
        if pad_id is None:
            pad_id = getattr(tokenizer, "pad_token_id", None)
        return pad_id or 0, getattr(tokenizer, "padding_side", "right")

    def _check_batch(self, inputs: dict) -> None:
        check_training_batch(inputs, self.model.config.num_labels)
        self._first_batch_checked = True
