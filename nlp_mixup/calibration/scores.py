"""One number each from probabilities and labels: binned errors, the gap, and the proper scores NLL and Brier.

ECE and MCE: Guo et al. 2017 (arXiv 1706.04599). OE: Thulasidasan et al. 2019 (arXiv 1905.11001).
Every ``probs`` is (n, k) with rows that sum to 1, or (n,) or (n, 1) with the probability of class 1 of a
binary task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binning import EqualMass, EqualWidth
from .bins import reliability_table
from .inputs import as_array, as_floats, as_labels, check_labels, check_shape, top_label_blocks
from .precision import clean_rows

Binning = EqualWidth | EqualMass | str | None


def expected_calibration_error(
    probs: Any, labels: Any, *, n_bins: int = 15, binning: Binning = None, validate: bool = True
) -> float:
    """Expected calibration error: ECE = sum_m |B_m|/n |acc(B_m) - conf(B_m)| (Guo et al. 2017, eq. 3).

    ``binning="netcal"``, ``"torchmetrics"`` and ``"scikit-learn"`` have those packages' edges bit for bit. netcal's own number of
    (n, 2) is that of P(class 1), where this is the winner's: for it give ``probs[:, 1]``; and compare with netcal in float64,
    since of float32 confidences on an edge it counts a row in one bin and averages it in another.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        validate: False skips the checks of values.

    Returns:
        ECE in [0, 1]; 0 is best. It is biased upwards: see :func:`noise_floor`.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(expected_calibration_error([[0.1, 0.9], [0.1, 0.9]], [1, 0], n_bins=10), 6)
        0.4
    """
    return reliability_table(probs, labels, n_bins=n_bins, binning=binning, validate=validate).ece


def overconfidence_error(
    probs: Any, labels: Any, *, n_bins: int = 15, binning: Binning = None, validate: bool = True
) -> float:
    """Overconfidence error: OE = sum_m |B_m|/n conf(B_m) max(conf(B_m) - acc(B_m), 0), arXiv 1905.11001.

    Never report it alone: a model that only under-claims has OE 0, the uniform predictor included.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi]; the paper's authors used 100.
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        validate: False skips the checks of values.

    Returns:
        OE in [0, ECE]; lower is less over-confident.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(overconfidence_error([[0.1, 0.9], [0.1, 0.9]], [1, 0], n_bins=10), 6)
        0.36
        >>> overconfidence_error([[0.4, 0.6], [0.4, 0.6]], [1, 1])
        0.0
    """
    return reliability_table(probs, labels, n_bins=n_bins, binning=binning, validate=validate).oe


def maximum_calibration_error(
    probs: Any, labels: Any, *, n_bins: int = 15, binning: Binning = None, min_count: int = 1, validate: bool = True
) -> float:
    """Maximum calibration error: MCE = max_m |acc(B_m) - conf(B_m)| (Guo et al. 2017, eq. 5).

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        min_count: bins with fewer rows are left out; one row alone is often far off.
        validate: False skips the checks of values.

    Returns:
        MCE in [ECE, 1]; 0 is best.

    Raises:
        ValueError: for input that cannot be scored, and if no bin has ``min_count`` rows.

    Example:
        >>> round(maximum_calibration_error([[0.1, 0.9], [0.3, 0.7]], [1, 0], n_bins=10), 6)
        0.7
    """
    table = reliability_table(probs, labels, n_bins=n_bins, binning=binning, validate=validate)
    return table.mce_where(min_count=min_count)


def root_mean_squared_calibration_error(
    probs: Any, labels: Any, *, n_bins: int = 15, binning: Binning = None, validate: bool = True
) -> float:
    """RMSCE = sqrt(sum_m |B_m|/n (acc(B_m) - conf(B_m))^2), the L2 form of ECE (Kumar et al. 2019).

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        validate: False skips the checks of values.

    Returns:
        RMSCE in [ECE, MCE]; 0 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(root_mean_squared_calibration_error([[0.1, 0.9], [0.3, 0.7]], [1, 0], n_bins=10), 6)
        0.5
    """
    return reliability_table(probs, labels, n_bins=n_bins, binning=binning, validate=validate).rmsce


def adaptive_ece(probs: Any, labels: Any, *, n_bins: int = 15, validate: bool = True) -> float:
    """ECE over bins of equal mass of the winning score (Nguyen & O'Connor 2015; "AECE" in later work).

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-mass bins.
        validate: False skips the checks of values.

    Returns:
        Adaptive ECE in [0, 1]; 0 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(adaptive_ece([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], [1, 1, 0, 0], n_bins=2), 6)
        0.4
    """
    return reliability_table(probs, labels, binning=EqualMass(n_bins), validate=validate).ece


def gap(probs: Any, labels: Any, *, validate: bool = True) -> float:
    """Signed gap: mean winning score minus accuracy; its sign decides whether mixup helps.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        validate: False skips the checks of values.

    Returns:
        The gap in [-1, 1]; positive is over-confident, negative under-confident, 0 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(gap([[0.1, 0.9], [0.2, 0.8]], [1, 0]), 6)
        0.35
    """
    return reliability_table(probs, labels, n_bins=1, validate=validate).gap


def accuracy(probs: Any, labels: Any, *, validate: bool = True) -> float:
    """Share of rows whose winning class is the label; ties go to the first index, as argmax does.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        validate: False skips the checks of values.

    Returns:
        Accuracy in [0, 1]; 1 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> accuracy([[0.1, 0.9], [0.2, 0.8]], [1, 0])
        0.5
    """
    return reliability_table(probs, labels, n_bins=1, validate=validate).overall_accuracy


def negative_log_likelihood(probs: Any, labels: Any, *, validate: bool = True) -> float:
    """NLL = mean_i -log p_i[y_i], in nats; strictly proper.

    From logits use :func:`nll_from_logits`, which cannot underflow.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        validate: False skips the checks of values.

    Returns:
        NLL in [0, inf]; 0 is best; inf where a label was given probability 0.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(negative_log_likelihood([[0.5, 0.5], [0.75, 0.25]], [0, 1]), 6)  # (log 2 + log 4) / 2
        1.039721
    """
    table, labels = full_probabilities(probs, labels, validate=validate)
    with np.errstate(divide="ignore"):
        return float(-np.log(table[np.arange(len(table)), labels]).mean()) + 0.0


def brier_score(probs: Any, labels: Any, *, validate: bool = True) -> float:
    """Brier = mean_i sum_k (p_ik - 1[y_i = k])^2 (Brier 1950), over all classes; strictly proper.

    scikit-learn's binary form counts class 1 alone and is half of this.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        validate: False skips the checks of values.

    Returns:
        Brier score in [0, 2]; 0 is best.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> round(brier_score([[0.8, 0.2], [0.4, 0.6]], [0, 0]), 6)  # (0.04 + 0.04 + 0.36 + 0.36) / 2
        0.4
    """
    table, labels = full_probabilities(probs, labels, validate=validate)
    return float(brier_per_row(table, labels).mean())


def brier_per_row(table: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """sum_k (p_k - 1[y = k])^2 of every row, (n,), in [0, 2]."""
    of_label = table[np.arange(len(table)), labels].astype(np.float64)
    return np.einsum("nk,nk->n", table, table, dtype=np.float64) - 2.0 * of_label + 1.0


def full_probabilities(probs: Any, labels: Any, *, validate: bool = True) -> tuple[NDArray[Any], NDArray[Any]]:
    """Checked probabilities as a float (n, k) table, one column becoming two, and the labels.

    Example:
        >>> full_probabilities([0.25], [1])[0]
        array([[0.75, 0.25]])
    """
    array = as_array(probs, "probs")
    n_classes = check_shape(array)
    checked = as_labels(labels, len(array))
    if validate and n_classes == 1:
        for _ in top_label_blocks(array, checked):
            pass
    table = as_floats(array, "probs")
    if n_classes == 1:
        positive = np.clip(table.reshape(-1).astype(np.float64), 0.0, 1.0)
        return np.stack([1.0 - positive, positive], axis=1), checked
    if validate:
        check_labels(checked, n_classes)
        table = clean_rows(table)
    return table, checked
