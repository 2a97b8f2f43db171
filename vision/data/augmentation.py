"""Shifted and mirrored copies of a batch of images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Augmentation = Literal["none", "flip", "pad-crop-flip"]


@dataclass(frozen=True)
class Augmenter:
    """Mirrors half of the images; ``pad-crop-flip`` also shifts each by up to an eighth of its size, with black behind.

    Attributes:
        augmentation: ``none``, ``flip`` or ``pad-crop-flip``.
        black: (channels,) what black is as a model input.

    Example:
        >>> images = torch.arange(3.0).view(1, 1, 1, 3).expand(1, 1, 2, 3)
        >>> Augmenter("flip", (0.0,))(images, np.random.default_rng(0))[0, 0, 0]  # this one is not mirrored
        tensor([0., 1., 2.])
    """

    augmentation: Augmentation
    black: tuple[float, ...]

    def __call__(self, pixel_values: Tensor, random: np.random.Generator) -> Tensor:
        """Augments a batch.

        Args:
            pixel_values: (n, channels, height, width) normalised pixels.
            random: where the draws come from.

        Returns:
            The same shape.
        """
        if self.augmentation == "none":
            return pixel_values
        n, channels, height, width = pixel_values.shape
        rows, columns = np.arange(height)[None], np.arange(width)[None]
        columns = np.where(random.random((n, 1)) < 0.5, columns[:, ::-1], columns)
        if self.augmentation == "pad-crop-flip":
            down, right = height // 8, width // 8
            black = pixel_values.new_tensor(self.black)[:, None, None]
            padded = black.expand(n, channels, height + 2 * down, width + 2 * right).clone()
            padded[:, :, down : down + height, right : right + width] = pixel_values
            pixel_values = padded
            rows = rows + random.integers(2 * down + 1, size=(n, 1))
            columns = columns + random.integers(2 * right + 1, size=(n, 1))
        rows, columns = np.broadcast_to(rows, (n, height))[:, None, :, None], columns[:, None, None, :]
        index = [np.arange(n)[:, None, None, None], np.arange(channels)[None, :, None, None], rows, columns]
        return pixel_values[tuple(torch.from_numpy(part.copy()).to(pixel_values.device) for part in index)]
