"""Images take the same way, of which only what differs is tested: how rows are found and read."""

import shutil

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image
from planted_models import fails, record_of

from nlp_mixup.calibration import softmax


def image_logits(model, processor, images):
    with torch.no_grad():
        return model(**processor(images, return_tensors="pt")).logits.numpy()


def test_images_are_read_as_the_model_s_own_processor_reads_them(image_model, tmp_path, capsys):
    folder, model, processor = image_model
    files = sorted((folder / "data" / "test").rglob("*.png"))
    labels = [int(file.parent.name == "ant") for file in files]
    expected = image_logits(model, processor, [Image.open(file) for file in files])
    out = tmp_path / "out"
    record = record_of(capsys, folder / "model", "--dataset_name", folder / "data", "--output_dir", out)
    assert (record["split"], record["cross_fitted"]) == ("test", False)
    assert record["label_map"] == {"ant": "ant", "bee": "bee"}
    stored = np.load(out / "logits-test.npz")
    np.testing.assert_allclose(stored["logits"], expected, atol=1e-5)
    assert stored["labels"].tolist() == labels
    assert record["rows"][0]["nll"] == pytest.approx(-np.log(softmax(expected)[range(40), labels]).mean(), abs=1e-5)

    # A parquet file, whose images come from inside it and may have another column's name.
    features = Features({"photo": ImageFeature(), "label": ClassLabel(names=["ant", "bee"])})
    rows = {"photo": [{"bytes": file.read_bytes(), "path": None} for file in files], "label": [1 - i for i in labels]}
    Dataset.from_dict(rows, features).to_parquet(tmp_path / "rows.parquet")
    parquet = ("--validation_file", tmp_path / "rows.parquet", "--image_column", "photo", "--task", "image")
    assert record_of(capsys, folder / "model", *parquet)["rows"][0] == record["rows"][0] | {"split": "validation"}
    # A folder of the classes alone.
    alone = record_of(capsys, folder / "model", "--dataset_name", folder / "data" / "test")
    assert alone["rows"][0] == record["rows"][0]
    assert alone["cross_fitted"] is True
    # With image_size, a copy of the processor is set to it, as in training: here it is its own.
    record_of(capsys, folder / "model", *parquet, "--image_size", 16, "--output_dir", out)
    np.testing.assert_allclose(np.load(out / "logits-validation.npz")["logits"], expected, atol=1e-5)


def test_what_is_wrong_with_images_is_named(image_model, planted, tmp_path, capsys):
    folder, _, _ = image_model
    model, data = folder / "model", tmp_path / "data"
    shutil.copytree(folder / "data" / "test", data)
    broken = data / "bee" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    assert f"{broken} cannot be read as an image" in fails(capsys, model, "--dataset_name", data)
    broken.unlink()
    (data / "wasp").mkdir()
    assert "wasp holds no images" in fails(capsys, model, "--dataset_name", data)
    shutil.copy(data / "ant" / "0.png", data / "wasp" / "0.png")
    assert "labels that are no class of the model: 'wasp' (1 rows)" in fails(capsys, model, "--dataset_name", data)
    shutil.copytree(folder / "data" / "test", tmp_path / "set" / "train")
    message = fails(capsys, model, "--dataset_name", tmp_path / "set")
    assert "has neither a validation nor a test split" in message
    assert "images are read from .parquet files" in fails(capsys, model, "--test_file", planted / "test.csv")
    message = fails(capsys, planted / "over", "--task", "image", "--dataset_name", folder / "data")
    assert "cannot be loaded as an image classifier" in message
