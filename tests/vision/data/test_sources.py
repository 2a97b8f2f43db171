"""Where images are: the digits, and folders with what tools leave in them."""

import numpy as np
import pytest
import torch
from image_folders import prepare, write_images
from PIL import Image


def test_digits_are_split_by_the_data_seed_and_have_their_own_size(tmp_path):
    prepared = prepare(tmp_path, dataset_name="sklearn-digits")
    assert {split: len(rows) for split, rows in prepared.splits.items()} == {
        "train": 300,
        "validation": 300,
        "test": 1197,
    }
    assert prepared.splits["train"][0]["pixel_values"].shape == (3, 8, 8)
    everything = prepared.splits["train"][:]["pixel_values"]
    torch.testing.assert_close(everything.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(everything.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    again = prepare(tmp_path, dataset_name="sklearn-digits", seed=5)
    assert again.splits["test"]["labels"] == prepared.splits["test"]["labels"]


def test_empty_class_folder(tmp_path):
    folder = write_images(tmp_path / "data")
    (folder / "train" / "cow").mkdir()
    with pytest.raises(ValueError, match=r"train/cow holds no images .*the class 'cow' would have no rows"):
        prepare(tmp_path, dataset_name=str(folder))


def test_what_tools_leave_in_folders_is_no_row(tmp_path):
    """Notebooks and file managers keep copies of images, with the names of images, beside and below them."""
    folder = write_images(tmp_path / "data")
    before = prepare(tmp_path, dataset_name=str(folder))
    image = (folder / "train" / "ant" / "0.png").read_bytes()
    places = (
        *("train/ant/.ipynb_checkpoints/0-checkpoint.png", "test/bee/deeper/.hidden/1.png", "train/ant/._0.png"),
        *("train/.ipynb_checkpoints/x.png", "train/__MACOSX/ant/._0.png", "train/ant/__MACOSX/0.png", "train/._x.png"),
    )
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(image)
    after = prepare(tmp_path, dataset_name=str(folder), ood_files=[f"other={folder / 'test'}"])
    assert after.digests == before.digests
    assert len(after.ood["other"]) == 8
    deeper = folder / "train" / "ant" / "more" / "9.png"  # a folder in a class folder holds rows, as before
    deeper.parent.mkdir()
    Image.fromarray(np.full((16, 16, 3), 7, np.uint8)).save(deeper)
    assert len(prepare(tmp_path, dataset_name=str(folder)).splits["train"]) == 9


def test_a_class_folder_of_nothing_but_leftovers_is_empty(tmp_path):
    folder = write_images(tmp_path / "data")
    leftover = folder / "train" / "cow" / ".ipynb_checkpoints" / "0.png"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes((folder / "train" / "ant" / "0.png").read_bytes())
    with pytest.raises(ValueError, match="train/cow holds no images"):
        prepare(tmp_path, dataset_name=str(folder))


def test_images_outside_of_a_class_folder(tmp_path):
    folder = write_images(tmp_path / "data")
    (folder / "train" / "loose.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds images outside of a class folder: loose.png. Move them into CLASS/"):
        prepare(tmp_path, dataset_name=str(folder))


def test_csv_files_hold_no_images(tmp_path):
    (tmp_path / "train.csv").write_text("image,label\na.png,0\n")
    with pytest.raises(ValueError, match=r"images are read from .parquet files or folders, train/CLASS/NAME.png"):
        prepare(tmp_path, train_file=str(tmp_path / "train.csv"))
