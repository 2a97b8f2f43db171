"""The noise floor: the ECE that a perfectly calibrated model with these confidences would show at this n.

ECE is biased upwards, so "ECE .02" says nothing until one knows that a perfect model shows .019 here. Labels are
simulated from the model's own confidences (Broecker & Smith 2007, "consistency resampling") and scored alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binning import EqualMass, EqualWidth, resolve_binning
from .inputs import as_array, top_label
from .table import ReliabilityTable

#: Confidences are told apart to 1/1024 in the simulation; the variance this loses is at most 1e-7 per row.
CELLS = 1024


@dataclass(frozen=True)
class NoiseFloor:
    """What a perfectly calibrated model shows at this n and binning: mean and central 95 % of simulated scores.

    Args:
        ece: mean simulated ECE, ``low`` and ``high`` its 2.5 % and 97.5 % quantiles.
        low: see ``ece``.
        high: see ``ece``.
        oe: mean simulated OE, ``oe_low`` and ``oe_high`` its quantiles.
        oe_low: see ``oe``.
        oe_high: see ``oe``.
        n: number of rows.
        n_bins: number of bins.
        n_draws: number of simulated sets of labels.
    """

    ece: float
    low: float
    high: float
    oe: float
    oe_low: float
    oe_high: float
    n: int
    n_bins: int
    n_draws: int

    def distinguishable(self, ece: float) -> bool:
        """`above_floor` of an observed ECE."""
        return above_floor({"ece": ece, "ece_floor_high": self.high})

    def describe(self, ece: float) -> str:
        """The sentence that belongs beside every ECE.

        Example:
            >>> floor = NoiseFloor(0.019, 0.011, 0.028, 0.01, 0.005, 0.02, n=1066, n_bins=15, n_draws=1000)
            >>> print(floor.describe(0.021))
            ECE .021; a perfect model here: .019 (.011 to .028): not distinguishable (n = 1066, 15 bins)
        """
        verdict = "above the floor" if self.distinguishable(ece) else "not distinguishable"
        return (
            f"ECE {short(ece)}; a perfect model here: {short(self.ece)} ({short(self.low)} to {short(self.high)}): "
            f"{verdict} (n = {self.n}, {self.n_bins} bins)"
        )


def noise_floor(
    probs: Any,
    *,
    n_bins: int = 15,
    binning: EqualWidth | EqualMass | str | None = None,
    n_draws: int = 1000,
    seed: int = 0,
) -> NoiseFloor:
    """The ECE and OE of a perfectly calibrated model with these probabilities, simulated.

    Each row becomes correct with the probability it claims; the binned scores of ``n_draws`` such sets of labels are
    summarised. Work and memory do not grow with n beyond one pass over ``probs``.

    Args:
        probs: (n, k) rows that sum to 1, or (n,) or (n, 1) the probability of class 1 of a binary task.
        n_bins: number of equal-width bins (lo, hi].
        binning: :class:`EqualWidth`, :class:`EqualMass` or a preset's name, instead of ``n_bins``.
        n_draws: simulated sets of labels.
        seed: seed of the simulation; the same seed gives the same floor.

    Returns:
        Mean and central 95 % of the simulated ECE and OE.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> coins = np.full((10_000, 2), 0.5)
        >>> floor = noise_floor(coins, n_bins=10)
        >>> print(f"{floor.ece:.3f}")  # about E|N(0, 1)| = .8 times one standard error, .5 / sqrt(10,000)
        0.004
    """
    rule = resolve_binning(n_bins, binning)
    positive = isinstance(rule, EqualWidth) and rule.binary == "positive"
    probs = as_array(probs, "probs")
    confidence, _ = top_label(probs, np.zeros(len(probs), dtype=np.int64), positive=positive)
    if isinstance(rule, EqualWidth):
        confidence = rule.compared(confidence, probs)
    return noise_floor_of_confidences(confidence, rule, n_draws=n_draws, seed=seed)


def noise_floor_of_confidences(
    confidence: NDArray[np.float64], rule: EqualWidth | EqualMass, *, n_draws: int = 1000, seed: int = 0
) -> NoiseFloor:
    """:func:`noise_floor` where the winning scores (n,) are already known.

    Rows of one bin whose confidences agree to 1/1024 form a cell; a cell of r rows with mean confidence c has
    Binomial(r, c) correct ones.
    """
    return _floor(_cells(rule.assign(confidence), confidence), rule, n_draws, seed)


def noise_floor_of_table(table: ReliabilityTable, *, n_draws: int = 1000, seed: int = 0) -> NoiseFloor:
    """:func:`noise_floor` from a table or a streaming state's table alone, each bin at its mean confidence.

    The spread of confidences within a bin is lost, which overstates the variance by at most 1/(4 M^2) per row.

    Example:
        >>> from nlp_mixup.calibration import reliability_table
        >>> coins = np.full((10_000, 2), 0.5)
        >>> table = reliability_table(coins, np.zeros(10_000, dtype=int))
        >>> noise_floor_of_table(table) == noise_floor(coins)
        True
    """
    table.overall_accuracy  # noqa: B018  (an empty table raises here, with what to do)
    filled = np.flatnonzero(table.count)
    return _floor((filled, table.count[filled], table.confidence_sum[filled]), table.binning, n_draws, seed)


def simulated_scores(
    bin_of_row: NDArray[np.intp], confidence: NDArray[np.float64], *, n_draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ECE and OE of simulated sets of labels, (n_draws,) each, for rows whose bins (n,) and winning scores (n,) are known."""
    return _simulate(*_cells(bin_of_row, confidence), n_draws, seed)


def _cells(
    bin_of_row: NDArray[np.intp], confidence: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float64]]:
    """Rows of one bin whose confidences agree to 1/1024: their bin, how many they are, and their sum of confidences."""
    key = bin_of_row * (CELLS + 1) + np.rint(confidence * CELLS).astype(np.intp)
    count = np.bincount(key).astype(np.int64)
    total: NDArray[np.float64] = np.bincount(key, weights=confidence).astype(np.float64)
    filled = np.flatnonzero(count)
    return filled // (CELLS + 1), count[filled], total[filled]


def _simulate(
    bin_of_cell: NDArray[np.intp], count: NDArray[np.int64], total: NDArray[Any], n_draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    starts = np.flatnonzero(np.r_[True, np.diff(bin_of_cell) > 0])
    confidence_sum = np.add.reduceat(total, starts)
    bin_count = np.add.reduceat(count, starts)
    share = np.clip(total / count, 0.0, 1.0)
    n = int(count.sum())
    ece, oe = np.empty(n_draws), np.empty(n_draws)
    step = max(1, (1 << 20) // len(count))
    for start in range(0, n_draws, step):
        draws = min(step, n_draws - start)
        correct = np.add.reduceat(rng.binomial(count, share, size=(draws, len(count))), starts, axis=1)
        excess = confidence_sum - correct
        ece[start : start + draws] = np.abs(excess).sum(axis=1) / n
        oe[start : start + draws] = np.maximum(excess, 0.0) @ (confidence_sum / bin_count) / n
    return ece, oe


def _floor(
    cells: tuple[NDArray[np.intp], NDArray[np.int64], NDArray[Any]],
    rule: EqualWidth | EqualMass,
    n_draws: int,
    seed: int,
) -> NoiseFloor:
    ece, oe = _simulate(*cells, n_draws, seed)
    low, high = np.quantile(ece, (0.025, 0.975))
    oe_low, oe_high = np.quantile(oe, (0.025, 0.975))
    return NoiseFloor(
        ece=float(ece.mean()),
        low=float(low),
        high=float(high),
        oe=float(oe.mean()),
        oe_low=float(oe_low),
        oe_high=float(oe_high),
        n=int(cells[1].sum()),
        n_bins=rule.n_bins,
        n_draws=n_draws,
    )


def above_floor(scores: Mapping[str, float]) -> bool:
    """Whether an ECE, named as `score_logits` names it, lies above what 97.5 % of perfectly calibrated models show."""
    return scores["ece"] > scores["ece_floor_high"]


def short(value: float, sign: str = "") -> str:
    """Three decimals without the leading zero, as calibration tables print: .021; with ``sign`` "+", +.021.

    >>> short(0.0213), short(0.0213, "+"), short(-0.0004, "+"), short(1.5)
    ('.021', '+.021', '.000', '1.500')
    """
    text = f"{value:{sign}.3f}"
    if float(text) == 0:  # -0.000 and +0.000 say more than they know
        return ".000"
    return text.replace("0.", ".", 1) if text.lstrip("+-").startswith("0.") else text
