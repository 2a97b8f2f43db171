"""Intervals of many sets of rows at once, by the method of `nlp_mixup.calibration.intervals` and by that of 0.1.

The weights of rows depend on the seed and n alone, so all sets of a size share them. That each set has what `score_intervals`
gives, a test holds; two things are less: fewer weights, and the noise floor from bins in place of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import beta

from nlp_mixup.calibration.resampling import LOWEST_CONFIDENCE, MOVED_BY_SCALE, UNSEEN

N_BINS = 15
BIASED = ("ece", "oe")


@dataclass
class Sets:
    """Draws of many sets of rows, (sets, draws) by score, as `nlp_mixup.calibration.resampling.Draws` has them of one."""

    value: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    bias: dict[str, tuple[np.ndarray, np.ndarray]]
    plain: dict[str, np.ndarray]  # of the method of 0.1
    plain_bias: dict[str, np.ndarray]


def bins_of(confidence: np.ndarray) -> np.ndarray:
    return np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)


def losses(confidence: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """NLL and Brier score of a row of two classes that is right, and of one that is wrong."""
    return {
        "nll": (-np.log(confidence), -np.log1p(-np.minimum(confidence, 1 - 1e-12))),
        "brier": (2 * (1 - confidence) ** 2, 2 * confidence**2),
    }


def ends_of(
    either: Sequence[np.ndarray], correct: np.ndarray, *confidences: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that one more row adds, (sets,), from what the rows add if right and if wrong, (sets, n) each."""
    right, wrong = either
    found = [right.mean(1), *((wrong * (1 - c)).sum(1) / (1 - c).sum(1) for c in confidences)]
    errors = (~correct).sum(1)
    seen = np.divide((wrong * ~correct).sum(1), errors, out=found[0].copy(), where=errors > 0)
    return np.min([*found, seen], axis=0), np.max([*found, seen], axis=0)


@dataclass(frozen=True)
class Weights:
    """What all sets of n rows share: the method's weights, and the bootstrap's counts divided by n."""

    rows: np.ndarray
    extra: np.ndarray
    copied: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, n: int, draws: int) -> Weights:
        rng = np.random.default_rng(0)
        copied = rng.integers(0, n, draws)
        weights = rng.standard_exponential((draws, n + 1))
        weights /= weights.sum(axis=1, keepdims=True)
        rng = np.random.default_rng(0)
        counts = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws)]) / n
        return cls(weights[:, :n].astype(np.float32), weights[:, n], copied, counts.astype(np.float32))


def folded(true: np.ndarray, error: np.ndarray) -> np.ndarray:
    ratio = np.divide(true, error, out=np.full_like(true, np.inf), where=error > 0)
    return error * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + true * (1 - 2 * ndtr(-ratio))


def binned(columns: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean confidence and weighted excess of each bin under each draw, (sets, bins, draws), from columns (sets, 3 bins, n)."""
    sets, size, n = columns.shape
    drawn = (columns.reshape(-1, n) @ weights.T).reshape(sets, size, -1)
    count, total, off = np.split(drawn, 3, axis=1)
    return total / np.maximum(count, np.float32(1e-9)), off


def draw_sets(confidence: np.ndarray, correct: np.ndarray, weights: Weights, rng: np.random.Generator) -> Sets:
    """Scores, draws and biases of sets of rows, confidences and correctness (sets, n) each."""
    sets, n = confidence.shape
    index = bins_of(confidence)
    filled = np.unique(index)
    member = (index[:, None, :] == filled[:, None]).astype(np.float32)  # (sets, bins, n)
    columns = np.concatenate(
        [member, member * confidence[:, None, :], member * (confidence - correct)[:, None, :]], axis=1
    )
    columns = columns.astype(np.float32)
    loss = {name: np.where(correct, *of) for name, of in losses(confidence).items()}

    count, total, off = np.split(columns.sum(2, dtype=np.float64), 3, axis=1)
    share = total / np.maximum(count, 1)
    value = {
        "accuracy": correct.mean(1),
        "confidence": confidence.mean(1),
        "gap": (confidence - correct).mean(1),
        **{name: of.mean(1) for name, of in loss.items()},
        "ece": np.abs(off).sum(1) / n,
        "oe": (np.maximum(off, 0) * share).sum(1) / n,
    }

    # The method of 0.1
    e_share, e_off = binned(columns, weights.counts)
    plain = {
        "accuracy": correct.astype(np.float32) @ weights.counts.T,
        "confidence": confidence.astype(np.float32) @ weights.counts.T,
        "gap": e_off.sum(1),
        **{name: of.astype(np.float32) @ weights.counts.T for name, of in loss.items()},
        "ece": np.abs(e_off).sum(1),
        "oe": (np.maximum(e_off, 0) * e_share).sum(1),
    }

    # The method here
    e_share, e_off = binned(columns, weights.rows)
    own, extra = confidence[:, weights.copied], weights.extra
    way = min(1.0, UNSEEN / n)
    below = own - way * (own - np.minimum(LOWEST_CONFIDENCE, confidence.min(1))[:, None])
    above = own + way * (1 - own)
    right, claims = (array.astype(np.float32) @ weights.rows.T for array in (correct, confidence))
    low = {"accuracy": right, "confidence": claims + extra * below, "gap": claims - right + extra * (below - 1)}
    high = {"accuracy": right + extra, "confidence": claims + extra * above, "gap": claims - right + extra * above}
    for name, either in losses(confidence).items():
        drawn = loss[name].astype(np.float32) @ weights.rows.T
        least, most = ends_of(either, correct, confidence)
        low[name], high[name] = drawn + extra * least[:, None], drawn + extra * most[:, None]
    ece, oe = np.abs(e_off).sum(1), (np.maximum(e_off, 0) * e_share).sum(1)
    place = np.searchsorted(filled, index[:, weights.copied])[:, None, :]
    of_bin, share_of_bin = (np.take_along_axis(of, place, 1)[:, 0] for of in (e_off, e_share))
    with_wrong, with_right = of_bin + extra * own, of_bin + extra * (own - 1)
    others = ece - np.abs(of_bin)
    low["ece"] = others + np.minimum(np.abs(with_wrong), np.abs(with_right))
    high["ece"] = others + np.maximum(np.abs(with_wrong), np.abs(with_right))
    others = oe - np.maximum(of_bin, 0) * share_of_bin
    low["oe"] = others + np.maximum(with_right, 0) * share_of_bin
    high["oe"] = others + np.maximum(with_wrong, 0) * share_of_bin
    signed = (e_off * e_share).sum(1) + extra * own * share_of_bin

    # Biases, of both methods
    gap = off / np.maximum(count, 1)
    accuracy = (total - off + 0.5) / (count + 1)
    error = np.sqrt(accuracy * (1 - accuracy) / np.maximum(count, 1)) * (count > 0)
    candidates: dict[str, list[np.ndarray]] = {"ece": [], "oe": []}
    for noise in (error, error * np.sqrt(1 + 1 / np.maximum(count, 1))):
        true = np.sign(gap) * np.sqrt(np.maximum(gap**2 - noise**2, 0))
        up = folded(true, error)
        candidates["ece"].append((count / n * (up - np.abs(true))).sum(1))
        candidates["oe"].append((count / n * share * ((up + true) / 2 - np.maximum(true, 0))).sum(1))
    plain_bias = {name: candidates[name][0] for name in candidates}
    chance = rng.binomial(count.astype(int)[:, None, :], np.clip(share, 0, 1)[:, None, :], (sets, 300, len(filled)))
    floor = total[:, None, :] - chance
    floors = {"ece": np.abs(floor).sum(2) / n, "oe": (np.maximum(floor, 0) * share[:, None, :]).sum(2) / n}
    bias = {}
    for name, drawn in (("ece", ece), ("oe", oe)):
        shift = drawn.mean(1) - value[name]
        is_floor = value[name] <= np.quantile(floors[name], 0.975, axis=1)
        found = [*candidates[name], shift, shift / 2]
        bias[name] = np.min(found, axis=0), np.max([*found, np.where(is_floor, value[name], found[0])], axis=0)
        low[name] = low[name] - shift[:, None]
        high[name] = high[name] - shift[:, None]
    bound = np.maximum(high["gap"], -low["gap"]) + bias["ece"][0][:, None]
    high["ece"] = np.maximum(high["ece"], bound)
    high["oe"] = np.maximum(high["oe"], signed + bias["oe"][0][:, None])
    return Sets(value, low, high, bias, plain, plain_bias)


def limits(sets: Sets, name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The method here, (sets,) each."""
    if name == "accuracy":
        right = np.rint(sets.value[name] * n)
        low = np.where(right > 0, beta.ppf(0.025, np.maximum(right, 1), n - right + 1), 0.0)
        high = np.where(right < n, beta.ppf(0.975, right + 1, np.maximum(n - right, 1)), 1.0)
        return low, high
    low, high = np.quantile(sets.low[name], 0.025, axis=1), np.quantile(sets.high[name], 0.975, axis=1)
    if name in sets.bias:
        least, largest = sets.bias[name]
        low, high = np.maximum(low - largest, 0), np.maximum(high - least, 0)
    return low, high


def old_limits(sets: Sets, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The method of 0.1: percentiles of the bootstrap, for ECE and OE moved by three guesses of the bias."""
    low, high = np.quantile(sets.plain[name], (0.025, 0.975), axis=1)
    if name in sets.bias:
        shift = sets.plain[name].mean(1) - sets.value[name]
        guesses = np.stack([shift, shift / 2, sets.plain_bias[name]])
        low, high = np.maximum(low - shift - guesses.max(0), 0), np.maximum(high - shift - guesses.min(0), 0)
    return low, high


def difference_limits(first: Sets, second: Sets, name: str) -> tuple[np.ndarray, np.ndarray]:
    sides = first.low[name] - second.low[name], first.high[name] - second.high[name]
    lowest, highest = np.minimum(*sides), np.maximum(*sides)
    lowest[:, ::2] = (first.low[name] - second.high[name])[:, ::2]
    highest[:, ::2] = (first.high[name] - second.low[name])[:, ::2]
    low, high = np.quantile(lowest, 0.025, axis=1), np.quantile(highest, 0.975, axis=1)
    if name in first.bias:
        (least, largest), (other_least, other_largest) = first.bias[name], second.bias[name]
        middle = (least + largest - other_least - other_largest) / 2
        half = np.hypot(largest - least, other_largest - other_least) / 2
        low, high = low - (middle + half), high - (middle - half)
    return low, high


def scaled_limits(
    confidences: tuple[np.ndarray, np.ndarray], correct: np.ndarray, temperature: float, weights: Weights, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Of an additive score after a temperature less that before, (sets,) each; from both confidences (sets, n)."""
    n = correct.shape[1]
    moved, extra = confidences[0] - confidences[1], weights.extra
    way, most = min(1.0, UNSEEN / n), -MOVED_BY_SCALE * np.log(temperature)
    unseen = way * np.minimum(moved.min(1), min(0, most)), way * np.maximum(moved.max(1), max(0, most))
    if name == "gap":
        drawn = moved @ weights.rows.T + extra * (1 - way) * moved[:, weights.copied]
        far = unseen
    else:
        either = [one - other for one, other in zip(*(losses(c)[name] for c in confidences), strict=True)]
        drawn = np.where(correct, *either) @ weights.rows.T
        reach = 4 * np.maximum(-unseen[0], unseen[1]) * (name == "brier")
        least, largest = ends_of(either, correct, *confidences)
        far = least - reach, largest + reach
    low, high = (drawn + extra * end[:, None] for end in far)
    return np.quantile(low, 0.025, axis=1), np.quantile(high, 0.975, axis=1)


def old_difference_limits(first: Sets, second: Sets, name: str) -> tuple[np.ndarray, np.ndarray]:
    drawn = first.plain[name] - second.plain[name]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=1)
    if name in first.bias:
        shift = drawn.mean(1) - (first.value[name] - second.value[name])
        guesses = np.stack([shift, shift / 2, first.plain_bias[name] - second.plain_bias[name]])
        low, high = low - shift - guesses.max(0), high - shift - guesses.min(0)
    return low, high
