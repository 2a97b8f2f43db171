"""Confidence minus accuracy over the epochs of training, an arm a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from nlp_mixup.figures.layout import (
    arm_styles,
    basis_line,
    make_grid,
    panels_of,
    refuse_empty,
    refuse_empty_arms,
    small_print,
    spread_line,
    write_legend_of_arms,
    write_title,
)
from nlp_mixup.figures.reliability import INK

PALE_OVER, PALE_UNDER = "#FCF1EA", "#E9F6F2"


def draw_gap_by_epoch(
    gaps: Mapping[str, ArrayLike], ax: Axes, *, styles: Mapping[str, dict[str, Any]] | None = None
) -> None:
    """Draws every arm's mean gap by epoch, from lowest to highest seed as a band, and the zero line.

    Args:
        gaps: arm -> (s, e) confidence minus accuracy by seed and epoch.
        ax: axes to draw on.
        styles: of the arms, from :func:`arm_styles`.
    """
    styles = styles or arm_styles(gaps)
    ax.axhline(0, color=INK, linewidth=0.8)
    for arm, values in gaps.items():
        by_seed = np.atleast_2d(np.asarray(values, dtype=float))
        epochs = np.arange(1, by_seed.shape[1] + 1)
        every = max(1, math.ceil(len(epochs) / 12))
        ax.plot(epochs, by_seed.mean(axis=0), label=arm, markersize=4, markevery=every, **styles[arm])
        if len(by_seed) > 1:
            colour = styles[arm]["color"]
            ax.fill_between(epochs, by_seed.min(axis=0), by_seed.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    ax.set(xlabel="epoch", ylabel="confidence minus accuracy")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    small_print(ax)


def gap_by_epoch_figure(
    gaps: Mapping[str, ArrayLike], *, n: int, seeds: Sequence[int], split: str = "validation"
) -> Figure:
    """Confidence minus accuracy by epoch, a line per arm.

    How to read: above zero the model claims more than it delivers, below zero less. A line is the mean over seeds, its
    band reaches from the lowest to the highest seed.

    Args:
        gaps: arm -> (s, e) confidence minus accuracy by seed and epoch; (e,) for a single seed.
        n: rows of the split.
        seeds: the training seeds.
        split: the rows' name.

    Returns:
        A figure of its own, not known to pyplot.

    Raises:
        ValueError: for no arm, and for an arm without an epoch.

    Example:
        >>> figure = gap_by_epoch_figure({"no_mixup": [-0.02, 0.04, 0.08]}, n=1000, seeds=[0])
        >>> figure.axes[0].lines[1].get_ydata()
        array([-0.02,  0.04,  0.08])
    """
    refuse_empty("gap_by_epoch_figure", gaps, '{"no_mixup": gaps}')
    refuse_empty_arms("gap_by_epoch_figure", gaps)
    styles, panels = arm_styles(gaps), panels_of(list(gaps))
    figure, axes = make_grid(len(panels), width=3.4 if len(panels) > 1 else 6.0, height=3.4)
    values = np.concatenate([np.ravel(values) for values in gaps.values()])
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    margin = max(0.14 * (high - low), 0.01)
    for ax, arms in zip(axes, panels, strict=True):
        draw_gap_by_epoch({arm: gaps[arm] for arm in arms}, ax, styles=styles)
        ax.set_ylim(low - margin, high + margin)
        ax.axhspan(0, high + margin, color=PALE_OVER, zorder=-2)
        ax.axhspan(low - margin, 0, color=PALE_UNDER, zorder=-2)
        for height, side, text in ((0.98, "top", "over-confident"), (0.02, "bottom", "under-confident")):
            ax.text(0.98, height, text, transform=ax.transAxes, ha="right", va=side, fontsize=8, style="italic")
    write_title(
        figure, "Confidence minus accuracy by epoch", f"{basis_line(split, n, seeds)}; {spread_line(seeds, 'band')}"
    )
    write_legend_of_arms(figure, axes)
    return figure
