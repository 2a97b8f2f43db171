"""The facts by which image classifiers differ for mixup: which read no pixels, and which modules put out hidden states."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel

# Types that take pixel_values beside the input that they name first.
PIXEL_VALUES_TOO = {"perceiver"}
# type -> why its pixels cannot be mixed, as measured in docs/architectures.md.
REFUSED = {
    "dinat": "it needs the package natten, without which it could not be built and measured",
    "imagegpt": "it reads the ids of colour clusters (input_ids), not pixels",
    "pp_lcnet": "its output holds no logits",
    "shieldgemma2": "it reads a text (input_ids) beside the image",
    "siglip2": "it reads patches with a mask and positions of their own (pixel_attention_mask, spatial_shapes)",
}
# type -> the list of stages or layers whose outputs mix symmetrically, as measured there too.
LAYERS = {
    "beit": "beit.layers",
    "bit": "bit.encoder.stages",
    "clip": "vision_model.encoder.layers",
    "convnext": "convnext.encoder.stages",
    "convnextv2": "convnextv2.encoder.stages",
    "data2vec-vision": "data2vec_vision.encoder.layer",
    "deit": "deit.layers",
    "dinov2": "dinov2.encoder.layer",
    "dinov2_with_registers": "dinov2_with_registers.encoder.layer",
    "donut-swin": "donut.encoder.layers",
    "focalnet": "focalnet.encoder.stages",
    "hiera": "hiera.encoder.stages",
    "ijepa": "ijepa.layers",
    "levit": "levit.encoder.stages",
    "metaclip_2": "vision_model.encoder.layers",
    "regnet": "regnet.encoder.stages",
    "resnet": "resnet.encoder.stages",
    "resnet_small_image": "resnet.encoder.stages",
    "segformer": "segformer.stages",
    "siglip": "vision_model.encoder.layers",
    "swin": "swin.encoder.layers",
    "swinv2": "swinv2.encoder.layers",
    "vgg": "stages",
    "vit": "vit.layers",
    "vit_msn": "vit.layers",
}


def check_image_model(model: PreTrainedModel) -> None:
    """Refuses, by name and reason, a model whose pixels cannot be mixed.

    Raises:
        ValueError: the type is refused, or its input is no image.
    """
    model_type = model.config.model_type
    reason = REFUSED.get(model_type)
    if reason is None and model.main_input_name != "pixel_values" and model_type not in PIXEL_VALUES_TOO:
        reason = f"{type(model).__name__} reads {model.main_input_name}, not pixel_values"
    if reason is not None:
        raise ValueError(
            f"Model type '{model_type}' cannot be trained with pixel mixup: {reason}. Use an image classifier such as "
            "ViT, ConvNeXt or ResNet, or set mixup_alpha=0."
        )


def image_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The stages of a convolutional network, or the layers of an image transformer, in the order of the forward pass.

    Raises:
        ValueError: the type is not among those whose hidden states can be mixed.
    """
    path = LAYERS.get(model.config.model_type)
    if path is None:
        raise ValueError(
            f"Model type '{model.config.model_type}' cannot be mixed at mixup_level='hidden', which is proven for "
            f"{', '.join(sorted(LAYERS))}. Use mixup_level='embedding', the pixels, or 'sentence'."
        )
    adapted: Any = model  # perhaps a PeftModel
    below_adapters = adapted.get_base_model() if hasattr(model, "get_base_model") else adapted
    return list(below_adapters.get_submodule(path))
