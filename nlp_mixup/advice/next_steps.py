"""What to do next with one model: leave it alone, use a temperature, or train with mixup and which alpha to start with.

What was just measured to do harm is never recommended.
"""

from __future__ import annotations

from nlp_mixup.advice.numbers import round_up
from nlp_mixup.advice.temperature import on_temperature
from nlp_mixup.advice.verdict import finding
from nlp_mixup.calibration import Diagnosis, mean_off_label_mass
from nlp_mixup.calibration.diagnosis import SMALL_GAP
from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.folding import effect_of
from nlp_mixup.calibration.intervals import MIN_ROWS_FOR_DIRECTION


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
    return [f"{found}{_power(diagnosis)}", *on_temperature(diagnosis), *_on_mixup(diagnosis)]


def _power(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict != "calibrated":
        return ""
    if (needed := diagnosis.rows_needed) > diagnosis.scores["raw"]["n"]:
        return (
            f" With about {round_up(needed):,} rows, the interval of a gap of {short(SMALL_GAP)} would exclude 0 four times of "
            "five."
        )
    return f" With so many rows, the interval of a gap of {short(SMALL_GAP)} excludes 0 at least four times of five."


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
