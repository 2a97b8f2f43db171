"""The side on which a trainer's tokenizer, which is saved with the model, pads: one where padding changes no logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from datasets import Dataset
from transformers.utils import logging

from nlp_mixup.models import SAMPLE, made_up_rows, settle_padding

if TYPE_CHECKING:
    from nlp_mixup.training.trainer import MixupMixin

logger = logging.get_logger(__name__)


def settle_trainer_padding(trainer: MixupMixin) -> None:
    """Makes sure of it before training; see `nlp_mixup.models.padding.settle_padding`."""
    tokenizer: Any = getattr(trainer.data_collator, "tokenizer", trainer.processing_class)
    if getattr(tokenizer, "padding_side", None) is None or getattr(tokenizer, "pad_token", None) is None:
        return
    args, rows = trainer.args, trainer.train_dataset if trainer.train_dataset is not None else trainer._held_out()
    pairs_are_padded = args.mixup_alpha > 0 and args.gradient_accumulation_steps > 1
    if args.train_batch_size == args.eval_batch_size == 1 and not pairs_are_padded:
        return
    if trainer.is_deepspeed_enabled or trainer.model.device.type == "meta":  # there is no whole model to run yet
        return
    change = settle_padding(trainer.model, trainer.data_collator, _sample(trainer, rows, tokenizer), tokenizer)
    if change is not None:
        logger.warning(change)
    if getattr(trainer.processing_class, "padding_side", None) is not None:
        cast(Any, trainer.processing_class).padding_side = tokenizer.padding_side


def _sample(trainer: MixupMixin, rows: Any, tokenizer: Any) -> list[dict]:
    """The first rows of a table or list, as the collator gets them; made up for data sets that may draw when read."""
    if not isinstance(rows, Dataset | list) or not len(rows) or "input_ids" not in rows[0]:
        return made_up_rows(tokenizer)
    trainer._set_signature_columns_if_needed()
    used = trainer._signature_columns if trainer.args.remove_unused_columns else None
    sample = [rows[row] for row in range(min(len(rows), SAMPLE))]
    return [{name: value for name, value in row.items() if used is None or name in used} for row in sample]
