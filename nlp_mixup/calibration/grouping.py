"""Random groups of rows, so that accuracy, which one row does not have, can be set against confidence.

The joint density of Thulasidasan et al. 2019 (arXiv 1905.11001) is drawn from such points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def group_points(
    confidence: ArrayLike, correct: ArrayLike, *, size: int = 50, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy and mean confidence of random groups of rows; which rows form a group depends on n, size and seed alone.

    So epochs and arms that scored the same rows are compared on the same groups. The n mod size rows that the shuffle
    puts last belong to no group, because a smaller group would scatter more than the others.

    Args:
        confidence: (n,) winning scores.
        correct: (n,) whether the winner is the label.
        size: rows of a group.
        seed: seed of the shuffle.

    Returns:
        Two arrays (g,) with g = n // size: accuracy and mean confidence, both in [0, 1].

    Raises:
        ValueError: for different lengths, a size below 1, and fewer rows than one group needs.

    Example:
        >>> accuracy, mean_confidence = group_points([0.9, 0.9, 0.5, 0.5, 0.7], [1, 1, 1, 1, 1], size=2)
        >>> accuracy  # two groups, one row left over
        array([1., 1.])
    """
    scores, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if scores.ndim != 1 or scores.shape != right.shape:
        raise ValueError(f"expected confidence and correct of shape (n,), got {scores.shape} and {right.shape}")
    if size < 1 or len(scores) < size:
        raise ValueError(f"size: {len(scores)} rows make no group of {size}; give a size from 1 to {len(scores)}")
    groups = len(scores) // size
    rows = np.random.default_rng(seed).permutation(len(scores))[: groups * size].reshape(groups, size)
    return right[rows].mean(axis=1), scores[rows].mean(axis=1)
