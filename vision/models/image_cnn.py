"""The image classifiers of the paper that transformers lacks: VGG-16 with BatchNorm, and ResNets for small images.

He et al., CVPR 2016, and Simonyan & Zisserman, ICLR 2015, in the forms that Thulasidasan et al. (2019) train on CIFAR:
3x3 stem without pooling, one linear layer behind the features. All are registered with the Auto classes when this module
is imported. It needs nothing of nlp_mixup: a published model brings this file with it.
"""

from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
)
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention
from transformers.models.resnet.modeling_resnet import ResNetConvLayer


class SmallImageResNetConfig(ResNetConfig):
    """A ResNet whose stem is one 3x3 convolution; everything else is `ResNetConfig`'s."""

    model_type = "resnet_small_image"


class SmallImageResNetForImageClassification(ResNetForImageClassification):
    """ResNet for images of 32x32 pixels and thereabouts: the stem neither strides nor pools.

    >>> config = SmallImageResNetConfig(
    ...     embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=10
    ... )
    >>> SmallImageResNetForImageClassification(config)(torch.zeros(2, 3, 32, 32)).logits.shape
    torch.Size([2, 10])
    """

    config: SmallImageResNetConfig
    config_class = SmallImageResNetConfig

    def __init__(self, config: SmallImageResNetConfig):
        super().__init__(config)
        embedder: Any = self.resnet.embedder
        embedder.embedder = ResNetConvLayer(config.num_channels, config.embedding_size, activation=config.hidden_act)
        embedder.pooler = nn.Identity()
        self.post_init()


@strict
class VGGConfig(PreTrainedConfig):
    """Sizes of VGG with BatchNorm; the defaults are VGG-16's.

    Args:
        num_channels: Channels of the images.
        hidden_sizes: Channels of each stage's convolutions.
        depths: 3x3 convolutions of each stage; each stage ends in max-pooling by 2.

    Raises:
        ValueError: the two lists differ in length.

    >>> sum(VGGConfig().depths)  # and three linear layers in the original, one here: the features are pooled to 1x1
    13
    """

    model_type = "vgg"

    num_channels: int = 3
    hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512, 512)
    depths: list[int] | tuple[int, ...] = (2, 2, 3, 3, 3)

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if len(self.hidden_sizes) != len(self.depths) or not self.depths:
            raise ValueError(f"hidden_sizes={self.hidden_sizes} and depths={self.depths} need one entry per stage.")


class VGGForImageClassification(PreTrainedModel):
    """VGG with BatchNorm, average pooling and one linear classifier, for images of at least 2 ** stages pixels.

    >>> VGGForImageClassification(VGGConfig(hidden_sizes=[4, 8], depths=[1, 1]))(torch.zeros(2, 3, 8, 8)).logits.shape
    torch.Size([2, 2])
    """

    config: VGGConfig
    config_class = VGGConfig
    base_model_prefix = "vgg"
    main_input_name = "pixel_values"
    input_modalities = "image"
    # The loss is a mean over the batch, which does not know num_items_in_batch.
    accepts_loss_kwargs = False

    def __init__(self, config: VGGConfig):
        super().__init__(config)
        channels = [config.num_channels, *config.hidden_sizes]
        self.stages = nn.ModuleList(
            _vgg_stage(before, after, depth)
            for before, after, depth in zip(channels[:-1], channels[1:], config.depths, strict=True)
        )
        self.classifier = nn.Linear(channels[-1], len(config.id2label or {}))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, **kwargs: Any
    ) -> ImageClassifierOutputWithNoAttention:
        """Logits of a batch, and with labels the loss.

        Args:
            pixel_values: (batch, channels, height, width).
            labels: (batch,) integer classes.
        """
        hidden = pixel_values
        for stage in self.stages:
            hidden = stage(hidden)
        logits = self.classifier(hidden.mean((2, 3)))
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits)


def _vgg_stage(before: int, after: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, *[after] * (depth - 1)):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


_BASIC: dict[str, Any] = {"layer_type": "basic", "embedding_size": 64, "hidden_sizes": [64, 128, 256, 512]}
# name -> config class and its sizes. resnet-small trains on a CPU: 2.7 million multiplications per 32x32 image.
BUILT_IN: dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]] = {
    "resnet-small": (
        SmallImageResNetConfig,
        {
            **{"layer_type": "basic", "embedding_size": 16, "hidden_sizes": [16, 32, 64], "depths": [2, 2, 2]},
            "downsample_in_first_stage": True,
        },
    ),
    "resnet18-32": (SmallImageResNetConfig, {**_BASIC, "depths": [2, 2, 2, 2]}),
    "resnet34-32": (SmallImageResNetConfig, {**_BASIC, "depths": [3, 4, 6, 3]}),
    "vgg16-bn": (VGGConfig, {}),
    # ImageNet's, with random weights.
    "resnet50": (ResNetConfig, {}),
}
CLASSES: dict[type[PreTrainedConfig], type[PreTrainedModel]] = {
    SmallImageResNetConfig: SmallImageResNetForImageClassification,
    VGGConfig: VGGForImageClassification,
}
for _config, _model in CLASSES.items():
    AutoConfig.register(_config.model_type, _config)
    AutoModelForImageClassification.register(_config, _model)
