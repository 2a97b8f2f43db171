"""Mixes the pixels of a batch of images: mixup, and CutMix, which pastes a box of one image into the other.

Mixup: Zhang et al., ICLR 2018, as Thulasidasan et al., NeurIPS 2019, use it. CutMix: Yun et al., ICCV 2019.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_mixup.mixing import Mix, Mode, draw_mix, interpolate, mix_in_mode


@dataclass(frozen=True)
class CutMix(Mix):
    """A `Mix` whose inputs are mixed by a box of the partner's pixels instead of interpolation.

    Attributes:
        boxes: (n, 4), or (1, 4) for all rows, int64 on the CPU: top, bottom, left and right edge of the partner's box; the
            bottom row and the right column are not in it. ``lam`` is the share of pixels outside it.
    """

    boxes: Tensor

    def to(self, device: torch.device | str) -> "CutMix":
        mix = super().to(device)
        return CutMix(mix.partners, mix.lam, mix.label_lam, self.boxes)


def draw_cut_mix(
    n: int,
    alpha: float,
    size: tuple[int, int],
    *,
    seed: int,
    rank: int = 0,
    step: int = 0,
    micro_step: int = 0,
    lambda_per: Literal["batch", "example"] = "batch",
    mode: Mode = "full",
    probability: float = 1.0,
) -> Mix | None:
    """Draws pairs and lambdas as `nlp_mixup.mixing.draw.draw_mix`, and turns lambda into the share of pixels outside a box.

    The box's centre is drawn uniformly over the pixels. What lies outside the image is cut off, so the labels are mixed by
    the area that was pasted. One lambda for the batch is one box for all its rows.

    Args:
        size: height and width of the images, in pixels.
        n, alpha, seed, rank, step, micro_step, lambda_per, mode, probability: as for `draw_mix`; under ``labels_only`` no
            pixel changes place and the result has no boxes.

    Returns:
        A `CutMix` on the CPU, a `Mix` where only labels are mixed, or None where the batch is not mixed.

    Raises:
        ValueError, OverflowError: as `draw_mix`.

    Example:
        >>> cut = draw_cut_mix(2, 1.0, (8, 8), seed=0)
        >>> top, bottom, left, right = cut.boxes[0].tolist()
        >>> cut.lam[0].item() == 1 - (bottom - top) * (right - left) / 64
        True
    """
    name = {"seed": seed, "rank": rank, "step": step, "micro_step": micro_step}
    mix = draw_mix(n, alpha, **name, lambda_per=lambda_per, mode=mode, probability=probability)
    if mix is None:
        return None
    lam = (mix.label_lam if mode == "labels_only" else mix.lam)[: 1 if lambda_per == "batch" else n].numpy()
    generator = np.random.default_rng(np.array([seed, rank, step, micro_step, 2], np.uint32))
    boxes = cut_boxes(lam, generator.random((len(lam), 2)), size)
    area = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    remaining = torch.from_numpy((1 - area / (size[0] * size[1])).astype(np.float32)).expand(n).contiguous()
    corrected = mix_in_mode(mix.partners, remaining, mode)
    if mode == "labels_only":
        return corrected
    return CutMix(corrected.partners, corrected.lam, corrected.label_lam, torch.from_numpy(boxes))


def cut_boxes(lam: NDArray, centres: NDArray, size: tuple[int, int]) -> NDArray[np.int64]:
    """Boxes of sqrt(1 - lambda) of an image's height and of its width, cut off at its border.

    Args:
        lam: (m,) in [0, 1].
        centres: (m, 2) in [0, 1), down and across, in shares of the image.
        size: height and width of the images, in pixels.

    Returns:
        (m, 4) top, bottom, left and right edge; the bottom row and the right column are not in the box.

    Example:
        >>> cut_boxes(np.array([0.75]), np.array([[0.5, 0.0]]), (8, 8))  # 4 x 4, half of it left of the image
        array([[2, 6, 0, 2]])
    """
    edges = []
    for length, centre in zip(size, centres.T, strict=True):
        extent = np.floor(np.sqrt(1 - lam) * length)
        start = np.floor(centre * length) - np.floor(extent / 2)
        edges += [start.clip(0, length), (start + extent).clip(0, length)]
    return np.stack(edges, axis=1).astype(np.int64)


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
