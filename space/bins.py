"""A streaming calibration state: per bin one count and two sums, nothing per example.

Sums are float64 and counts int64, so that ECE and OE stay exact past 2^24 rows in one bin, where float32
counters stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binning import EqualMass, EqualWidth, resolve_binning
from .inputs import as_array, top_label, top_label_blocks
from .table import ReliabilityTable


class CalibrationBins:
    """Counts and sums of equal-width bins; add batches, merge states, read the scores.

    Args:
        n_bins: number of equal-width bins, closed on the right.
        binning: an :class:`EqualWidth` rule, or a preset's name, instead of ``n_bins``.

    Raises:
        TypeError: for :class:`EqualMass`, whose bins depend on all rows: use ``reliability_table``.

    Example:
        >>> bins = CalibrationBins(n_bins=10).update([[0.05, 0.95]], [1]).update([[0.0, 1.0]], [0])
        >>> bins.n, round(bins.ece, 6), round(bins.oe, 6)
        (2, 0.475, 0.463125)
    """

    def __init__(self, n_bins: int = 15, *, binning: EqualWidth | str | None = None) -> None:
        rule = resolve_binning(n_bins, binning)
        if isinstance(rule, EqualMass):
            raise TypeError(
                "equal-mass bins need all rows at once and cannot be streamed; "
                f"use reliability_table(probs, labels, binning=EqualMass({rule.n_bins}))"
            )
        self.binning: EqualWidth = rule
        size = len(rule.lower)
        self.count: NDArray[np.int64] = np.zeros(size, dtype=np.int64)
        self.confidence_sum: NDArray[np.float64] = np.zeros(size)
        self.correct_sum: NDArray[np.float64] = np.zeros(size)

    def update(self, probs: Any, labels: Any, *, validate: bool = True) -> CalibrationBins:
        """Adds a batch of any size and returns the state; a batch that is refused adds nothing.

        Args:
            probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
            labels: (n,) class indices.
            validate: False skips the checks of values (not of shapes), for data checked before.

        Raises:
            ValueError: as :func:`nlp_mixup.calibration.top_label`.
        """
        probs, rule = as_array(probs, "probs"), self.binning
        blocks = top_label_blocks(probs, labels, positive=rule.binary == "positive", validate=validate)
        return self._add(self._tally(rule.compared(confidence, probs), correct) for confidence, correct in blocks)

    def update_scored(self, confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> CalibrationBins:
        """Adds rows whose confidence (n,) in [0, 1] and correctness (n,) are known, unchecked."""
        return self._add([self._tally(np.asarray(confidence, dtype=np.float64), np.asarray(correct))])

    def merge(self, other: CalibrationBins) -> CalibrationBins:
        """Adds another state's counts and sums to this one and returns it, as if all rows had come here.

        Raises:
            ValueError: if the two use different bins.
        """
        if self.binning != other.binning:
            raise ValueError(f"cannot merge {self.binning!r} with {other.binning!r}; use the same bins everywhere")
        self.count += other.count
        self.confidence_sum += other.confidence_sum
        self.correct_sum += other.correct_sum
        return self

    def __add__(self, other: CalibrationBins) -> CalibrationBins:
        return CalibrationBins(binning=self.binning).merge(self).merge(other)

    def __radd__(self, other: int) -> CalibrationBins:
        """Lets ``sum(states)`` work, which starts from 0."""
        if other != 0:
            return NotImplemented
        return CalibrationBins(binning=self.binning).merge(self)

    def table(self) -> ReliabilityTable:
        """The per-bin table as it stands now."""
        rule = self.binning
        return ReliabilityTable(
            lower=rule.lower,
            upper=rule.upper,
            count=self.count.copy(),
            confidence_sum=self.confidence_sum.copy(),
            correct_sum=self.correct_sum.copy(),
            binning=rule,
        )

    n = property(lambda self: self.table().n, doc="Number of rows seen.")
    ece = property(lambda self: self.table().ece, doc="Expected calibration error.")
    oe = property(lambda self: self.table().oe, doc="Overconfidence error.")
    mce = property(lambda self: self.table().mce, doc="Maximum calibration error.")
    rmsce = property(lambda self: self.table().rmsce, doc="Root mean squared calibration error.")
    gap = property(lambda self: self.table().gap, doc="Mean confidence minus accuracy.")
    accuracy = property(lambda self: self.table().overall_accuracy, doc="Accuracy over all rows.")
    confidence = property(lambda self: self.table().overall_confidence, doc="Mean winning score.")

    def _tally(self, confidence: NDArray[Any], correct: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Counts and confidence sums, each (2, M): first row the wrong ones, second the correct ones."""
        size = len(self.count)
        index = self.binning.assign(confidence)
        index += size * correct
        count = np.bincount(index, minlength=2 * size)
        total = np.bincount(index, weights=confidence, minlength=2 * size)
        return count.reshape(2, size), total.reshape(2, size)

    def _add(self, tallies: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> CalibrationBins:
        count = np.zeros_like(self.count)
        correct = np.zeros_like(self.count)
        confidence = np.zeros_like(self.confidence_sum)
        for counts, sums in tallies:
            count += counts.sum(axis=0)
            correct += counts[1]
            confidence += sums.sum(axis=0)
        self.count += count
        self.correct_sum += correct
        self.confidence_sum += confidence
        return self


def reliability_table(
    probs: Any,
    labels: Any,
    *,
    n_bins: int = 15,
    binning: EqualWidth | EqualMass | str | None = None,
    validate: bool = True,
) -> ReliabilityTable:
    """Per-bin count, mean confidence and accuracy of the winning class.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        labels: (n,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        validate: False skips the checks of values.

    Returns:
        The table, from which ``.ece``, ``.oe``, ``.mce``, ``.rmsce`` and ``.gap`` are read.

    Raises:
        ValueError: as :func:`nlp_mixup.calibration.top_label`.

    Example:
        >>> table = reliability_table([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]], [0, 0, 0], n_bins=2)
        >>> table.count, table.accuracy.round(3), table.confidence.round(3)
        (array([0, 3]), array([  nan, 0.667]), array([  nan, 0.767]))
    """
    rule = resolve_binning(n_bins, binning)
    if isinstance(rule, EqualWidth):
        return CalibrationBins(binning=rule).update(probs, labels, validate=validate).table()
    confidence, correct = top_label(probs, labels, validate=validate)
    return equal_mass_table(confidence, correct, n_bins=rule.n_bins)


def equal_mass_table(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, n_bins: int = 15
) -> ReliabilityTable:
    """The table of equal-mass bins from all rows' confidence (n,) and correctness (n,).

    Example:
        >>> confidence, correct = np.array([0.9, 0.5, 0.7, 0.6]), np.array([True, True, False, True])
        >>> equal_mass_table(confidence, correct, n_bins=2).count
        array([2, 2])
    """
    rule = EqualMass(n_bins)
    index = rule.assign(confidence)
    lower, upper = np.full(n_bins, np.inf), np.full(n_bins, -np.inf)
    np.minimum.at(lower, index, confidence)
    np.maximum.at(upper, index, confidence)
    count = np.bincount(index, minlength=n_bins)
    empty = count == 0
    lower[empty] = upper[empty] = np.nan
    return ReliabilityTable(
        lower=lower,
        upper=upper,
        count=count,
        confidence_sum=np.bincount(index, weights=confidence, minlength=n_bins).astype(np.float64),
        correct_sum=np.bincount(index, weights=correct, minlength=n_bins).astype(np.float64),
        binning=rule,
    )
