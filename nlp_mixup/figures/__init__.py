"""Numbers -> pictures: ``draw_*(data, ax)`` draw what was computed elsewhere."""

from nlp_mixup.figures.comparison import (
    HOW_TO_READ,
    alpha_figure,
    difference_figure,
    gap_by_epoch_figure,
    joint_density_figure,
    label_entropy_figure,
    ood_confidence_figure,
    risk_coverage_figure,
)
from nlp_mixup.figures.reliability import INK, OVER, reliability_figure

__all__ = [
    "HOW_TO_READ",
    "INK",
    "OVER",
    "alpha_figure",
    "difference_figure",
    "gap_by_epoch_figure",
    "joint_density_figure",
    "label_entropy_figure",
    "ood_confidence_figure",
    "reliability_figure",
    "risk_coverage_figure",
]
