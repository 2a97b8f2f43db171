"""What the figures of a comparison share: the look of an arm, panels, titles that say what the numbers stand on, legends.

Data go from an arm's name to its arrays; the order of the arms is theirs in the picture, and the first arm is the one that
the others are compared with: it is drawn in solid black and repeated in every panel. An arm keeps colour, line style and
marker over all figures that are given the same arms, and no arm is told from another of its panel by colour alone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nlp_mixup.figures.reliability import INK, OVER, UNDER

# The rest of Okabe and Ito's palette but yellow, which is too pale for a line on white.
COLOURS = ("#0072B2", OVER, UNDER, "#CC79A7", "#E69F00", "#56B4E9")


LINES = ((0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 1, 1, 1, 1, 1)))


MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "*", "h")


# So many arms beside the first share a panel; there are no more line styles than that.
ARMS_A_PANEL = len(LINES)


# Inches per character of the small print, on average.
CHARACTER = 0.066


def arm_styles(arms: Collection[Any]) -> dict[Any, dict[str, Any]]:
    """Colour, line style and marker of every arm, as keywords of ``Axes.plot``.

    Example:
        >>> styles = arm_styles(["no_mixup", "mixup"])
        >>> styles["no_mixup"]["color"], styles["mixup"]["marker"]
        ('#333333', 's')
    """
    first: dict[str, Any] = {"color": INK, "linestyle": "-", "marker": "o", "linewidth": 1.8}
    others: list[dict[str, Any]] = [
        {
            "color": COLOURS[index % len(COLOURS)],
            "linestyle": LINES[index % len(LINES)],
            "marker": MARKERS[index % len(MARKERS)],
            "linewidth": 1.5,
        }
        for index in range(len(arms) - 1)
    ]
    return dict(zip(arms, [first, *others], strict=False))


def refuse_empty(function: str, data: Collection[Any], example: str, what: str = "arms") -> None:
    if len(data) == 0:
        raise ValueError(f"{function}: no {what}; give at least one, such as {example}")


def refuse_empty_arms(function: str, data: Mapping[Any, ArrayLike]) -> None:
    for name, values in data.items():
        try:
            array = np.asarray(values, dtype=float)
        except ValueError:
            raise ValueError(f"{function}: {name} has rows of different lengths; give every seed the same") from None
        if array.size == 0:
            raise ValueError(f"{function}: {name} has no values; leave it out")
        if not np.isfinite(array).all():
            raise ValueError(f"{function}: {name} has values that are not finite; leave these seeds out")


def panels_of(arms: list[str]) -> list[list[str]]:
    """The arms by panel: the first in every one, with at most four others."""
    first, *others = arms
    count = max(1, math.ceil(len(others) / ARMS_A_PANEL))
    length, longer = divmod(len(others), count)
    stops = np.cumsum([length + (index < longer) for index in range(count)])
    return [[first, *others[start:stop]] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def make_grid(count: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes of one scale, at most three in a row, room for a title and a legend."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, 1.0 + height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.ravel()[count:]:
        ax.set_axis_off()
    for ax in axes[:, 1:].ravel():
        ax.yaxis.label.set_visible(False)
    return figure, list(axes.ravel()[:count])


def small_print(ax: Axes) -> None:
    ax.tick_params(labelsize=8)
    ax.xaxis.label.set_fontsize(9)
    ax.yaxis.label.set_fontsize(9)


def write_title(figure: Figure, heading: str, basis: str) -> None:
    """A heading over the small print that says what the numbers stand on, broken to the figure's width."""
    lines = textwrap.wrap(basis, max(40, int(figure.get_figwidth() / CHARACTER) - 6))
    lines = textwrap.wrap(basis, len(basis) // len(lines) + 8) if len(lines) > 1 else lines
    figure.suptitle("\n".join([heading, *lines]), fontsize=9)


def write_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend below the axes, in as many columns as fit."""
    entry = 0.65 + CHARACTER * max(len(label) for label in labels)
    columns = min(len(labels), max(1, int(figure.get_figwidth() / entry)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False, handlelength=3)


def write_legend_of_arms(figure: Figure, axes: Sequence[Axes]) -> None:
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    write_legend(figure, list(found.values()), list(found))


def basis_line(split: str, n: int, seeds: Sequence[int], n_bins: int | None = None, calibration: str = "") -> str:
    """What numbers stand on: "test, raw, n = 1,000, seeds 0 to 4, 15 bins"."""
    parts = [split, calibration, f"n = {n:,}", seeds_line(seeds), f"{n_bins} bins" if n_bins else ""]
    # Blanks that do not break keep "n = 1,000" on one line.
    return ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts if part)


def seeds_line(seeds: Sequence[int]) -> str:
    ordered = sorted(seeds)
    if len(ordered) == 1:
        return f"seed {ordered[0]}"
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"seeds {ordered[0]} to {ordered[-1]}"
    return "seeds " + ", ".join(map(str, ordered))


def spread_line(seeds: Sequence[int], mark: str) -> str:
    return "one seed, so no spread" if len(seeds) == 1 else f"mean over seeds, {mark}: lowest to highest"


def fitted(label: str, width: int = 44) -> str:
    """An entry "arm: numbers" that is too long for its panel, with the numbers on a line of their own."""
    arm, _, numbers = label.rpartition(": ")
    return label if len(label) <= width else f"{broken(arm, width)}:\n{numbers}"


def broken(name: str, width: int = 16) -> str:
    """A long name on several lines, broken after underscores."""
    return "\n".join(textwrap.wrap(name.replace("_", "_ "), width, break_long_words=True)).replace("_ ", "_")
