"""Errors among the rows that are answered, over how many are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from nlp_mixup.calibration import Decision
from nlp_mixup.figures.layout import (
    arm_styles,
    basis_line,
    make_grid,
    panels_of,
    refuse_empty,
    refuse_empty_arms,
    small_print,
    write_legend,
    write_title,
)


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
    small_print(ax)


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
    refuse_empty("risk_coverage_figure", risks, '{"no_mixup": risks}')
    refuse_empty_arms("risk_coverage_figure", risks)
    styles, panels = arm_styles(risks), panels_of(list(risks))
    figure, axes = make_grid(len(panels), width=3.6 if len(panels) > 1 else 6.0, height=3.4)
    # The first few rows' error rate jumps between 0 and 1; what matters begins at a twentieth of the rows.
    means = [np.atleast_2d(np.asarray(values, dtype=float)).mean(axis=0) for values in risks.values()]
    highest = max(max_risk, *(float(mean[len(mean) // 20 :].max()) for mean in means))
    for ax, arms in zip(axes, panels, strict=True):
        shown = {arm: risks[arm] for arm in arms}
        draw_risk_coverage(shown, ax, decisions=decisions, max_risk=max_risk, styles=styles)
        ax.set_ylim(0, 1.1 * highest if highest > 0 else 0.01)
    write_title(
        figure,
        "Error rate by coverage",
        f"{basis_line(split, n, seeds, None, calibration)}; mean over seeds; thresholds chosen on {chosen_on} rows",
    )
    handles = [Line2D([], [], markersize=5, **styles[arm]) for arm in risks]
    write_legend(figure, handles, [describe_decision(arm, decisions.get(arm), max_risk=max_risk) for arm in risks])
    return figure


def _percent(share: float) -> str:
    """Whole percents from 10 on, two digits below."""
    return f"{100 * share:.0f}%" if share >= 0.095 else f"{100 * share:.2g}%"


def _threshold(confidence: float) -> str:
    """As many decimals as it has, at least two: what is printed is the rule itself."""
    digits = next((d for d in range(2, 17) if round(confidence, d) == confidence), 17)
    return f"{confidence:.{digits}f}".removeprefix("0")
