"""LoRA adapters (Hu et al. 2022, arXiv 2106.09685) put beside a classifier's frozen layers, with all that has to be trained whole."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlp_mixup.models.head import find_head
from nlp_mixup.models.logits import plain_logits

HEADS = ("classifier", "score")  # what PEFT's SEQ_CLS saves of its own accord: every module whose name ends so
DROPOUTS = (0.05, 0.0)  # PEFT adapts the stacked weights of a mixture of experts without dropout only


def add_lora(
    model: PreTrainedModel,
    rank: int,
    *,
    drawn: Collection[str],
    probe: Callable[[], Mapping[str, Tensor]],
    revision: str | None = None,
) -> Any:
    """The model with LoRA adapters beside its frozen layers, and what is drawn at random trained whole and saved with them.

    The adapters lie beside every linear layer, alpha = 2 rank, with a dropout of 0.05, or without any where PEFT has none (the
    stacked weights of a mixture of experts). Layers that share their weight with another, or give
    more than a product, have none.

    Args:
        model: the classifier.
        rank: of the adapters.
        drawn: names of the parameters that loading drew at random: ``missing_keys`` and ``mismatched_keys``.
        probe: makes a batch of inputs, on which the head is sought where nothing else tells it from the encoder.
        revision: of the model below, where it is from the Hub.

    Raises:
        ImportError: there is no peft.
        ValueError: the model has no layer that takes an adapter, or what is drawn cannot be saved with adapters.
    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise ImportError("lora_rank needs the package peft. Type: pip install 'nlp-mixup[combinations]'") from error
    saved, unadaptable = modules_to_save(model, drawn, probe), _unadaptable(model, probe)

    def config(dropout: float) -> Any:
        return LoraConfig(
            task_type=TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, lora_dropout=dropout, target_modules="all-linear",
            exclude_modules=unadaptable or None, modules_to_save=[*saved], revision=revision,
        )  # fmt: skip

    # Tried on a copy without weights: where PEFT refuses, it leaves the model half changed.
    reasons = []
    for dropout in DROPOUTS:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            empty = type(model)(copy.deepcopy(model.config))
            try:
                get_peft_model(empty, config(dropout))
            except (ValueError, TypeError, NotImplementedError) as error:
                reasons.append(str(error))
                continue
        adapted = get_peft_model(model, config(dropout))
        if os.path.isdir(base := str(model.name_or_path)):  # the run may be published from another folder
            adapted.peft_config["default"].base_model_name_or_path = os.path.abspath(base)
        return adapted
    nothing = "No modules were targeted" in reasons[-1]
    reason = "it has no linear layer outside its head" if nothing else reasons[-1].split(". ")[0].strip()
    raise ValueError(
        f"lora_rank: model type '{model.config.model_type}' takes no LoRA adapters: {reason}. Train all of its weights: leave "
        "lora_rank out, or type --lora_rank 0."
    )


def modules_to_save(
    model: PreTrainedModel, drawn: Collection[str], probe: Callable[[], Mapping[str, Tensor]]
) -> list[str]:
    """Names of the modules that adapters have to bring with them: the head, and what loading drew at random.

    The head is all that lies outside the encoder (`PreTrainedModel.base_model`); where nothing does, the layer that makes
    the class scores (`find_head`).

    Args:
        model: the classifier.
        drawn: names of the parameters that loading drew at random.
        probe: makes a batch of inputs.

    Raises:
        ValueError: a drawn parameter belongs to a module that holds most of the model.
    """
    encoder = next((name for name, module in model.named_children() if module is model.base_model), None)
    names = set()
    if encoder is not None:
        names = {
            name
            for name, module in model.named_children()
            if name != encoder and next(module.parameters(), None) is not None
        }
    if not names:
        names = {find_head(model, probe())}
    modules = dict(model.named_modules())
    for parameter in drawn:
        owner = parameter.rpartition(".")[0]
        if owner not in modules:  # a buffer's or an older name, which no module has
            continue
        if any(owner == name or owner.startswith(f"{name}.") for name in names):
            continue
        if any(modules[owner].children()):
            raise ValueError(
                f"lora_rank: the checkpoint lacks {parameter}, which is drawn at random, and adapters cannot bring it with them. "
                "Train all weights: leave lora_rank out, or type --lora_rank 0."
            )
        names.add(owner)
    # PEFT takes every module whose name ends so; those have to be named, or it would also put adapters beside them.
    names |= {name for name in modules if name and name.endswith((*names, *HEADS))}
    return sorted(name for name in names if not any(name.startswith(f"{other}.") for other in names))


def _unadaptable(model: PreTrainedModel, probe: Callable[[], Mapping[str, Tensor]]) -> list[str]:
    """Linear layers that no adapter can be merged into, their weight being tied, or put beside, as they give a tuple."""
    owners = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    tied = [name for name, module in linear.items() if owners[id(module.weight)] > 1]
    own = {name: module for name, module in linear.items() if type(module).forward is not nn.Linear.forward}
    outputs: dict[str, Any] = {}

    def recorder(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: outputs.update({name: output})

    hooks = [module.register_forward_hook(recorder(name)) for name, module in own.items()]
    if hooks:
        plain_logits(model, probe())
    for hook in hooks:
        hook.remove()
    return sorted({*tied, *(name for name, output in outputs.items() if not isinstance(output, Tensor))})
