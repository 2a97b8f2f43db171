"""Every arm's difference to the first one, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nlp_mixup.calibration import Interval
from nlp_mixup.calibration.intervals import direction
from nlp_mixup.figures.layout import CHARACTER, basis_line, refuse_empty, small_print, write_legend, write_title
from nlp_mixup.figures.reliability import INK, OVER

SCORE_NAMES = {"accuracy": "accuracy", "nll": "NLL", "brier": "Brier score", "ece": "ECE", "oe": "OE"}


# Place beside the arm's line, colour and marker of its differences.
CALIBRATIONS = {"raw": (-0.16, "#0072B2", "o"), "temperature": (0.16, OVER, "s")}


def draw_differences(
    differences: Mapping[str, Mapping[str, tuple[float, float, float]]], ax: Axes, *, score: str, n: int | None = None
) -> None:
    """Draws one score's differences with their intervals: an arm a line, raw above temperature.

    Args:
        differences: arm -> ``raw`` and ``temperature`` -> value, lower and upper limit.
        ax: axes to draw on.
        score: ``accuracy``, ``nll``, ``brier``, ``ece`` or ``oe``.
        n: rows scored: a marker is filled where words, too, would tell a direction.
    """
    for place, by_calibration in enumerate(differences.values()):
        if place % 2:
            ax.axhspan(place - 0.5, place + 0.5, color="#F3F3F3", zorder=-2)
        for calibration, (offset, colour, marker) in CALIBRATIONS.items():
            if calibration not in by_calibration:
                continue
            value, low, high = by_calibration[calibration]
            clear = direction(Interval(value, low, high), n) != 0
            label = None if calibration in ax.get_legend_handles_labels()[1] else calibration
            ax.plot([low, high], [place + offset] * 2, color=colour, linewidth=1.4, label=label)
            ax.plot(
                [value],
                [place + offset],
                marker=marker,
                markersize=5,
                color=colour,
                markerfacecolor=colour if clear else "white",
                linestyle="",
            )
    ax.axvline(0, color=INK, linewidth=0.9, zorder=0)
    better = "better →" if score == "accuracy" else "← better"
    ax.set_title(f"{SCORE_NAMES.get(score, score)}\n{better}", fontsize=9)
    ax.set_ylim(len(differences) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.margins(x=0.08)
    small_print(ax)


def difference_figure(
    differences: Mapping[str, Mapping[str, Mapping[str, tuple[float, float, float]]]],
    *,
    n: int,
    n_bins: int,
    seeds: Sequence[int],
    split: str = "test",
    reference: str = "no_mixup",
    level: float = 0.95,
) -> Figure:
    """Every arm's differences to no_mixup with their intervals, raw and after temperature scaling.

    How to read: a marker is an arm's score minus that of no_mixup under the same calibration, a bar its interval. The
    arrow points to the better side; where a marker is hollow the two cannot be told apart: its interval contains zero, it
    rounds to zero, or the rows are fewer than 30.

    Args:
        differences: score -> arm -> ``raw`` and ``temperature`` -> value, lower and upper limit; the scores are drawn
            from left to right.
        n: rows of the split.
        n_bins: bins of ECE and OE.
        seeds: the training seeds.
        split: the rows' name.
        reference: the arm that is subtracted.
        level: of the intervals.

    Returns:
        A figure of its own, not known to pyplot.

    Raises:
        ValueError: for no score, and for a score without arms.

    Example:
        >>> figure = difference_figure({"ece": {"mixup": {"raw": (-0.05, -0.07, -0.03)}}}, n=1000, n_bins=15, seeds=[0])
        >>> figure.axes[0].get_title()
        'ECE\\n← better'
    """
    refuse_empty("difference_figure", differences, '{"ece": {"mixup": {"raw": (-.05, -.07, -.03)}}}', "scores")
    for score, by_arm in differences.items():
        refuse_empty(f"difference_figure: {score}", by_arm, '{"mixup": {"raw": (-.05, -.07, -.03)}}')
    arms = list(dict.fromkeys(arm for by_arm in differences.values() for arm in by_arm))
    width = 0.3 + CHARACTER * max(len(arm) for arm in arms) + 1.8 * len(differences)
    figure = Figure(figsize=(max(width, 5.5), 1.6 + 0.42 * len(arms)), layout="constrained")
    axes = figure.subplots(1, len(differences), squeeze=False, sharey=True)[0]
    for ax, (score, by_arm) in zip(axes, differences.items(), strict=True):
        draw_differences({arm: by_arm.get(arm, {}) for arm in arms}, ax, score=score, n=n)
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(arms)), arms)
    write_title(
        figure,
        f"Differences to {reference}",
        f"{basis_line(split, n, seeds, n_bins)}; bars: {100 * level:g} % intervals; raw minus raw, scaled minus scaled",
    )
    drawn = {name for by_arm in differences.values() for by_calibration in by_arm.values() for name in by_calibration}
    entries = {
        name: Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.4)
        for name, (_, colour, marker) in CALIBRATIONS.items()
        if name in drawn
    }
    hollow = Line2D([], [], color=INK, marker="o", markersize=5, markerfacecolor="white", linewidth=1.4)
    names = {"raw": "raw", "temperature": "after temperature scaling"}
    write_legend(
        figure, [*entries.values(), hollow], [*(names[name] for name in entries), "hollow: not to be told from zero"]
    )
    return figure
