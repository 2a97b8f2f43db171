"""Shifted and mirrored copies of images."""

import numpy as np
import pytest
import torch

from nlp_mixup.vision.data.augmentation import Augmenter


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
