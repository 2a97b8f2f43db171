"""What is said of an arm of a comparison: what it is, how it differs from the baseline, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nlp_mixup.advice.numbers import capital, limits, rows, sizes
from nlp_mixup.advice.verdict import ONE_SIDED, state
from nlp_mixup.calibration.diagnosis import verdict_of
from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.folding import effect_of
from nlp_mixup.calibration.intervals import MIN_ROWS_FOR_DIRECTION, Measured, direction


@dataclass(frozen=True)
class Arm:
    """What the words on an arm are made of; all differences are paired, and all but `temperature` and `rival` of raw scores.

    Args:
        name: of the arm.
        baseline: of the arm it is compared with; its own name where it is that arm.
        scores: ``n``, and the means over seeds of ``ece``, ``ece_floor_high``.
        gap: its own.
        baseline_gap: the baseline's.
        changes: accuracy, nll, ece and gap minus the baseline's; empty where they share no seed.
        settings: of its runs.
        temperature: its NLL after temperature minus before; None where there is no temperature.
        rival: its NLL after temperature minus the baseline's after temperature.
        equal_epochs: of `equal_epochs_line`, where the arms chose different epochs.
    """

    name: str
    baseline: str
    scores: Mapping[str, Any]
    gap: Measured
    baseline_gap: Measured
    changes: Mapping[str, Measured]
    settings: Mapping[str, Any]
    temperature: Measured | None
    rival: Measured | None
    equal_epochs: str = ""


def arm_words(arm: Arm) -> str:
    """A few sentences on an arm, which tell no direction that `direction` does not allow.

    ``less over-confident`` needs a lower ECE and a lower gap than the baseline's, and that gap above 0.
    """
    n, verdict = int(arm.scores["n"]), verdict_of(arm.scores, arm.gap)
    if verdict == "too few rows":
        return f"Nothing can be said from {rows(n)}, neither better nor worse: {MIN_ROWS_FOR_DIRECTION} are the least."
    sentences = _baseline_words(arm) if arm.name == arm.baseline else _against_baseline(arm)
    effect = effect_of(arm.temperature, n)
    if effect == "harms" and arm.temperature is not None:
        sentences.append(
            f"Its temperature made it worse: NLL higher by {short(arm.temperature.value)} ({sizes(arm.temperature)}) than "
            "without. Do not use it."
        )
    elif effect == "helps" and verdict == "under-confident" and arm.name == arm.baseline:
        sentences.append("A temperature below 1 mends it.")
    if arm.rival is not None:
        outcome = {-1: "lower than", 1: "higher than, so worse than,", 0: "not distinguishable from"}
        told = direction(arm.rival, n)
        sentences.append(
            f"After temperature scaling of both, its NLL is {outcome[told]} that of {arm.baseline} with "
            f"temperature ({limits(arm.rival, told)})."
        )
    return " ".join([*sentences, *([arm.equal_epochs] if arm.equal_epochs else [])])


def _baseline_words(arm: Arm) -> list[str]:
    found, verdict = capital(state(arm.scores, arm.gap)), verdict_of(arm.scores, arm.gap)
    if verdict == "calibrated":
        return [f"{found}: nothing for mixup to mend that {rows(int(arm.scores['n']))} could show."]
    sentences = {
        "over-confident": ["There is over-confidence to mend."],
        "under-confident": ["Mixup can only make this worse."],
    }
    return [f"{found}.", *sentences.get(verdict, [])]


def _against_baseline(arm: Arm) -> list[str]:
    found, n = state(arm.scores, arm.gap), int(arm.scores["n"])
    if not arm.changes:
        return [f"{capital(found)}. It shares no seed with {arm.baseline}, so nothing more can be said."]
    is_off = verdict_of(arm.scores, arm.gap) in ONE_SIDED
    ece, before, now = arm.changes["ece"], direction(arm.baseline_gap, n), direction(arm.gap, n)
    if direction(ece, n) < 0:
        is_less = before > 0 and direction(arm.changes["gap"], n) < 0
        main = (
            f"{'Less over-confident' if is_less else 'Better calibrated'} than {arm.baseline}: ECE lower by "
            f"{short(-ece.value)} ({sizes(ece)})"
        )
        if is_off:
            main += f", {'still' if now == before else 'now'} {found}"
    elif direction(ece, n) > 0:
        main = f"Calibration is worse than {arm.baseline}'s: ECE higher by {short(ece.value)} ({sizes(ece)}), {found}"
    else:
        main = f"ECE not distinguishable from {arm.baseline}'s ({limits(ece)}); the arm itself is {found}"
    parts = []
    for key, name, better in (("accuracy", "accuracy", 1), ("nll", "NLL", -1)):
        change = arm.changes[key]
        if told := direction(change, n):
            kind = "" if told == better else ", which is worse"
            parts.append(
                f"{name} {'higher' if told > 0 else 'lower'} by {short(abs(change.value))} ({sizes(change)}{kind})"
            )
        else:
            parts.append(f"{name} not distinguishable ({limits(change)})")
    remedy = _remedy(arm) if is_off and now < 0 else []
    return [f"{main}.", f"{capital('; '.join(parts))}.", *remedy]


def _remedy(arm: Arm) -> list[str]:
    """For an under-confident arm: less of what made it so, and the temperature only where it was seen to help."""
    ways = []
    if alpha := arm.settings.get("mixup_alpha"):
        ways.append(f"lower alpha than {alpha}")
    elif arm.settings.get("label_smoothing_factor"):
        ways.append("smooth less")
    elif arm.settings.get("confidence_penalty"):
        ways.append("a smaller confidence_penalty")
    if effect_of(arm.temperature, int(arm.scores["n"])) == "helps":
        ways.append("use a temperature below 1")
    return [f"Under-confident: {', or '.join(ways)}."] if ways else []


def equal_epochs_line(
    arm: str, baseline: str, chosen: tuple[list[Any], list[Any]], ece: Mapping[float, float], last: Measured
) -> str:
    """What is left of a difference in ECE after equally many epochs, where the arms chose weights of different ones.

    Example:
        >>> from nlp_mixup.calibration import Interval
        >>> equal_epochs_line("mixup", "no_mixup", ([3.0], [4.0]), {1.0: -0.03, 2.0: -0.04}, Interval(-0.04, -0.06, -0.02))
        'Compared are epoch 3 of mixup and epoch 4 of no_mixup; at equal epochs its ECE on validation differs by -.040 to -.030 (epoch 1 to 2), at the last by -.040 (-.060 to -.020).'
    """
    names = [f"epoch {epochs_of(found) or 'unknown'}" for found in chosen]
    epochs = sorted(ece)
    return (
        f"Compared are {names[0]} of {arm} and {names[1]} of {baseline}; at equal epochs its ECE on validation differs by "
        f"{short(min(ece.values()))} to {short(max(ece.values()))} (epoch {epochs[0]:g} to {epochs[-1]:g}), at the last by "
        f"{short(last.value)} ({limits(last)})."
    )


def epochs_of(found: Iterable[float | None]) -> str:
    """Epochs that several seeds chose: one, or the first and the last.

    >>> epochs_of([4.0, 3.0]), epochs_of([4.0]), epochs_of([None])
    ('3 to 4', '4', '')
    """
    known = sorted({epoch for epoch in found if epoch is not None})
    return "" if not known else f"{known[0]:g}" if len(known) == 1 else f"{known[0]:g} to {known[-1]:g}"
