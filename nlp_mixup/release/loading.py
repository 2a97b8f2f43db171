"""A saved classifier as it is read back from its folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

# The name at the top of older ones asks for torchvision.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from nlp_mixup.models import check_names_of_run, is_adapted, load_adapted


def load_classifier(
    folder: Path, label_names: Sequence[str], *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, Any]:
    """A saved text or image classifier, or adapters with the model below them, and its tokenizer or image processor.

    Args:
        folder: of save_pretrained.
        label_names: of the classes, which saved adapters do not hold.
        trust_remote_code: run code that the model below saved adapters brings with it.

    Raises:
        FileNotFoundError: adapters without the model below them.
        ImportError: adapters without peft.
        ValueError: it is no classifier, or its files are damaged.
    """
    # Their classes register themselves with the Auto classes.
    import nlp_mixup.models
    import nlp_mixup.vision.models  # noqa: F401

    if is_adapted(folder):
        with _loading(folder):
            tokenizer = AutoTokenizer.from_pretrained(folder)
        adapted = load_adapted(folder, label_names, tokenizer=tokenizer, trust_remote_code=trust_remote_code)
        return adapted, tokenizer
    with _loading(folder):
        config = AutoConfig.from_pretrained(folder)
    check_names_of_run(folder, [config.id2label[index] for index in sorted(config.id2label)])
    architecture = (config.architectures or ["no model"])[0]
    auto_class: Any
    auto_processor: Any
    if is_image_class(architecture):
        auto_class, auto_processor = AutoModelForImageClassification, AutoImageProcessor
    elif "SequenceClassification" in architecture:
        auto_class, auto_processor = AutoModelForSequenceClassification, AutoTokenizer
    else:
        raise ValueError(f"{folder} holds {architecture}, which is neither a text nor an image classifier.")
    with _loading(folder):
        model, info = auto_class.from_pretrained(folder, output_loading_info=True)
        if missing := sorted(info["missing_keys"]):
            raise ValueError(f"it has no weights for {', '.join(missing[:4])}, which would be random")
        return model, auto_processor.from_pretrained(folder)


@contextlib.contextmanager
def _loading(folder: Path) -> Iterator[None]:
    """Turns what is said of weights that cannot be loaded, often a page, into a line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(
            f"{folder} cannot be loaded: {reason.rstrip('.')}. Copy its files once more from where they are whole, or train the "
            "run again elsewhere, with --keep_models last."
        ) from error


def is_image_class(architecture: str) -> bool:
    """Whether a class of models, whose name may end in WithTeacher or Learned, classifies images."""
    return "ImageClassification" in architecture


def remote_code_of(folder: Path, auto_class: str) -> str | None:
    """The file in a saved model's folder that holds its class, where transformers lacks it."""
    name = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auto_map", {}).get(auto_class)
    file = f"{name.split('.')[0]}.py" if name else ""
    return file if file and (folder / file).is_file() else None
