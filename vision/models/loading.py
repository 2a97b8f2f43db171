"""The image classifier and image processor that `ModelArguments` name: from the Hub, a folder, or built here."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel

# The name at the top of older ones asks for torchvision.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from nlp_mixup.arguments import ModelArguments
from nlp_mixup.models import (
    Start,
    check_head_goes_on,
    check_whole,
    drawn_at_random,
    label_settings,
    read_start,
    renew_head,
)
from nlp_mixup.vision.models.image_cnn import BUILT_IN


def find_start(args: ModelArguments) -> Start:
    """What is known of the model that training starts from; see `nlp_mixup.models.loading.find_start`."""
    if args.model_name_or_path in BUILT_IN:
        return Start(args.model_name_or_path)
    return read_start(args.model_name_or_path, args.model_name_or_path, args.model_revision)


def load_image_model(
    args: ModelArguments, label_names: list[str], start: Start | None = None, follows: bool = False
) -> PreTrainedModel:
    """The classifier that `args` name, with the data's label names; new weights come from torch's global generator.

    A head that was trained for other classes than the data's is drawn anew.

    Args:
        args: ``model_name_or_path`` is one of `BUILT_IN`, a folder, or a model on the Hub.
        label_names: the classes in the order of their ids.
        start: from `find_start`; None for a model whose checkpoint holds no head.
        follows: whether the class ids are the model's.

    Raises:
        OSError: the model is neither a folder nor reachable on the Hub.
        ValueError: a misspelt built-in model, or the model is no image classifier.
    """
    labels = label_settings(label_names)
    if args.model_name_or_path in BUILT_IN:
        config_class, sizes = BUILT_IN[args.model_name_or_path]
        model = AutoModelForImageClassification.from_config(config_class(**sizes, **labels))
        # Convolutions put out what their weights are stored as: a third less time on a CPU.
        return model.to(memory_format=torch.channels_last)
    hub = {"revision": args.model_revision, "trust_remote_code": args.trust_remote_code}
    # A checkpoint whose head has other classes gives its encoder. Whatever it was trained for: one class is right here.
    model, info = AutoModelForImageClassification.from_pretrained(
        args.model_name_or_path, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True,
        problem_type="single_label_classification", **hub, **labels,
    )  # fmt: skip
    if follows:
        check_head_goes_on(args.model_name_or_path, args.model_name_or_path, model, info)
    elif start is not None and start.has_head:
        renew_head(model, drawn_at_random(info))
    return model


def check_model_name(args: ModelArguments) -> None:
    """Refuses a misspelt built-in model, and what belongs to texts, before anything is asked from the Hub.

    Raises:
        ValueError: the message names what is accepted.
    """
    name = args.model_name_or_path
    alike = [known for known in BUILT_IN if name.lower().replace("_", "-") == known and name != known]
    if alike:
        raise ValueError(f"model_name_or_path {name!r}: did you mean {alike[0]!r}?")
    if name in ("text-cnn", "minilm"):
        raise ValueError(
            f"model_name_or_path {name!r} reads texts. For images type one of {', '.join(BUILT_IN)}, a folder, or a model "
            "on the Hub."
        )
    if args.glove_file is not None or args.tokenizer_name is not None:
        raise ValueError("glove_file and tokenizer_name belong to texts. Leave them out where task is image.")
    if args.lora_rank:
        raise ValueError(
            f"lora_rank={args.lora_rank} is for texts: images are trained with all weights. Leave it out where task is image."
        )
    check_whole(name)


def check_channels(args: ModelArguments) -> None:
    """Refuses a pretrained model of other images than red, green and blue, from its configuration alone.

    Raises:
        OSError: the model is neither a folder nor reachable on the Hub.
        ValueError: the message says how many channels it takes.
    """
    if args.model_name_or_path in BUILT_IN:
        return
    config = AutoConfig.from_pretrained(
        args.model_name_or_path, revision=args.model_revision, trust_remote_code=args.trust_remote_code
    )
    channels = getattr(getattr(config, "vision_config", config), "num_channels", 3)
    if channels != 3:
        raise ValueError(
            f"{args.model_name_or_path} takes images of {channels} channel{'s' * (channels != 1)}; all images are read as red, "
            "green and blue. Choose a model with num_channels=3."
        )


def load_image_processor(args: ModelArguments) -> Any | None:
    """The image processor that comes with a pretrained model; None for one that is built here.

    Raises:
        OSError: the model is neither a folder nor reachable on the Hub, or has no processor.
    """
    if args.model_name_or_path in BUILT_IN:
        return None
    return AutoImageProcessor.from_pretrained(
        args.model_name_or_path, revision=args.model_revision, trust_remote_code=args.trust_remote_code
    )
