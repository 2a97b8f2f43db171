"""Images prepared for the runs of a comparison: every source gives the same pixels, and settings are refused before training."""

import numpy as np
import pytest
import torch
from image_folders import encoded, prepare, write_images, write_parquet
from PIL import Image


def test_the_digest_of_a_split_changes_with_one_pixel(tmp_path):
    folder = write_images(tmp_path / "data")
    before = prepare(tmp_path, dataset_name=str(folder)).digests
    assert prepare(tmp_path, dataset_name=str(folder)).digests == before
    image = np.array(Image.open(folder / "train" / "bee" / "1.png"))
    image[0, 0, 0] ^= 1
    Image.fromarray(image).save(folder / "train" / "bee" / "1.png")
    after = prepare(tmp_path, dataset_name=str(folder)).digests
    assert {split for split in before if before[split] != after[split]} == {"train"}


def test_pixels_of_a_folder_by_hand(tmp_path):
    """Training pixels of 0 and 255 in equal parts: mean .5, sd .5, so that they become -1 and 1; 51 becomes -.6."""
    for label, value in (("ant", 0), ("bee", 255)):
        for split, n in (("train", 1), ("validation", 1), ("test", 2)):
            place = tmp_path / "data" / split / label
            place.mkdir(parents=True)
            pixels = np.full((4, 4, 3), value if split == "train" else 51, np.uint8)
            for row in range(n):
                Image.fromarray(pixels).save(place / f"{row}.png")
    prepared = prepare(tmp_path, dataset_name=str(tmp_path / "data"))
    assert prepared.label_names == ["ant", "bee"]
    assert [len(prepared.splits[split]) for split in ("train", "validation", "test")] == [2, 2, 4]
    batch = prepared.data_collator([prepared.splits["train"][row] for row in range(2)])
    assert batch["pixel_values"].shape == (2, 3, 4, 4)
    assert [set(image.flatten().tolist()) for image in batch["pixel_values"]] == [{-1.0}, {1.0}]
    assert batch["labels"].tolist() == [0, 1]
    torch.testing.assert_close(prepared.splits["test"][0]["pixel_values"], torch.full((3, 4, 4), -0.6))
    assert list(prepared.processing_class.image_mean) == [0.5] * 3


def test_folder_parquet_and_stream_give_the_same_images(tmp_path):
    folder = write_images(tmp_path / "data", n=6)
    files = sorted((folder / "train").rglob("*.png"))
    for split in ("train", "validation", "test"):
        images = sorted((folder / split).rglob("*.png"))
        write_parquet(
            tmp_path / "parquet" / f"{split}.parquet", [f.read_bytes() for f in images],
            [int(f.parent.name == "bee") for f in images],
        )  # fmt: skip
    from_folder = prepare(tmp_path, dataset_name=str(folder))
    from_parquet = prepare(tmp_path, dataset_name=str(tmp_path / "parquet"))
    rows = [prepared.splits["train"][:] for prepared in (from_folder, from_parquet)]
    assert torch.equal(rows[0]["pixel_values"], rows[1]["pixel_values"])
    assert rows[0]["labels"] == rows[1]["labels"] == [int(f.parent.name == "bee") for f in files]
    for place in (folder, tmp_path / "parquet"):
        streamed = prepare(tmp_path, dataset_name=str(place), streaming=True, max_steps=1, image_size=16)
        images = [(row["labels"], row["pixel_values"]) for row in streamed.splits["train"].take(6)]
        assert sorted(label for label, _ in images) == [0, 0, 0, 1, 1, 1]
        # As many different images, and each of them is one of the folder's.
        close = torch.stack([image for _, image in images])[:, None] - rows[0]["pixel_values"]
        assert (close.abs().amax((2, 3, 4)) < 1e-5).sum(0).tolist() == [1] * 6
        assert len(streamed.splits["validation"]) == len(streamed.splits["test"]) == 6


def test_mixed_sizes_are_resized_to_image_size(tmp_path):
    contents = [encoded(np.full(shape, 9)) for shape in ((8, 8, 3), (20, 12, 3), (5, 9), (8, 8))]
    write_parquet(tmp_path / "data" / "train.parquet", contents, [0, 1, 0, 1])
    settings = {"dataset_name": str(tmp_path / "data"), "validation_fraction": 0.5}
    assert prepare(tmp_path, image_size=6, **settings).splits["train"][:]["pixel_values"].shape == (2, 3, 6, 6)
    with pytest.raises(ValueError, match=r", row \d+ has .* pixels, the first training image .*--image_size N"):
        prepare(tmp_path, **settings)


def test_only_the_trainer_augments(tmp_path):
    """What is read is as it is; a batch to train on is not, and its black borders are those of the normalised pixels."""
    folder = write_images(tmp_path / "data", size=16)
    plain, augmented = (
        prepare(tmp_path, dataset_name=str(folder), image_augment=name) for name in ("none", "pad-crop-flip")
    )
    assert torch.equal(plain.splits["train"][:]["pixel_values"], augmented.splits["train"][:]["pixel_values"])
    model, args = augmented.load_model(augmented.arguments.model), augmented.arguments.training
    trainer = augmented.trainer_class(model=model, args=args, eval_dataset=augmented.splits["validation"])
    batch = plain.data_collator(list(plain.splits["train"]))
    (seen,) = trainer._augmented([batch])
    assert seen["pixel_values"].shape == batch["pixel_values"].shape
    assert not torch.equal(seen["pixel_values"], batch["pixel_values"])
    processor = plain.processing_class
    black = -torch.tensor(processor.image_mean) / torch.tensor(processor.image_std)
    torch.testing.assert_close(seen["pixel_values"].amin((0, 2, 3)), black, atol=1e-5, rtol=1e-5)


def test_a_pretrained_models_processor_decides(tmp_path):
    """Its size, mean and deviation, whatever the training images are like."""
    from transformers import ViTConfig, ViTForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    config = ViTConfig(image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    processor = ViTImageProcessorPil(size={"height": 8, "width": 8}, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    processor.save_pretrained(tmp_path / "vit")
    folder = write_images(tmp_path / "data", size=8)
    prepared = prepare(tmp_path, dataset_name=str(folder), model_name_or_path=str(tmp_path / "vit"))
    image = Image.open(sorted((folder / "train").rglob("*.png"))[0])
    torch.testing.assert_close(
        prepared.splits["train"][0]["pixel_values"], processor(image, return_tensors="pt")["pixel_values"][0]
    )
    model = prepared.load_model(prepared.arguments.model)
    assert (model.config.num_labels, model.config.id2label) == (2, {0: "ant", 1: "bee"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_column": "photo"}, r"has no column 'photo' for the image; .*Type --image_column NAME"),
        ({"image_column": "label", "label_column": "image"}, r"column 'image' holds struct|column 'label' holds int64, accepted are images"),
        ({"image_size": 0}, r"image_size is 0; it is the height and width in pixels"),
        ({"label_noise": 1.5}, r"label_noise is 1.5; it is the share of labels that is redrawn"),
        ({"noise_samples": -1}, r"noise_samples must be >= 0, got -1"),
        ({"streaming": True}, r"type --max_steps N"),
        ({"streaming": True, "max_steps": 2}, r"Type --image_size 224"),
        ({"model_name_or_path": "text-cnn"}, r"'text-cnn' reads texts. For images type one of resnet-small"),
        ({"model_name_or_path": "ResNet18_32"}, r"did you mean 'resnet18-32'\?"),
        ({"lora_rank": 4}, r"lora_rank=4 is for texts: images are trained with all weights"),
        ({"glove_file": "glove.txt"}, r"glove_file and tokenizer_name belong to texts"),
        ({"ood_files": ["far.parquet"]}, r"ood_files: 'far.parquet' is not NAME=FILE or NAME=FILE:COLUMN=VALUE"),
        ({"ood_files": ["noise=far.parquet"]}, r"the name 'noise' is taken"),
        ({"ood_files": ["uniform=far.parquet"]}, r"the name 'uniform' is taken"),
        ({"train_file": "missing.parquet"}, r"train_file: there is no file missing.parquet"),
        ({"dataset_name": "./nowhere"}, r"dataset_name: there is no folder ./nowhere"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(tmp_path, settings, message):
    write_parquet(tmp_path / "data" / "train.parquet", [encoded(np.zeros((4, 4, 3)))] * 4, [0, 1, 0, 1])
    write_parquet(tmp_path / "data" / "validation.parquet", [encoded(np.zeros((4, 4, 3)))] * 4, [0, 1, 0, 1])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare(tmp_path, **{"dataset_name": str(tmp_path / "data"), **settings})
