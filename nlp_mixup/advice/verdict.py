"""What a verdict says of a model: over-confident by how much, or not distinguishable from calibrated, from its scores.

The verdict itself is that of `calibration.diagnosis.verdict_of`; a direction is told only as `direction` allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlp_mixup.advice.numbers import _leaning, _percent, _rows, _signed, _sizes
from nlp_mixup.calibration import Interval
from nlp_mixup.calibration.diagnosis import verdict_of
from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.intervals import MIN_ROWS_FOR_DIRECTION, Measured, direction


def finding(scores: Mapping[str, Any], gap: Measured) -> str:
    """The verdict on a model's calibration in a sentence or two.

    Args:
        scores: of `score_logits`.
        gap: with its interval.

    Example:
        >>> scores = {"n": 500, "ece": 0.06, "ece_floor_high": 0.08, "confidence": 0.63, "accuracy": 0.7}
        >>> finding(scores, Interval(-0.07, -0.123, -0.021)).split("; ")[1]
        'gap -.070 (-.123 to -.021). The gap hints at under-confidence, too small a one to tell with so few rows.'
    """
    ece, most = _apart(scores["ece"], scores["ece_floor_high"])
    limit = f"a perfectly calibrated model shows up to {most} here"
    verdict, n = verdict_of(scores, gap), int(scores["n"])
    if verdict in ("over-confident", "under-confident"):
        claims, right = _percent(scores["confidence"], scores["accuracy"])
        return f"{verdict.capitalize()} by {short(abs(gap.value))} ({_sizes(gap)}): it claims {claims} and is right {right}."
    if verdict == "mixed":
        return (
            f"Not calibrated, though neither over- nor under-confident on the whole: ECE {ece}, where {limit}, but the "
            f"gap is {_signed(gap)}. It is too sure at some confidences and not sure enough at others: see the "
            "reliability diagram."
        )
    if verdict == "too few rows":
        return (
            f"Nothing can be said of calibration from {_rows(n)}; {MIN_ROWS_FOR_DIRECTION} are the least. ECE {ece}, {limit}; "
            f"gap {_signed(gap)}."
        )
    leaning = _leaning(direction(gap, n))
    hint = f" The gap hints at {leaning}-confidence, too small a one to tell with so few rows." if leaning else ""
    return f"Not distinguishable from calibrated at n = {n:,}: ECE {ece}, {limit}; gap {_signed(gap)}.{hint}"


def _apart(first: float, second: float) -> tuple[str, str]:
    """Two numbers to three decimals, or to as many, up to six, as tell them apart: a verdict stands on which is larger."""
    shown = short(first), short(second)
    for decimals in (4, 5, 6):
        if shown[0] != shown[1] or first == second:
            break
        shown = f"{first:.{decimals}f}".removeprefix("0"), f"{second:.{decimals}f}".removeprefix("0")
    return shown


def standing(scores: Mapping[str, Any], intervals: Mapping[str, Measured]) -> str:
    """`finding`, with the ECE beside it where the finding does not hold it: of a run's split, in its table and card.

    Args:
        scores: of `score_logits`.
        intervals: of the scores, ``gap`` and ``ece`` among them.
    """
    found = finding(scores, intervals["gap"])
    if verdict_of(scores, intervals["gap"]) not in ("over-confident", "under-confident"):
        return found
    ece = intervals["ece"]
    return (
        f"{found} ECE {short(ece.value)} ({short(ece.low)} to {short(ece.high)}), a perfect model here: "
        f"{short(scores['ece_floor'])} (n = {scores['n']}, {scores['n_bins']} bins)."
    )


def run_standing(metrics: Mapping[str, Any], split: str, calibration: str) -> str:
    """`standing` of a run's split, raw or after ``temperature``, from the numbers that metrics.json holds."""
    row = _row(metrics, split, calibration)
    stored = metrics["intervals"][split][calibration]
    return standing(row, {name: Interval(*stored[name]) for name in ("gap", "ece")})


def _row(metrics: Mapping[str, Any], split: str, calibration: str) -> Mapping[str, Any]:
    return next(row for row in metrics["rows"] if (row["split"], row["calibration"]) == (split, calibration))
