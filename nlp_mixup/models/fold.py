"""Temperature folding: logits / T from the same weights, by dividing the last linear layer's weight and bias by T.

Guo et al. 2017 (arXiv 1706.04599), section 4.2: W h + b becomes (W / T) h + b / T. What was folded is checked on a batch
before it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlp_mixup.calibration import Temperature
from nlp_mixup.models.head import copies_of, find_head, refusal, scale_head
from nlp_mixup.models.logits import evaluating, forward_logits

# Largest error of the folded logits, in units of the weights' precision and of sum_i |w_i h_i| + |b|, whose terms are
# what is rounded.
ROUNDINGS = 8


@dataclass(frozen=True)
class Folding:
    """What was folded, and how exactly.

    Args:
        head: name of the linear layer in the model.
        temperature: T.
        max_error: largest absolute difference between the folded logits and logits / T on the probe batch.
        n_probe: rows of the probe batch.
    """

    head: str
    temperature: float
    max_error: float
    n_probe: int


def fold_temperature(
    model: PreTrainedModel, temperature: Temperature, probe: Mapping[str, Any], *, split: str = "validation"
) -> Folding:
    """Divides the head's weight and bias by T in place, verifies it, and records it in ``config.calibration``.

    No second copy of the model is made: beside the weights there are one copy of the head (k x d numbers, to undo
    with) and the probe batch's activations without gradients. A classifier of 7 billion parameters with k = 100 classes
    and d = 4096 needs 1.6 MB more. `benchmarks/folding_memory.py` measures it. The division is made in float32 and
    stored in the head's own type.

    Args:
        model: a classifier; adapters merged before, see `merge_adapters`.
        temperature: T with its interval, as `fit_temperature` gives it.
        probe: a batch of inputs, without labels, to verify on; see `probe_batch`.
        split: the rows that T was fitted on.

    Returns:
        The head's name and the largest error of the folded logits on the probe batch.

    Raises:
        ValueError: T was folded in before, T is not a positive number, or the model has no layer to fold it into. The
            weights are then what they were.
    """
    return _fold(model, temperature, probe, split)[0]


@contextmanager
def folded(
    model: PreTrainedModel, temperature: Temperature, probe: Mapping[str, Any], *, split: str = "validation"
) -> Iterator[Folding]:
    """The model with T folded in for the span of a ``with``, so that a trainer can go on from its own weights.

    Args:
        model: a classifier.
        temperature: T.
        probe: as for `fold_temperature`.
        split: as for `fold_temperature`.

    Raises:
        ValueError: as `fold_temperature`.
    """
    folding, kept = _fold(model, temperature, probe, split)
    try:
        yield folding
    finally:
        scale_head(model.get_submodule(folding.head), kept, 1.0)
        del model.config.calibration


def _fold(
    model: PreTrainedModel, temperature: Temperature, probe: Mapping[str, Any], split: str
) -> tuple[Folding, dict[str, Tensor]]:
    """`fold_temperature`, and the head's parameters from before."""
    if getattr(model.config, "calibration", None):
        raise ValueError(
            f"{type(model).__name__} carries a temperature already (config.calibration = {model.config.calibration}). "
            "Folding twice would divide the logits twice; load the weights from before folding."
        )
    if not 0 < temperature.value < float("inf"):
        raise ValueError(f"temperature: expected a positive finite number, got {temperature.value}.")
    name = find_head(model, probe)
    head: Any = model.get_submodule(name)
    kept = copies_of(head)
    sizes: list[float] = []
    with evaluating(model):
        hook = head.register_forward_hook(lambda module, inputs, output: sizes.append(_size(module, inputs[0])))
        try:
            wanted = forward_logits(model, probe).double() / temperature.value
        finally:
            hook.remove()
        scale_head(head, kept, 1 / temperature.value)
        error = (forward_logits(model, probe).double() - wanted).abs().max().item()
    allowed = ROUNDINGS * torch.finfo(head.weight.dtype).eps * max(sizes) / temperature.value
    if not error <= allowed:
        scale_head(head, kept, 1.0)
        raise refusal(model, f"the folded logits are off by {error:.1e} on the probe batch, allowed {allowed:.1e}")
    model.config.calibration = {
        "method": "temperature",
        "temperature": temperature.value,
        "interval": [temperature.low, temperature.high],
        "level": temperature.level,
        "n": temperature.n,
        "split": split,
        "folded_into": name,
        "max_error": error,
    }
    return Folding(name, temperature.value, error, len(wanted)), kept


def _size(head: nn.Module, inputs: Tensor) -> float:
    """The largest sum of absolute terms of which the head makes a number: sum_i |w_i h_i| + |b|."""
    terms: Any = {name: value.abs().float() for name, value in head.named_parameters()}
    return nn.functional.linear(inputs.abs().float(), terms["weight"], terms.get("bias")).max().item()
