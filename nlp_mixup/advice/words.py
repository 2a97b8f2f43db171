"""Numbers in words: what a model's calibration is, what a temperature does to it, and what to do next.

One place for the sentences of the doctor, the training run, the report and the model card; the numbers come from
`nlp_mixup.calibration`. Three rules hold for all of them: the verdict is that of `verdict_of`; a direction is told only as
`direction` allows; and what was just measured to do harm is never recommended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nlp_mixup.calibration import Diagnosis, Interval, Temperature, mean_off_label_mass
from nlp_mixup.calibration.diagnosis import SMALL_GAP, above_floor, verdict_of
from nlp_mixup.calibration.disagreement import Disagreement, compare_accuracies
from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.folding import FoldDecision
from nlp_mixup.calibration.intervals import MIN_ROWS_FOR_DIRECTION, Measured, direction

Effect = Literal["helps", "harms", "unclear"]


# One model on one set of rows


def advice(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis in sentences: what the model claims, what a temperature does, what mixup would.

    Example:
        >>> import numpy as np
        >>> from nlp_mixup.calibration import diagnose
        >>> rng = np.random.default_rng(0)
        >>> logits = rng.normal(size=(4000, 3))
        >>> labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
        >>> print(advice(diagnose(3 * logits, labels))[0])
        Over-confident by .231 (.216 to .246): it claims 82% and is right 59%.
    """
    found = finding(diagnosis.scores["raw"], diagnosis.intervals["raw"]["gap"])
    return [f"{found}{_power(diagnosis)}", *_temperature(diagnosis), *_on_mixup(diagnosis)]


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


def run_disagreement(metrics: Mapping[str, Any]) -> Disagreement | None:
    """How a run's accuracy on validation compares with that on test; None where it lacks one of them."""
    splits = {row["split"] for row in metrics["rows"]}
    if not {"validation", "test"} <= splits:
        return None
    one, other = (_row(metrics, split, "raw") for split in ("validation", "test"))
    return compare_accuracies(one["accuracy"], one["n"], other["accuracy"], other["n"])


def _row(metrics: Mapping[str, Any], split: str, calibration: str) -> Mapping[str, Any]:
    return next(row for row in metrics["rows"] if (row["split"], row["calibration"]) == (split, calibration))


def _power(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict != "calibrated":
        return ""
    if (needed := diagnosis.rows_needed) > diagnosis.scores["raw"]["n"]:
        return (
            f" With about {_round_up(needed):,} rows, the interval of a gap of {short(SMALL_GAP)} would exclude 0 four times of "
            "five."
        )
    return f" With so many rows, the interval of a gap of {short(SMALL_GAP)} excludes 0 at least four times of five."


# What a temperature does


def effect_of(nll_change: Measured | None, n: int | None = None) -> Effect:
    """The one verdict on a temperature, of the NLL after it minus before, paired over rows that did not choose it.

    Example:
        >>> effect_of(Interval(0.02, 0.01, 0.03)), effect_of(Interval(-0.02, -0.03, 0.01)), effect_of(None)
        ('harms', 'unclear', 'unclear')
    """
    told: dict[int, Effect] = {1: "harms", -1: "helps", 0: "unclear"}
    return "unclear" if nll_change is None else told[direction(nll_change, n)]


def temperature_line(temperature: Temperature, nll_change: Measured, split: str, n: int) -> str:
    """What a run's temperature, fitted on validation, does to the rows of another split."""
    effect, size = effect_of(nll_change, n), f"{short(abs(nll_change.value))} ({_sizes(nll_change)})"
    start = f"{split}: dividing the logits by {temperature}"
    if effect == "harms":
        return f"{start} made it worse: it raises the NLL by {size}. Do not use it; these rows veto it, and `push` leaves it out."
    if effect == "helps":
        return f"{start} lowers the NLL by {size}."
    return f"{start} does not change the NLL distinguishably ({_signed(nll_change)})."


def fold_words(
    decision: FoldDecision, temperature: Temperature | None, why_none: str, n_test: int, obstacle: str = ""
) -> str:
    """What was decided of a temperature at publishing, as the card and `push` say it.

    Args:
        decision: of `decide_fold`.
        temperature: what it was about.
        why_none: why there is none.
        n_test: rows of the test split.
        obstacle: why it cannot be folded in, though that was decided.
    """
    switch = f"(--fold {decision.fold})"
    if decision.outcome == "never":
        return f"No temperature is folded in, as was asked {switch}."
    if temperature is None or decision.validation is None:
        return f"No temperature is folded in {switch}: {why_none}."
    fitted = f"T = {temperature.value:.3f} ({temperature.low:.3f} to {temperature.high:.3f}), fitted on {temperature.n:,} validation rows"
    change = f"changes their NLL by {_change(decision.validation)}"
    on_test = f"that of the {n_test:,} test rows by {_change(decision.test)}" if decision.test is not None else ""
    if decision.outcome == "uncertain":
        few = (
            f" {_capital(_rows(temperature.n))} are too few to tell." if temperature.n < MIN_ROWS_FOR_DIRECTION else ""
        )
        return f"No temperature is folded in {switch}: {fitted}, {change}, which may be nothing.{few}"
    if decision.outcome == "vetoed":
        return (
            f"No temperature is folded in {switch}: {fitted}, {change}, but {on_test}. The test rows vetoed T: the test scores are "
            "no longer untouched."
        )
    asked = ", as was asked" if decision.outcome == "always" else ""
    also = f", and {on_test}" if on_test else ""
    if obstacle:
        return f"No temperature is folded in, though {fitted}, {change}{also}. {obstacle}"
    harm = ""
    if decision.test is not None and effect_of(decision.test, n_test) == "harms":
        harm = " The test rows show that it does harm."
    return f"The temperature {fitted}, is folded in{asked} {switch}: it {change}{also}.{harm}"


def _change(change: Measured) -> str:
    return f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}, paired, 95 %)"


def ece_is_blind(scores: Mapping[str, Any], gap: Measured, split: str) -> str:
    """Why T can be certain where the ECE stays within its noise; empty where it does not."""
    if verdict_of(scores, gap) != "calibrated":
        return ""
    return (
        f"By ECE the {split} rows do not tell the model without T from a calibrated one; that T helps is known from the NLL, "
        "which is compared row by row and sees smaller errors than an ECE."
    )


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
    p = f"p = {_telling(found.p)}" if found.p >= 1e-4 else "p < .0001"
    return f"accuracy {short(found.accuracy)} on validation and {short(found.other)} on test, {p}"


def _temperature(diagnosis: Diagnosis) -> list[str]:
    if diagnosis.temperature is None:
        return [f"Temperature scaling: no T could be fitted ({diagnosis.temperature_note})."]
    if diagnosis.nll_change is None:
        return [
            f"Temperature scaling: all rows give {diagnosis.temperature}, but what it does could not be measured on rows "
            f"that it was not fitted on ({diagnosis.temperature_note}). Judge it on more rows before using it."
        ]
    raw, after = diagnosis.scores["raw"], diagnosis.scores["temperature"]
    fitted, change = diagnosis.temperature, diagnosis.nll_change
    effect = effect_of(change, int(raw["n"]))
    nll = {
        "helps": f"lowers the NLL by {short(abs(change.value))} ({_sizes(change)})",
        "harms": f"raises the NLL by {short(abs(change.value))} ({_sizes(change)}): do not use it",
        "unclear": f"does not change the NLL distinguishably ({_signed(change)})",
    }[effect]
    leaning = _leaning(direction(diagnosis.intervals["temperature"]["gap"], int(after["n"])))
    rest = "still above the noise floor" if above_floor(after) else "not distinguishable from calibrated"
    if leaning and not above_floor(after):
        rest += f", though the gap hints at {leaning}-confidence"
    near_one = ", not distinguishable from 1," if fitted.low <= 1 <= fitted.high else ""
    cost = "" if effect == "harms" else " It costs no training, and the answers stay the same."
    return [
        f"Temperature scaling: dividing the logits by {fitted}{near_one} {nll}. ECE {short(raw['ece'])} becomes "
        f"{short(after['ece'])}, {rest}.{cost}"
    ]


def _on_mixup(diagnosis: Diagnosis) -> list[str]:
    n = int(diagnosis.scores["raw"]["n"])
    effect = effect_of(diagnosis.nll_change, n)
    if diagnosis.verdict == "too few rows":
        return [f"Whether mixup would help cannot be said either: judge on {MIN_ROWS_FOR_DIRECTION} rows or more."]
    if diagnosis.verdict == "under-confident":
        return [
            "Mixup would hurt: it lowers the confidence further. "
            f"{'Use the temperature. Or, if' if effect == 'helps' else 'If'} the "
            "model was trained with mixup, label smoothing or a confidence penalty, train with a lower alpha or less of it."
        ]
    if diagnosis.verdict == "mixed":
        return [
            "Mixup is no remedy for this: it lowers the confidence everywhere, and would mend one part at the other's cost."
        ]
    if diagnosis.verdict == "calibrated":
        return ["Leave it alone: these rows give no reason for mixup, which could make it under-confident."]
    if diagnosis.alpha is None:
        return ["All rows are of one class, so nothing can be said of mixup: judge on rows of every class."]
    gap = diagnosis.scores["raw"]["gap"]
    mass = mean_off_label_mass(diagnosis.alpha, diagnosis.class_shares)
    width = "about as much as the gap is wide"
    if mass < 0.75 * gap:
        width = f"less than the gap of {short(gap)}, so expect it to close a part"
    elif mass > 1.33 * gap:
        width = f"more than the gap of {short(gap)}, so it may overshoot: watch for a gap below 0"
    lines = [
        f"Mixup is worth a run: start with --mixup_alpha {diagnosis.alpha:g}, whose labels carry {short(mass)} off their "
        f"class on average with these classes, {width}. A start, not a promise. If mixup trained this model already, the gap is "
        "what was left of it: take a higher alpha than it had."
    ]
    if effect == "harms":
        lines.append("Compare it with this model raw, not after temperature: that is what it has to beat.")
    elif diagnosis.temperature is not None:
        lines.append(
            "Compare it with this model after temperature, not with this model raw: that is what it has to beat."
        )
    return lines


# Arms of a comparison


@dataclass(frozen=True)
class Arm:
    """What the words on an arm are made of; all differences are paired, and all but the last two of raw scores.

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


def arm_words(arm: Arm) -> str:
    """A few sentences on an arm, which tell no direction that `direction` does not allow.

    ``less over-confident`` needs a lower ECE and a lower gap than the baseline's, and that gap above 0.
    """
    n, verdict = int(arm.scores["n"]), verdict_of(arm.scores, arm.gap)
    if verdict == "too few rows":
        return f"Nothing can be said from {_rows(n)}, neither better nor worse: {MIN_ROWS_FOR_DIRECTION} are the least."
    sentences = _baseline_words(arm) if arm.name == arm.baseline else _against_baseline(arm)
    effect = effect_of(arm.temperature, n)
    if effect == "harms" and arm.temperature is not None:
        sentences.append(
            f"Its temperature made it worse: NLL higher by {short(arm.temperature.value)} ({_sizes(arm.temperature)}) than "
            "without. Do not use it."
        )
    elif effect == "helps" and verdict == "under-confident" and arm.name == arm.baseline:
        sentences.append("A temperature below 1 mends it.")
    if arm.rival is not None:
        outcome = {-1: "lower than", 1: "higher than, so worse than,", 0: "not distinguishable from"}
        told = direction(arm.rival, n)
        sentences.append(
            f"After temperature scaling of both, its NLL is {outcome[told]} that of {arm.baseline} with "
            f"temperature ({_limits(arm.rival, told)})."
        )
    return " ".join(sentences)


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
        f"{short(last.value)} ({_limits(last)})."
    )


def epochs_of(found: Iterable[float | None]) -> str:
    """Epochs that several seeds chose: one, or the first and the last.

    >>> epochs_of([4.0, 3.0]), epochs_of([4.0]), epochs_of([None])
    ('3 to 4', '4', '')
    """
    known = sorted({epoch for epoch in found if epoch is not None})
    return "" if not known else f"{known[0]:g}" if len(known) == 1 else f"{known[0]:g} to {known[-1]:g}"


def _state(arm: Arm) -> str:
    """What an arm is, as a part of a sentence."""
    verdict, n = verdict_of(arm.scores, arm.gap), int(arm.scores["n"])
    if verdict in ("over-confident", "under-confident"):
        return f"{verdict} by {short(abs(arm.gap.value))} ({_sizes(arm.gap)})"
    if verdict == "mixed":
        return f"not calibrated (ECE {short(arm.scores['ece'])}), in which direction is not distinguishable (gap {_limits(arm.gap)})"
    leaning = _leaning(direction(arm.gap, n))
    hint = f", though its gap hints at {leaning}-confidence ({_limits(arm.gap)})" if leaning else ""
    return f"not distinguishable from calibrated{hint}"


def _baseline_words(arm: Arm) -> list[str]:
    state, verdict = _capital(_state(arm)), verdict_of(arm.scores, arm.gap)
    if verdict == "calibrated":
        return [f"{state}: nothing for mixup to mend that {_rows(int(arm.scores['n']))} could show."]
    sentences = {
        "over-confident": ["There is over-confidence to mend."],
        "under-confident": ["Mixup can only make this worse."],
    }
    return [f"{state}.", *sentences.get(verdict, [])]


def _against_baseline(arm: Arm) -> list[str]:
    state, n = _state(arm), int(arm.scores["n"])
    if not arm.changes:
        return [f"{_capital(state)}. It shares no seed with {arm.baseline}, so nothing more can be said."]
    is_off = verdict_of(arm.scores, arm.gap) in ("over-confident", "under-confident")
    ece, before, now = arm.changes["ece"], direction(arm.baseline_gap, n), direction(arm.gap, n)
    if direction(ece, n) < 0:
        is_less = before > 0 and direction(arm.changes["gap"], n) < 0
        main = (
            f"{'Less over-confident' if is_less else 'Better calibrated'} than {arm.baseline}: ECE lower by "
            f"{short(-ece.value)} ({_sizes(ece)})"
        )
        if is_off:
            main += f", {'still' if now == before else 'now'} {state}"
    elif direction(ece, n) > 0:
        main = f"Calibration is worse than {arm.baseline}'s: ECE higher by {short(ece.value)} ({_sizes(ece)}), {state}"
    else:
        main = f"ECE not distinguishable from {arm.baseline}'s ({_limits(ece)}); the arm itself is {state}"
    parts = []
    for key, name, better in (("accuracy", "accuracy", 1), ("nll", "NLL", -1)):
        change = arm.changes[key]
        if told := direction(change, n):
            kind = "" if told == better else ", which is worse"
            parts.append(
                f"{name} {'higher' if told > 0 else 'lower'} by {short(abs(change.value))} ({_sizes(change)}{kind})"
            )
        else:
            parts.append(f"{name} not distinguishable ({_limits(change)})")
    remedy = _remedy(arm) if is_off and now < 0 else []
    return [f"{main}.", f"{_capital('; '.join(parts))}.", *remedy]


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


# Forms


def _rows(n: int) -> str:
    return "one row" if n == 1 else f"{n:,} rows"


def _leaning(told: int) -> str:
    return {1: "over", -1: "under"}.get(told, "")


def _sizes(change: Measured) -> str:
    """The limits of a size whose interval excludes 0, without their sign; one that rounds to nothing with a digit that tells."""
    low, high = sorted((abs(change.low), abs(change.high)))
    return f"{_telling(low)} to {_telling(high)}"


def _telling(limit: float) -> str:
    """
    >>> _telling(0.0213), _telling(0.00031), _telling(0.0)
    ('.021', '.0003', '.000')
    """
    if limit == 0 or float(f"{limit:.3f}") != 0:
        return short(limit)
    return f"{limit:.1g}"[1:] if limit >= 1e-4 else "less than .0001"


def _limits(change: Measured, told: int = 0) -> str:
    """Both limits with their signs; where a direction is told, neither prints as 0."""
    if told:
        return " to ".join(f"{'-' if limit < 0 else ''}{_telling(abs(limit))}" for limit in (change.low, change.high))
    return f"{short(change.low)} to {short(change.high)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _signed(gap: Measured) -> str:
    return f"{_plus(gap.value)} ({_plus(gap.low)} to {_plus(gap.high)})"


def _plus(value: float) -> str:
    return ("+" if value >= 0 else "") + short(value)


def _percent(*values: float) -> list[str]:
    """Whole percents, or as many decimals as tell the values apart."""
    for decimals in (0, 1, 2):
        texts = [f"{value:.{decimals}%}" for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def _round_up(rows: int) -> int:
    """Two figures, as a number of this kind deserves."""
    step = 10 ** max(len(str(rows)) - 2, 0)
    return -(-rows // step) * step
