"""Temperature folding: logits / T from the same weights, by dividing the last linear layer's weight and bias by T.

Guo et al. 2017 (arXiv 1706.04599), section 4.2: W h + b becomes (W / T) h + b / T. The layer is found by running the
model, not by its name, and every claim is checked on a batch before anything is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized
from transformers import PreTrainedModel

from nlp_mixup.calibration import Temperature

# Powers of two above 1: multiplying by one rounds nothing and underflows nowhere, so what is linear in a layer follows
# it bit for bit.
EXACT_FACTORS = (2.0, 64.0)
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
    with _evaluating(model):
        n_labels = cast(int, model.config.num_labels)
        calls: list[tuple[str, nn.Module]] = []
        hooks = [
            module.register_forward_hook(_recorder(calls, name, n_labels))
            for name, module in model.named_modules()
            if module._parameters or is_parametrized(module)
        ]
        try:
            logits = _logits(model, probe)
        finally:
            for hook in hooks:
                hook.remove()
        if logits.dim() != 2 or logits.shape[1] != n_labels:
            raise _refusal(model, f"its logits have shape {tuple(logits.shape)}, not (rows, {n_labels})")
        if not logits.isfinite().all() or not logits.any():
            raise _refusal(model, "its logits on the probe batch are all zero, or not finite")
        if not torch.equal(logits, _logits(model, probe)):
            raise _refusal(model, "two runs on the same batch give different logits, so nothing can be verified")
        if not calls:
            raise _refusal(model, f"no layer of it gives {n_labels} numbers, one per class")
        reasons = []
        for name, module in reversed(calls):
            reason = _reason_against(model, name, module) or _nonlinearity(model, name, module, probe, logits)
            if reason is None:
                return name
            reasons.append(reason)
    raise _refusal(model, reasons[0])


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
        _scale(model.get_submodule(folding.head), kept, 1.0)
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
    kept = _copies(head)
    sizes: list[float] = []
    with _evaluating(model):
        hook = head.register_forward_hook(lambda module, inputs, output: sizes.append(_size(module, inputs[0])))
        try:
            wanted = _logits(model, probe).double() / temperature.value
        finally:
            hook.remove()
        _scale(head, kept, 1 / temperature.value)
        error = (_logits(model, probe).double() - wanted).abs().max().item()
    allowed = ROUNDINGS * torch.finfo(head.weight.dtype).eps * max(sizes) / temperature.value
    if not error <= allowed:
        _scale(head, kept, 1.0)
        raise _refusal(model, f"the folded logits are off by {error:.1e} on the probe batch, allowed {allowed:.1e}")
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


def plain_logits(model: PreTrainedModel, batch: Mapping[str, Any]) -> Tensor:
    """Logits (n, k) in evaluation mode and in the weights' own precision, as a file of the weights gives them.

    No autocast, no TensorFloat-32, and no random stream is moved; what the model draws in evaluation is drawn from one seed.

    Args:
        model: a classifier.
        batch: its inputs, without labels.
    """
    batch = {name: value.to(model.device) for name, value in batch.items()}
    with _evaluating(model), _without_tf32(), torch.autocast(model.device.type, enabled=False):
        torch.manual_seed(0)
        return _logits(model, batch)


def merge_adapters(model: Any) -> PreTrainedModel:
    """The plain model of one that PEFT or `add_adapter` gave adapters, merged into the weights; any other model as it is.

    Merging is in place: the adapters cannot be trained on afterwards. Adapters that are switched off are left out, so that
    the plain model's logits are those that the model had.

    Raises:
        ValueError: these adapters are no change of weights, such as prompts.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        return _without_layers_of_adapters(model)
    if not hasattr(model, "peft_config"):
        return model
    if not hasattr(model, "merge_and_unload"):
        kinds = ", ".join(str(config.peft_type.value) for config in model.peft_config.values())
        raise ValueError(
            f"{kinds} adapters are no change of the model's weights and cannot be merged into them, so they cannot be released "
            "as one model. Use LoRA or another adapter that merges."
        )
    return model.merge_and_unload()


def _without_layers_of_adapters(model: Any) -> PreTrainedModel:
    """Undoes transformers' own add_adapter and load_adapter, which have no merge: their layers lie in the model itself."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)
    }
    for name, layer in layers.items():
        if any(name.startswith(f"{outer}.") for outer in layers):
            continue
        if hasattr(layer, "unload_and_optionally_merge_module"):
            plain = layer.unload_and_optionally_merge_module(True, safe_merge=False, adapter_names=None)
        else:
            if not layer.disable_adapters:
                layer.merge()
            plain = layer.get_base_layer()
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, plain)
    del model.peft_config
    model._hf_peft_config_loaded = False
    return model


def probe_batch(model: PreTrainedModel, processing_class: Any, *, rows: int = 8) -> dict[str, Tensor]:
    """A batch to verify on, made without any data: random words of the vocabulary, or random pixels.

    Args:
        model: on whose device the batch is put.
        processing_class: its tokenizer or image processor; None for a model of texts, whose ids are then drawn.
        rows: texts of 1 to ``rows`` times 3 tokens, or images.

    Raises:
        ValueError: the tokenizer or processor makes no batch out of plain texts or images.
    """
    random = np.random.default_rng(0)
    if processing_class is None:
        return _random_ids(model, random, rows)
    try:
        if hasattr(processing_class, "decode"):
            ids = [random.integers(0, len(processing_class), 1 + 3 * row).tolist() for row in range(rows)]
            texts = [processing_class.decode(row, skip_special_tokens=True) or "a" for row in ids]
            batch = processing_class(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        else:
            images = list(random.integers(0, 256, (rows, 64, 64, 3), np.uint8))
            batch = processing_class(images, return_tensors="pt")
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{type(processing_class).__name__} makes no batch of plain {'texts' if hasattr(processing_class, 'decode') else 'images'} "
            f"({error}). Give fold_temperature a probe batch of your own."
        ) from error
    return {name: value.to(model.device) for name, value in batch.items() if isinstance(value, Tensor)}


def _random_ids(model: PreTrainedModel, random: np.random.Generator, rows: int) -> dict[str, Tensor]:
    """Rows of 16 ids, which end with the model's end-of-sequence token where it has one: some pool there."""
    config = model.config.get_text_config()
    if model.main_input_name != "input_ids":
        raise ValueError(
            f"{type(model).__name__} reads no token ids, so that no batch can be drawn. Give a probe batch."
        )
    end = getattr(config, "eos_token_id", None)
    ids = torch.from_numpy(random.integers(0, config.vocab_size, (rows, 16)))
    if isinstance(end, int):
        ids[ids == end] = (end + 1) % config.vocab_size
        ids[:, -1] = end
    return {"input_ids": ids.to(model.device)}


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
    kept = _copies(head)
    try:
        for factor in EXACT_FACTORS:
            _scale(head, kept, factor)
            if not torch.equal(_logits(model, probe), logits * factor):
                return (
                    f"its logits do not follow '{name}', the last layer with one number per class: multiplying that "
                    f"by {factor:g} does not multiply them (a cap, a normalisation, an added term or another head)"
                )
    finally:
        _scale(head, kept, 1.0)
    return None


def _size(head: nn.Module, inputs: Tensor) -> float:
    """The largest sum of absolute terms of which the head makes a number: sum_i |w_i h_i| + |b|."""
    terms: Any = {name: value.abs().float() for name, value in head.named_parameters()}
    return nn.functional.linear(inputs.abs().float(), terms["weight"], terms.get("bias")).max().item()


def _storage(parameter: Tensor) -> tuple[torch.device, int]:
    return parameter.device, parameter.untyped_storage().data_ptr()


def _copies(head: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in head.named_parameters()}


@torch.no_grad()
def _scale(head: nn.Module, kept: dict[str, Tensor], factor: float) -> None:
    """Sets the head to the kept values times a factor, in float32 or more; a factor of 1 gives back every bit."""
    for name, value in kept.items():
        wide = torch.promote_types(value.dtype, torch.float32)
        head.get_parameter(name).copy_(value.to(wide) * factor)


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            yield
    finally:
        model.train(was_training)


@contextmanager
def _without_tf32() -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _logits(model: PreTrainedModel, probe: Mapping[str, Any]) -> Tensor:
    # The class's own forward: after training with autocast the instance's would round to half precision.
    outputs = type(model).forward(model, **probe)
    return outputs["logits"] if isinstance(outputs, dict) else outputs[0]


def _refusal(model: PreTrainedModel, reason: str) -> ValueError:
    return ValueError(
        f"The temperature cannot be folded into {type(model).__name__}: {reason}. Release it without folding, and divide "
        "its logits by T where they are used."
    )
