"""Which bin a confidence falls into: equal-width and equal-mass bins, edge rules, published conventions.

Naeini et al. 2015 and Guo et al. 2017 (arXiv 1706.04599) use M equal-width bins ((m-1)/M, m/M], closed on
the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def _check_n_bins(n_bins: int) -> None:
    if isinstance(n_bins, bool) or not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ValueError(f"n_bins: expected a whole number of at least 1, got {n_bins!r}; 15 is the usual choice")


@dataclass(frozen=True)
class EqualWidth:
    """M bins of width 1/M over [0, 1]; needs no data, so it can be streamed.

    Edges are m/M rounded once, so the literal 0.3 lies exactly on an edge of 10 bins. Comparisons are in
    float64. Other packages' edges are up to an ulp away, which moves a confidence such as .7 into another bin: see
    ``linspace``.

    Args:
        n_bins: M.
        closed: ``"right"`` for (lo, hi], confidence 0 in the first bin, as the papers; ``"left"`` for [lo,
            hi), confidence 1 in the last bin.
        one_apart: confidence exactly 1 gets a bin of its own after the M others, as torchmetrics and relplot
            do.
        binary: what one-column input means: ``"winner"``, the winning class and whether it is right; or
            ``"positive"``, P(class 1) and whether the label is 1. Two columns are always the winner.
        linspace: whose edges: None for m/M; ``"numpy"`` for those of ``numpy.linspace``; ``"torch"`` for those of
            ``torch.linspace`` in the number format of the confidences, as torchmetrics has them: float32 for (n, k),
            whatever came, and for one column its own. They are torch's with fused multiply-add, which every
            processor since 2013 has; where it is switched off, torch's own edges differ from these in the last bit.

    Example:
        >>> EqualWidth(4).assign(np.array([0.0, 0.25, 0.26, 1.0]))
        array([0, 0, 1, 3])
        >>> EqualWidth(4, closed="left").assign(np.array([0.0, 0.25, 0.26, 1.0]))
        array([0, 1, 1, 3])
    """

    n_bins: int = 15
    closed: Literal["right", "left"] = "right"
    one_apart: bool = False
    binary: Literal["winner", "positive"] = "winner"
    linspace: Literal["numpy", "torch"] | None = None

    def __post_init__(self) -> None:
        _check_n_bins(self.n_bins)
        if self.closed not in ("right", "left"):
            raise ValueError(f'closed: expected "right" for (lo, hi] or "left" for [lo, hi), got {self.closed!r}')
        if self.binary not in ("winner", "positive"):
            raise ValueError(f'binary: expected "winner" or "positive", got {self.binary!r}')
        if self.linspace not in (None, "numpy", "torch"):
            raise ValueError(f'linspace: expected None, "numpy" or "torch", got {self.linspace!r}')

    @property
    def edges(self) -> NDArray[np.float64]:
        """The M + 1 edges, for confidences in float64."""
        return self._edges("float64")

    def _edges(self, dtype: str) -> NDArray[Any]:
        if self.linspace == "numpy":
            return np.linspace(0.0, 1.0, self.n_bins + 1)
        if self.linspace == "torch":
            return _torch_linspace(self.n_bins, dtype)
        return np.arange(self.n_bins + 1) / self.n_bins

    @property
    def lower(self) -> NDArray[np.float64]:
        """Lower edge of every bin; M + 1 of them where confidence 1 stands apart."""
        return np.append(self.edges[:-1], 1.0) if self.one_apart else self.edges[:-1]

    @property
    def upper(self) -> NDArray[np.float64]:
        """Upper edge of every bin; M + 1 of them where confidence 1 stands apart."""
        return np.append(self.edges[1:], 1.0) if self.one_apart else self.edges[1:]

    def compared(self, confidence: NDArray[np.float64], probs: Any) -> NDArray[Any]:
        """The confidences of ``probs`` in the number format that the rule compares them in."""
        one_column = len(probs.shape) == 1 or probs.shape[1] == 1
        if self.linspace != "torch" or (one_column and str(probs.dtype).endswith("float64")):
            return confidence
        return confidence.astype(np.float32)

    def assign(self, confidence: NDArray[Any]) -> NDArray[np.intp]:
        """The bin index of every confidence, (n,) in [0, 1], float64 but for ``linspace="torch"``, which takes float32 too.

        Given m/M, a multiplication finds the bin of all values but those within 1e-9 of an edge; these are compared
        with the edge itself, so the answer equals a binary search over the edges.
        """
        if self.linspace:
            edges = self._edges(str(confidence.dtype))
            side: Literal["left", "right"] = "left" if self.closed == "right" else "right"
            index = np.searchsorted(edges[1:-1], confidence, side=side)
            if self.one_apart:
                index[confidence == 1.0] = self.n_bins
            return index
        position = confidence * self.n_bins
        index = position.astype(np.intp)
        position -= index
        position -= 0.5
        np.abs(position, out=position)
        near = np.flatnonzero(position > 0.5 - 1e-9)
        if len(near):
            edges, value = self.edges, confidence[near]
            edge = np.rint(value * self.n_bins).astype(np.intp)
            below = value <= edges[edge] if self.closed == "right" else value < edges[edge]
            index[near] = np.clip(edge - below, 0, self.n_bins - 1)
            if self.one_apart:
                index[near[value == 1.0]] = self.n_bins
        return index

    def __str__(self) -> str:
        interval = "(lo, hi]" if self.closed == "right" else "[lo, hi)"
        return f"{self.n_bins} equal-width bins {interval}" + (", 1.0 apart" if self.one_apart else "")


@lru_cache
def _torch_linspace(n_bins: int, dtype: str) -> NDArray[Any]:
    """``torch.linspace(0, 1, n_bins + 1)``: m times the step in the lower half, 1 - (M - m) steps in the upper one.

    A fused multiply-add rounds the upper ones once, which whole fractions reproduce.

    Example:
        >>> _torch_linspace(10, "float32")[[3, 7]].tolist()  # a float32 .7 lies below the edge, .3 on it
        [0.30000001192092896, 0.699999988079071]
    """
    number = np.dtype(dtype).type
    step = number(1) / number(n_bins)
    lower = [step * number(m) for m in range((n_bins + 1) // 2)]
    upper = [number(float(1 - Fraction(float(step)) * (n_bins - m))) for m in range((n_bins + 1) // 2, n_bins + 1)]
    edges = np.array(lower + upper, dtype=number)
    edges.flags.writeable = False
    return edges


@dataclass(frozen=True)
class EqualMass:
    """M bins that hold the same number of rows, up to one; needs all rows at once, so it cannot be streamed.

    Rows are sorted by confidence (equal confidences in the order given) and cut as ``numpy.array_split``
    cuts.

    Example:
        >>> EqualMass(2).assign(np.array([0.9, 0.5, 0.7, 0.6, 0.8]))
        array([1, 0, 0, 0, 1])
    """

    n_bins: int = 15

    def __post_init__(self) -> None:
        _check_n_bins(self.n_bins)

    def assign(self, confidence: NDArray[np.float64]) -> NDArray[np.intp]:
        """The bin index of every confidence, (n,); with fewer rows than bins, the last bins stay empty."""
        n = len(confidence)
        sizes = np.full(self.n_bins, n // self.n_bins)
        sizes[: n % self.n_bins] += 1
        index = np.empty(n, dtype=np.intp)
        index[np.argsort(confidence, kind="stable")] = np.repeat(np.arange(self.n_bins), sizes)
        return index

    def __str__(self) -> str:
        return f"{self.n_bins} equal-mass bins"


#: Published conventions by name. Thulasidasan et al. 2019 (arXiv 1905.11001) used 100 bins by the authors'
#: own word. "torchmetrics" (1.9), "netcal" (1.4) and "scikit-learn" (1.9) have those packages' edges bit for bit, for
#: another number of bins too: ``dataclasses.replace(PRESETS["netcal"], n_bins=15)``. Two differences remain:
#: netcal reads two columns as P(class 1), where we score the winner, so give it (n,) or ``probs[:, 1]``; and
#: of float32 confidences on an edge netcal counts a row in one bin and averages it in another, so compare in float64.
PRESETS: dict[str, EqualWidth] = {
    "guo2017": EqualWidth(15),
    "thulasidasan2019": EqualWidth(100),
    "torchmetrics": EqualWidth(15, closed="left", one_apart=True, binary="positive", linspace="torch"),
    "netcal": EqualWidth(10, closed="left", binary="positive", linspace="numpy"),
    "scikit-learn": EqualWidth(5, binary="positive", linspace="numpy"),
}


def resolve_binning(n_bins: int, binning: EqualWidth | EqualMass | str | None) -> EqualWidth | EqualMass:
    """``n_bins`` equal-width bins closed on the right, or the binning or preset that was named.

    Raises:
        ValueError: for an unknown preset, and where ``n_bins`` was given too and says something else.

    Example:
        >>> str(resolve_binning(15, "netcal"))
        '10 equal-width bins [lo, hi)'
    """
    if binning is None:
        return EqualWidth(n_bins)
    if isinstance(binning, str):
        if binning not in PRESETS:
            raise ValueError(f"binning: no preset {binning!r}; accepted: {', '.join(PRESETS)}")
        binning = PRESETS[binning]
    if not isinstance(binning, EqualWidth | EqualMass):
        raise ValueError(f"binning: expected EqualWidth(...), EqualMass(...) or a preset's name, got {binning!r}")
    if n_bins not in (15, binning.n_bins):
        raise ValueError(f"n_bins={n_bins} and binning={binning!r} disagree; give one of the two")
    return binning
