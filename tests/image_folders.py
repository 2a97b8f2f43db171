"""Generated images on disk: nothing of a published data set is in the repository."""

import io

import datasets
import numpy as np
from PIL import Image

from nlp_mixup.recipe import Recipe, parse_arguments
from nlp_mixup.vision.runs import prepare_images


def write_images(folder, splits=("train", "validation", "test"), classes=("ant", "bee"), n=8, size=16, seed=0):
    """n random images of `size` pixels in each split, in folders of the classes, whose images differ in brightness."""
    random = np.random.RandomState(seed)
    for split in splits:
        for row in range(n):
            label = row % len(classes)
            pixels = random.randint(0, 128, (size, size, 3)) + 127 * label // (len(classes) - 1)
            path = folder / split / classes[label] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def prepare(tmp_path, **settings):
    settings = {"task": "image", "model_name_or_path": "resnet-small", "use_cpu": True, "noise_samples": 8, **settings}
    settings["output_dir"] = str(tmp_path / "run")
    return prepare_images(parse_arguments(Recipe("mine", settings), "no_mixup", []))


def write_parquet(path, contents, labels, names=("ant", "bee")):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))})
    rows = {"image": [{"bytes": content, "path": None} for content in contents], "label": labels}
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)


def encoded(pixels, **options):
    """The content of a PNG file."""
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, np.uint8))
    image.save(file, format="png", **options)
    return file.getvalue()
