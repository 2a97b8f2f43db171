"""Numbers in words: what a model's calibration is, what a temperature does to it, and what to do next.

One place for the sentences of the doctor, the report and the model card; the numbers come from `nlp_mixup.calibration`.
"""

from __future__ import annotations

from nlp_mixup.calibration import Diagnosis, Interval, mean_off_label_mass
from nlp_mixup.calibration.diagnosis import SMALL_GAP, above_floor
from nlp_mixup.calibration.floor import short


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
    return [_finding(diagnosis), *_temperature(diagnosis), *_on_mixup(diagnosis)]


def _finding(diagnosis: Diagnosis) -> str:
    scores, gap = diagnosis.scores["raw"], diagnosis.intervals["raw"]["gap"]
    ece = short(scores["ece"])
    limit = f"a perfectly calibrated model shows up to {short(scores['ece_floor_high'])} here"
    if diagnosis.verdict in ("over-confident", "under-confident"):
        low, high = sorted((abs(gap.low), abs(gap.high)))
        claims, right = _percent(scores["confidence"], scores["accuracy"])
        return (
            f"{diagnosis.verdict.capitalize()} by {short(abs(gap.value))} ({short(low)} to {short(high)}): "
            f"it claims {claims} and is right {right}."
        )
    if diagnosis.verdict == "mixed":
        return (
            f"Not calibrated, though neither over- nor under-confident on the whole: ECE {ece}, where {limit}, but the "
            f"gap is {_signed(gap)}. It is too sure at some confidences and not sure enough at others: see the "
            "reliability diagram."
        )
    n, needed = scores["n"], diagnosis.rows_needed
    power = (
        f"With about {_round_up(needed):,} rows, the interval of a gap of {short(SMALL_GAP)} would exclude 0 four times of five."
        if needed > n
        else f"With so many rows, the interval of a gap of {short(SMALL_GAP)} excludes 0 at least four times of five."
    )
    hint = ""
    if gap.low > 0 or gap.high < 0:
        leaning = "over" if gap.low > 0 else "under"
        hint = f" The gap hints at {leaning}-confidence, too small a one to tell with so few rows."
    return f"Not distinguishable from calibrated at n = {n:,}: ECE {ece}, {limit}; gap {_signed(gap)}.{hint} {power}"


def _temperature(diagnosis: Diagnosis) -> list[str]:
    if diagnosis.temperature is None:
        return [f"Temperature scaling: no T could be fitted ({diagnosis.temperature_note})."]
    if diagnosis.nll_change is None:
        return [
            f"Temperature scaling: all rows give {diagnosis.temperature}, but what it does could not be measured on rows "
            f"that it was not fitted on ({diagnosis.temperature_note}). Judge it on more rows before using it."
        ]
    raw, after = diagnosis.scores["raw"], diagnosis.scores["temperature"]
    fitted = diagnosis.temperature
    change = diagnosis.nll_change
    if change.high < 0:
        nll = f"lowers the NLL by {short(-change.value)} ({short(-change.high)} to {short(-change.low)})"
    elif change.low > 0:
        nll = f"raises the NLL by {short(change.value)} ({short(change.low)} to {short(change.high)}): do not use it"
    else:
        nll = "does not change the NLL distinguishably"
    rest = "still above the noise floor" if above_floor(after) else "not distinguishable from calibrated"
    near_one = ", not distinguishable from 1," if fitted.low <= 1 <= fitted.high else ""
    return [
        f"Temperature scaling: dividing the logits by {fitted}{near_one} {nll}. ECE {short(raw['ece'])} becomes "
        f"{short(after['ece'])}, {rest}. It costs no training, and the answers stay the same."
    ]


def _on_mixup(diagnosis: Diagnosis) -> list[str]:
    if diagnosis.verdict == "under-confident":
        measured = diagnosis.nll_change is not None
        sharpens = measured and diagnosis.temperature is not None and diagnosis.temperature.high < 1
        return [
            f"Mixup would hurt: it lowers the confidence further. {'Use the temperature. Or, if' if sharpens else 'If'} the "
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
    if diagnosis.temperature is not None:
        lines.append(
            "Compare it with this model after temperature, not with this model raw: that is what it has to beat."
        )
    return lines


def _signed(gap: Interval) -> str:
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
