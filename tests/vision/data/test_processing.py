"""Training sees the images that a model's image processor gives."""

import importlib

import numpy as np
import pytest
import torch
from image_folders import encoded, prepare, write_parquet
from PIL import Image


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
