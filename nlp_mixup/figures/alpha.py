"""Scores over the alpha of mixup, after Thulasidasan et al. 2019 (arXiv 1905.11001)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nlp_mixup.figures.layout import (
    basis_line,
    make_grid,
    refuse_empty,
    refuse_empty_arms,
    small_print,
    spread_line,
    write_legend,
    write_title,
)
from nlp_mixup.figures.reliability import OVER


def draw_alpha(
    ece: Mapping[float, ArrayLike], oe: Mapping[float, ArrayLike], ax: Axes, *, floor: Mapping[float, float]
) -> None:
    """Draws mean ECE and OE by alpha with every seed's dot, bars from lowest to highest seed, and ECE's noise floor.

    Args:
        ece: alpha -> (s,) ECE by seed; 0 is no mixup.
        oe: alpha -> (s,) OE by seed.
        ax: axes to draw on.
        floor: alpha -> the ECE that a perfectly calibrated model with these confidences would show.
    """
    alphas = sorted(ece)
    places = np.arange(len(alphas))
    levels = [float(np.mean(floor[alpha])) for alpha in alphas]
    ax.plot(places, levels, color="#777777", linestyle=":", marker="_", linewidth=1.5, label="noise floor of ECE")
    for scores, name, colour, line, marker, offset in (
        (ece, "ECE", "#0072B2", "-", "o", -0.01 * len(alphas)),
        (oe, "OE", OVER, "--", "s", 0.01 * len(alphas)),
    ):
        by_seed = [np.atleast_1d(np.asarray(scores[alpha], dtype=float)) for alpha in alphas]
        mean = np.array([values.mean() for values in by_seed])
        below = mean - [values.min() for values in by_seed]
        above = [values.max() for values in by_seed] - mean
        ax.errorbar(
            places + offset,
            mean,
            yerr=np.stack([below, above]).clip(0),
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=5,
            capsize=3,
            elinewidth=1,
            label=f"{name}, mean",
        )
        for place, values in zip(places, by_seed, strict=True):
            if len(values) > 1:
                ax.plot(np.full(len(values), place + offset), values, ".", color=colour, markersize=3, alpha=0.6)
    ax.set_xlim(-0.5, len(alphas) - 0.5)
    names = [f"{alpha:g}" + ("\nno_mixup" if alpha == 0 else "") for alpha in alphas]
    ax.set_xticks(places, names)
    ax.set(xlabel="alpha of Beta(alpha, alpha), evenly spaced", ylabel="calibration error", ylim=(0, None))
    small_print(ax)


def alpha_figure(
    ece: Mapping[float, ArrayLike],
    oe: Mapping[float, ArrayLike],
    *,
    floor: Mapping[float, float],
    n: int,
    n_bins: int,
    seeds: Sequence[int],
    split: str = "test",
    calibration: str = "raw",
) -> Figure:
    """ECE and OE against alpha.

    How to read: ECE counts every gap between confidence and accuracy, OE only claims that are too high. Where OE falls
    while ECE rises, alpha is too large and the model under-confident; an ECE near the dotted noise floor cannot be told
    from a perfect model's.

    Args:
        ece: alpha -> (s,) ECE by seed; 0 is no mixup.
        oe: alpha -> (s,) OE by seed, for the same alphas.
        floor: alpha -> the noise floor of ECE, mean over seeds.
        n: rows of the split.
        n_bins: bins of ECE and OE.
        seeds: the training seeds.
        split: the rows' name.
        calibration: ``raw`` or ``temperature``.

    Returns:
        A figure of its own, not known to pyplot.

    Raises:
        ValueError: for no alpha, and where the three have different alphas.

    Example:
        >>> figure = alpha_figure({0: [0.2], 0.4: [0.1]}, {0: [0.2], 0.4: [0.0]}, floor={0: 0.01, 0.4: 0.01},
        ...                       n=1000, n_bins=15, seeds=[0])
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['0\\nno_mixup', '0.4']
    """
    refuse_empty("alpha_figure", ece, "{0: ece, 0.4: ece}", "alphas")
    refuse_empty_arms("alpha_figure", ece)
    if not (ece.keys() == oe.keys() == floor.keys()):
        raise ValueError(
            f"alpha_figure: ece has alphas {sorted(ece)}, oe {sorted(oe)} and floor {sorted(floor)}; give the same to all"
        )
    figure, (ax,) = make_grid(1, width=max(6.0, 0.8 * len(ece)), height=3.6)
    draw_alpha(ece, oe, ax, floor=floor)
    basis = basis_line(split, n, seeds, n_bins, calibration)
    write_title(figure, "Calibration error by alpha", f"{basis}; {spread_line(seeds, 'bar')}")
    write_legend(figure, *ax.get_legend_handles_labels())
    return figure
