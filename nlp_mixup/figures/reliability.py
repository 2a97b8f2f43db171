"""A reader's pictures of calibration: ``draw_*(data, ax)`` draw what was computed elsewhere.

Nothing here touches pyplot or a global style, so figures fit a caller's own layout and threads.

How to read the reliability diagram: a bar reaches to the accuracy of the rows whose confidence lies in its
bin; where it ends below the diagonal the model claims more than it delivers. The whisker is a 95 % interval
of that accuracy, and the histogram below says how many rows each bar stands on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from nlp_mixup.calibration.floor import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nlp_mixup.calibration import ReliabilityTable

# Okabe and Ito's palette, told apart by colour-blind readers and in grey.
MAX_COLUMNS = 3
ACCURACY, OVER, UNDER, INK = "#56B4E9", "#D55E00", "#009E73", "#333333"


def draw_reliability(
    table: ReliabilityTable, ax: Axes, *, intervals: bool = True, repeats: int = 1, title: str = ""
) -> None:
    """Draws accuracy against confidence per bin, the gap to the diagonal, and each bin's 95 % interval.

    Args:
        table: what :func:`nlp_mixup.calibration.reliability_table` returns.
        ax: axes to draw on.
        intervals: draw Wilson intervals of the bins' accuracies.
        repeats: how often the table counts each row, as that of several seeds' predictions does: no more is known of the
            rows for that, so the intervals are those of n / repeats.
        title: a heading, such as the arm's name.
    """
    filled = table.count > 0
    left, width = table.lower[filled], (table.upper - table.lower)[filled]
    accuracy, confidence = table.accuracy[filled], table.confidence[filled]
    over = confidence > accuracy
    ax.bar(left, accuracy, width, align="edge", color=ACCURACY, edgecolor="white", linewidth=0.6, label="accuracy")
    for chosen, colour, pale, hatch, label in (
        (over, OVER, "#F6D5BF", "////", "over-confident: claims more"),
        (~over, UNDER, "#BFE6DB", "....", "under-confident: claims less"),
    ):
        if chosen.any():
            ax.bar(
                left[chosen],
                (confidence - accuracy)[chosen],
                width[chosen],
                bottom=accuracy[chosen],
                align="edge",
                facecolor=pale,
                edgecolor=colour,
                hatch=hatch,
                linewidth=0.6,
                label=label,
            )
    if intervals:
        low, high = table.accuracy_interval(z=1.959964 * math.sqrt(repeats))  # z^2 / n is all that Wilson's has of n
        ax.errorbar(
            confidence,
            accuracy,
            yerr=np.stack([accuracy - low[filled], high[filled] - accuracy]).clip(0),
            fmt="o",
            markersize=3,
            color=INK,
            elinewidth=1,
            capsize=2,
            label="accuracy at mean confidence, 95 %",
        )
    ax.plot([0, 1], [0, 1], linestyle="--", linewidth=1, color=INK, label="perfect calibration")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence (winning score)", ylabel="accuracy", title=title)


def draw_confidence_histogram(table: ReliabilityTable, ax: Axes) -> None:
    """Draws the share of rows in every bin, with the mean confidence and the accuracy as vertical lines.

    Args:
        table: what :func:`nlp_mixup.calibration.reliability_table` returns.
        ax: axes to draw on.
    """
    filled = table.count > 0
    share = table.count[filled] / table.n
    width = (table.upper - table.lower)[filled]
    ax.bar(table.lower[filled], share, width, align="edge", color="#999999", edgecolor="white", linewidth=0.6)
    ax.axvline(table.overall_confidence, color=OVER, linewidth=1.5, label="mean confidence")
    ax.axvline(table.overall_accuracy, color=INK, linewidth=1.5, linestyle=":", label="accuracy")
    ax.set(xlim=(0, 1), xlabel="confidence (winning score)", ylabel="share of rows")
    ax.legend(loc="upper left", fontsize="small", frameon=False)


def describe_table(table: ReliabilityTable, *, repeats: int = 1) -> str:
    """The line under a diagram that makes its numbers readable: n, bins, ECE, OE and gap.

    Example:
        >>> from nlp_mixup.calibration import reliability_table
        >>> print(describe_table(reliability_table([[0.1, 0.9], [0.1, 0.9]], [1, 0], n_bins=10)))
        n = 2, 10 equal-width bins (lo, hi]
        ECE .400   OE .360   gap +.400
    """
    ece, oe = short(table.ece), short(table.oe)
    gap = short(table.gap, "+")
    seeds = f" x {repeats} seeds" if repeats > 1 else ""
    return f"n = {table.n // repeats:,}{seeds}, {table.binning}\nECE {ece}   OE {oe}   gap {gap}"


def reliability_figure(tables: Mapping[str, ReliabilityTable], *, repeats: Mapping[str, int] | None = None) -> Figure:
    """The standard figure: for every arm the reliability diagram above its confidence histogram, three arms in a line.

    Args:
        tables: a reliability table for every name, drawn from left to right.
        repeats: how often a name's table counts each row; see :func:`draw_reliability`.

    Returns:
        A figure of its own, not known to pyplot; save it with ``figure.savefig(path)``.

    Raises:
        ValueError: for no table at all.

    Example:
        >>> from nlp_mixup.calibration import reliability_table
        >>> figure = reliability_figure({"no_mixup": reliability_table([[0.1, 0.9]], [1])})
        >>> len(figure.axes)
        2
    """
    if not tables:
        raise ValueError('reliability_figure: no tables; give at least one, such as {"no_mixup": table}')
    columns = min(len(tables), MAX_COLUMNS)
    lines = math.ceil(len(tables) / columns)
    figure = Figure(figsize=(0.5 + 3.9 * columns, 6.4 * lines), layout="constrained")
    axes = figure.subplots(2 * lines, columns, squeeze=False, sharex=True, height_ratios=[3, 1] * lines)
    for place, (name, table) in enumerate(tables.items()):
        line, column = divmod(place, columns)
        top, bottom = axes[2 * line, column], axes[2 * line + 1, column]
        times = (repeats or {}).get(name, 1)
        draw_reliability(table, top, repeats=times)
        top.set_title(name, fontweight="bold", pad=30)
        top.text(
            0.5,
            1.01,
            describe_table(table, repeats=times),
            transform=top.transAxes,
            ha="center",
            va="bottom",
            fontsize=8,
        )
        draw_confidence_histogram(table, bottom)
        top.set_xlabel("")
        if column:
            top.set_ylabel("")
            bottom.set_ylabel("")
            bottom.sharey(axes[2 * line + 1, 0])
    for empty in range(len(tables), lines * columns):
        line, column = divmod(empty, columns)
        axes[2 * line, column].remove()
        axes[2 * line + 1, column].remove()
    handles, labels = _every_label(axes[0])
    figure.legend(handles, labels, loc="outside lower center", ncols=min(1 + columns, 3), fontsize=8, frameon=False)
    return figure


def _every_label(axes: np.ndarray) -> tuple[list, list[str]]:
    """Each legend entry once, whichever column it first appears in."""
    found: dict[str, object] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
