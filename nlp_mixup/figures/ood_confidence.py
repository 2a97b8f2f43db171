"""How confident the arms are on rows that they were not trained for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nlp_mixup.calibration.floor import short
from nlp_mixup.figures.layout import (
    arm_styles,
    fitted,
    panels_of,
    refuse_empty,
    refuse_empty_arms,
    seeds_line,
    small_print,
    write_title,
)


def draw_confidence_steps(
    confidence: Mapping[str, ArrayLike],
    ax: Axes,
    *,
    auroc: Mapping[str, float] | None = None,
    n_bins: int = 20,
    styles: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """Draws the distribution of the winning score on one set of rows, an outline per arm, the first arm filled.

    Args:
        confidence: arm -> (n,) winning scores.
        ax: axes to draw on.
        auroc: arm -> how well the score tells these rows from the test rows, for the legend.
        n_bins: bins of equal width over [0, 1].
        styles: of the arms, from :func:`arm_styles`.
    """
    styles = styles or arm_styles(confidence)
    for order, (arm, values) in enumerate(confidence.items()):
        scores = np.minimum(np.asarray(values, dtype=float), 1.0)
        share, edges = np.histogram(scores, bins=n_bins, range=(0, 1))
        label = f"{arm}: mean {short(float(scores.mean()))}"
        if auroc is not None and arm in auroc:
            label += f", AUROC {short(auroc[arm])}"
        look = {"color": styles[arm]["color"], "linestyle": styles[arm]["linestyle"]}
        if order == 0:
            ax.stairs(share / len(scores), edges, fill=True, color="#DDDDDD", zorder=1)
        ax.stairs(share / len(scores), edges, label=label, linewidth=1.5, baseline=None, zorder=2 + order, **look)
    ax.set(xlim=(0, 1), ylim=(0, None), xlabel="confidence (winning score)", ylabel="share of rows")
    small_print(ax)


def ood_confidence_figure(
    confidence: Mapping[str, Mapping[str, ArrayLike]],
    auroc: Mapping[str, Mapping[str, float]],
    *,
    seeds: Sequence[int],
    calibration: str = "raw",
    n_bins: int = 20,
) -> Figure:
    """How sure the arms are on the test rows, on foreign rows and on noise: a panel per set of rows.

    How to read: on foreign rows and on noise a model should not be sure, so its line should lie further left than on the
    test rows. AUROC says how well confidence tells the two apart (1 perfect, .5 not at all); lower confidence without a
    higher AUROC is no better detection.

    Args:
        confidence: set of rows -> arm -> (n,) winning scores, those of all seeds together; the test rows come first.
        auroc: set of rows -> arm -> AUROC against the test rows; sets without one are left out.
        seeds: the training seeds.
        calibration: ``raw`` or ``temperature``.
        n_bins: bins of the distributions.

    Returns:
        A figure of its own, not known to pyplot.

    Raises:
        ValueError: for no set, and for a set without arms or an arm without rows.

    Example:
        >>> figure = ood_confidence_figure({"test": {"no_mixup": [0.9, 0.8]}, "noise": {"no_mixup": [0.6, 0.7]}},
        ...                                {"noise": {"no_mixup": 1.0}}, seeds=[0])
        >>> figure.axes[1].get_legend().get_texts()[0].get_text()
        'no_mixup: mean .650, AUROC 1.000'
    """
    refuse_empty("ood_confidence_figure", confidence, '{"test": {"no_mixup": scores}, "noise": ...}', "sets of rows")
    for name, by_arm in confidence.items():
        refuse_empty(f"ood_confidence_figure: {name}", by_arm, '{"no_mixup": scores}')
        refuse_empty_arms(f"ood_confidence_figure: {name}", by_arm)
    arms = list(dict.fromkeys(arm for by_arm in confidence.values() for arm in by_arm))
    styles, panels, sets = arm_styles(arms), panels_of(arms), list(confidence)
    columns = min(len(sets), 3)
    rows_a_panel = math.ceil(len(sets) / columns)
    figure = Figure(figsize=(3.5 * columns, 0.9 + 3.3 * rows_a_panel * len(panels)), layout="constrained")
    axes = figure.subplots(rows_a_panel * len(panels), columns, squeeze=False)
    for block, chosen in enumerate(panels):
        places = axes[block * rows_a_panel : (block + 1) * rows_a_panel].ravel()
        for ax in places[len(sets) :]:
            ax.set_axis_off()
        for ax, name in zip(places, sets, strict=False):
            by_arm = {arm: confidence[name][arm] for arm in chosen if arm in confidence[name]}
            draw_confidence_steps(by_arm, ax, auroc=auroc.get(name), n_bins=n_bins, styles=styles)
            ax.set_title(f"{name}, {_count(by_arm)} scores", fontsize=9, fontweight="bold")
            below = ax.get_subplotspec().colspan.start
            ax.set_ylabel("share of rows" if below == 0 else "")
            handles, labels = ax.get_legend_handles_labels()
            ax.legend(
                handles,
                [fitted(label) for label in labels],
                loc="upper center",
                bbox_to_anchor=(0.5, -0.2),
                fontsize=7.5,
                frameon=False,
                handlelength=3,
            )
    which = seeds_line(seeds) + ("" if len(seeds) == 1 else " (rows of all seeds together)")
    write_title(
        figure,
        "Confidence on known rows, foreign rows and noise",
        f"{calibration}, {which}; {n_bins} bins, a scale of its own per panel; AUROC of the winning score against the first panel's rows",
    )
    return figure


def _count(by_arm: Mapping[str, ArrayLike]) -> str:
    counts = sorted({np.size(values) for values in by_arm.values()})
    return " to ".join(f"{count:,}" for count in dict.fromkeys([*counts[:1], *counts[-1:]])) or "no"
