"""What is wrong with a model's confidence, by how much, and what may be said of mending it: from logits alone.

The verdict, of 95 % intervals over rows:

- over-confident (or under-confident): the interval of the gap, mean confidence minus accuracy, lies above (below) 0
  *and* the ECE lies above what 97.5 % of perfectly calibrated models show at this n;
- mixed: the ECE is that high though the gap's interval holds 0, so it is too sure at some confidences and not sure enough
  at others;
- calibrated: neither could be shown. It means "not distinguishable at this n", and stands beside the n that would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .floor import short
from .inputs import as_array
from .intervals import Interval, difference_intervals, score_intervals
from .label_entropy import mean_off_label_mass
from .logits import check_class_labels, check_logits
from .resampling import RowScores
from .summary import score_logits
from .temperature import Temperature, fit_temperature

Verdict = Literal["over-confident", "under-confident", "mixed", "calibrated"]

ALPHAS = (0.1, 0.2, 0.4, 1.0)
#: The gap that `rows_needed` is about.
SMALL_GAP = 0.02


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A model's calibration on held-out rows, raw and after temperature scaling.

    Args:
        verdict: see the module.
        scores: of `score_logits`, under ``raw`` and, where a temperature could be fitted, ``temperature``.
        intervals: of `score_intervals`, under the same keys.
        logits: (n, k) under the same keys.
        labels: (n,) class indices.
        temperature: T and its interval, of all rows it could be fitted on: the one to use.
        temperature_note: why there is none.
        cross_fitted: whether "after temperature" divides each half of the rows by the T of the other half; else T comes
            from rows of its own.
        nll_change: NLL after temperature minus raw, paired over rows.
        rows_needed: rows at which a gap of .02 would show in four tests of five, by the gap's spread here.
        class_shares: (k,) the labels' shares.
        alpha: where to start with mixup, for an over-confident model: of .1, .2, .4 and 1, the one whose mixed labels
            carry about as much mass off the label as the gap is wide. A start, not a promise.
    """

    verdict: Verdict
    scores: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    logits: dict[str, NDArray[np.float64]]
    labels: NDArray[Any]
    temperature: Temperature | None
    temperature_note: str | None
    cross_fitted: bool
    nll_change: Interval | None
    rows_needed: int
    class_shares: NDArray[np.float64]
    alpha: float | None


def diagnose(
    logits: Any,
    labels: Any,
    *,
    fit_logits: Any = None,
    fit_labels: Any = None,
    n_bins: int = 15,
    seed: int = 0,
) -> Diagnosis:
    """Judges a classifier by rows that it was not trained on.

    Args:
        logits: (n, k) of the rows to judge by, k at least 2.
        labels: (n,) class indices.
        fit_logits: (m, k) of other rows, for the temperature; without them it is cross-fitted, so that no row is scaled
            by a T that has seen it.
        fit_labels: (m,) class indices.
        n_bins: number of equal-width bins (lo, hi].
        seed: of the halves that cross-fitting needs.

    Raises:
        ValueError: for input that cannot be scored, with the first offending row.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> logits = rng.normal(size=(4000, 3))
        >>> labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # drawn from softmax(logits)
        >>> diagnose(logits, labels).verdict, diagnose(3 * logits, labels).verdict, diagnose(logits / 3, labels).verdict
        ('calibrated', 'over-confident', 'under-confident')
    """
    raw = check_logits(logits)
    targets = check_class_labels(labels, *raw.shape)
    shares = np.bincount(as_array(targets, "labels"), minlength=raw.shape[1]) / len(raw)
    all_logits = {"raw": raw}
    temperature, note = None, None
    cross_fitted = fit_logits is None
    try:
        if cross_fitted:
            temperature = fit_temperature(raw, targets)
            all_logits["temperature"] = _cross_fit(raw, targets, seed)
        else:
            temperature = fit_temperature(fit_logits, fit_labels)
            all_logits["temperature"] = temperature.apply(raw)
    except ValueError as error:  # as where every row is right; the raw verdict stands without it
        temperature, note = None, str(error)
    scores = {key: score_logits(values, targets, n_bins=n_bins) for key, values in all_logits.items()}
    intervals = {key: score_intervals(values, targets, n_bins=n_bins) for key, values in all_logits.items()}
    nll_change = None
    if "temperature" in all_logits:
        nll_change = difference_intervals(all_logits["temperature"], raw, targets, n_bins=n_bins)["nll"]
    verdict = _verdict(scores["raw"], intervals["raw"]["gap"])
    alpha = None
    if verdict == "over-confident" and (shares < 1).all():
        gap = scores["raw"]["gap"]
        alpha = min(ALPHAS, key=lambda alpha: abs(mean_off_label_mass(alpha, shares) - gap))
    rows = RowScores.from_logits(raw, targets, n_bins=n_bins)
    return Diagnosis(
        verdict=verdict,
        scores=scores,
        intervals=intervals,
        logits=all_logits,
        labels=targets,
        temperature=temperature,
        temperature_note=note,
        cross_fitted=cross_fitted,
        nll_change=nll_change,
        rows_needed=_rows_needed(rows.confidence - rows.correct),
        class_shares=shares,
        alpha=alpha,
    )


def above_floor(scores: dict[str, float]) -> bool:
    """Whether an ECE of `score_logits` lies above what 97.5 % of perfectly calibrated models show."""
    return scores["ece"] > scores["ece_floor_high"]


def _verdict(scores: dict[str, float], gap: Interval) -> Verdict:
    if not above_floor(scores):
        return "calibrated"
    if gap.low > 0:
        return "over-confident"
    return "under-confident" if gap.high < 0 else "mixed"


def _cross_fit(logits: NDArray[np.float64], labels: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """Each half of the rows divided by the T of the other half; halves are drawn within each class."""
    rng = np.random.default_rng(seed)
    by_class = np.argsort(labels[order := rng.permutation(len(labels))], kind="stable")
    second = np.zeros(len(labels), dtype=bool)
    second[order[by_class][1::2]] = True
    scaled = np.empty_like(logits)
    for half in (second, ~second):
        scaled[half] = fit_temperature(logits[~half], labels[~half]).apply(logits[half])
    return scaled


def _rows_needed(excess: NDArray[np.float64]) -> int:
    """n at which a mean of .02 lies 1.96 + .84 standard errors from 0: the 5 % test with a power of 80 %."""
    return int(np.ceil((2.8 * excess.std() / SMALL_GAP) ** 2))


def advice(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis in sentences: what the model claims, what a temperature does, what mixup would.

    Example:
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
    if diagnosis.temperature is None or diagnosis.nll_change is None:
        return [f"Temperature scaling: no T could be fitted ({diagnosis.temperature_note})."]
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
        sharpens = diagnosis.temperature is not None and diagnosis.temperature.high < 1
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
