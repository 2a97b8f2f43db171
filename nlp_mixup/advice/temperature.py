"""What a temperature does to a model, and whether it is folded into the weights, in words: one verdict from paired NLL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlp_mixup.advice.numbers import capital, rows, signed, sizes
from nlp_mixup.advice.verdict import CALIBRATED, hint_of
from nlp_mixup.calibration import Diagnosis, Temperature
from nlp_mixup.calibration.diagnosis import verdict_of
from nlp_mixup.calibration.floor import above_floor, short
from nlp_mixup.calibration.folding import FoldDecision, effect_of
from nlp_mixup.calibration.intervals import MIN_ROWS_FOR_DIRECTION, Measured


def on_temperature(diagnosis: Diagnosis) -> list[str]:
    """What dividing the logits by the diagnosed T does: to the NLL, which decides, and to the ECE."""
    if diagnosis.temperature is None:
        return [f"Temperature scaling: no T could be fitted ({diagnosis.temperature_note})."]
    if diagnosis.nll_change is None:
        return [
            f"Temperature scaling: all rows give {diagnosis.temperature}, but what it does could not be measured on rows "
            f"that it was not fitted on ({diagnosis.temperature_note}). Judge it on more rows before using it."
        ]
    raw, after = diagnosis.scores["raw"], diagnosis.scores["temperature"]
    fitted, change = diagnosis.temperature, diagnosis.nll_change
    n = int(raw["n"])
    hints = hint_of(diagnosis.intervals["temperature"]["gap"], n)
    rest = CALIBRATED + (f", though the gap {hints}" if hints else "")
    if above_floor(after):
        rest = "still above the noise floor"
    near_one = ", not distinguishable from 1," if fitted.low <= 1 <= fitted.high else ""
    refused, cost = "", " It costs no training, and the answers stay the same."
    if effect_of(change, n) == "harms":
        refused, cost = ": do not use it", ""
    return [
        f"Temperature scaling: dividing the logits by {fitted}{near_one} {_on_nll(change, n)}{refused}. ECE {short(raw['ece'])} "
        f"becomes {short(after['ece'])}, {rest}.{cost}"
    ]


def temperature_line(temperature: Temperature, nll_change: Measured, split: str, n: int) -> str:
    """What a run's temperature, fitted on validation, does to the rows of another split."""
    start, told = f"{split}: dividing the logits by {temperature}", _on_nll(nll_change, n)
    if effect_of(nll_change, n) == "harms":
        return f"{start} made it worse: it {told}. Do not use it; these rows veto it, and `push` leaves it out."
    return f"{start} {told}."


def _on_nll(change: Measured, n: int) -> str:
    """What a temperature does to the NLL, as the end of a sentence."""
    size = f"{short(abs(change.value))} ({sizes(change)})"
    return {
        "helps": f"lowers the NLL by {size}",
        "harms": f"raises the NLL by {size}",
        "unclear": f"does not change the NLL distinguishably ({signed(change)})",
    }[effect_of(change, n)]


def ece_is_blind(scores: Mapping[str, Any], gap: Measured, split: str) -> str:
    """Why T can be certain where the ECE stays within its noise; empty where it does not."""
    if verdict_of(scores, gap) != "calibrated":
        return ""
    return (
        f"By ECE the {split} rows do not tell the model without T from a calibrated one; that T helps is known from the NLL, "
        "which is compared row by row and sees smaller errors than an ECE."
    )


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
        few = f" {capital(rows(temperature.n))} are too few to tell." if temperature.n < MIN_ROWS_FOR_DIRECTION else ""
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
    harm = " The test rows show that it does harm." if effect_of(decision.test, n_test) == "harms" else ""
    return f"The temperature {fitted}, is folded in{asked} {switch}: it {change}{also}.{harm}"


def _change(change: Measured) -> str:
    return f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}, paired, 95 %)"
