"""A classifier that is trained already, from a folder or the Hub, with what reads its inputs; nothing of it may be random."""

from __future__ import annotations

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

# The name at the top of older ones asks for torchvision.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from nlp_mixup.models.adapters import is_adapted, load_adapted, merge_adapters, model_below
from nlp_mixup.models.lengths import limit_length
from nlp_mixup.models.padding import pad_token_id
from nlp_mixup.models.starting import check_names_of_run, check_shapes, class_names, config_file


def load_trained(
    name: str,
    *,
    revision: str | None = None,
    tokenizer_name: str | None = None,
    trust_remote_code: bool = False,
    dtype: torch.dtype | str = torch.float32,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a text classifier and its tokenizer, limited to the model's positions.

    No code of the model's is run unless `trust_remote_code` says so. Weights are read from safetensors where there are
    any; else transformers reads the older ``pytorch_model.bin`` with torch's ``weights_only``, which builds tensors and
    runs no pickled code.

    Args:
        name: a folder, a run's folder that kept its ``model/``, or the id of a Hub model. A folder may hold adapters
            alone, which are merged into the model below them, in float32.
        revision: branch, tag or commit of the Hub model.
        tokenizer_name: where the tokenizer is not the model's own.
        trust_remote_code: run code that the Hub model brings with it.
        dtype: of the weights; "auto" is the checkpoint's own.

    Raises:
        ValueError: it cannot be loaded, or is no classifier of K >= 2 classes of which one is right.
    """
    source = find_model(name)
    hub = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = None if is_adapted(source) else _load_config(name, source, "text", hub)
    with _Loading(tokenizer_name or name, "text"):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_name or source, **hub)
    if tokenizer.pad_token is None:  # decoders are often published without one
        if tokenizer.eos_token is None:
            raise ValueError(f"The tokenizer of {name} has neither a pad_token nor an eos_token to pad with. Set one.")
        tokenizer.pad_token = tokenizer.eos_token
    if config is None:
        model = _merged(name, source, "text", hub, tokenizer=tokenizer)
        limit_length(tokenizer, model.config)
        return model, tokenizer
    limit_length(tokenizer, config)
    if pad_token_id(config) is None:  # Perceiver's has none
        config.pad_token_id = config.get_text_config().pad_token_id = tokenizer.pad_token_id
    with _Loading(name, "text"):
        loaded = AutoModelForSequenceClassification.from_pretrained(
            source, config=config, dtype=dtype, ignore_mismatched_sizes=True, output_loading_info=True, **hub
        )
    return _complete(name, source, *loaded), tokenizer


def load_trained_on_images(
    name: str, *, revision: str | None = None, trust_remote_code: bool = False, dtype: torch.dtype | str = torch.float32
) -> tuple[PreTrainedModel, Any]:
    """Loads an image classifier and its image processor, under the rules of `load_trained`.

    The types of `nlp_mixup.vision.models.image_cnn` are known once that is imported.

    Args:
        name: as for `load_trained`.
        revision: as for `load_trained`.
        trust_remote_code: as for `load_trained`.
        dtype: as for `load_trained`.

    Raises:
        ValueError: it cannot be loaded, or is no classifier of K >= 2 classes of which one is right.
    """
    source = find_model(name)
    hub = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = None if is_adapted(source) else _load_config(name, source, "image", hub)
    with _Loading(name, "image"):
        processor = AutoImageProcessor.from_pretrained(source, **hub)
    if config is None:
        return _merged(name, source, "image", hub, auto_class=AutoModelForImageClassification), processor
    with _Loading(name, "image"):
        loaded = AutoModelForImageClassification.from_pretrained(
            source, config=config, dtype=dtype, ignore_mismatched_sizes=True, output_loading_info=True, **hub
        )
    return _complete(name, source, *loaded), processor


def reads_images(name: str, *, revision: str | None = None) -> bool:
    """Whether the model's own configuration says that it classifies images; no code of the model's is run.

    Args:
        name: as for `load_trained`.
        revision: as for `load_trained`.

    Raises:
        ValueError: there is no such model, or no configuration of it can be read.
    """
    source = find_model(name)
    with _Loading(name, "text or image"):
        if is_adapted(source):
            source, revision = model_below(source)
            if not os.path.isdir(source) and os.path.isabs(source):
                return False  # loading says that it is gone
        config, _ = PreTrainedConfig.get_config_dict(source, revision=revision)
    architectures = config.get("architectures") or []
    return any("ForImageClassification" in str(architecture) for architecture in architectures)


def _load_config(name: str, source: str, task: str, hub: dict[str, Any]) -> Any:
    with _Loading(name, task):
        stored, _ = PreTrainedConfig.get_config_dict(source, revision=hub["revision"])
    names = class_names(stored, config_file(source))  # refuses what would end in an error of transformers'
    check_names_of_run(source, names)
    with _Loading(name, task):
        config = AutoConfig.from_pretrained(source, **hub)
    _check_config(name, config)
    return config


def _complete(name: str, source: str, model: PreTrainedModel, info: dict[str, Any]) -> PreTrainedModel:
    check_shapes(name, source, model, info)
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"{name} is no trained classifier: it has no weights for {', '.join(missing[:4])}, which would be random. "
            "Fine-tune it first: nlp-mixup train RECIPE --model_name_or_path MODEL"
        )
    return model.eval()


def _merged(name: str, source: str, task: str, hub: dict[str, Any], **settings: Any) -> PreTrainedModel:
    """The plain model of saved adapters and the one below them."""
    with _Loading(name, task):
        model = merge_adapters(load_adapted(Path(source), trust_remote_code=hub["trust_remote_code"], **settings))
    _check_config(name, model.config)
    return model.eval()


def find_model(name: str) -> str:
    """The folder of weights that `name` means, or `name` itself, a Hub id.

    Raises:
        FileNotFoundError: a folder that is not there, or that holds no model.
    """
    folder = Path(name).expanduser()
    if not folder.exists():
        if name[:1] in (".", "~") or folder.is_absolute() or len(folder.parts) > 2:  # a Hub id is NAME or USER/NAME
            raise FileNotFoundError(f"There is no folder {name}. Give a model's folder or the id of a Hub model.")
        return name
    for candidate in (folder, folder / "model"):
        if (candidate / "config.json").is_file() or is_adapted(candidate):
            return str(candidate)
    if (folder / "metrics.json").is_file():
        raise FileNotFoundError(
            f"{folder} is a run that did not keep its weights. Train it again elsewhere: "
            f"nlp-mixup train {folder / 'arguments.yaml'} --output_dir FOLDER --keep_models last"
        )
    raise FileNotFoundError(f"{folder} holds no model: there is no config.json. Give the folder of save_pretrained.")


def _check_config(name: str, config: Any) -> None:
    if config.problem_type in ("multi_label_classification", "regression"):
        raise ValueError(
            f"{name} is a model for {config.problem_type.replace('_', ' ')}; accepted are classifiers of which one "
            "class is right for each row."
        )
    if config.num_labels < 2:
        raise ValueError(
            f"{name} has num_labels {config.num_labels}: one number a row, a regression or a sigmoid. Accepted are "
            "classifiers with a logit for each of two classes or more."
        )


class _Loading:
    """Turns what transformers says of a model it cannot load, often a page, into a line."""

    def __init__(self, name: str, task: str):
        self._name, self._task = name, task

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        known = OSError | ValueError | RuntimeError | ImportError | UnpicklingError | SafetensorError
        if not isinstance(error, known):
            return
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if isinstance(error, UnpicklingError):
            reason = "its weights are a pickle of more than tensors, which is not run. Ask for safetensors"
        if "trust_remote_code" in str(error):
            reason = "it brings code of its own. Read it, then type --trust_remote_code"
        if isinstance(error, OSError) and not Path(self._name).expanduser().exists():
            reason = f"there is no folder of that name here, and of the Hub it is said: {reason}"
        article = "an" if self._task == "image" else "a"
        raise ValueError(f"{self._name} cannot be loaded as {article} {self._task} classifier: {reason}") from error
