"""Saved adapters: loaded onto the model below them with all that was trained, and merged into its weights.

Adapters are saved without the model below them, which is loaded anew. Whatever that model does not hold is drawn at
random when it is loaded: its head, and what its checkpoint lacks of the rest, such as a pooler. So all of that is trained and
saved with the adapters, and adapters that leave any of it out are refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.trainer_utils import align_special_tokens

from nlp_mixup.models.padding import pad_token_id
from nlp_mixup.models.starting import run_labels

CONFIG = "adapter_config.json"


def is_adapted(folder: str | Path) -> bool:
    """Whether a folder holds adapters, not a whole model.

    >>> is_adapted("not-there")
    False
    """
    return (Path(folder) / CONFIG).is_file()


def check_whole(name: str) -> None:
    """Refuses a folder that training cannot start from: adapters alone, or a run's folder, whose model lies deeper.

    Raises:
        ValueError: the message says what to type instead.

    >>> check_whole("not-there")
    """
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return
    run = folder if (folder / "metrics.json").is_file() else folder.parent
    for adapters in (folder, folder / "model"):
        if is_adapted(adapters):
            is_run = (run / "metrics.json").is_file()
            how = (
                f"nlp-mixup push {run} me/merged --dry-run --fold never"
                if is_run
                else "merge_and_unload(), save_pretrained()"
            )
            where = run / "release" if is_run else "FOLDER"
            raise ValueError(
                f"{adapters} holds adapters alone, and training starts from a whole model. Merge them: {how}. Then type "
                f"--model_name_or_path {where}"
            )
    if (folder / "model" / "config.json").is_file():
        raise ValueError(f"{folder} is a run's folder. Type --model_name_or_path {folder / 'model'}")


def model_below(folder: str | Path) -> tuple[str, str | None]:
    """The model that saved adapters lie on, and its revision. Raises ValueError where their configuration names none."""
    try:
        config = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
        return str(config["base_model_name_or_path"]), config.get("revision")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{Path(folder) / CONFIG} names no base_model_name_or_path, the model below the adapters."
        ) from error


def load_adapted(
    folder: Path,
    label_names: Sequence[str] | None = None,
    *,
    auto_class: Any = AutoModelForSequenceClassification,
    tokenizer: Any = None,
    trust_remote_code: bool = False,
) -> Any:
    """Saved adapters on the model below them, in float32 and evaluation mode; nothing of the whole is random.

    Args:
        folder: of the PEFT model's save_pretrained.
        label_names: of the classes, which adapters do not hold. Default: those that a run's folder around it names, else
            those of the model below.
        auto_class: that the model below is loaded with.
        tokenizer: of the texts, whose special tokens the Trainer wrote into the configuration that was trained.
        trust_remote_code: run code that the model below brings with it.

    Raises:
        FileNotFoundError: the model below is not where it was.
        ImportError: there is no peft.
        ValueError: the adapters are damaged, hold no weights for something that would then be random, or are those of
            another model.
    """
    try:
        from peft import PeftModel
        from peft.utils import load_peft_weights
    except ImportError as error:
        raise ImportError(f"{folder} holds adapters, which need peft. Type: pip install peft") from error
    try:
        base, revision = model_below(folder)
        weights = load_peft_weights(str(folder), device="cpu")
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"{folder} cannot be loaded: {_first_line(error)}. Copy its files once more from where they are whole. {_again(folder)}"
        ) from error
    below = f"{folder} holds adapters alone, and the model below them"
    if os.path.isabs(base) and not os.path.isdir(base):
        raise FileNotFoundError(
            f"{below} is not there: {base}. Bring that folder back, or write where it is now into base_model_name_or_path of "
            f"{folder / CONFIG}."
        )
    hub = {"revision": revision, "trust_remote_code": trust_remote_code}
    labels = label_settings(label_names or run_labels(folder))
    if labels:  # a run trains for one class a row, whatever the model below was for
        labels["problem_type"] = "single_label_classification"
    try:
        config = AutoConfig.from_pretrained(base, **hub, **labels)
        if tokenizer is not None and pad_token_id(config) is None:
            config.pad_token_id = config.get_text_config().pad_token_id = tokenizer.pad_token_id
        # The head, whose shape may be another there, comes with the adapters.
        model, info = auto_class.from_pretrained(
            base, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True, **hub
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise FileNotFoundError(
            f"{below}, {base}, cannot be loaded: {_first_line(error)}. Bring it back; {CONFIG} says where it was."
        ) from error
    if tokenizer is not None:
        align_special_tokens(model, tokenizer)
    if absent := [name for name in drawn_at_random(info) if f"base_model.model.{name}" not in weights]:
        raise ValueError(
            f"{folder} has no weights for {_listed(absent)}: {base} lacks them, and so do the adapters, so they would be "
            f"random. {_again(folder)}"
        )
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
        result = adapted.load_adapter(str(folder), "default", torch_device="cpu")  # again, for what it says
    except KeyError as error:  # of a module to save
        raise ValueError(_no_weights(folder, error.args)) from error
    except (ValueError, RuntimeError) as error:  # of a page, the line that names a size
        reason = next((line for line in str(error).splitlines() if "size mismatch" in line), _first_line(error))
        raise ValueError(f"{folder} holds the adapters of another model than {base}: {reason.strip()}") from error
    if result.missing_keys:
        raise ValueError(_no_weights(folder, result.missing_keys))
    if result.unexpected_keys:
        raise ValueError(
            f"{folder} holds the adapters of another model than {base}, which has no {_listed(result.unexpected_keys)}."
        )
    return adapted.eval()


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


def drawn_at_random(info: Mapping[str, Any]) -> list[str]:
    """The parameters that `from_pretrained` found no weights for, of what ``output_loading_info`` gives."""
    mismatched = (key if isinstance(key, str) else key[0] for key in info["mismatched_keys"])
    return sorted({*info["missing_keys"], *mismatched})


def label_settings(label_names: Sequence[str] | None) -> dict[str, Any]:
    """A configuration's three fields that name the classes; none without names.

    >>> label_settings(["no", "yes"])
    {'num_labels': 2, 'id2label': {0: 'no', 1: 'yes'}, 'label2id': {'no': 0, 'yes': 1}}
    """
    if label_names is None:
        return {}
    return {
        "num_labels": len(label_names),
        "id2label": dict(enumerate(label_names)),
        "label2id": {name: index for index, name in enumerate(label_names)},
    }


def _no_weights(folder: Path, names: Collection[str]) -> str:
    return f"{folder} has no weights for {_listed(names)}, which would be random. {_again(folder)}"


def _again(folder: Path) -> str:
    recipe = folder.parent / "arguments.yaml"
    name = str(recipe) if recipe.is_file() else "RECIPE"
    return f"Or train again: nlp-mixup train {name} --keep_models last --output_dir FOLDER"


def _first_line(error: BaseException) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
