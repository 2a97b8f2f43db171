"""The reliability table: per-bin count, mean confidence and accuracy, and the binned scores read from it.

ECE: Naeini et al. 2015, Guo et al. 2017 (arXiv 1706.04599). OE: Thulasidasan et al. 2019 (arXiv 1905.11001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .binning import EqualMass, EqualWidth


@dataclass(frozen=True, eq=False)
class ReliabilityTable:
    """Per-bin counts and sums, from which every binned score is read.

    With n rows, B_m the rows of bin m, conf(B) and acc(B) their mean confidence and accuracy, and w_m =
    |B_m|/n: ECE = sum_m w_m |conf(B_m) - acc(B_m)|, and OE = sum_m w_m conf(B_m) max(conf(B_m) - acc(B_m),
    0). Then 0 <= OE <= ECE <= MCE <= 1. Empty bins count nothing.

    Args:
        lower: (M,) lower edges, or each bin's smallest confidence for equal-mass bins.
        upper: (M,) upper edges, or each bin's largest confidence for equal-mass bins.
        count: (M,) int64 rows per bin.
        confidence_sum: (M,) float64 sum of the confidences per bin.
        correct_sum: (M,) float64 number of correct rows per bin.
        binning: the rule that put rows into bins.

    Example:
        >>> table = ReliabilityTable(
        ...     lower=np.array([0.0, 0.5]), upper=np.array([0.5, 1.0]), count=np.array([0, 4]),
        ...     confidence_sum=np.array([0.0, 3.6]), correct_sum=np.array([0.0, 2.0]), binning=EqualWidth(2),
        ... )
        >>> round(table.ece, 6), round(table.oe, 6), round(table.gap, 6)
        (0.4, 0.36, 0.4)
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence_sum: NDArray[np.float64]
    correct_sum: NDArray[np.float64]
    binning: EqualWidth | EqualMass

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.count.sum())

    @property
    def n_bins(self) -> int:
        """Number of bins, the empty ones included."""
        return self.binning.n_bins

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(M,) mean confidence of every bin; NaN where the bin is empty."""
        return _divide(self.confidence_sum, self.count)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(M,) accuracy of every bin; NaN where the bin is empty."""
        return _divide(self.correct_sum, self.count)

    @property
    def overall_accuracy(self) -> float:
        """Accuracy over all rows, in [0, 1], higher is better."""
        return float(self.correct_sum.sum() / self._some_rows())

    @property
    def overall_confidence(self) -> float:
        """Mean winning score over all rows, in [0, 1]."""
        return float(self.confidence_sum.sum() / self._some_rows())

    @property
    def gap(self) -> float:
        """Mean confidence minus accuracy, in [-1, 1]; positive is over-confident, 0 is best."""
        return self.overall_confidence - self.overall_accuracy

    @property
    def ece(self) -> float:
        """Expected calibration error, in [0, 1], lower is better."""
        return float(np.abs(self.confidence_sum - self.correct_sum).sum() / self._some_rows())

    @property
    def oe(self) -> float:
        """Overconfidence error, in [0, 1], lower is better; 0 for any model that only under-claims."""
        excess = np.maximum(self.confidence_sum - self.correct_sum, 0.0)
        return float(np.dot(np.nan_to_num(self.confidence), excess) / self._some_rows())

    @property
    def mce(self) -> float:
        """Maximum calibration error over the non-empty bins, in [0, 1], lower is better."""
        return self.mce_where(min_count=1)

    @property
    def rmsce(self) -> float:
        """Root mean squared calibration error, sqrt(sum_m w_m (conf - acc)^2), in [0, 1], lower is better."""
        gaps = np.nan_to_num(self.confidence - self.accuracy)
        return float(np.sqrt(np.dot(self.count, gaps**2) / self._some_rows()))

    def mce_where(self, *, min_count: int) -> float:
        """Maximum calibration error over the bins with at least ``min_count`` rows.

        Raises:
            ValueError: if no bin has that many rows.
        """
        self._some_rows()
        kept = self.count >= max(1, min_count)
        if not kept.any():
            raise ValueError(
                f"min_count={min_count}: the fullest bin has {self.count.max()} rows; give a smaller number"
            )
        return float(np.abs(self.confidence - self.accuracy)[kept].max())

    def accuracy_interval(self, z: float = 1.959964) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) lower and upper ends of Wilson's interval (1927) of every bin's accuracy; NaN where empty.

        Args:
            z: the normal quantile, 1.96 for 95 %.
        """
        n, share = np.where(self.count > 0, self.count, np.nan), self.accuracy
        centre = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
        return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)

    def as_rows(self) -> list[dict[str, float]]:
        """One dictionary per bin (lower, upper, count, confidence, accuracy, gap), ready for CSV or JSON."""
        columns = zip(self.lower, self.upper, self.count, self.confidence, self.accuracy, strict=True)
        return [
            {
                "lower": float(lower),
                "upper": float(upper),
                "count": int(count),
                "confidence": float(confidence),
                "accuracy": float(accuracy),
                "gap": float(confidence - accuracy),
            }
            for lower, upper, count, confidence, accuracy in columns
        ]

    def _some_rows(self) -> int:
        n = self.n
        if n == 0:
            raise ValueError("no rows yet: update with at least one row before reading a score")
        return n


def _divide(total: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
