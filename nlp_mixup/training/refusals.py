"""What the trainer refuses, before anything slow: each check says what was given, what is accepted, and what to type.

None of it changes a number; where an intention is plain, such as names given as a list, it is followed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.utils.data import Subset
from transformers import Trainer
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils import logging

from nlp_mixup.arguments import MixupTrainingArguments, check_metric
from nlp_mixup.calibration import calibration_metrics

logger = logging.get_logger(__name__)

LABEL_COLUMNS = ("labels", "label", "label_ids")  # what collators make the batch's labels of


# ---- the arguments and the trainer's own class -----------------------------------------------------------------------


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


# ---- the model -------------------------------------------------------------------------------------------------------


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


# ---- the labels ------------------------------------------------------------------------------------------------------


def check_data_sets(train: Any, evaluation: Any, config: Any) -> None:
    """Refuses labels that are no classes of the model, in the training rows and in those of every evaluation set.

    Args:
        train: the training data set, or None.
        evaluation: the evaluation data set, several of them by name, or None.
        config: the model's configuration.
    """
    sets = {"train_dataset": train}
    if isinstance(evaluation, dict):
        sets |= {f"eval_dataset[{name!r}]": rows for name, rows in evaluation.items()}
    else:
        sets["eval_dataset"] = evaluation
    names: list[str] | None = None
    for where, rows in sets.items():
        if rows is not None:
            check_label_column(rows, where, config.num_labels)
            names = _check_class_names(rows, where, config, names)


def check_label_column(dataset: Any, where: str, num_labels: int | None) -> None:
    """Refuses missing, float, multi-label, string and out-of-range labels where a data set tells them without reading rows."""
    for name in LABEL_COLUMNS:
        column = _label_column(dataset, name)
        if column is None:
            continue
        missing = column.null_count
        if missing:
            first = pc.index(pc.is_null(column), True).as_py()
            raise ValueError(
                f"The column {name!r} of {where} has no label in {missing:,} of {len(column):,} rows, first in row {first}. "
                "(load_dataset('csv') reads classes called None, NA or null as missing: give it keep_default_na=False.) "
                "Write -100 where a row has no label, or leave it out: dataset.filter(lambda row: row["
                f"{name!r}] is not None)"
            )
        kind = column.type
        check_label_type(_kind_of(kind))
        if pa.types.is_integer(kind):
            known = column.filter(pc.not_equal(column, -100))
            bounds = pc.min_max(known).as_py()
            if bounds["min"] is not None:
                low, high = bounds["min"], bounds["max"]
                wrong = low if low < 0 else high
                check_label_range(low, high, num_labels, f" (row {pc.index(column, wrong).as_py()} of {where})")


def check_batch_labels(labels: Tensor, num_labels: int | None) -> None:
    """The same of a collated batch: it tells what a data set that declares nothing does not."""
    kind = "lists" if labels.dim() > 1 else "floats" if labels.dtype.is_floating_point else "integers"
    check_label_type("booleans" if labels.dtype == torch.bool else kind)
    known = labels
    if len(known) and known.min() == -100:  # marks a row without label
        known = labels[labels != -100]
    if len(known):
        lowest, highest = known.aminmax()
        check_label_range(int(lowest), int(highest), num_labels)


def check_label_range(low: int, high: int, num_labels: int | None, where: str = "") -> None:
    """Refuses labels outside the model's classes."""
    if num_labels is not None and (low < 0 or high >= num_labels):
        raise ValueError(
            f"Label {low if low < 0 else high} is outside the model's classes 0 to {num_labels - 1}{where}. Load the model "
            "with num_labels=K, or renumber the labels; -100 marks a row without one."
        )


def check_label_type(kind: str) -> None:
    """Refuses labels that are no integers, by what they are."""
    fixes = {
        "floats": "Convert them: dataset.cast_column('label', datasets.Value('int64')).",
        "booleans": "Convert them: dataset.cast_column('label', datasets.Value('int64')).",
        "strings": "Number them: dataset.class_encode_column('label'), in the order of model.config.id2label.",
        "lists": "Multi-label targets are not supported.",
    }
    if kind in fixes:
        raise ValueError(f"The labels are {kind}; mixup needs one integer class id per example. {fixes[kind]}")


def _label_column(dataset: Any, name: str) -> pa.ChunkedArray | pa.Array | None:
    """A column of labels, where it costs no more than reading that column."""
    if isinstance(dataset, Subset):
        column = _label_column(dataset.dataset, name)
        return None if column is None else column.take(pa.array(list(dataset.indices)))
    if isinstance(dataset, (list, tuple)):
        if not dataset or not all(isinstance(row, Mapping) and name in row for row in dataset):
            return None
        values = [row[name] for row in dataset]
        try:
            return pa.array([value.tolist() if hasattr(value, "tolist") else value for value in values])
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # no one type: the first batch tells
            return None
    features = getattr(dataset, "features", None) or {}
    # A transform made on the fly may make labels of what stands in the column.
    if name not in features or not hasattr(dataset, "format") or dataset.format["type"] == "custom":
        return None
    return dataset.select_columns(name).with_format("arrow")[:][name]


def _kind_of(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return "floats"
    if pa.types.is_boolean(kind):
        return "booleans"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "strings"
    return "integers" if pa.types.is_integer(kind) else "lists"


def _check_class_names(dataset: Any, where: str, config: Any, others: list[str] | None) -> list[str] | None:
    """Refuses a data set whose classes bear the model's names, or an earlier data set's, under other numbers.

    Args:
        dataset: the rows.
        where: what they are called.
        config: the model's configuration.
        others: the names in the data sets before, where the model has none of its own.

    Returns:
        The names that the data set's were compared with, or its own.
    """
    features = getattr(dataset, "features", None) or {}
    found = [features[name].names for name in LABEL_COLUMNS if hasattr(features.get(name), "names")]
    ids = getattr(config, "id2label", None) or {}
    own = [str(ids[index]) for index in range(len(ids))]
    has_own = any(name != f"LABEL_{index}" for index, name in enumerate(own))
    known = own if has_own else others
    if not found or found[0] == [str(index) for index in range(len(found[0]))]:  # numbers are no names
        return known
    names = found[0]
    if known is None:
        return names
    spelt = {name.strip().casefold(): index for index, name in reversed(list(enumerate(known)))}
    places = {name: known.index(name) if name in known else spelt.get(name.strip().casefold()) for name in names}
    moved = next((name for index, name in enumerate(names) if places[name] not in (None, index)), None)
    if moved is not None:
        against = "model.config.id2label" if has_own else "the data sets before it"
        raise ValueError(
            f"{where} numbers the class {moved!r} {names.index(moved)}, and {against} {places[moved]}. Renumber the rows: "
            f"dataset.align_labels_with_mapping({{name: index for index, name in enumerate({known[:6]})}}, 'label')"
            + (f"; or, for a new head, set model.config.id2label = dict(enumerate({names[:6]}))" if has_own else "")
        )
    if has_own and None in places.values():
        logger.warning_once(
            f"{where} calls its classes {', '.join(names[:6])}; model.config.id2label calls them {', '.join(known[:6])}, which "
            "is what is saved and published. If they are others, set model.config.id2label = "
            f"dict(enumerate({names[:6]}))."
        )
    return known
