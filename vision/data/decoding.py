"""From the bytes of an image file to an upright RGB image.

Every image becomes RGB as in a transformers pipeline: grey is repeated, palettes are looked up, transparency is dropped. What
a pipeline would clip, such as 16 bits of grey, is refused.
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

CONTENT = pa.struct({"bytes": pa.binary(), "path": pa.string()})  # an encoded image


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


def read_contents(table: pa.Table, name: str) -> Iterator[dict[str, Any]]:
    """Column ``image`` of a split, `read_content` of each; `name` is what to call the split in an error."""
    for row, content in enumerate(table["image"].to_pylist(), 1):
        yield read_content(content, f"{name}, row {row}")


def called(content: dict[str, Any], place: str) -> str:
    """What to call an image in an error: its place, and its file where it has one.

    >>> called({"bytes": b"", "path": "ant/1.png"}, "train, row 1")
    'train, row 1 (ant/1.png)'
    """
    return place if content["path"] == place else f"{place} ({content['path']})"
