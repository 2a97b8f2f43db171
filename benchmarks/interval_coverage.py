"""How often 95 % intervals contain the truth with few rows, near the ends, and near calibration; a simulation, no data needed.

    python benchmarks/interval_coverage.py [--sets 10000] [--draws 500] [--csv results/interval-coverage.csv]

A cell is one kind of model and a number of rows n. Confidences are one constant (.6 to .995), or spread: `peaked` as a
fine-tuned encoder's with accuracy .86, `sharp` with accuracy .97. The truth is calibrated; over-confident, twice as often wrong
as claimed; or under-confident, .6 of the wrong right. In pairs, two models on the same rows, the second often right where the
first is. 15 bins; the true ECE and OE are those of two million rows in these bins.

Widths are compared in cells with at least 100 rows, 15 wrong and 15 right ones expected, where the method of 0.1 covers .93 too.
Of a pair only rows that one model alone has right tell which is better, so there a second column asks for 15 of these each way.

Every set has its interval by the method here and by that of 0.1, the bootstrap's percentiles. All sets of a cell are scored
together: the weights of rows depend on the seed and n alone. That this gives what `score_intervals` gives, a test holds; two
things are less: `--draws` weights in place of 1,000, and the noise floor from bins in place of rows. A cell passes unless the
Monte Carlo interval of its coverage lies below .93.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr
from scipy.stats import beta, binomtest

from nlp_mixup.calibration.resampling import LOWEST_CONFIDENCE, MOVED_BY_SCALE, UNSEEN

N_BINS = 15
ROWS = (10, 30, 50, 100, 200, 500)
TARGET = 0.93
CONSTANTS = (0.6, 0.8, 0.9, 0.97, 0.99, 0.995)
Draw = Callable[[np.random.Generator, Any], np.ndarray]


def _constant(value: float, rng: np.random.Generator, shape: Any) -> np.ndarray:
    return np.full(shape, value)


SHAPES: dict[str, Draw] = {
    **{f"{value:g}": partial(_constant, value) for value in CONSTANTS},
    "peaked": lambda rng, shape: 1 - 0.5 * rng.beta(0.6, 1.6, shape),
    "sharp": lambda rng, shape: 1 - 0.5 * rng.beta(0.25, 4.0, shape),
    "wide": lambda rng, shape: 0.3 + 0.7 * rng.beta(1.5, 1.0, shape),
}
TRUTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "calibrated": lambda c: c,
    "over-confident": lambda c: np.maximum(1 - 2 * (1 - c), 0.0),
    "under-confident": lambda c: c + 0.6 * (1 - c),
    "both": lambda c: np.clip(c - 0.1 * np.where(c < 0.75, 1, -1) * np.minimum(1, (1 - c) / 0.1), 0, 1),
}
PAIRS = (
    ("0.8", "calibrated", "0.8", "over-confident"),
    ("0.97", "calibrated", "0.97", "calibrated"),
    ("0.97", "under-confident", "0.97", "over-confident"),
    ("0.99", "calibrated", "0.97", "under-confident"),
    ("0.995", "under-confident", "0.995", "over-confident"),
    ("peaked", "calibrated", "peaked", "calibrated"),
    ("peaked", "over-confident", "peaked", "calibrated"),
    ("peaked", "over-confident", "wide", "calibrated"),
    ("sharp", "calibrated", "sharp", "over-confident"),
    ("wide", "calibrated", "wide", "under-confident"),
)
#: Models after and before a temperature, whose answers are the same.
TEMPERATURES = (
    ("0.97", "over-confident", 2.5),
    ("0.97", "under-confident", 0.6),
    ("peaked", "calibrated", 0.6),
    ("peaked", "calibrated", 1.5),
    ("peaked", "over-confident", 1.5),
    ("peaked", "over-confident", 2.5),
    ("peaked", "under-confident", 0.6),
    ("sharp", "calibrated", 1.5),
    ("sharp", "over-confident", 2.5),
    ("sharp", "under-confident", 0.6),
)
SAME_LUCK = 0.7  # of a pair's rows, in which the second model is right where the first is, if as accurate
BIASED = ("ece", "oe")
SCORES = ("accuracy", "confidence", "gap", "nll", "brier", *BIASED)


@dataclass
class Sets:
    """Draws of many sets of rows, (sets, draws) by score, as `nlp_mixup.calibration.resampling.Draws` has them of one."""

    value: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    bias: dict[str, tuple[np.ndarray, np.ndarray]]
    plain: dict[str, np.ndarray]  # of the method of 0.1
    plain_bias: dict[str, np.ndarray]


def true_scores(confidence: np.ndarray, accuracy: np.ndarray) -> dict[str, float]:
    """The scores of a population whose probability of being right is known."""
    index = bins_of(confidence)
    excess = np.bincount(index, confidence - accuracy, N_BINS)
    mean = np.bincount(index, confidence, N_BINS) / np.maximum(np.bincount(index, minlength=N_BINS), 1)
    return {
        "accuracy": accuracy.mean(),
        "confidence": confidence.mean(),
        "gap": (confidence - accuracy).mean(),
        **{
            name: (accuracy * right + (1 - accuracy) * wrong).mean()
            for name, (right, wrong) in losses(confidence).items()
        },
        "ece": np.abs(excess).sum() / len(confidence),
        "oe": np.maximum(excess, 0) @ mean / len(confidence),
    }


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
    floors = {
        "ece": np.abs(floor).sum(2) / n,
        "oe": (np.maximum(floor, 0) * share[:, None, :]).sum(2) / n,
    }
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


def pair_of_confidences(shapes: tuple[str, str], rng: np.random.Generator, shape: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two models' confidences: where both have one shape, half of the rows have the same."""
    first, second = SHAPES[shapes[0]](rng, shape), SHAPES[shapes[1]](rng, shape)
    return first, np.where(rng.random(shape) < 0.5, first, second) if shapes[0] == shapes[1] else second


def one_alone_right(first: np.ndarray, second: np.ndarray) -> float:
    """The share of rows that the one model has right and the other not, of both ways the rarer; from the chances to be right."""
    first_alone = SAME_LUCK * np.maximum(first - second, 0) + (1 - SAME_LUCK) * first * (1 - second)
    second_alone = SAME_LUCK * np.maximum(second - first, 0) + (1 - SAME_LUCK) * second * (1 - first)
    return float(min(first_alone.mean(), second_alone.mean()))


@dataclass(frozen=True)
class Cell:
    """One kind of model, or two kinds, or one after and before a temperature, and a number of rows."""

    shapes: tuple[str, ...]
    truths: tuple[str, ...]
    n: int
    temperature: float | None = None

    def run(self, sets: int, draws: int, seed: int = 1) -> Iterator[dict[str, Any]]:
        """The rows of the table: per score, the truth, how often both methods' intervals contain it, and their mean widths."""
        n, rng = self.n, np.random.default_rng(seed)
        weights = Weights.of(n, draws)
        many = self.confidences(np.random.default_rng(99), (2_000_000,))
        chances = self.chances(many)
        scores = [true_scores(c, chance) for c, chance in zip(many, chances, strict=True)]
        discordant = f"{one_alone_right(*chances):.4f}" if len(self.shapes) == 2 else ""
        left_out = {"confidence"} if len(many) == 2 else set()
        left_out.add("accuracy" if self.temperature else "brier")  # the one is 0; elsewhere the other is as NLL
        if any(c.min() < 0.5 for c in many):  # `wide` has more than two classes: confidences alone do not give these
            left_out |= {"nll", "brier"}
        names = [name for name in SCORES if name not in left_out]
        tally = {name: np.zeros(4) for name in names}
        step = max(1, int(6e6 / (draws * N_BINS)))
        for start in range(0, sets, step):
            size = min(step, sets - start)
            confidence = self.confidences(rng, (size, n))
            luck = rng.random((size, n))
            other = luck
            if self.temperature is None:
                other = np.where(rng.random((size, n)) < SAME_LUCK, luck, rng.random((size, n)))
            found = [
                draw_sets(c, u < chance, weights, rng)
                for c, u, chance in zip(confidence, (luck, other), self.chances(confidence), strict=False)
            ]
            for name in names:
                if len(found) == 1:
                    truth, new, old = scores[0][name], limits(found[0], name, n), old_limits(found[0], name)
                else:
                    truth, old = scores[0][name] - scores[1][name], old_difference_limits(*found, name)
                    if self.temperature and name not in BIASED:
                        correct = luck < self.chances(confidence)[0]
                        new = scaled_limits(confidence, correct, self.temperature, weights, name)
                    else:
                        new = difference_limits(*found, name)
                for column, (low, high) in ((0, new), (2, old)):
                    tally[name][column] += ((low <= truth + 1e-9) & (truth - 1e-9 <= high)).sum()
                    tally[name][column + 1] += (high - low).sum()
        for name in names:
            hits, width, old_hits, old_width = tally[name]
            truth = scores[0][name] - (scores[1][name] if len(scores) == 2 else 0.0)
            after = "" if self.temperature is None else f" after T = {self.temperature:g} and before"
            chance = binomtest(round(hits), sets).proportion_ci(0.95, "wilson")
            yield {
                "confidences": " and ".join(self.shapes) + after, "truth": " and ".join(self.truths), "n": n, "score": name,
                "true value": f"{truth:.4f}", "accuracy": f"{scores[0]['accuracy']:.3f}",
                "discordant": discordant, "sets": sets,
                "coverage": f"{hits / sets:.4f}", "low": f"{chance.low:.4f}", "high": f"{chance.high:.4f}",
                "mean width": f"{width / sets:.4f}", "coverage of 0.1": f"{old_hits / sets:.4f}",
                "mean width of 0.1": f"{old_width / sets:.4f}",
            }  # fmt: skip

    def confidences(self, rng: np.random.Generator, shape: Any) -> tuple[np.ndarray, ...]:
        if len(self.shapes) == 2:
            return pair_of_confidences((self.shapes[0], self.shapes[1]), rng, shape)
        first = SHAPES[self.shapes[0]](rng, shape)
        if self.temperature is None:
            return (first,)
        return expit(logit(first) / self.temperature), first

    def chances(self, confidences: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Of each model to be right; after a temperature they are those before."""
        if self.temperature is not None:
            return (TRUTHS[self.truths[0]](confidences[1]),) * 2
        return tuple(TRUTHS[truth](c) for c, truth in zip(confidences, self.truths, strict=True))


def cells(rows: tuple[int, ...] = ROWS) -> list[Cell]:
    """All cells: models alone, then pairs."""
    alone = [Cell((shape,), (truth,), n) for shape in SHAPES for truth in list(TRUTHS)[:3] for n in rows]
    alone += [Cell((shape,), ("both",), n) for shape in ("peaked", "wide") for n in rows]
    pairs = [Cell((a, b), (ta, tb), n) for a, ta, b, tb in PAIRS for n in rows]
    return alone + pairs + [Cell((shape,), (truth,), n, t) for shape, truth, t in TEMPERATURES for n in rows]


def away_from_the_ends(row: dict[str, Any]) -> bool:
    """At least 100 rows, of which 15 wrong and 15 right ones are to be expected."""
    accuracy = float(row["accuracy"])
    return row["n"] >= 100 and 15 <= row["n"] * accuracy <= row["n"] - 15


def apart(row: dict[str, Any]) -> bool:
    """A pair that has besides 15 rows to be expected, each way, that one model alone has right."""
    return row["discordant"] != "" and away_from_the_ends(row) and row["n"] * float(row["discordant"]) >= 15


def widths(rows: list[dict[str, Any]], where: Callable[[dict[str, Any]], bool]) -> str:
    """The range of the mean width over that of 0.1, where that covers too."""
    kept = [r for r in rows if where(r) and float(r["mean width of 0.1"]) > 0 and float(r["coverage of 0.1"]) >= TARGET]
    ratio = [float(row["mean width"]) / float(row["mean width of 0.1"]) for row in kept]
    return f"{min(ratio):.2f} to {max(ratio):.2f} ({len(ratio)})" if ratio else "-"


def kind_of(row: dict[str, Any]) -> str:
    if "after T" in row["confidences"]:
        return "after and before T"
    return "difference" if row["discordant"] else "one model"


def summary(table: list[dict[str, Any]]) -> Iterator[str]:
    """A line per score of models alone, of pairs, and of models after and before T: the range of coverage, and of the widths away from the ends."""
    yield "| | score | cells | coverage | fails | of 0.1 | width / that of 0.1 (cells) | with 15 discordant rows each way |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind in ("one model", "difference", "after and before T"):
        for name in SCORES:
            rows = [r for r in table if r["score"] == name and kind_of(r) == kind]
            if not rows:
                continue
            covered, old = ([float(r[key]) for r in rows] for key in ("coverage", "coverage of 0.1"))
            fails = sum(float(r["high"]) < TARGET for r in rows)
            yield (
                f"| {kind} | {name} | {len(rows)} | {min(covered):.3f} to {max(covered):.3f} | {fails} "
                f"| {min(old):.3f} to {max(old):.3f} | {widths(rows, away_from_the_ends)} | {widths(rows, apart)} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--csv", type=Path, default=None)
    options = parser.parse_args()
    table, started = [], time.monotonic()
    for number, cell in enumerate(every := cells()):
        table += cell.run(options.sets, options.draws)
        print(f"{number + 1}/{len(every)} {cell} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if options.csv:
            with options.csv.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(table)
    print("\n".join(summary(table)))


if __name__ == "__main__":
    main()
