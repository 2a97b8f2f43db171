"""The statistics by which pixels are normalised."""

import numpy as np

from nlp_mixup.vision.data.normalization import Normalization, pixel_statistics


def test_statistics_by_hand_and_of_constant_images():
    assert pixel_statistics([np.array([[[0, 51, 7]], [[255, 51, 7]]], np.uint8)]) == Normalization(
        (0.5, 0.2, 7 / 255), (0.5, 0.5 / 255, 0.5 / 255)
    )
