"""What a verdict says of a model: over-confident by how much, or not distinguishable from calibrated, from its scores.

The verdict itself is that of `verdict_of` in `nlp_mixup.calibration.diagnosis`; a direction is told only as `direction` allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlp_mixup.advice.numbers import apart, capital, limits, percents, rows, signed, sizes
from nlp_mixup.calibration import Interval, NoiseFloor
from nlp_mixup.calibration.diagnosis import verdict_of
from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.intervals import MIN_ROWS_FOR_DIRECTION, Measured, direction

#: The verdicts that a direction belongs to.
ONE_SIDED = ("over-confident", "under-confident")
CALIBRATED = "not distinguishable from calibrated"


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
    ece, most = apart(scores["ece"], scores["ece_floor_high"])
    limit = f"a perfectly calibrated model shows up to {most} here"
    verdict, n = verdict_of(scores, gap), int(scores["n"])
    if verdict in ONE_SIDED:
        claims, right = percents(scores["confidence"], scores["accuracy"])
        return f"{capital(state(scores, gap))}: it claims {claims} and is right {right}."
    if verdict == "mixed":
        return (
            f"Not calibrated, though neither over- nor under-confident on the whole: ECE {ece}, where {limit}, but the "
            f"gap is {signed(gap)}. It is too sure at some confidences and not sure enough at others: see the "
            "reliability diagram."
        )
    if verdict == "too few rows":
        return (
            f"Nothing can be said of calibration from {rows(n)}; {MIN_ROWS_FOR_DIRECTION} are the least. ECE {ece}, {limit}; "
            f"gap {signed(gap)}."
        )
    hint = f" The gap {hints}, too small a one to tell with so few rows." if (hints := hint_of(gap, n)) else ""
    return f"{capital(CALIBRATED)} at n = {n:,}: ECE {ece}, {limit}; gap {signed(gap)}.{hint}"


def state(scores: Mapping[str, Any], gap: Measured) -> str:
    """The verdict as a part of a sentence, for an arm beside others.

    Example:
        >>> scores = {"n": 500, "ece": 0.06, "ece_floor_high": 0.04}
        >>> state(scores, Interval(0.05, 0.02, 0.08)), state(scores | {"ece": 0.03}, Interval(0.01, -0.01, 0.03))
        ('over-confident by .050 (.020 to .080)', 'not distinguishable from calibrated')
    """
    verdict = verdict_of(scores, gap)
    if verdict in ONE_SIDED:
        return f"{verdict} by {short(abs(gap.value))} ({sizes(gap)})"
    if verdict == "mixed":
        return f"not calibrated (ECE {short(scores['ece'])}), in which direction is not distinguishable (gap {limits(gap)})"
    hints = hint_of(gap, int(scores["n"]))
    return f"{CALIBRATED}, though its gap {hints} ({limits(gap)})" if hints else CALIBRATED


def hint_of(gap: Measured, n: int) -> str:
    """What a gap says beside an ECE within its noise, where its own interval excludes 0; empty where it does not.

    >>> hint_of(Interval(0.02, 0.01, 0.03), 500), hint_of(Interval(0.02, -0.01, 0.05), 500)
    ('hints at over-confidence', '')
    """
    return {1: "hints at over-confidence", -1: "hints at under-confidence", 0: ""}[direction(gap, n)]


def standing(scores: Mapping[str, Any], intervals: Mapping[str, Measured]) -> str:
    """`finding`, with the ECE beside it where the finding does not hold it: of a run's split, in its table and card.

    Args:
        scores: of `score_logits`.
        intervals: of the scores, ``gap`` and ``ece`` among them.
    """
    found = finding(scores, intervals["gap"])
    if verdict_of(scores, intervals["gap"]) not in ONE_SIDED:
        return found
    return f"{found} {_beside_floor(intervals['ece'], scores['ece_floor'], scores['n'], scores['n_bins'])}."


def run_standing(metrics: Mapping[str, Any], split: str, calibration: str) -> str:
    """`standing` of a run's split, raw or after ``temperature``, from the numbers that metrics.json holds."""
    row = next(row for row in metrics["rows"] if (row["split"], row["calibration"]) == (split, calibration))
    stored = metrics["intervals"][split][calibration]
    return standing(row, {name: Interval(*stored[name]) for name in ("gap", "ece")})


def describe_calibration(interval: Measured, floor: NoiseFloor) -> str:
    """What may be said of an ECE alone: near its noise floor, only that it is not distinguishable from calibrated.

    Example:
        >>> floor = NoiseFloor(0.019, 0.011, 0.028, 0.01, 0.005, 0.02, n=1066, n_bins=15, n_draws=1000)
        >>> print(describe_calibration(Interval(0.021, 0.0, 0.02), floor))
        not distinguishable from calibrated (n = 1066, 15 bins: a perfect model shows up to .028)
        >>> print(describe_calibration(Interval(0.071, 0.042, 0.083), floor))
        ECE .071 (.042 to .083), a perfect model here: .019 (n = 1066, 15 bins)
    """
    if not floor.distinguishable(interval.value):
        return f"{CALIBRATED} (n = {floor.n}, {floor.n_bins} bins: a perfect model shows up to {short(floor.high)})"
    return _beside_floor(interval, floor.ece, floor.n, floor.n_bins)


def _beside_floor(ece: Measured, floor: float, n: int, n_bins: int) -> str:
    return f"ECE {short(ece.value)} ({limits(ece)}), a perfect model here: {short(floor)} (n = {n}, {n_bins} bins)"
