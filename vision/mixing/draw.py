"""Draws boxes of CutMix, and with them the pairs and lambdas, from (seed, process, step) alone.

Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_mixup.mixing import Mix, Mode, draw_mix, mix_in_mode


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
