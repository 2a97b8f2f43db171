"""Files of images are decoded as a pipeline decodes them, and those that cannot be are named."""

import io
import struct

import numpy as np
import pytest
from image_folders import encoded, prepare, write_images, write_parquet
from PIL import Image, ImageOps
from transformers.image_utils import load_image

from nlp_mixup.vision.data.decoding import open_image


def test_modes_of_images_become_what_users_expect():
    grey, expected = np.array([[0, 100]], np.uint8), [[[0] * 3, [100] * 3]]
    assert np.asarray(open_image(encoded(grey), "grey")).tolist() == expected
    assert np.asarray(open_image(encoded(Image.fromarray(grey).convert("P")), "palette")).tolist() == expected
    rgba = Image.fromarray(np.array([[[1, 2, 3, 0], [4, 5, 6, 255]]], np.uint8))
    assert np.asarray(open_image(encoded(rgba), "rgba")).tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert np.asarray(open_image(encoded(Image.new("1", (1, 1), 1)), "1 bit")).tolist() == [[[255] * 3]]
    file = io.BytesIO()  # 32 bits that hold 8
    Image.fromarray(np.array([[0, 100]], np.int32)).save(file, format="tiff")
    assert Image.open(io.BytesIO(file.getvalue())).mode == "I"
    assert np.asarray(open_image(file.getvalue(), "32 bits")).tolist() == expected


def images_of_all_modes():
    """(mode, content of a file) of 8 bits or fewer per channel, 4 x 6 random pixels."""
    random = np.random.default_rng(0)
    colours = Image.fromarray(random.integers(0, 256, (4, 6, 4), np.uint8))
    palette = colours.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
    yield "P", encoded(palette)
    yield "P", encoded(palette, transparency=3)
    yield "P", encoded(palette, transparency=bytes(range(200)))
    for mode in ("1", "L", "LA", "RGB", "RGBA"):
        yield mode, encoded(colours.convert("RGB").convert(mode) if mode != "RGBA" else colours)
    yield "L", encoded(colours.convert("L"), transparency=7)
    yield "RGB", encoded(colours.convert("RGB"), transparency=(1, 2, 3))
    yield "I;16", encoded(Image.fromarray(random.integers(0, 256, (4, 6), np.uint16)))
    for mode, kind in (("CMYK", "jpeg"), ("CMYK", "tiff"), ("YCbCr", "tiff")):
        file = io.BytesIO()
        colours.convert("RGB").convert(mode).save(file, format=kind)
        yield mode, file.getvalue()
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (4, 6), np.int32)).save(file, format="tiff")
    yield "I", file.getvalue()


def test_images_of_all_modes_are_read_as_a_pipeline_reads_them(tmp_path):
    modes = set()
    for number, (mode, content) in enumerate(images_of_all_modes()):
        (tmp_path / str(number)).write_bytes(content)
        theirs = np.asarray(load_image(str(tmp_path / str(number))))
        assert np.array_equal(np.asarray(open_image(content, mode)), theirs), mode
        modes.add(Image.open(io.BytesIO(content)).mode)
    assert modes >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16"}


def test_sixteen_bits_which_a_pipeline_would_clip_to_white_are_refused_by_name(tmp_path):
    sixteen = encoded(Image.fromarray(np.array([[0, 25700]], np.uint16)))
    (tmp_path / "x.png").write_bytes(sixteen)
    assert np.asarray(load_image(str(tmp_path / "x.png")))[0, 1].tolist() == [255] * 3
    with pytest.raises(ValueError, match=r"x.png holds 0 to 25700, .*would see white .*Save it with 8 bits"):
        open_image(sixteen, "x.png")

    folder = write_images(tmp_path / "data")
    Image.fromarray(np.full((16, 16), 25700, np.uint16)).save(folder / "train" / "bee" / "1.png")
    with pytest.raises(ValueError, match=r"1.png\) holds 25700 to 25700"):
        prepare(tmp_path, dataset_name=str(folder))
    with Image.open(folder / "train" / "bee" / "1.png") as image:  # what the message says to type
        eight = Image.fromarray((np.asarray(image) // 256).astype("uint8"))
    eight.save(folder / "train" / "bee" / "1.png")
    prepare(tmp_path, dataset_name=str(folder))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_images_are_turned_upright_and_damaged_exif_data_lose_none(orientation):
    """Pillow's own function writes the data anew, which fails where the type of a tag is damaged."""
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "a description"
    content = encoded(pixels, exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert np.asarray(open_image(content, "whole")).tolist() == wanted.tolist()

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="jpeg", exif=exif)
    damaged = bytearray(file.getvalue())
    damaged[41] = 68  # the type of the first tag
    with pytest.raises(struct.error):
        ImageOps.exif_transpose(Image.open(io.BytesIO(damaged)))
    assert open_image(bytes(damaged), "damaged").size in {(4, 6), (6, 4)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no image", r"bee/1.png\) cannot be read as an image: .*corrupt, truncated or no image"),
        (b"", r"bee/1.png\) cannot be read as an image"),
        ("truncated", r"bee/1.png\) cannot be read as an image: .*truncated"),
    ],
)
def test_broken_images_are_named(tmp_path, content, message):
    folder = write_images(tmp_path / "data")
    file = folder / "train" / "bee" / "1.png"
    file.write_bytes(file.read_bytes()[:-300] if content == "truncated" else content)
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, dataset_name=str(folder))


def test_a_broken_image_in_a_parquet_file_is_named_by_its_row(tmp_path):
    write_parquet(tmp_path / "train.parquet", [encoded(np.zeros((4, 4, 3)))] * 3 + [b"broken"], [0, 1, 0, 1])
    write_parquet(tmp_path / "test.parquet", [b"broken"], [0])
    with pytest.raises(ValueError, match=r"(train|validation), row \d+ cannot be read as an image"):
        prepare(tmp_path, dataset_name=str(tmp_path), validation_fraction=0.5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"x.tif holds NaN or infinite pixels \(mode F\)"),
        (0.5, r"x.tif holds decimal numbers \(mode F\)"),
    ],
)
def test_decimal_pixels_are_refused(value, message):
    file = io.BytesIO()
    Image.fromarray(np.full((2, 2), value, np.float32)).save(file, format="tiff")
    with pytest.raises(ValueError, match=message):
        open_image(file.getvalue(), "x.tif")
