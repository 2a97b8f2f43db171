"""The doctor's patients, built once: three text classifiers and one of images, with rows."""

import pytest
import torch
from image_folders import write_images
from PIL import Image
from planted_models import CLASSES, build, draw_labels, logits_of, texts_of, write_rows
from transformers import ViTConfig, ViTForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """over, under and calibrated: three models' folders; validation.csv and test.csv with labels by name."""
    folder = tmp_path_factory.mktemp("planted")
    model, tokenizer, head = build()
    for split, n, seed in (("validation", 1500, 1), ("test", 2000, 2)):
        texts = texts_of(n, seed)
        ids = draw_labels(logits_of(model, tokenizer, texts), seed)
        write_rows(folder / f"{split}.csv", [CLASSES[i] for i in ids], texts)
    for name, factor in (("calibrated", 1), ("over", 3), ("under", 1 / 3)):
        with torch.no_grad():
            head.weight *= factor
            head.bias *= factor
            model.save_pretrained(folder / name)
            tokenizer.save_pretrained(folder / name)
            head.weight /= factor
            head.bias /= factor
    return folder


@pytest.fixture(scope="session")
def image_model(tmp_path_factory):
    """A tiny ViT and the processor that squeezes images to 16 x 16; in a folder with them, generated images of 20 x 14."""
    folder = tmp_path_factory.mktemp("images")
    torch.manual_seed(0)
    names = {"id2label": {0: "bee", 1: "ant"}, "label2id": {"bee": 0, "ant": 1}}  # not in the order of the names
    config = ViTConfig(
        image_size=16, patch_size=4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        initializer_range=0.3, **names,
    )  # fmt: skip
    model = ViTForImageClassification(config).eval()
    model.save_pretrained(folder / "model")
    processor = ViTImageProcessorPil(
        size={"height": 16, "width": 16}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4], do_convert_rgb=True
    )
    processor.save_pretrained(folder / "model")
    write_images(folder / "data", splits=("validation", "test"), n=40, size=20)
    for file in (folder / "data").rglob("*.png"):
        Image.open(file).crop((0, 0, 20, 14)).save(file)
    return folder, model, processor


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
