"""Where confidence and accuracy lie together, epoch by epoch, after figure 2 of Thulasidasan et al. 2019 (arXiv 1905.11001)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from nlp_mixup.calibration.floor import short
from nlp_mixup.figures.layout import basis_line, broken, refuse_empty, write_legend, write_title
from nlp_mixup.figures.reliability import INK, OVER

FEW_TO_MANY = LinearSegmentedColormap.from_list("few to many", ["#FFFFFF", "#A6D3F0", "#56B4E9", "#0072B2", "#06273F"])


# Standard deviation of the joint density's kernel: the step of accuracy in groups of 50, which it has to smooth over.
KERNEL = 0.02


def draw_joint_density(accuracy: ArrayLike, confidence: ArrayLike, ax: Axes, *, limits: tuple[float, float]) -> Any:
    """Draws the density of groups of rows over confidence and accuracy, a dot per group, the diagonal, and the mean.

    Args:
        accuracy: (g,) of groups of rows, from :func:`nlp_mixup.calibration.group_points`.
        confidence: (g,) mean confidence of the same groups.
        ax: axes to draw on.
        limits: what both axes show.

    Returns:
        The image, for a colour bar; its values are how many groups lie near, each weighing exp(-d^2 / (2 KERNEL^2)) at
        the distance d.
    """
    across, up = np.asarray(confidence, dtype=float), np.asarray(accuracy, dtype=float)
    half = (limits[1] - limits[0]) / 240
    middles = np.linspace(limits[0] + half, limits[1] - half, 120)
    near = [np.exp(-((values[:, None] - middles) ** 2) / (2 * KERNEL**2)) for values in (up, across)]
    image = ax.imshow(near[0].T @ near[1], extent=(*limits, *limits), origin="lower", cmap=FEW_TO_MANY)
    ax.plot(across, up, ".", markersize=1.5, color=INK, alpha=0.35, label="group")
    ax.plot(limits, limits, linestyle="--", linewidth=1, color=INK, label="perfect calibration")
    mean = ([across.mean()], [up.mean()])
    ax.plot(*mean, marker="+", markersize=9, markeredgewidth=3.5, color="white", linestyle="")
    ax.plot(*mean, marker="+", markersize=8, markeredgewidth=1.5, color=OVER, linestyle="", label="mean of the groups")
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    ax.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    ax.tick_params(labelsize=7)
    return image


def joint_density_figure(
    points: Mapping[str, Mapping[int, tuple[ArrayLike, ArrayLike]]],
    *,
    n: int,
    seeds: Sequence[int],
    size: int = 50,
    split: str = "validation",
) -> Figure:
    """Accuracy against confidence of groups of rows: a row of panels per arm, a column per epoch.

    How to read: a point is a random group of 50 validation rows, the same groups in every panel; darker means more of
    them, the cross is their mean. A cloud below the diagonal claims more than it delivers, one above it less.

    Args:
        points: arm -> epoch -> accuracy (g,) and mean confidence (g,) of the groups, those of all seeds together.
        n: rows of the split.
        seeds: the training seeds.
        size: rows of a group.
        split: the rows' name.

    Returns:
        A figure of its own, not known to pyplot.

    Raises:
        ValueError: for no arm, and for an arm without an epoch or an epoch without a group.

    Example:
        >>> figure = joint_density_figure({"no_mixup": {1: ([0.7, 0.8], [0.9, 0.9])}}, n=100, seeds=[0])
        >>> figure.axes[0].get_title()
        'epoch 1, gap +.150'
    """
    refuse_empty("joint_density_figure", points, '{"no_mixup": {1: (accuracy, confidence)}}')
    for arm, by_epoch in points.items():
        if not by_epoch or not all(np.size(accuracy) for accuracy, _ in by_epoch.values()):
            raise ValueError(f"joint_density_figure: arm {arm} has an epoch without groups; leave it out")
    epochs = sorted({epoch for by_epoch in points.values() for epoch in by_epoch})
    limits = _square_limits(points)
    size_in_inches = (max(1.6 + 1.75 * len(epochs), 5), 1.3 + 1.85 * len(points))
    figure = Figure(figsize=size_in_inches, layout="compressed")
    axes = figure.subplots(len(points), len(epochs), squeeze=False, sharex=True, sharey=True)
    images = []
    for row, (arm, by_epoch) in enumerate(points.items()):
        for column, epoch in enumerate(epochs):
            ax = axes[row, column]
            if epoch not in by_epoch:
                ax.set_axis_off()
                continue
            accuracy, confidence = by_epoch[epoch]
            images.append(draw_joint_density(accuracy, confidence, ax, limits=limits))
            gap = float(np.asarray(confidence).mean() - np.asarray(accuracy).mean())
            ax.set_title(f"epoch {epoch}, gap {short(gap, '+')}", fontsize=8)
        axes[row, 0].set_ylabel(broken(arm), fontsize=8, fontweight="bold")
    most = Normalize(0, max(float(image.get_array().max()) for image in images))
    first_image = images[0]
    for image in images:
        image.set_norm(most)
    bar = figure.colorbar(
        first_image, ax=axes, shrink=min(0.9, 1.5 / len(points)), anchor=(0.0, 1.0), aspect=15, pad=0.02
    )
    bar.set_label(f"groups near (kernel of {short(KERNEL)})", fontsize=8)
    bar.locator = MaxNLocator(4, integer=True)
    bar.ax.tick_params(labelsize=7)
    for ax in axes[-1]:
        ax.set_xlabel("mean confidence", fontsize=8)
    figure.supylabel("accuracy of the group", fontsize=9)
    write_title(
        figure,
        "Accuracy and confidence by epoch",
        f"a point is a random group of {size} {split} rows ({basis_line('', n, seeds)}); gap: confidence minus accuracy",
    )
    handles, labels = first_image.axes.get_legend_handles_labels()
    dot = Line2D(
        [], [], linestyle="", marker=".", markersize=5, color=INK
    )  # the panels' dots are too small to see here
    write_legend(
        figure, [dot if label == "group" else handle for handle, label in zip(handles, labels, strict=True)], labels
    )
    return figure


def _square_limits(points: Mapping[str, Mapping[int, tuple[ArrayLike, ArrayLike]]]) -> tuple[float, float]:
    """The tenths around all values of both axes."""
    values = [np.ravel(array) for by_epoch in points.values() for pair in by_epoch.values() for array in pair]
    low, high = float(np.concatenate(values).min()), float(np.concatenate(values).max())
    floor = max(0.0, math.floor(10 * low - 1e-9) / 10)
    return floor, max(min(1.0, math.ceil(10 * high + 1e-9) / 10), floor + 0.1)
