"""A small random image classifier of every type that transformers can classify images with, and images for it."""

import copy
from typing import Any

import torch
from tiny_architectures import LABELS, MissingDependency, small_fields
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModelForImageClassification, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from nlp_mixup.vision.models.image_cnn import CLASSES

OWN_TYPES = sorted(config.model_type for config in CLASSES)
IMAGE_MODEL_TYPES: list[str] = sorted(MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)

# What a type's configuration needs to be small and consistent.
_SWIN = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
TYPE_FIELDS: dict[str, dict[str, Any]] = {
    "bit": {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 1], "num_groups": 4},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "layer_scale_init_value": 1.0},
    "convnextv2": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "cvt": {"embed_dim": [8, 16, 24], "num_heads": [1, 2, 2], "depth": [1, 2, 3], "drop_path_rate": [0.0] * 3},
    "donut-swin": _SWIN,
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320, "image_size": 64},
    "focalnet": {"embed_dim": 8, "depths": [1, 1], "focal_levels": [1, 1], "focal_windows": [3, 3]},
    "hiera": {"image_size": [64, 64], "query_stride": [2, 2], "depths": [1, 1, 1], "num_query_pool": 2,
              "num_heads": [1, 2, 4], "masked_unit_size": [4, 4], "embed_dim": 16},
    "mobilevitv2": {"image_size": 64},
    "perceiver": {"d_model": 64, "num_latents": 8, "d_latents": 32, "num_self_attention_heads": 2},
    "pvt_v2": {"image_size": 32},
    "regnet": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 1], "groups_width": 8},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "resnet_small_image": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "swin": _SWIN,
    "swinv2": _SWIN,
    "textnet": {"image_size": [64, 64]},
    "vgg": {"hidden_sizes": [8, 16], "depths": [1, 1]},
}  # fmt: skip


def tiny_image_classifier(model_type: str, seed: int = 0) -> PreTrainedModel:
    """A random classifier of `LABELS` labels on the CPU without dropout, its BatchNorm statistics frozen, in eval mode.

    Raises:
        MissingDependency: the type needs a package that is not installed.
    """
    config_class = CONFIG_MAPPING[model_type]
    special = TYPE_FIELDS.get(model_type, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            fields = small_fields(config_class(), special)
            config = config_class(**{"num_labels": LABELS, **fields})
            if isinstance(classes := MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(model_type), tuple):
                config.architectures = [classes[0]]  # where there are several, a saved model says which it is
            model = AutoModelForImageClassification.from_config(config)
        except ImportError as error:
            raise MissingDependency(f"Model type '{model_type}' cannot be built: {str(error).strip()}") from error
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.dim() > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        freeze_statistics(model)
    return model.eval()


def freeze_statistics(model: PreTrainedModel) -> None:
    """Gives every BatchNorm the statistics of one batch, and keeps them: no row then depends on the others."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None  # the mean over batches, which are one here
    with torch.no_grad():
        model.train()(pixel_values=tiny_images(model, n=8, seed=1)["pixel_values"])
    for norm in norms:
        norm.eval()
        norm.train = _stay  # type: ignore[method-assign]


def _stay(mode: bool = True) -> None:
    """What a frozen module does when it is told its mode."""


def image_size_of(model: PreTrainedModel) -> int:
    config = getattr(model.config, "vision_config", model.config)
    size = getattr(config, "image_size", None) or 32
    return size if isinstance(size, int) else size[0]


def tiny_images(model: PreTrainedModel, n: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Random images with labels, of the size that the model takes."""
    generator = torch.Generator().manual_seed(seed)
    size = image_size_of(model)
    channels = getattr(getattr(model.config, "vision_config", model.config), "num_channels", 3)
    return {
        "pixel_values": torch.randn(n, channels, size, size, generator=generator).to(model.dtype),
        "labels": torch.randint(LABELS, (n,), generator=generator),
    }


def image_rows(batch: dict[str, Tensor]) -> list[dict[str, Any]]:
    """A batch as a data set of rows."""
    return [
        {"pixel_values": pixels, "labels": int(label)}
        for pixels, label in zip(batch["pixel_values"], batch["labels"], strict=True)
    ]


def replay_images(model: PreTrainedModel, batch: dict[str, Tensor], mix) -> Tensor:
    """The gradient of one plain PyTorch step on a whole batch: pixels and hard labels mixed by hand, soft cross-entropy."""
    model = copy.deepcopy(model).train()
    pixels, hard = batch["pixel_values"], nn.functional.one_hot(batch["labels"], LABELS).to(model.dtype)
    if mix is not None:
        partners, lam = mix.partners, mix.lam[:, None, None, None].to(model.dtype)
        mixed = torch.empty_like(pixels)
        if hasattr(mix, "boxes"):
            for row, (top, bottom, left, right) in enumerate(mix.boxes.expand(len(pixels), -1).tolist()):
                mixed[row] = pixels[row]
                mixed[row, :, top:bottom, left:right] = pixels[partners[row], :, top:bottom, left:right]
        else:
            mixed = lam * pixels + (1 - lam) * pixels[partners]
        pixels, share = mixed, mix.label_lam[:, None]
        hard = share * hard + (1 - share) * hard[partners]
    logits = model(pixel_values=pixels).logits
    (-(hard * nn.functional.log_softmax(logits, 1)).sum(1).mean()).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
