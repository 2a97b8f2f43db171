"""What the model that training starts from was trained for: the classes of its head, and a new head where they are others."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from nlp_mixup.data import explain_new_head, listed, shorten

logger = logging.getLogger(__name__)

HEADS = ("ForSequenceClassification", "ForImageClassification")
OTHER_PROBLEMS = ("multi_label_classification", "regression")


@dataclass(frozen=True)
class Start:
    """The model that training starts from, as its configuration tells.

    Attributes:
        name: what it is called.
        classes: the names of the classes of its head, in the order of the ids; None where it has none that can go on.
        has_head: whether its checkpoint holds a classifier's head, as far as is known.
        problem: what else the head was trained for: ``multi_label_classification`` or ``regression``.
    """

    name: str
    classes: list[str] | None = None
    has_head: bool = False
    problem: str | None = None

    def tell(self, label_names: list[str], follows: bool) -> None:
        """Says whether the head goes on, where that is not plain.

        Args:
            label_names: the data's classes, in the order of their ids.
            follows: whether these ids are the model's.
        """
        if self.problem is not None:
            logger.warning(
                "The head is new: %s was trained for %s, and here one class is right for each row. The encoder alone is taken over.",
                self.name, self.problem.replace("_", " "),
            )  # fmt: skip
        elif self.classes is not None and not follows:
            logger.warning("%s", explain_new_head(label_names, self.classes, self.name))
        elif follows and label_names != sorted(label_names):
            logger.warning("The classes are numbered as in %s, whose head goes on: %s.", self.name, listed(label_names))


def read_start(name: str, source: str, revision: str | None = None) -> Start:
    """Reads a model's configuration, without running any code of the model's.

    Args:
        name: what the user calls it.
        source: its folder or Hub id.
        revision: of the Hub model.

    Raises:
        OSError: the model is neither a folder nor reachable on the Hub.
        ValueError: its ``id2label`` is none; see `class_names`.
    """
    if os.path.isdir(source) and not os.path.isfile(os.path.join(source, "config.json")):
        return Start(name)  # loading says what is wrong with it
    config, _ = PreTrainedConfig.get_config_dict(source, revision=revision)
    architectures = config.get("architectures")
    is_classifier = any(head in str(architecture) for architecture in architectures or [] for head in HEADS)
    if architectures and not is_classifier:
        return Start(name)
    if config.get("problem_type") in OTHER_PROBLEMS:
        return Start(name, has_head=True, problem=config["problem_type"])
    if not is_classifier and "id2label" not in config:
        return Start(name, has_head=True)  # perhaps
    return Start(name, class_names(config, config_file(source)), has_head=True)


def config_file(source: str) -> str:
    """What a model's configuration is called in a message."""
    return os.path.join(source, "config.json") if os.path.isdir(source) else f"{source}, config.json"


def class_names(config: Mapping[str, Any], file: str) -> list[str]:
    """The names of a classifier's classes, in the order of the ids, from its configuration as stored.

    Example:
        >>> class_names({"id2label": {"1": "good", "0": "bad"}}, "config.json"), class_names({}, "config.json")
        (['bad', 'good'], ['LABEL_0', 'LABEL_1'])
        >>> class_names({"id2label": ["bad", "good"]}, "config.json")
        Traceback (most recent call last):
            ...
        ValueError: config.json: id2label is a list; accepted is a mapping of 0 to K-1 to names. Write {"0": "bad", "1": "good"} for it.

    Args:
        config: the content of config.json.
        file: what it is called in a message.

    Raises:
        ValueError: ``id2label`` does not map 0 to K-1 to names; the message says what to write.
    """
    stored = config.get("id2label")
    if stored is None:
        return [f"LABEL_{index}" for index in range(config.get("num_labels") or config.get("_num_labels") or 2)]
    accepted = "accepted is a mapping of 0 to K-1 to names"
    if not isinstance(stored, Mapping):
        kind = "a list" if isinstance(stored, list) else repr(stored)
        write = f" Write {_as_json(stored)} for it." if isinstance(stored, list) else ""
        raise ValueError(f"{file}: id2label is {kind}; {accepted}.{write}")
    try:
        names = {int(key): str(name) for key, name in stored.items()}
    except (ValueError, TypeError):
        swapped = all(isinstance(value, int) for value in stored.values())
        write = f" Write {_as_json(sorted(stored, key=lambda name: stored[name]))} for it." if swapped else ""
        raise ValueError(f"{file}: id2label has the keys {shorten(stored)}; {accepted}.{write}") from None
    if sorted(names) != list(range(len(names))):
        write = _as_json([names[key] for key in sorted(names)])
        raise ValueError(
            f"{file}: id2label has the keys {shorten(sorted(names))}; {accepted}. If the head's rows are in this order, write "
            f"{write} for it."
        )
    return [names[index] for index in range(len(names))]


def run_labels(folder: str | os.PathLike[str]) -> list[str] | None:
    """The classes of the run whose folder a model or adapters lie in, in the order of the ids; None where they lie in none."""
    metrics = Path(folder).parent / "metrics.json"
    if not (Path(folder).is_dir() and metrics.is_file()):  # a Hub id is no folder, whatever lies where it would
        return None
    try:
        stored = json.loads(metrics.read_text(encoding="utf-8"))
    except ValueError:
        return None  # others write files of this name too
    return stored.get("label_names") if isinstance(stored, dict) else None


def check_names_of_run(folder: str | os.PathLike[str], names: list[str]) -> None:
    """Refuses a run's model whose configuration gives the run's own names to other classes; other names are the user's right.

    Args:
        folder: of the model.
        names: of its classes, by its configuration.
    """
    trained = run_labels(folder)
    if trained is not None and names != trained and sorted(names) == sorted(trained):
        raise ValueError(
            f"{Path(folder) / 'config.json'} numbers the classes {listed(names)}; the run that trained this model numbers them "
            f"{listed(trained)} ({Path(folder).parent / 'metrics.json'}), so that answers would bear the wrong names. Give "
            "id2label and label2id the run's order, or new names."
        )


def _as_json(names: list[Any]) -> str:
    return "{" + shorten(f'"{index}": "{name}"' for index, name in enumerate(names)) + "}"


def check_shapes(name: str, source: str, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Refuses a checkpoint whose weights have other shapes than its configuration says: loading draws these anew.

    Args:
        name: what the user calls the model.
        source: its folder or Hub id.
        model: as loaded.
        info: what ``output_loading_info`` gives.

    Raises:
        ValueError: naming the parameter, both shapes and the file.
    """
    for key, stored, configured in sorted(info["mismatched_keys"], key=str):
        told = "id2label" if stored[:1] != configured[:1] and configured[:1] == (model.config.num_labels,) else "it"
        raise ValueError(
            f"{name}: {key} has the shape {tuple(stored)} in its weights and {tuple(configured)} by {config_file(source)}. "
            f"Mend {told} there; no weights were changed."
        )


def check_head_goes_on(name: str, source: str, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Refuses to train on from a head that its configuration names and its weights do not hold; see `check_shapes`."""
    check_shapes(name, source, model, info)
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"{name}: {config_file(source)} names the classes of its head, and its weights lack {', '.join(missing[:4])}, which "
            "would be random. Give the checkpoint as it was trained; or, for a new head, take id2label out of the configuration."
        )


def renew_head(model: PreTrainedModel, drawn: Collection[str]) -> list[str]:
    """Draws anew, as the model's own initialisation does, what has a row for each class, from torch's global generator.

    Args:
        model: the classifier.
        drawn: names of the parameters that loading drew already.

    Returns:
        The names of the parameters that were drawn here.
    """
    sizes = []
    for more in (0, 1):
        config = copy.deepcopy(model.config)
        config.num_labels = len(model.config.id2label or ()) + more
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            sizes.append({name: value.shape for name, value in type(model)(config).named_parameters()})
    renewed = [name for name, shape in sizes[0].items() if sizes[1][name] != shape and name not in drawn]
    parameters: dict[str, Any] = dict(model.named_parameters())
    for owner in dict.fromkeys(name.rpartition(".")[0] for name in renewed):
        for name in renewed:
            if name.rpartition(".")[0] == owner and hasattr(parameters[name], "_is_hf_initialized"):
                del parameters[name]._is_hf_initialized  # the mark that protects what was loaded
        with torch.no_grad():
            model._init_weights(model.get_submodule(owner))
    return renewed
