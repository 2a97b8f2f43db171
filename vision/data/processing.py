"""What an image processor does to an image, taken apart: bringing it to size, done once, and normalising, done at each reading."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from nlp_mixup.vision.data.normalization import Normalization, Size

_PROBES = ((67, 113), (140, 90))  # heights and widths of the images by which a processor is measured


def build_processor(size: Size, normalization: Normalization | None = None) -> ViTImageProcessorPil:
    """The image processor of a model that is built here: the shorter side is resized, the rest cut off on both sides.

    Args:
        size: height and width of the model's images. Images are squeezed into a size that is no square.
        normalization: of the model's inputs, where it is known yet.

    Example:
        >>> build_processor((8, 8))(Image.new("RGB", (40, 20)), return_tensors="np")["pixel_values"].shape
        (1, 3, 8, 8)
    """
    height, width = size
    given: dict[str, Any] = {"size": {"height": height, "width": width}}
    if height == width:
        crop = {"do_center_crop": True, "crop_size": {"height": height, "width": width}}
        given = {"size": {"shortest_edge": height}, "default_to_square": False, **crop}
    if normalization is not None:
        given |= {"image_mean": list(normalization.mean), "image_std": list(normalization.sd)}
    return ViTImageProcessorPil(do_convert_rgb=True, **given)


def resized_processor(processor: Any, side: int) -> Any:
    """A copy of a pretrained model's processor that gives square images of another size.

    Where it resizes to more than it cuts out, it goes on doing so, in the same proportion.

    Example:
        >>> wide = ViTImageProcessorPil(size={"height": 256, "width": 256}, do_center_crop=True, crop_size=224)
        >>> smaller = resized_processor(wide, 112)
        >>> smaller.size.height, smaller.crop_size.height
        (128, 112)
    """
    processor = copy.deepcopy(processor)
    given = {name: value for name, value in dict(getattr(processor, "size", None) or {}).items() if value}
    crop = dict(getattr(processor, "crop_size", None) or {}) if getattr(processor, "do_center_crop", False) else {}
    share = side / crop["height"] if crop.get("height") else None
    for name in given or ("height", "width"):
        given[name] = side if share is None else round(given.get(name, side) * share)
    changed: dict[str, Any] = {"size": given, "do_resize": True}
    if crop:
        changed["crop_size"] = {"height": side, "width": side}
    for name, value in changed.items():
        kind: Any = type(getattr(processor, name, None))
        setattr(processor, name, kind(**value) if isinstance(value, dict) and kind not in (dict, type(None)) else value)
    return processor


def take_apart(processor: Any) -> tuple[Any, Size, Normalization]:
    """Splits a processor into a copy that only brings images to size, that size, and the normalisation.

    Raises:
        ValueError: its images differ in size, or are not these two steps; the message says what to do.
    """
    to_size = copy.deepcopy(processor)
    # What is done to values, in whatever order, is measured below.
    for name in ("do_rescale", "do_normalize", "include_top", "rescale_offset", "do_flip_channel_order"):
        setattr(to_size, name, False)
    name = type(processor).__name__
    random = np.random.RandomState(0)
    probes = [Image.fromarray(random.randint(0, 256, (*shape, 3)).astype(np.uint8)) for shape in _PROBES]
    sizes = {pixels_of(to_size, [probe])[0].shape[:2] for probe in probes}
    if len(sizes) > 1:
        raise ValueError(f"The model's {name} gives images of several sizes. Type --image_size N, the model's.")
    size: Size = sizes.pop()
    normalization = _normalization(processor, size)
    for probe in probes:
        ours = normalization(torch.from_numpy(np.stack(pixels_of(to_size, [probe]))))
        theirs = torch.as_tensor(_values(processor, [probe])).float()
        grey_level = 1.01 / 255 / min(normalization.sd)
        if ours.shape != theirs.shape or (ours - theirs).abs().max() > grey_level:
            raise ValueError(
                f"The model's {name} does more to an image than to resize, crop and normalise it, so a model could not be "
                "trained on what its pipeline will see. Choose another model."
            )
    return to_size, size, normalization


def pixels_of(to_size: Any, images: list[Image.Image]) -> list[np.ndarray]:
    """Images brought to size, each (height, width, 3) uint8."""
    values = [np.asarray(value) for value in to_size(images)["pixel_values"]]
    return [np.ascontiguousarray(np.rint(value).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)) for value in values]


def _values(processor: Any, images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(value) for value in processor(images)["pixel_values"]])


def _normalization(processor: Any, size: Size) -> Normalization:
    """What becomes of a pixel in the middle of a plain image, which is a straight line for each channel."""
    colours = [(0, 0, 0), (255, 255, 255), (255, 0, 0)]
    height, width = size
    plain = [Image.new("RGB", (width, height), colour) for colour in colours]
    black, white, red = _values(processor, plain)[:, :, height // 2, width // 2].astype(np.float64)
    reverse = bool(abs(red[2] - white[2]) < abs(red[0] - white[0]))
    if reverse:
        black, white = black[::-1], white[::-1]
    if not (white > black).all():
        raise ValueError(f"The model's {type(processor).__name__} makes white no brighter than black. Choose another.")
    sd = 1 / (white - black)
    return Normalization(tuple((-black * sd).tolist()), tuple(sd.tolist()), reverse)
