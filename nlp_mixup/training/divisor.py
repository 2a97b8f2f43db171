"""Whether the installed Trainer leaves the loss as it is; one that divides it again trains too slowly, without a word.

The loss here is a sum over rows, divided by the labels of the whole step. transformers 5.2 to 5.5.3 let accelerate divide
it by the accumulation steps once more: with 4 of them every gradient is a quarter of what it should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import transformers
from accelerate.utils import DistributedType
from torch import Tensor

if TYPE_CHECKING:
    from nlp_mixup.training.trainer import MixupMixin


def check_divisor(trainer: MixupMixin, loss: Tensor) -> None:
    """As backward reaches the loss of a micro-batch, compares its gradient with the one that the divisor asks for.

    What is minimised is ``factor * loss``, whose gradient by the loss is the factor. Processes average their gradients, so
    it must be their number where the labels of all of them were counted, and 1 elsewhere; a scaler of float16 comes on top.

    Args:
        trainer: under way.
        loss: the sum over the micro-batch's rows, divided by the labels of the whole step.

    Raises:
        RuntimeError: within backward, if the factor is another.
    """
    accelerator = trainer.accelerator
    if accelerator.distributed_type == DistributedType.DEEPSPEED:  # its engine scales where no hook sees it
        return
    expected = float(accelerator.num_processes) if trainer.args.average_tokens_across_devices else 1.0
    if accelerator.scaler is not None:
        expected *= accelerator.scaler.get_scale()

    def compare(gradient: Tensor) -> None:
        factor = gradient.item() / expected
        if abs(factor - 1) > 1e-3:
            raise RuntimeError(
                f"The Trainer of transformers {transformers.__version__} scales the loss of a step by {factor:.4g}, expected "
                f"1: with gradient_accumulation_steps={trainer.args.gradient_accumulation_steps} and "
                f"{accelerator.num_processes} processes every gradient would be {factor:.4g} times the right one. "
                "transformers 5.2 to 5.5.3 do so. Type: pip install -U transformers"
            )

    loss.register_hook(compare)
