"""The entropy of mixed labels by alpha, exact, without data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nlp_mixup.calibration import label_entropy_cdf, mean_label_entropy
from nlp_mixup.calibration.floor import short
from nlp_mixup.figures.layout import arm_styles, make_grid, refuse_empty, small_print, write_legend, write_title


def draw_label_entropy(alphas: Sequence[float], ax: Axes) -> None:
    """Draws the exact distribution function of the label entropy for every alpha, with its mean as a marker.

    Args:
        alphas: of Beta(alpha, alpha).
        ax: axes to draw on.
    """
    # Denser at both ends, where the distribution is steepest.
    entropy = np.log(2) * (1 - np.cos(np.linspace(0, np.pi, 601))) / 2
    for alpha, style in arm_styles(alphas).items():
        mean = mean_label_entropy(alpha)
        height = float(label_entropy_cdf(mean, alpha))
        line = {name: value for name, value in style.items() if name != "marker"}
        ax.plot(entropy, label_entropy_cdf(entropy, alpha), **line)
        ax.plot([mean, mean], [0, height], color=style["color"], linewidth=0.8, alpha=0.6)
        ax.plot([mean], [height], markersize=7, markeredgecolor="white", clip_on=False, zorder=5, **style)
    ax.set(xlim=(0, np.log(2)), ylim=(0, 1.02), ylabel="share of labels with at most this entropy")
    ax.set_xlabel("label entropy in nats (0: one class alone, .693 = log 2: half and half)")
    small_print(ax)


def label_entropy_figure(alphas: Sequence[float]) -> Figure:
    """The distribution of the training labels' entropy by alpha: exact, from closed forms.

    How to read: a line tells which share of the mixed labels has at most that much entropy, its marker the mean. A small
    alpha leaves most labels almost hard, a large one mixes most of them half and half. Pairs of the same class, not
    counted here, have no entropy.

    Args:
        alphas: of Beta(alpha, alpha), drawn in this order.

    Returns:
        A figure of its own, not known to pyplot.

    Raises:
        ValueError: for no alpha, and for one below 0.

    Example:
        >>> figure = label_entropy_figure([0.2, 1.0])
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['alpha 0.2, mean .228', 'alpha 1, mean .500']
    """
    refuse_empty("label_entropy_figure", alphas, "[0.2, 0.4, 1.0]", "alphas")
    figure, (ax,) = make_grid(1, width=6.0, height=3.6)
    draw_label_entropy(alphas, ax)
    write_title(
        figure,
        "Entropy of mixed labels",
        "exact, pairs of two different classes, lambda from Beta(alpha, alpha); no data",
    )
    names = [f"alpha {alpha:g}, mean {short(mean_label_entropy(alpha))}" for alpha in alphas]
    handles = [Line2D([], [], markersize=5, **style) for style in arm_styles(alphas).values()]
    write_legend(figure, handles, names)
    return figure
