"""What the trainer refuses, before anything slow: each check says what was given, what is accepted, and what to type.

None of it changes a number; where an intention is plain, such as names given as a list, it is followed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Trainer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging

from nlp_mixup.arguments import MixupTrainingArguments, check_metric, check_parallelism
from nlp_mixup.calibration import calibration_metrics

if TYPE_CHECKING:
    from nlp_mixup.training.trainer import MixupMixin

logger = logging.get_logger(__name__)


def check_arguments(args: Any) -> None:
    """Refuses arguments of another class, several GPUs in one process, and labels under another name."""
    if not isinstance(args, MixupTrainingArguments):
        raise ValueError(
            f"args must be MixupTrainingArguments, got {type(args).__name__}. Type: "
            "from nlp_mixup import MixupTrainingArguments; args=MixupTrainingArguments(output_dir=..., mixup_alpha=0.2)"
        )
    if args.n_gpu > 1:
        raise ValueError(
            f"{args.n_gpu} GPUs in one process would use nn.DataParallel, which scatters rows away from their "
            "partners. Start one process per GPU: accelerate launch --multi_gpu script.py (or torchrun), or show "
            "one GPU: CUDA_VISIBLE_DEVICES=0."
        )
    if args.label_names not in (None, ["labels"]):
        given = args.label_names[0] if args.label_names else "klasse"
        raise ValueError(
            f"label_names={args.label_names} is not supported: the classes are read from the column 'label' (or 'labels'). "
            f"Leave label_names out, and rename the column: dataset.rename_column({given!r}, 'label')"
        )


def check_split_model(trainer: MixupMixin) -> None:
    """Refuses the split models that `accelerate launch` or the model brings; the arguments' own have been refused before."""
    if trainer.args.mixup_alpha > 0:
        plugin = trainer.accelerator.state.deepspeed_plugin if trainer.is_deepspeed_enabled else None
        check_parallelism(
            zero_stage=plugin.zero_stage if plugin else 0,
            tp_size=trainer.get_tp_size(), cp_size=trainer.get_cp_size(), sp_size=trainer.get_sp_size(),
        )  # fmt: skip


def check_user_loss(args: MixupTrainingArguments) -> None:
    """Refuses what a ``compute_loss_func`` cannot be combined with."""
    if args.mixup_alpha > 0 and args.mixup_lambda_per == "example":
        raise ValueError(
            "compute_loss_func returns one number for the batch, which cannot be mixed by a lambda per example. "
            "Set mixup_lambda_per='batch', or leave compute_loss_func out."
        )
    for name in ("label_smoothing_factor", "confidence_penalty"):
        if (value := getattr(args, name)) > 0:
            raise ValueError(
                f"{name}={value} would be ignored, since compute_loss_func computes the loss. Do it inside and set {name}=0."
            )


def check_overrides(cls: type, mixin: type) -> None:
    """Refuses a trainer whose own methods would leave the mixing out, as far as their code shows it.

    Every ``compute_loss`` must reach the one below it, or ``compute_loss_func``; and every ``training_step`` in front of
    the mixin the mixin's. A method is taken to reach what it, or a method of the class that it calls, names.

    Args:
        cls: the trainer's class.
        mixin: `MixupMixin`.
    """
    below = cls.__mro__[: cls.__mro__.index(Trainer)]
    above = cls.__mro__[: cls.__mro__.index(mixin)]
    for name, classes, reached in (
        ("compute_loss", below, {"compute_loss", "compute_loss_func"}),
        ("training_step", above, {"training_step"}),
    ):
        for owner in classes:
            method = vars(owner).get(name)
            if method is not None and not reached & _names_in(method, cls):
                raise ValueError(
                    f"{owner.__name__}.{name} replaces the Trainer's, so the inputs or the labels would not be mixed. Let it "
                    f"call super().{name}(...)"
                    + (", or pass compute_loss_func=... at construction instead" if name == "compute_loss" else "")
                    + "; or set mixup_alpha=0."
                )


def _names_in(function: Any, cls: type, seen: set[Any] | None = None) -> set[str]:
    """The attributes that a function's code names, those of its inner functions, and of the class's methods it calls."""
    seen = set() if seen is None else seen
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType) or function in seen:
        return set()
    seen.add(function)
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    called = [*cells, *(getattr(cls, name) for name in names - {"compute_loss", "training_step"} if hasattr(cls, name))]
    return names.union(*(_names_in(inner, cls, seen) for inner in called))


def check_compute_metrics(compute_metrics: Any, args: MixupTrainingArguments, eval_dataset: Any) -> None:
    """Refuses the maker of a metrics function in its place, and a ``metric_for_best_model`` that is never computed."""
    if compute_metrics is calibration_metrics:
        raise ValueError(
            "compute_metrics=calibration_metrics is what makes the function that scores. Write it with brackets: "
            "compute_metrics=calibration_metrics()"
        )
    if args.metric_for_best_model is None:
        return
    scores = () if compute_metrics is None else getattr(compute_metrics, "keys", None)
    if scores is not None:  # what a function of the user's own returns, only its first evaluation shows
        sets = list(eval_dataset) if isinstance(eval_dataset, dict) else None
        check_metric(args.metric_for_best_model, ["loss", *scores], sets)


def check_classifier(model: Any) -> None:
    """Refuses models that are no classifiers of one class per row; says so where a temperature was folded in."""
    config = getattr(model, "config", None)
    if config is None:
        raise ValueError(
            f"{type(model).__name__} has no config: mixup trains transformers' classification models, or one of "
            "your own that is a PreTrainedModel."
        )
    _check_class_ids(config)
    if getattr(config, "num_labels", 2) == 1:
        raise ValueError(
            "num_labels=1 is regression; mixup here trains classifiers. Load the model with num_labels=K, the "
            "number of classes (2 for a yes/no task)."
        )
    if config.problem_type not in (None, "single_label_classification"):
        raise ValueError(
            f"problem_type={config.problem_type!r} is not supported: one class per example is. Set "
            "model.config.problem_type='single_label_classification'."
        )
    parameter = inspect.signature(model.forward).parameters.get("labels")
    if (
        parameter is not None
        and parameter.default is inspect.Parameter.empty
        and parameter.kind is not parameter.VAR_KEYWORD
    ):
        raise ValueError(
            f"{type(model).__name__}.forward requires labels, which mixup takes the loss of outside the model. Give them a "
            "default: def forward(self, ..., labels=None), and return the logits."
        )
    if getattr(config, "calibration", None):
        logger.warning_once(
            f"A temperature was folded into this model ({config.calibration}). Training changes what it was fitted for; the "
            "record of it goes when training starts. Fit a new one afterwards."
        )
    is_decoder = (
        config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
    if is_decoder and getattr(config.get_text_config(), "pad_token_id", None) is None:
        raise ValueError(
            f"The decoder {type(model).__name__} has no pad token, so it cannot find a row's last token. Type: "
            "tokenizer.pad_token = tokenizer.eos_token; model.config.pad_token_id = tokenizer.pad_token_id"
        )


def _check_class_ids(config: Any) -> None:
    """Names of the classes as a list, or by ids written as strings, become what transformers has: ids 0 to K - 1."""
    names = getattr(config, "id2label", None)
    if isinstance(names, (list, tuple)):
        names = dict(enumerate(names))
    elif isinstance(names, dict) and all(str(key).isdecimal() for key in names):
        names = {int(key): name for key, name in names.items()}
    if isinstance(names, dict) and sorted(names, key=str) != sorted(range(len(names)), key=str):
        raise ValueError(
            f"model.config.id2label has the keys {', '.join(map(str, list(names)[:6]))}; classes are numbered from 0 to "
            f"{len(names) - 1}. Type: model.config.id2label = dict(enumerate({list(names.values())[:6]})) and number the "
            "labels so."
        )
    if isinstance(names, dict) and names != config.id2label:
        config.id2label, config.label2id = names, {name: index for index, name in names.items()}


def logits_of(outputs: Any, model: Any) -> Tensor:
    """The logits among a model's outputs, a mapping or a tuple that starts with them.

    Raises:
        ValueError: there are none, or not one per row and class.
    """
    if isinstance(outputs, Mapping):
        if "logits" not in outputs:
            raise ValueError(
                f"{type(model).__name__} returns {', '.join(outputs) or 'nothing'}, and no 'logits'. Return them under that "
                "name, (rows, classes): transformers.modeling_outputs.SequenceClassifierOutput(logits=logits)"
            )
        logits = outputs["logits"]
    else:
        logits = outputs if torch.is_tensor(outputs) else outputs[0]
    n_classes = model.config.num_labels
    if logits.dim() != 2 or (n_classes is not None and logits.shape[1] != n_classes):
        raise ValueError(
            f"{type(model).__name__} gives logits of shape {tuple(logits.shape)}, and its config has {n_classes} classes: "
            f"(rows, {n_classes}) is needed. Load the model with num_labels=K, the number of classes, which makes head and "
            "config agree (ignore_mismatched_sizes=True draws a new head)."
        )
    return logits
