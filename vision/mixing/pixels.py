"""Mixes the pixels of a batch of images: mixup, and CutMix, which pastes a box of one image into the other.

Mixup: Zhang et al., ICLR 2018, as Thulasidasan et al., NeurIPS 2019, use it. CutMix: Yun et al., ICCV 2019.
"""

from typing import Any

import torch
from torch import Tensor

from nlp_mixup.mixing import Mix, interpolate
from nlp_mixup.vision.mixing.draw import CutMix


def mix_pixels(pixel_values: Tensor, mix: Mix, rows: slice = slice(None)) -> Tensor:
    """The mixed images of some rows: lambda * x_a + (1 - lambda) * x_b, or x_a with a box of x_b.

    Args:
        pixel_values: (n, channels, height, width) normalised pixels. Partners are found among them.
        mix: the pairs, n rows, on the pixels' device.
        rows: which of the n to return.

    Returns:
        (m, channels, height, width), a new tensor.

    Example:
        >>> black, white = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
        >>> shares = torch.tensor([0.75, 0.75])
        >>> mix = Mix(torch.tensor([1, 0]), shares, shares)
        >>> mix_pixels(torch.cat([black, white]), mix).flatten(1)
        tensor([[0.2500, 0.2500],
                [0.7500, 0.7500]])
    """
    first, partners, lam = pixel_values, mix.partners, mix.lam
    if range(len(lam))[rows] != range(len(lam)):  # of all rows, the views would cost more than they tell
        first, partners, lam = first[rows], partners[rows], lam[rows]
    if not isinstance(mix, CutMix):
        second = pixel_values.index_select(0, partners)  # a copy, which then becomes the mixture
        return interpolate(first, second, lam, out=second)
    if len(mix.boxes) == 1:
        top, bottom, left, right = mix.boxes[0].tolist()
        mixed = first.clone()
        mixed[:, :, top:bottom, left:right] = pixel_values[:, :, top:bottom, left:right].index_select(0, partners)
        return mixed
    top, bottom, left, right = (edge[:, None] for edge in mix.boxes[rows].to(first.device).T)
    height, width = (torch.arange(length, device=first.device) for length in first.shape[-2:])
    in_box = ((height >= top) & (height < bottom))[:, :, None] & ((width >= left) & (width < right))[:, None, :]
    return torch.where(in_box[:, None], pixel_values.index_select(0, partners), first)


def mixed_batch(
    inputs: dict[str, Tensor], mix: Mix, rows: slice = slice(None), with_clean: bool = False
) -> dict[str, Tensor]:
    """The batch to give to a model: mixed pixels, and the original rows' labels.

    Args:
        inputs: collated rows with ``pixel_values`` (n, channels, height, width), among which the partners are.
        mix: the pairs, n rows, on the rows' device.
        rows: the rows of this forward pass, where they are a micro-batch of the n.
        with_clean: append the rows themselves, unmixed, behind the mixed ones.

    Raises:
        ValueError: there are no pixels, or other inputs of a row that would travel unmixed.
    """
    check_inputs(inputs)
    pixels = mix_pixels(inputs["pixel_values"], mix, rows)
    if with_clean:
        pixels = torch.cat([pixels, inputs["pixel_values"][rows]])
    labels = {"labels": inputs["labels"][rows]} if "labels" in inputs else {}
    return inputs | {"pixel_values": pixels} | labels


def check_inputs(inputs: dict[str, Any]) -> None:
    """Refuses a batch that is no batch of images of one size.

    Raises:
        ValueError: the message says what is there, and what to do.
    """
    pixels = inputs.get("pixel_values")
    if pixels is None:
        raise ValueError(
            f"Pixel mixup needs pixel_values in the batch, which has {', '.join(sorted(inputs))}. Collate images, or set "
            "mixup_alpha=0. For texts: from nlp_mixup import MixupTrainer."
        )
    if pixels.dim() != 4 or not pixels.is_floating_point():
        raise ValueError(
            f"pixel_values must be floats (rows, channels, height, width), got {pixels.dtype} {tuple(pixels.shape)}: one "
            "normalised image per label."
        )
    others = [
        name for name, value in inputs.items() if name not in ("pixel_values", "labels") and torch.is_tensor(value)
    ]
    if others:
        raise ValueError(f"Pixel mixup would mix the pixels but not {others[0]}. Leave it out, or set mixup_alpha=0.")


def pool_images(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Joins the micro-batches of a step into one batch.

    Raises:
        ValueError: their images differ in size.

    Example:
        >>> halves = [{"pixel_values": torch.zeros(2, 3, 4, 4)}, {"pixel_values": torch.ones(1, 3, 4, 4)}]
        >>> pool_images(halves)["pixel_values"].shape
        torch.Size([3, 3, 4, 4])
    """
    if len(batches) == 1:
        return batches[0]
    sizes = {tuple(batch["pixel_values"].shape[1:]) for batch in batches if "pixel_values" in batch}
    if len(sizes) > 1:
        raise ValueError(f"The images of one step have several shapes, {sorted(sizes)}. Resize them to one size.")
    return {
        name: torch.cat([batch[name] for batch in batches]) if torch.is_tensor(value) else value
        for name, value in batches[0].items()
    }
