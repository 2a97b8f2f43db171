"""The layer that makes a classifier's logits, found by running the model and not by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized
from transformers import PreTrainedModel

from nlp_mixup.models.logits import evaluating, forward_logits

# Powers of two above 1: multiplying by one rounds nothing and underflows nowhere, so what is linear in a layer follows
# it bit for bit.
EXACT_FACTORS = (2.0, 64.0)


def find_head(model: PreTrainedModel, probe: Mapping[str, Any]) -> str:
    """Name of the one `nn.Linear` in which the logits are linear, weight and bias together.

    The model runs on the probe batch with its layers watched. A layer that gives one number per class is the head if
    the logits follow its weight and bias, bit for bit, when these are multiplied by powers of two. Pooling of its
    output (the last token's row, a mean) passes; a soft cap, a normalisation or a second head behind it does not.

    Args:
        model: a classifier.
        probe: a batch of inputs, without labels.

    Raises:
        ValueError: there is no such layer; the message says why.
    """
    with evaluating(model):
        n_labels = cast(int, model.config.num_labels)
        calls: list[tuple[str, nn.Module]] = []
        hooks = [
            module.register_forward_hook(_recorder(calls, name, n_labels))
            for name, module in model.named_modules()
            if module._parameters or is_parametrized(module)
        ]
        try:
            logits = forward_logits(model, probe)
        finally:
            for hook in hooks:
                hook.remove()
        if logits.dim() != 2 or logits.shape[1] != n_labels:
            raise refusal(model, f"its logits have shape {tuple(logits.shape)}, not (rows, {n_labels})")
        if not logits.isfinite().all() or not logits.any():
            raise refusal(model, "its logits on the probe batch are all zero, or not finite")
        if not torch.equal(logits, forward_logits(model, probe)):
            raise refusal(model, "two runs on the same batch give different logits, so nothing can be verified")
        if not calls:
            raise refusal(model, f"no layer of it gives {n_labels} numbers, one per class")
        reasons = []
        for name, module in reversed(calls):
            reason = _reason_against(model, name, module) or _nonlinearity(model, name, module, probe, logits)
            if reason is None:
                return name
            reasons.append(reason)
    raise refusal(model, reasons[0])


def _recorder(calls: list[tuple[str, nn.Module]], name: str, n_labels: int):
    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        class_dim = 1 if isinstance(module, _ConvNd) else -1
        if isinstance(output, Tensor) and output.dim() > 1 and output.shape[class_dim] == n_labels:
            calls.append((name, module))

    return record


def _reason_against(model: PreTrainedModel, name: str, module: nn.Module) -> str | None:
    """What in the layer itself forbids dividing it, or None."""
    if is_parametrized(module) or (isinstance(module, nn.Linear) and "weight" not in module._parameters):
        return f"the weight of '{name}' is computed from other parameters (a parametrisation), which T would not divide"
    if type(module) is not nn.Linear:
        return f"'{name}', which makes the class scores, is a {type(module).__name__}, not a plain nn.Linear"
    if not module.weight.dtype.is_floating_point or module.weight.is_meta:
        return f"the weight of '{name}' is {module.weight.dtype} on {module.weight.device}: quantised or not in memory"
    own = {f"{name}.{parameter}" for parameter in module._parameters}
    storages = {_storage(parameter) for parameter in module.parameters()}
    sharing = [
        other
        for other, parameter in model.named_parameters(remove_duplicate=False)
        if other not in own and _storage(parameter) in storages
    ]
    if sharing:
        return f"the weight of '{name}' is tied to '{sharing[0]}', which T would divide too"
    return None


def _nonlinearity(
    model: PreTrainedModel, name: str, head: nn.Module, probe: Mapping[str, Any], logits: Tensor
) -> str | None:
    """Why the logits do not follow the head's weight and bias, or None."""
    kept = copies_of(head)
    try:
        for factor in EXACT_FACTORS:
            scale_head(head, kept, factor)
            if not torch.equal(forward_logits(model, probe), logits * factor):
                return (
                    f"its logits do not follow '{name}', the last layer with one number per class: multiplying that "
                    f"by {factor:g} does not multiply them (a cap, a normalisation, an added term or another head)"
                )
    finally:
        scale_head(head, kept, 1.0)
    return None


def _storage(parameter: Tensor) -> tuple[torch.device, int]:
    return parameter.device, parameter.untyped_storage().data_ptr()


def copies_of(head: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in head.named_parameters()}


@torch.no_grad()
def scale_head(head: nn.Module, kept: dict[str, Tensor], factor: float) -> None:
    """Sets the head to the kept values times a factor, in float32 or more; a factor of 1 gives back every bit."""
    for name, value in kept.items():
        wide = torch.promote_types(value.dtype, torch.float32)
        head.get_parameter(name).copy_(value.to(wide) * factor)


def refusal(model: PreTrainedModel, reason: str) -> ValueError:
    return ValueError(
        f"The temperature cannot be folded into {type(model).__name__}: {reason}. Release it without folding, and divide "
        "its logits by T where they are used."
    )
