"""Generated images on disk: nothing of a published data set is in the repository."""

import numpy as np
from PIL import Image


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
