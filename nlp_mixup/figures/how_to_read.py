"""The sentences to print under a figure; they stand in the docstrings of what draws it, and nowhere else."""

from __future__ import annotations

import inspect
import re
from typing import Any

from nlp_mixup.figures import reliability
from nlp_mixup.figures.alpha import alpha_figure
from nlp_mixup.figures.differences import difference_figure
from nlp_mixup.figures.gap_by_epoch import gap_by_epoch_figure
from nlp_mixup.figures.joint_density import joint_density_figure
from nlp_mixup.figures.label_entropy import label_entropy_figure
from nlp_mixup.figures.ood_confidence import ood_confidence_figure
from nlp_mixup.figures.risk_coverage import risk_coverage_figure


def how_to_read(documented: Any) -> str:
    """The sentences after "How to read:" in a docstring, on one line.

    Example:
        >>> how_to_read(gap_by_epoch_figure)[:51]
        'Above zero the model claims more than it delivers, '
    """
    found = re.search(r"How to read[^:]*: (.*?)(?:\n\n|$)", inspect.getdoc(documented) or "", re.DOTALL)
    sentences = " ".join(found.group(1).split()) if found else ""
    return sentences[:1].upper() + sentences[1:]


#: Figure -> the sentences to print under it; they stand in the docstrings alone.
HOW_TO_READ: dict[str, str] = {
    name: how_to_read(documented)
    for name, documented in {
        "reliability": reliability,
        "joint_density": joint_density_figure,
        "gap_by_epoch": gap_by_epoch_figure,
        "alpha": alpha_figure,
        "label_entropy": label_entropy_figure,
        "ood_confidence": ood_confidence_figure,
        "risk_coverage": risk_coverage_figure,
        "difference": difference_figure,
    }.items()
}
