"""Encoded images become plain pixels of one size, kept by a hash of what their files say.

Training reads images through the very processor that is saved with the model, so that a pipeline sees the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import PIL
import pyarrow as pa
import transformers
from datasets.fingerprint import Hasher
from PIL import Image

from nlp_mixup.data import digest
from nlp_mixup.vision.data.decoding import called, open_image, read_content, read_contents
from nlp_mixup.vision.data.normalization import Size
from nlp_mixup.vision.data.processing import pixels_of

_FORMAT = 2  # of the pixels that are kept: raise it when they are read in another way


@dataclass(frozen=True)
class ImageReader:
    """Reads encoded images as pixels of one size.

    Attributes:
        to_size: an image processor that resizes and crops, and does nothing else.
        size: of what it gives.
        resize: whether images of other sizes are accepted.
    """

    to_size: Any
    size: Size
    resize: bool

    def read(self, contents: list[dict[str, Any]], places: list[str]) -> list[bytes]:
        """The plain bytes of (height, width, 3) of each image {bytes, path}.

        Args:
            contents: encoded images.
            places: what to call each in an error.

        Raises:
            ValueError: an image cannot be read, or has another size and is not to be resized; the message names it.
        """
        images = [self._open(content, place) for content, place in zip(contents, places, strict=True)]
        return [pixels.tobytes() for pixels in pixels_of(self.to_size, images)]

    def _open(self, content: dict[str, Any], place: str) -> Image.Image:
        content = read_content(content, place)
        name = called(content, place)
        image = open_image(content["bytes"], name)
        height, width = self.size
        if not self.resize and image.size != (width, height):
            raise ValueError(
                f"{name} has {image.size[0]}x{image.size[1]} pixels, the first training image {width}x{height}. To bring "
                "all to one size, type --image_size N."
            )
        return image


def decode_table(table: pa.Table, split: str, label_names: list[str] | None, reader: ImageReader) -> datasets.Dataset:
    """Decodes every image into plain pixels, which are kept under ``HF_DATASETS_CACHE`` by a hash of what the files say.

    Args:
        table: column ``image`` and, with `label_names`, ``label``.
        split: what to call it in an error.
        label_names: the classes; None leaves the labels out.
        reader: what brings them to size.

    Returns:
        Columns ``pixel_values``, the bytes of (height, width, 3), and ``labels``.

    Raises:
        ValueError: an image cannot be read, or has another size; the message names the file.
    """
    columns: dict[str, Any] = {"image": pa.array(read_contents(table, split), table["image"].type)}
    features = {"pixel_values": datasets.Value("binary")}
    if label_names is not None:
        columns["labels"] = table["label"]
        features["labels"] = datasets.ClassLabel(names=label_names)
    encoded = datasets.Dataset(pa.table(columns))
    how = [_FORMAT, type(reader.to_size).__name__, reader.to_size.to_json_string(), reader.size, reader.resize]
    decoders = [PIL.__version__, transformers.__version__]
    key = Hasher.hash([digest(encoded), label_names, how, decoders])
    return encoded.map(
        partial(_decode, split=split, reader=reader),
        batched=True,
        batch_size=256,
        remove_columns=["image"],
        features=datasets.Features(features),
        cache_file_name=str(Path(datasets.config.HF_DATASETS_CACHE) / "nlp_mixup" / f"pixels-{key}.arrow"),
        new_fingerprint=key,
        with_indices=True,
        desc=f"decode {split}",
    )


def _decode(rows: dict[str, Any], indices: list[int], split: str, reader: ImageReader) -> dict[str, Any]:
    return {"pixel_values": reader.read(rows["image"], [f"{split}, row {row + 1}" for row in indices])}
