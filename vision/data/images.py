"""From the bytes of image files to model inputs: decoding, augmentation, normalisation; and images of noise.

Pillow and numpy do all of it. Every image becomes RGB as in a transformers pipeline: grey is repeated, palettes are looked
up, transparency is dropped. What a pipeline would clip, such as 16 bits of grey, is refused.
"""

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Size = tuple[int, int]  # height, width
Augmentation = Literal["none", "flip", "pad-crop-flip"]


def open_image(content: bytes, name: str) -> Image.Image:
    """Decodes an image into RGB, upright as its EXIF data says.

    Args:
        content: the bytes of an image file.
        name: what to call it in an error.

    Raises:
        ValueError: it is no image, or broken, or holds decimal numbers or more than 8 bits; the message names it.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("L", (3, 2), 7).save(file, format="png")
        >>> image = open_image(file.getvalue(), "grey.png")
        >>> image.mode, image.size, image.getpixel((0, 0))
        ('RGB', (3, 2), (7, 7, 7))
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(content))
        image.load()
        image = _upright(image)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{name} cannot be read as an image: {str(error) or type(error).__name__}. It is corrupt, truncated or no image: "
            "replace it, or remove its row."
        ) from error
    if image.mode == "F":
        kind = "decimal numbers" if np.isfinite(np.asarray(image)).all() else "NaN or infinite pixels"
        raise ValueError(f"{name} holds {kind} (mode F); accepted are 8 bits per channel. Save it so.")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 255:
            raise ValueError(
                f"{name} holds {values.min()} to {values.max()}, more than the 8 bits that are accepted: a transformers pipeline, "
                "and whoever calls Pillow's convert('RGB'), would see white in place of all above 255. Save it with 8 bits, for "
                "example: Image.fromarray((numpy.asarray(Image.open(FILE)) // 256).astype('uint8')).save(FILE)"
            )
    return image.convert("RGB")


# EXIF orientation -> what turns the image upright.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image) -> Image.Image:
    """Without `ImageOps.exif_transpose`, which also writes the EXIF data anew, and fails where they are damaged."""
    try:
        turn = _TURNS.get(int(image.getexif().get(_ORIENTATION, 1)))
    except Exception:  # damaged data raise errors of many kinds, and the pixels are there
        turn = None
    return image if turn is None else image.transpose(turn)


def read_content(content: dict[str, Any], where: str) -> dict[str, Any]:
    """An encoded image {bytes, path} with its bytes read, if they are a file's, and named after its place if it has no name.

    Raises:
        ValueError: there are neither bytes nor a file.
    """
    path, data = content["path"], content["bytes"]
    if data is None:
        if not path or not Path(path).is_file():
            raise ValueError(f"{where}: there is no image file {path}.")
        data = Path(path).read_bytes()
    return {"bytes": data, "path": path or where}


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
        stored = np.frombuffer(b"".join(rows["pixel_values"]), np.uint8).reshape(-1, *self.size, 3)
        return rows | {"pixel_values": self.normalization(torch.from_numpy(stored.copy()))}


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


@dataclass(frozen=True)
class NoiseTransform:
    """Turns row numbers into images of noise, the same for a row at each time of asking.

    Attributes:
        kind: ``gaussian`` has the statistics of the training images, as in the paper (section 5), not clipped to their
            range; ``uniform`` is uniform over the range of pixels.
        statistics: of the training images.
        size: of the images.
        normalization: of the model's inputs.
        seed: of the draws.
    """

    kind: Literal["gaussian", "uniform"]
    statistics: Normalization
    size: Size
    normalization: Normalization
    seed: int

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        return rows | {
            "pixel_values": self.normalization(torch.stack([self._image(row) for row in rows["pixel_values"]]))
        }

    def _image(self, row: int) -> Tensor:
        generator = np.random.default_rng([self.seed, row])
        if self.kind == "uniform":
            return torch.from_numpy(255 * generator.random((*self.size, 3)))
        mean, sd = np.array(self.statistics.mean), np.array(self.statistics.sd)
        return torch.from_numpy(255 * (mean + sd * generator.standard_normal((*self.size, 3))))


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
