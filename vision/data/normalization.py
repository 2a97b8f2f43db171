"""From stored pixels to a batch of model inputs: (x / 255 - mean) / sd for each channel."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Normalization:
    """(x / 255 - mean) / sd for each channel of a pixel x.

    Attributes:
        mean, sd: red, green and blue; sd > 0.
        reverse_channels: the model wants blue, green, red.
    """

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    reverse_channels: bool = False

    def __call__(self, pixels: Tensor) -> Tensor:
        """Normalises.

        Args:
            pixels: (n, height, width, 3) in 0 to 255.

        Returns:
            (n, 3, height, width) float32.
        """
        scale = torch.tensor(self.sd) * 255
        shift = torch.tensor(self.mean) / torch.tensor(self.sd)
        values = pixels.permute(0, 3, 1, 2).float().div_(scale[:, None, None]).sub_(shift[:, None, None])
        return values.flip(1) if self.reverse_channels else values.contiguous()

    @property
    def black(self) -> tuple[float, ...]:
        """What a black pixel becomes, one number for each of the model's channels."""
        return tuple(self(torch.zeros(1, 1, 1, 3)).flatten().tolist())


def pixel_statistics(pixels: Iterable[np.ndarray]) -> Normalization:
    """Mean and standard deviation of each channel over all pixels of all images, exactly, in units of the full range.

    A channel whose pixels are all alike gets the standard deviation of half a grey level.

    Args:
        pixels: arrays (..., 3) of uint8.

    Example:
        >>> pixel_statistics([np.array([[[0, 0, 255], [255, 0, 255]]], np.uint8)]).mean
        (0.5, 0.0, 1.0)
    """
    counts = np.zeros((3, 256), np.int64)
    for array in pixels:
        for channel in range(3):
            counts[channel] += np.bincount(array[..., channel].ravel(), minlength=256)
    shares, levels = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = shares @ levels
    sd = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(1))
    return Normalization(tuple(mean.tolist()), tuple(np.maximum(sd, 0.5 / 255).tolist()))


@dataclass(frozen=True)
class PixelTransform:
    """Turns rows of stored pixels into model inputs, as the transform of a `datasets.Dataset`.

    Attributes:
        size: of the stored images.
        normalization: of the model's inputs.
    """

    size: Size
    normalization: Normalization

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        if "pixel_values" not in rows:  # datasets below 4.8 hand over a column by itself, as in rows["labels"]
            return rows
        stored = np.frombuffer(b"".join(rows["pixel_values"]), np.uint8).reshape(-1, *self.size, 3)
        return rows | {"pixel_values": self.normalization(torch.from_numpy(stored.copy()))}


def collate_images(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch of the rows that `PixelTransform` gives, with labels where there are any.

    Example:
        >>> batch = collate_images([{"pixel_values": torch.zeros(3, 4, 4), "labels": 1}])
        >>> batch["pixel_values"].shape, batch["labels"]
        (torch.Size([1, 3, 4, 4]), tensor([1]))
    """
    batch = {"pixel_values": torch.stack([row["pixel_values"] for row in rows])}
    if "labels" in rows[0]:
        batch["labels"] = torch.tensor([row["labels"] for row in rows])
    return batch
