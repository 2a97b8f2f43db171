"""Smooth ECE: kernel smoothing in place of bins, with the bandwidth the error itself asks for.

Blasiok & Nakkiran 2024, "Smooth ECE: Principled Reliability Diagrams via Kernel Smoothing" (arXiv 2309.12236).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import top_label

#: Cells of the grid on [0, 1]; a cell is an eighth of the smallest bandwidth.
GRID = 1 << 13
SMALLEST_BANDWIDTH = 1e-3


def smooth_ece(probs: Any, labels: Any, *, bandwidth: float | None = None, validate: bool = True) -> float:
    """smECE_s = integral of |(1/n) sum_i (c_i - a_i) K_s(t, c_i)| dt, K_s the Gaussian reflected at 0 and 1.

    smECE_s falls as s grows, and smECE is its value where smECE_s = s. No bins to choose, and continuous in the
    confidences. Bandwidths below .001 are not searched. relplot 1.0.3 agrees to 1 %, but for rows at a confidence of exactly
    1, as saturated softmaxes have: it gives them half their weight, so that of .5 and 1, both right, it makes .333, not .25.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        bandwidth: a fixed s in (0, 1] instead of the search.
        validate: False skips the checks of values.

    Returns:
        smECE in [0, 1]; 0 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row, and a bandwidth outside (0, 1].

    Example:
        >>> round(smooth_ece([[0.25, 0.75]] * 4, [0, 0, 0, 0]), 4)  # all wrong at .75: |c - a| = .75 everywhere
        0.75
        >>> smooth_ece([[0.25, 0.75]] * 4, [1, 1, 1, 0]) < 1e-12
        True
    """
    confidence, correct = top_label(probs, labels, validate=validate)
    return smooth_ece_of_confidences(confidence, correct, bandwidth=bandwidth)


def smooth_ece_of_confidences(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, bandwidth: float | None = None
) -> float:
    """:func:`smooth_ece` where winning scores (n,) and correctness (n,) are already known."""
    from scipy.fft import dct, idct

    if bandwidth is not None and not 0 < bandwidth <= 1:
        raise ValueError(f"bandwidth: expected a number in (0, 1], got {bandwidth!r}; leave it out to search")
    spectrum = dct(_residuals_on_grid(confidence, correct), type=2)
    frequency = np.pi * np.arange(GRID)

    def at(width: float) -> float:
        # reflection at both ends makes the Gaussian's convolution a product in the cosine transform
        heard = int(39 / (np.pi * width)) + 1  # exp(-39^2 / 2) is 0 in float64, and so are all frequencies above
        kernel = np.exp(-((frequency[:heard] * width) ** 2) / 2)
        return float(np.abs(idct(spectrum[:heard] * kernel, type=2, n=GRID)).sum())

    if bandwidth is not None:
        return at(bandwidth)
    low, high = SMALLEST_BANDWIDTH, 1.0
    if at(low) <= low:
        return at(low)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle) <= middle else (middle, high)
    return at(high)


def _residuals_on_grid(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> NDArray[Any]:
    """(c - a)/n of every row, shared linearly between the two nearest cell centres."""
    position = np.clip(confidence * GRID - 0.5, 0, GRID - 1)
    left = np.minimum(position.astype(np.intp), GRID - 2)
    share = position - left
    residual = (confidence - correct) / len(confidence)
    grid = np.bincount(left, weights=residual * (1 - share), minlength=GRID)
    grid += np.bincount(left + 1, weights=residual * share, minlength=GRID)
    return grid
