"""How often 95 % intervals contain the truth with few rows, near the ends, and near calibration; a simulation, no data needed.

    python benchmarks/interval_coverage.py [--sets 10000] [--draws 500] [--csv results/interval-coverage.csv]

A cell is one kind of model and a number of rows n. Confidences are one constant (.6 to .995), or spread: `peaked` as a
fine-tuned encoder's with accuracy .86, `sharp` with accuracy .97. The truth is calibrated; over-confident, twice as often wrong
as claimed; or under-confident, .6 of the wrong right. In pairs, two models on the same rows, the second often right where the
first is; or one model after a temperature and before. 15 bins; the true ECE and OE are those of two million rows in these bins.

Widths are compared in cells with at least 100 rows, 15 wrong and 15 right ones expected, where the method of 0.1 covers .93 too.
Of a pair only rows that one model alone has right tell which is better, so there a second column asks for 15 of these each way.

Where the ratio exceeds 1.15 it is mostly that of OE, or of ECE and OE differences near calibration. OE at one confidence is a
function of the share of right rows, and Clopper and Pearson's own limits make it 1.19 to 1.39 times as wide as that of 0.1, the
limits here 1.18 to 1.38. For ECE differences the yardstick is short: 0.1's must be stretched 1.8, 1.55 and 1.45 times at n = 100, 200
and 500 to cover .93 in every spread-out pair of the table, in which they cover as little as .67, .76 and .87.

Every set has its interval by the method here and by that of 0.1, the bootstrap's percentiles (`intervals_of_many_sets`). A cell
passes unless the Monte Carlo interval of its coverage lies below .93.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from intervals_of_many_sets import (
    BIASED,
    N_BINS,
    Weights,
    bins_of,
    difference_limits,
    draw_sets,
    limits,
    losses,
    old_difference_limits,
    old_limits,
    scaled_limits,
)
from scipy.special import expit, logit
from scipy.stats import binomtest

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
SCORES = ("accuracy", "confidence", "gap", "nll", "brier", *BIASED)


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

    @property
    def name(self) -> str:
        """As the table's column `confidences` has it."""
        after = "" if self.temperature is None else f" after T = {self.temperature:g} and before"
        return " and ".join(self.shapes) + after

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
            chance = binomtest(round(hits), sets).proportion_ci(0.95, "wilson")
            yield {
                "confidences": self.name, "truth": " and ".join(self.truths), "n": n, "score": name,
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
