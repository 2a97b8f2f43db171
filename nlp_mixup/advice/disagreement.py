"""The warning where validation and test are not alike: a model is right more often on one of them than chance allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlp_mixup.advice.numbers import telling
from nlp_mixup.calibration.disagreement import Disagreement, compare_accuracies
from nlp_mixup.calibration.floor import short


def run_disagreement(metrics: Mapping[str, Any]) -> Disagreement | None:
    """How a run's accuracy on validation compares with that on test; None where it lacks one of them."""
    raw = {row["split"]: row for row in metrics["rows"] if row["calibration"] == "raw"}
    if not {"validation", "test"} <= raw.keys():
        return None
    one, other = raw["validation"], raw["test"]
    return compare_accuracies(one["accuracy"], one["n"], other["accuracy"], other["n"])


def disagreement_line(found: Disagreement | None) -> str:
    """The warning where validation and test are not alike; empty where they may well be."""
    if found is None or not found.beyond_chance:
        return ""
    return (
        f"Validation and test disagree beyond chance: {_accuracies(found)}, Fisher's exact test. What was fitted or chosen on "
        "validation, a temperature above all, may not hold on test: see whether both are drawn alike."
    )


def disagreements_line(found: Mapping[str, Disagreement | None]) -> str:
    """The same for the runs of a comparison, by their names; shows the widest."""
    beyond = {name: each for name, each in found.items() if each is not None and each.beyond_chance}
    if not beyond:
        return ""
    name = min(beyond, key=lambda name: beyond[name].p)
    return (
        f"Validation and test disagree beyond chance in {len(beyond)} of {len(found)} runs, most in {name}: "
        f"{_accuracies(beyond[name])}, Fisher's exact test. Temperatures, epochs and alpha that were chosen on validation may not "
        "hold on test: see whether both are drawn alike."
    )


def _accuracies(found: Disagreement) -> str:
    p = f"p = {telling(found.p)}" if found.p >= 1e-4 else "p < .0001"
    return f"accuracy {short(found.accuracy)} on validation and {short(found.other)} on test, {p}"
