"""Image data: every source gives the same pixels, and whatever is wrong is named before training."""

import importlib
import io
import struct

import datasets
import numpy as np
import pytest
import torch
from image_folders import prepare, write_images, write_parquet
from PIL import Image, ImageOps
from transformers.image_utils import load_image

from nlp_mixup.vision.data.augmentation import Augmenter
from nlp_mixup.vision.data.decoding import open_image
from nlp_mixup.vision.data.normalization import Normalization, pixel_statistics


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(
        "datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0
    )  # 5 seconds at the end of each parquet file
    datasets.disable_progress_bars()


def encoded(pixels, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, np.uint8))
    image.save(file, format="png", **options)
    return file.getvalue()


def test_the_digest_of_a_split_changes_with_one_pixel(tmp_path):
    folder = write_images(tmp_path / "data")
    before = prepare(tmp_path, dataset_name=str(folder)).digests
    assert prepare(tmp_path, dataset_name=str(folder)).digests == before
    image = np.array(Image.open(folder / "train" / "bee" / "1.png"))
    image[0, 0, 0] ^= 1
    Image.fromarray(image).save(folder / "train" / "bee" / "1.png")
    after = prepare(tmp_path, dataset_name=str(folder)).digests
    assert {split for split in before if before[split] != after[split]} == {"train"}


# ---- what comes out --------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("task", ["image", "text"])
def test_label_noise_redraws_its_share_of_every_split(tmp_path, task):
    """A fifth of 300 labels is 60, of which a tenth or so falls on the label it was."""
    if task == "image":
        settings = {"dataset_name": "sklearn-digits"}
        clean, noisy = (prepare(tmp_path, label_noise=noise, **settings).splits for noise in (0.0, 0.2))
        counts = {
            split: (np.array(clean[split]["labels"]) != np.array(noisy[split]["labels"])).sum() for split in clean
        }
        assert 45 <= counts["train"] <= 60
        assert 45 <= counts["validation"] <= 60
        assert 190 <= counts["test"] <= 239
        return
    from nlp_mixup.arguments import DataArguments
    from nlp_mixup.data.texts import load_text_data

    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"word {row},{row % 2}\n" for row in range(200)))
    clean, noisy = (
        load_text_data(DataArguments(train_file=str(tmp_path / "train.csv"), label_noise=noise)).splits
        for noise in (0, 0.5)
    )
    for split, rows in (("train", 180), ("validation", 20)):
        assert clean[split]["text"] == noisy[split]["text"]
        changed = (np.array(clean[split]["label"]) != np.array(noisy[split]["label"])).mean()
        assert 0.1 <= changed <= 0.4, rows


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


def test_pretrained_models_of_grey_images_are_refused(tmp_path):
    from transformers import ViTConfig

    ViTConfig(num_channels=1).save_pretrained(tmp_path / "vit")
    with pytest.raises(ValueError, match=r"vit takes images of 1 channel; .*Choose a model with num_channels=3"):
        prepare(tmp_path, dataset_name="sklearn-digits", model_name_or_path=str(tmp_path / "vit"))


def test_mixed_sizes_are_resized_to_image_size(tmp_path):
    contents = [encoded(np.full(shape, 9)) for shape in ((8, 8, 3), (20, 12, 3), (5, 9), (8, 8))]
    write_parquet(tmp_path / "data" / "train.parquet", contents, [0, 1, 0, 1])
    settings = {"dataset_name": str(tmp_path / "data"), "validation_fraction": 0.5}
    assert prepare(tmp_path, image_size=6, **settings).splits["train"][:]["pixel_values"].shape == (2, 3, 6, 6)
    with pytest.raises(ValueError, match=r", row \d+ has .* pixels, the first training image .*--image_size N"):
        prepare(tmp_path, **settings)


def test_noise_has_the_statistics_of_the_training_images(tmp_path):
    prepared = prepare(tmp_path, dataset_name=str(write_images(tmp_path / "data", n=20)), noise_samples=400)
    assert set(prepared.ood) == {"noise", "uniform"}
    train, gaussian, uniform = (
        rows[:]["pixel_values"] for rows in (prepared.splits["train"], prepared.ood["noise"], prepared.ood["uniform"])
    )
    assert gaussian.shape == (400, 3, 16, 16)
    for moment in (torch.mean, torch.std):
        torch.testing.assert_close(moment(gaussian, (0, 2, 3)), moment(train, (0, 2, 3)), atol=0.02, rtol=0)
    raw = uniform * torch.tensor(prepared.processing_class.image_std)[:, None, None]
    raw = raw + torch.tensor(prepared.processing_class.image_mean)[:, None, None]
    assert -1e-5 <= raw.min() < 0.01
    assert 0.99 < raw.max() <= 1 + 1e-5
    assert raw.std().item() == pytest.approx(12**-0.5, abs=0.002)
    assert torch.equal(prepared.ood["noise"][7]["pixel_values"], gaussian[7])


def test_named_sets_out_of_distribution(tmp_path):
    folder = write_images(tmp_path / "data")
    write_parquet(tmp_path / "far.parquet", [encoded(np.full((16, 16, 3), value)) for value in range(5)], [0] * 5)
    ood = [f"far={tmp_path / 'far.parquet'}", f"near={folder / 'test' / 'ant'}"]
    prepared = prepare(tmp_path, dataset_name=str(folder), ood_files=ood, noise_samples=0)
    assert {name: len(rows) for name, rows in prepared.ood.items()} == {"far": 5, "near": 4}
    assert prepared.ood["far"].column_names == ["pixel_values"]


def test_rows_of_a_set_out_of_distribution_are_chosen_by_a_column(tmp_path):
    """By the grammar that texts have too."""
    folder, far = write_images(tmp_path / "data"), tmp_path / "far.parquet"
    write_parquet(far, [encoded(np.full((16, 16, 3), value)) for value in range(5)], [0, 1, 0, 0, 1])
    prepared = prepare(tmp_path, dataset_name=str(folder), ood_files=[f"far={far}:label=0"], noise_samples=0)
    assert len(prepared.ood["far"]) == 3
    for entry, message in (
        (f"far={far}:label=7", r"no row has '7' in column 'label', which holds 0, 1"),
        (f"far={far}:kind=7", r"has no column 'kind' to choose rows by"),
        (f"far={folder / 'test'}:label=0", r"is a folder, whose images have no column 'label'"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(tmp_path, dataset_name=str(folder), ood_files=[entry])


@pytest.mark.parametrize("augmentation", ["flip", "pad-crop-flip"])
def test_augmentation_shows_shifted_and_mirrored_copies(augmentation):
    """Each result is a window of the padded image, as it is or mirrored; all windows turn up."""
    image = torch.arange(1.0, 1 + 8 * 8 * 3).view(3, 8, 8)
    pad, black = 1 if augmentation == "pad-crop-flip" else 0, (-1.0, -2.0, -3.0)
    padded = torch.tensor(black)[:, None, None].repeat(1, 8 + 2 * pad, 8 + 2 * pad)
    padded[:, pad : 8 + pad, pad : 8 + pad] = image
    windows = {
        (top, left, mirrored): window.flip(2) if mirrored else window
        for top in range(2 * pad + 1) for left in range(2 * pad + 1) for mirrored in (False, True)
        for window in [padded[:, top : top + 8, left : left + 8]]
    }  # fmt: skip
    results, again = (
        Augmenter(augmentation, black)(image.expand(300, 3, 8, 8), np.random.default_rng(0)) for _ in range(2)
    )
    found = [[name for name, window in windows.items() if torch.equal(result, window)] for result in results]
    assert all(len(names) == 1 for names in found)
    assert {names[0] for names in found} == set(windows)
    assert torch.equal(results, again)


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


def image_of(height, width, seed=0):
    """Waves with noise: what is blurred, squeezed or shifted differs."""
    random = np.random.RandomState(seed)
    down, right = np.mgrid[0:height, 0:width]
    waves = 128 + 80 * np.sin(down / 5)[..., None] * np.cos(right / 7 + np.arange(3)[:, None, None]).transpose(1, 2, 0)
    return Image.fromarray((waves + random.randint(-40, 40, (height, width, 3))).clip(0, 255).astype(np.uint8))


def assert_training_saw_what_the_processor_gives(prepared, image):
    processor = type(prepared.processing_class)(**prepared.processing_class.to_dict())  # as saved
    seen = torch.as_tensor(np.array(processor(image)["pixel_values"]))[0].float()
    torch.testing.assert_close(prepared.splits["train"][0]["pixel_values"], seen, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("image_size", [None, 12])
def test_the_saved_processor_reads_images_as_training_did(tmp_path, image_size):
    """Not square, and of another size than image_size."""
    image = image_of(24, 40)
    for split in ("train", "validation"):
        write_parquet(tmp_path / f"{split}.parquet", [encoded(image)] * 2, [0, 1])
    prepared = prepare(tmp_path, dataset_name=str(tmp_path), image_size=image_size)
    assert_training_saw_what_the_processor_gives(prepared, image)


PROCESSORS = {
    "bit": {}, "convnext": {}, "deit": {}, "efficientnet": {"include_top": True}, "levit": {}, "mobilenet_v2": {},
    "mobilevit": {}, "siglip": {}, "vit": {"do_rescale": False, "do_normalize": False},
}  # fmt: skip


@pytest.mark.parametrize("image_size", [None, 16])
@pytest.mark.parametrize("name", PROCESSORS)
def test_pretrained_processors_that_do_more_than_resize(tmp_path, name, image_size, monkeypatch):
    """Resize and then crop, squash, double normalisation, blue before red, values of 0 to 255."""
    module = importlib.import_module(f"transformers.models.{name}.image_processing_pil_{name}")
    processor = getattr(module, module.__all__[0])(**PROCESSORS[name])
    monkeypatch.setattr("nlp_mixup.vision.runs.load_image_processor", lambda _: processor)
    image = image_of(70, 110)
    for split in ("train", "validation"):
        write_parquet(tmp_path / f"{split}.parquet", [encoded(image)] * 2, [0, 1])
    prepared = prepare(tmp_path, dataset_name=str(tmp_path), image_size=image_size, noise_samples=0)
    assert image_size is None or prepared.splits["train"][0]["pixel_values"].shape in {(3, 16, 16), (3, 18, 18)}
    assert_training_saw_what_the_processor_gives(prepared, image)


def test_processors_that_cannot_be_followed_are_refused(tmp_path, monkeypatch):
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    class Squaring(ViTImageProcessorPil):
        def normalize(self, image, mean, std, **kwargs):
            return super().normalize(image, mean, std) ** 2

    for processor, message in (
        (ViTImageProcessorPil(size={"shortest_edge": 8}), r"gives images of several sizes. Type --image_size N"),
        (Squaring(size={"height": 8, "width": 8}), r"Squaring (does more to an image than|makes white no brighter)"),
    ):
        monkeypatch.setattr("nlp_mixup.vision.runs.load_image_processor", lambda _, given=processor: given)
        with pytest.raises(ValueError, match=message):
            prepare(tmp_path, dataset_name="sklearn-digits")


def test_kept_pixels_are_of_this_format_and_these_decoders(tmp_path, monkeypatch):
    def files():
        prepare(tmp_path, dataset_name="sklearn-digits", max_train_samples=20, max_eval_samples=20)
        return len(list((tmp_path / "cache").rglob("pixels-*.arrow")))

    first = files()
    assert first == files() > 0
    monkeypatch.setattr("nlp_mixup.vision.data.pixels._FORMAT", 0)
    assert files() == 2 * first
    monkeypatch.setattr("PIL.__version__", "0.0")
    assert files() == 3 * first


def test_statistics_by_hand_and_of_constant_images():
    assert pixel_statistics([np.array([[[0, 51, 7]], [[255, 51, 7]]], np.uint8)]) == Normalization(
        (0.5, 0.2, 7 / 255), (0.5, 0.5 / 255, 0.5 / 255)
    )


# ---- what is refused -------------------------------------------------------------------------------------------------


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


def test_a_class_that_train_lacks(tmp_path):
    folder = write_images(tmp_path / "data")
    write_images(folder, splits=("test",), classes=("cow",) * 2)
    with pytest.raises(ValueError, match=r"test has labels that are no class of train: 'cow' \(8 rows\)"):
        prepare(tmp_path, dataset_name=str(folder))


@pytest.mark.parametrize(("labels", "names"), [([0, 1, 0, 2], None), ([0, 1, 0, 7], ["ant", "bee"])])
def test_labels_out_of_range(tmp_path, labels, names):
    """As plain numbers, with a gap; and beyond the names of a ClassLabel."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = [{"bytes": encoded(np.zeros((4, 4, 3))), "path": None}] * 4
    write_parquet(tmp_path / "test.parquet", [encoded(np.zeros((4, 4, 3)))], [0], names or ["0", "1"])
    labels = labels if names else [0, 1, 0, 3]
    table = pa.table({"image": contents, "label": labels})
    if names:
        table = table.replace_schema_metadata(pq.read_schema(tmp_path / "test.parquet").metadata)
    pq.write_table(table, tmp_path / "train.parquet")
    message = r"labels that are no class of train: '7'" if names else r"whole numbers from 0 without a gap"
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, dataset_name=str(tmp_path))


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


def test_csv_files_hold_no_images(tmp_path):
    (tmp_path / "train.csv").write_text("image,label\na.png,0\n")
    with pytest.raises(ValueError, match=r"images are read from .parquet files or folders, train/CLASS/NAME.png"):
        prepare(tmp_path, train_file=str(tmp_path / "train.csv"))
