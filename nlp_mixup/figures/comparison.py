"""The pictures of a comparison of arms, after those of Thulasidasan et al. 2019 (arXiv 1905.11001).

As in :mod:`nlp_mixup.figures.reliability`, ``draw_*(data, ax)`` draw what was computed elsewhere, and nothing touches pyplot or a
global style. Data go from an arm's name to its arrays; the order of the arms is theirs in the picture, and the first
arm is the one that the others are compared with: it is drawn in solid black and repeated in every panel. An arm keeps
colour, line style and marker over all figures that are given the same arms, and no arm is told from another of its
panel by colour alone.
"""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from nlp_mixup.calibration import Decision, Interval, label_entropy_cdf, mean_label_entropy
from nlp_mixup.calibration.intervals import direction
from nlp_mixup.figures import reliability as figures
from nlp_mixup.figures.reliability import INK, OVER, UNDER

# The rest of Okabe and Ito's palette but yellow, which is too pale for a line on white.
COLOURS = ("#0072B2", OVER, UNDER, "#CC79A7", "#E69F00", "#56B4E9")
LINES = ((0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 1, 1, 1, 1, 1)))
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
PALE_OVER, PALE_UNDER = "#FCF1EA", "#E9F6F2"
FEW_TO_MANY = LinearSegmentedColormap.from_list("few to many", ["#FFFFFF", "#A6D3F0", "#56B4E9", "#0072B2", "#06273F"])
# Standard deviation of the joint density's kernel: the step of accuracy in groups of 50, which it has to smooth over.
KERNEL = 0.02
# So many arms beside the first share a panel; there are no more line styles than that.
ARMS_A_PANEL = len(LINES)
SCORE_NAMES = {"accuracy": "accuracy", "nll": "NLL", "brier": "Brier score", "ece": "ECE", "oe": "OE"}
# Place beside the arm's line, colour and marker of its differences.
CALIBRATIONS = {"raw": (-0.16, "#0072B2", "o"), "temperature": (0.16, OVER, "s")}
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
    _refuse_empty("joint_density_figure", points, '{"no_mixup": {1: (accuracy, confidence)}}')
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
            ax.set_title(f"epoch {epoch}, gap {_signed(gap)}", fontsize=8)
        axes[row, 0].set_ylabel(_broken(arm), fontsize=8, fontweight="bold")
    most = Normalize(0, max(float(image.get_array().max()) for image in images))
    first_image = images[0]
    for image in images:
        image.set_norm(most)
    bar = figure.colorbar(
        first_image, ax=axes, shrink=min(0.9, 1.5 / len(points)), anchor=(0.0, 1.0), aspect=15, pad=0.02
    )
    bar.set_label(f"groups near (kernel of {_short(KERNEL)})", fontsize=8)
    bar.locator = MaxNLocator(4, integer=True)
    bar.ax.tick_params(labelsize=7)
    for ax in axes[-1]:
        ax.set_xlabel("mean confidence", fontsize=8)
    figure.supylabel("accuracy of the group", fontsize=9)
    _title(
        figure,
        "Accuracy and confidence by epoch",
        f"a point is a random group of {size} {split} rows ({_basis('', n, seeds)}); gap: confidence minus accuracy",
    )
    handles, labels = first_image.axes.get_legend_handles_labels()
    dot = Line2D(
        [], [], linestyle="", marker=".", markersize=5, color=INK
    )  # the panels' dots are too small to see here
    _legend(
        figure, [dot if label == "group" else handle for handle, label in zip(handles, labels, strict=True)], labels
    )
    return figure


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
    _small(ax)


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
    _refuse_empty("gap_by_epoch_figure", gaps, '{"no_mixup": gaps}')
    _refuse_empty_arms("gap_by_epoch_figure", gaps)
    styles, panels = arm_styles(gaps), _panels(list(gaps))
    figure, axes = _grid(len(panels), width=3.4 if len(panels) > 1 else 6.0, height=3.4)
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
    _title(figure, "Confidence minus accuracy by epoch", f"{_basis(split, n, seeds)}; {_spread(seeds, 'band')}")
    _legend_of_arms(figure, axes)
    return figure


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
    _small(ax)


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
    _refuse_empty("alpha_figure", ece, "{0: ece, 0.4: ece}", "alphas")
    _refuse_empty_arms("alpha_figure", ece)
    if not (ece.keys() == oe.keys() == floor.keys()):
        raise ValueError(
            f"alpha_figure: ece has alphas {sorted(ece)}, oe {sorted(oe)} and floor {sorted(floor)}; give the same to all"
        )
    figure, (ax,) = _grid(1, width=max(6.0, 0.8 * len(ece)), height=3.6)
    draw_alpha(ece, oe, ax, floor=floor)
    basis = _basis(split, n, seeds, n_bins, calibration)
    _title(figure, "Calibration error by alpha", f"{basis}; {_spread(seeds, 'bar')}")
    _legend(figure, *ax.get_legend_handles_labels())
    return figure


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
    _small(ax)


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
    _refuse_empty("label_entropy_figure", alphas, "[0.2, 0.4, 1.0]", "alphas")
    figure, (ax,) = _grid(1, width=6.0, height=3.6)
    draw_label_entropy(alphas, ax)
    _title(
        figure,
        "Entropy of mixed labels",
        "exact, pairs of two different classes, lambda from Beta(alpha, alpha); no data",
    )
    names = [f"alpha {alpha:g}, mean {_short(mean_label_entropy(alpha))}" for alpha in alphas]
    handles = [Line2D([], [], markersize=5, **style) for style in arm_styles(alphas).values()]
    _legend(figure, handles, names)
    return figure


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
        label = f"{arm}: mean {_short(float(scores.mean()))}"
        if auroc is not None and arm in auroc:
            label += f", AUROC {_short(auroc[arm])}"
        look = {"color": styles[arm]["color"], "linestyle": styles[arm]["linestyle"]}
        if order == 0:
            ax.stairs(share / len(scores), edges, fill=True, color="#DDDDDD", zorder=1)
        ax.stairs(share / len(scores), edges, label=label, linewidth=1.5, baseline=None, zorder=2 + order, **look)
    ax.set(xlim=(0, 1), ylim=(0, None), xlabel="confidence (winning score)", ylabel="share of rows")
    _small(ax)


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
    _refuse_empty("ood_confidence_figure", confidence, '{"test": {"no_mixup": scores}, "noise": ...}', "sets of rows")
    for name, by_arm in confidence.items():
        _refuse_empty(f"ood_confidence_figure: {name}", by_arm, '{"no_mixup": scores}')
        _refuse_empty_arms(f"ood_confidence_figure: {name}", by_arm)
    arms = list(dict.fromkeys(arm for by_arm in confidence.values() for arm in by_arm))
    styles, panels, sets = arm_styles(arms), _panels(arms), list(confidence)
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
                [_fitted(label) for label in labels],
                loc="upper center",
                bbox_to_anchor=(0.5, -0.2),
                fontsize=7.5,
                frameon=False,
                handlelength=3,
            )
    which = _seeds(seeds) + ("" if len(seeds) == 1 else " (rows of all seeds together)")
    _title(
        figure,
        "Confidence on known rows, foreign rows and noise",
        f"{calibration}, {which}; {n_bins} bins, a scale of its own per panel; AUROC of the winning score against the first panel's rows",
    )
    return figure


def describe_decision(arm: str, decision: Decision | tuple[float, float, float] | None, *, max_risk: float) -> str:
    """The sentence of a decision line.

    Example:
        >>> describe_decision("no_mixup", (0.93, 0.71, 0.02), max_risk=0.02)
        'no_mixup: accept above .93: 71% of rows at 2% error'
        >>> describe_decision("mixup", None, max_risk=0.02)
        'mixup: no threshold keeps the error at 2%'
    """
    if decision is None:
        return f"{arm}: no threshold keeps the error at {_percent(max_risk)}"
    threshold, coverage, risk = decision
    if coverage == 0:
        return f"{arm}: accept above {_threshold(threshold)}: none of these rows"
    return f"{arm}: accept above {_threshold(threshold)}: {_percent(coverage)} of rows at {_percent(risk)} error"


def draw_risk_coverage(
    risks: Mapping[str, ArrayLike],
    ax: Axes,
    *,
    decisions: Mapping[str, Decision | tuple[float, float, float] | None],
    max_risk: float,
    styles: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """Draws the mean error rate of the most confident rows by their share, the error that is borne, and the decisions.

    The first hundredth of the rows is left out: its error rate jumps with every row.

    Args:
        risks: arm -> (s, n) risks by seed from :func:`nlp_mixup.calibration.risk_coverage`.
        ax: axes to draw on.
        decisions: arm -> threshold, coverage and risk, or None.
        max_risk: the error rate that is borne.
        styles: of the arms, from :func:`arm_styles`.
    """
    styles = styles or arm_styles(risks)
    ax.axhline(max_risk, color="#777777", linestyle=":", linewidth=1.2)
    ax.text(0.99, max_risk, f"{_percent(max_risk)} error", ha="right", va="bottom", fontsize=8, color="#555555")
    for arm, values in risks.items():
        mean = np.atleast_2d(np.asarray(values, dtype=float)).mean(axis=0)
        rows = np.unique(np.linspace(len(mean) // 100, len(mean) - 1, 500).round().astype(int))
        line = {name: value for name, value in styles[arm].items() if name != "marker"}
        ax.plot((rows + 1) / len(mean), mean[rows], label=arm, **line)
        decision = decisions.get(arm)
        if decision is not None and decision[1] > 0:
            _, coverage, risk = decision
            ax.plot([coverage, coverage], [0, risk], color=styles[arm]["color"], linewidth=0.8, alpha=0.7)
            ax.plot([coverage], [risk], markersize=7, markeredgecolor="white", zorder=5, **styles[arm])
    ax.set(xlim=(0, 1), xlabel="coverage: share of rows answered", ylabel="error rate of these rows")
    _small(ax)


def risk_coverage_figure(
    risks: Mapping[str, ArrayLike],
    *,
    decisions: Mapping[str, Decision | tuple[float, float, float] | None],
    max_risk: float,
    n: int,
    seeds: Sequence[int],
    split: str = "test",
    calibration: str = "raw",
    chosen_on: str = "validation",
) -> Figure:
    """Error rate against coverage by arm, with a decision line.

    How to read: a line tells how often the model errs if it answers only its most confident share of the rows; lower is
    better. The marker is where the threshold puts the model on these rows: the lowest one at which the 95 % upper limit
    of the error rate on validation rows is no higher than the dotted line.

    Args:
        risks: arm -> (s, n) risks by seed from :func:`nlp_mixup.calibration.risk_coverage`; (n,) for a single seed.
        decisions: arm -> threshold, coverage and risk from :func:`nlp_mixup.calibration.accept_above`, or None where no
            threshold was found.
        max_risk: the error rate that is borne.
        n: rows of the split.
        seeds: the training seeds.
        split: the rows' name.
        calibration: ``raw`` or ``temperature``.
        chosen_on: the rows on which the thresholds were chosen.

    Returns:
        A figure of its own, not known to pyplot.

    Raises:
        ValueError: for no arm, and for an arm without rows.

    Example:
        >>> figure = risk_coverage_figure({"no_mixup": [0.0, 0.0, 0.0, 0.25]}, decisions={"no_mixup": (0.93, 0.75, 0.0)},
        ...                               max_risk=0.1, n=4, seeds=[0])
        >>> figure.legends[0].get_texts()[0].get_text()
        'no_mixup: accept above .93: 75% of rows at 0% error'
    """
    _refuse_empty("risk_coverage_figure", risks, '{"no_mixup": risks}')
    _refuse_empty_arms("risk_coverage_figure", risks)
    styles, panels = arm_styles(risks), _panels(list(risks))
    figure, axes = _grid(len(panels), width=3.6 if len(panels) > 1 else 6.0, height=3.4)
    # The first few rows' error rate jumps between 0 and 1; what matters begins at a twentieth of the rows.
    means = [np.atleast_2d(np.asarray(values, dtype=float)).mean(axis=0) for values in risks.values()]
    highest = max(max_risk, *(float(mean[len(mean) // 20 :].max()) for mean in means))
    for ax, arms in zip(axes, panels, strict=True):
        shown = {arm: risks[arm] for arm in arms}
        draw_risk_coverage(shown, ax, decisions=decisions, max_risk=max_risk, styles=styles)
        ax.set_ylim(0, 1.1 * highest if highest > 0 else 0.01)
    _title(
        figure,
        "Error rate by coverage",
        f"{_basis(split, n, seeds, None, calibration)}; mean over seeds; thresholds chosen on {chosen_on} rows",
    )
    handles = [Line2D([], [], markersize=5, **styles[arm]) for arm in risks]
    _legend(figure, handles, [describe_decision(arm, decisions.get(arm), max_risk=max_risk) for arm in risks])
    return figure


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
    _small(ax)


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
    _refuse_empty("difference_figure", differences, '{"ece": {"mixup": {"raw": (-.05, -.07, -.03)}}}', "scores")
    for score, by_arm in differences.items():
        _refuse_empty(f"difference_figure: {score}", by_arm, '{"mixup": {"raw": (-.05, -.07, -.03)}}')
    arms = list(dict.fromkeys(arm for by_arm in differences.values() for arm in by_arm))
    width = 0.3 + CHARACTER * max(len(arm) for arm in arms) + 1.8 * len(differences)
    figure = Figure(figsize=(max(width, 5.5), 1.6 + 0.42 * len(arms)), layout="constrained")
    axes = figure.subplots(1, len(differences), squeeze=False, sharey=True)[0]
    for ax, (score, by_arm) in zip(axes, differences.items(), strict=True):
        draw_differences({arm: by_arm.get(arm, {}) for arm in arms}, ax, score=score, n=n)
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(arms)), arms)
    _title(
        figure,
        f"Differences to {reference}",
        f"{_basis(split, n, seeds, n_bins)}; bars: {100 * level:g} % intervals; raw minus raw, scaled minus scaled",
    )
    drawn = {name for by_arm in differences.values() for by_calibration in by_arm.values() for name in by_calibration}
    entries = {
        name: Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.4)
        for name, (_, colour, marker) in CALIBRATIONS.items()
        if name in drawn
    }
    hollow = Line2D([], [], color=INK, marker="o", markersize=5, markerfacecolor="white", linewidth=1.4)
    names = {"raw": "raw", "temperature": "after temperature scaling"}
    _legend(
        figure, [*entries.values(), hollow], [*(names[name] for name in entries), "hollow: not to be told from zero"]
    )
    return figure


def how_to_read(documented: Any) -> str:
    """The sentences after "How to read:" in a docstring, on one line.

    Example:
        >>> how_to_read(gap_by_epoch_figure)[:51]
        'Above zero the model claims more than it delivers, '
    """
    found = re.search(r"How to read[^:]*: (.*?)(?:\n\n|$)", inspect.getdoc(documented) or "", re.DOTALL)
    sentences = " ".join(found.group(1).split()) if found else ""
    return sentences[:1].upper() + sentences[1:]


def _refuse_empty(function: str, data: Collection[Any], example: str, what: str = "arms") -> None:
    if len(data) == 0:
        raise ValueError(f"{function}: no {what}; give at least one, such as {example}")


def _refuse_empty_arms(function: str, data: Mapping[Any, ArrayLike]) -> None:
    for name, values in data.items():
        try:
            array = np.asarray(values, dtype=float)
        except ValueError:
            raise ValueError(f"{function}: {name} has rows of different lengths; give every seed the same") from None
        if array.size == 0:
            raise ValueError(f"{function}: {name} has no values; leave it out")
        if not np.isfinite(array).all():
            raise ValueError(f"{function}: {name} has values that are not finite; leave these seeds out")


def _panels(arms: list[str]) -> list[list[str]]:
    """The arms by panel: the first in every one, with at most four others."""
    first, *others = arms
    count = max(1, math.ceil(len(others) / ARMS_A_PANEL))
    length, longer = divmod(len(others), count)
    stops = np.cumsum([length + (index < longer) for index in range(count)])
    return [[first, *others[start:stop]] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _grid(count: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
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


def _small(ax: Axes) -> None:
    ax.tick_params(labelsize=8)
    ax.xaxis.label.set_fontsize(9)
    ax.yaxis.label.set_fontsize(9)


def _title(figure: Figure, heading: str, basis: str) -> None:
    """A heading over the small print that says what the numbers stand on, broken to the figure's width."""
    lines = textwrap.wrap(basis, max(40, int(figure.get_figwidth() / CHARACTER) - 6))
    lines = textwrap.wrap(basis, len(basis) // len(lines) + 8) if len(lines) > 1 else lines
    figure.suptitle("\n".join([heading, *lines]), fontsize=9)


def _legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend below the axes, in as many columns as fit."""
    entry = 0.65 + CHARACTER * max(len(label) for label in labels)
    columns = min(len(labels), max(1, int(figure.get_figwidth() / entry)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False, handlelength=3)


def _legend_of_arms(figure: Figure, axes: Sequence[Axes]) -> None:
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    _legend(figure, list(found.values()), list(found))


def _square_limits(points: Mapping[str, Mapping[int, tuple[ArrayLike, ArrayLike]]]) -> tuple[float, float]:
    """The tenths around all values of both axes."""
    values = [np.ravel(array) for by_epoch in points.values() for pair in by_epoch.values() for array in pair]
    low, high = float(np.concatenate(values).min()), float(np.concatenate(values).max())
    floor = max(0.0, math.floor(10 * low - 1e-9) / 10)
    return floor, max(min(1.0, math.ceil(10 * high + 1e-9) / 10), floor + 0.1)


def _count(by_arm: Mapping[str, ArrayLike]) -> str:
    counts = sorted({np.size(values) for values in by_arm.values()})
    return " to ".join(f"{count:,}" for count in dict.fromkeys([*counts[:1], *counts[-1:]])) or "no"


def _basis(split: str, n: int, seeds: Sequence[int], n_bins: int | None = None, calibration: str = "") -> str:
    """What numbers stand on: "test, raw, n = 1,000, seeds 0 to 4, 15 bins"."""
    parts = [split, calibration, f"n = {n:,}", _seeds(seeds), f"{n_bins} bins" if n_bins else ""]
    # Blanks that do not break keep "n = 1,000" on one line.
    return ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts if part)


def _seeds(seeds: Sequence[int]) -> str:
    ordered = sorted(seeds)
    if len(ordered) == 1:
        return f"seed {ordered[0]}"
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"seeds {ordered[0]} to {ordered[-1]}"
    return "seeds " + ", ".join(map(str, ordered))


def _spread(seeds: Sequence[int], mark: str) -> str:
    return "one seed, so no spread" if len(seeds) == 1 else f"mean over seeds, {mark}: lowest to highest"


def _short(value: float) -> str:
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def _signed(value: float) -> str:
    """With its sign, but where three decimals leave none."""
    sign = "" if round(value, 3) == 0 else "-" if value < 0 else "+"
    return sign + _short(abs(value))


def _percent(share: float) -> str:
    """Whole percents from 10 on, two digits below."""
    return f"{100 * share:.0f}%" if share >= 0.095 else f"{100 * share:.2g}%"


def _threshold(confidence: float) -> str:
    """As many decimals as it has, at least two: what is printed is the rule itself."""
    digits = next((d for d in range(2, 17) if round(confidence, d) == confidence), 17)
    return f"{confidence:.{digits}f}".removeprefix("0")


def _fitted(label: str, width: int = 44) -> str:
    """An entry "arm: numbers" that is too long for its panel, with the numbers on a line of their own."""
    arm, _, numbers = label.rpartition(": ")
    return label if len(label) <= width else f"{_broken(arm, width)}:\n{numbers}"


def _broken(name: str, width: int = 16) -> str:
    """A long name on several lines, broken after underscores."""
    return "\n".join(textwrap.wrap(name.replace("_", "_ "), width, break_long_words=True)).replace("_ ", "_")


#: Figure -> the sentences to print under it; they stand in the docstrings alone.
HOW_TO_READ: dict[str, str] = {
    name: how_to_read(documented)
    for name, documented in {
        "reliability": figures,
        "joint_density": joint_density_figure,
        "gap_by_epoch": gap_by_epoch_figure,
        "alpha": alpha_figure,
        "label_entropy": label_entropy_figure,
        "ood_confidence": ood_confidence_figure,
        "risk_coverage": risk_coverage_figure,
        "difference": difference_figure,
    }.items()
}
