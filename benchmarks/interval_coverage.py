"""How often the 95 % intervals of ECE and of an ECE difference contain the truth; a simulation, no data needed.

    python benchmarks/interval_coverage.py [--repetitions 500] [--resamples 400]

Confidences come from two shapes, peaked (like a fine-tuned encoder) and wide. The true accuracy at a
confidence is over-confident throughout, or over-confident below .75 and under-confident above. The truth is
the binned ECE of two million rows at 15 bins. ``plain`` is the percentile bootstrap for comparison. At true
ECE .02 coverage is printed, not promised.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from nlp_mixup.calibration.intervals import differences_of_rows, intervals_of_rows
from nlp_mixup.calibration.resampling import (
    RowScores,
    resample_scores,
)

N_BINS = 15
SHAPES = {
    "peaked": lambda rng, n: 1 - 0.5 * rng.beta(0.6, 1.6, n),
    "wide": lambda rng, n: 0.3 + 0.7 * rng.beta(1.5, 1.0, n),
}
SIGNS = {
    "over": lambda c: np.ones_like(c),
    "both": lambda c: np.where(c < 0.75, 1.0, -1.0) * np.minimum(1.0, (1 - c) / 0.1),
}


def true_accuracy(sign: str, size: float) -> Callable[[np.ndarray], np.ndarray]:
    """The probability of being right at a confidence."""
    return lambda c: np.clip(c - size * SIGNS[sign](c), 0.0, 1.0)


def population_ece(confidence: np.ndarray, accuracy: np.ndarray) -> float:
    """Binned ECE where the probability of being right is known."""
    index = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    return float(np.abs(np.bincount(index, confidence - accuracy, N_BINS)).sum() / len(confidence))


def population_oe(confidence: np.ndarray, accuracy: np.ndarray) -> float:
    """Binned OE where the probability of being right is known."""
    index = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    excess = np.maximum(np.bincount(index, confidence - accuracy, N_BINS), 0)
    mean = np.bincount(index, confidence, N_BINS) / np.maximum(np.bincount(index, minlength=N_BINS), 1)
    return float(excess @ mean / len(confidence))


def solve(shape: str, sign: str, target: float) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """An accuracy function whose population ECE is ``target``, and that ECE."""
    confidence = SHAPES[shape](np.random.default_rng(99), 2_000_000)
    low, high = 0.0, 0.9
    for _ in range(20):
        middle = (low + high) / 2
        reached = population_ece(confidence, true_accuracy(sign, middle)(confidence))
        low, high = (middle, high) if reached < target else (low, middle)
    accuracy = true_accuracy(sign, middle)
    return accuracy, population_ece(confidence, accuracy(confidence))


def coverage(
    shape: str, sign: str, target: float, n: int, *, repetitions: int, resamples: int, seed: int = 0
) -> dict[str, float]:
    """Share of repetitions whose interval contains the true ECE (and the true OE), and the mean width for ECE."""
    accuracy, truth = solve(shape, sign, target)
    many = SHAPES[shape](np.random.default_rng(99), 2_000_000)
    true_oe = population_oe(many, accuracy(many))
    rng = np.random.default_rng(seed)
    hits = oe_hits = plain_hits = 0
    width = 0.0
    for repetition in range(repetitions):
        confidence = SHAPES[shape](rng, n)
        rows = RowScores.from_confidence(confidence, rng.random(n) < accuracy(confidence), n_bins=N_BINS)
        intervals = intervals_of_rows(rows, n_resamples=resamples, seed=repetition)
        interval = intervals["ece"]
        oe_hits += intervals["oe"].low <= true_oe <= intervals["oe"].high
        draws = resample_scores(rows, n_resamples=resamples, seed=repetition)["ece"]
        low, high = np.quantile(draws, (0.025, 0.975))
        hits += interval.low <= truth <= interval.high
        plain_hits += low <= truth <= high
        width += interval.high - interval.low
    return {
        "truth": truth,
        "coverage": hits / repetitions,
        "oe_coverage": oe_hits / repetitions,
        "plain": plain_hits / repetitions,
        "width": width / repetitions,
    }


def difference_coverage(
    shape: str, sign: str, targets: tuple[float, float], n: int, *, repetitions: int, resamples: int, seed: int = 0
) -> float:
    """Share of repetitions whose interval contains the true difference of two models on the same rows.

    The second model's gaps have the other pattern of signs, so that equal ECEs do not mean equal models."""
    other = "both" if sign == "over" else "over"
    first, truth = solve(shape, sign, targets[0])
    second, other_truth = solve(shape, other, targets[1])
    rng = np.random.default_rng(seed)
    hits = 0
    for repetition in range(repetitions):
        confidence, luck = SHAPES[shape](rng, n), rng.random(n)
        rows = [RowScores.from_confidence(confidence, luck < accuracy(confidence)) for accuracy in (first, second)]
        interval = differences_of_rows(*rows, n_resamples=resamples, seed=repetition)["ece"]
        hits += interval.low <= truth - other_truth <= interval.high
    return hits / repetitions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--resamples", type=int, default=400)
    options = parser.parse_args()
    settings = {"repetitions": options.repetitions, "resamples": options.resamples}
    print("| confidences | gaps | n | true ECE | coverage | mean width | plain percentile | coverage of OE |")
    print("|---|---|---|---|---|---|---|---|")
    for target in (0.02, 0.05, 0.1):
        for n in (500, 1066, 5000):
            for shape in SHAPES:
                for sign in SIGNS:
                    found = coverage(shape, sign, target, n, **settings)
                    print(
                        f"| {shape} | {sign} | {n} | {found['truth']:.3f} | {found['coverage']:.3f} "
                        f"| {found['width']:.3f} | {found['plain']:.3f} | {found['oe_coverage']:.3f} |",
                        flush=True,
                    )
    print("\n| confidences | gaps | n | true ECEs | coverage of the paired difference |")
    print("|---|---|---|---|---|")
    for targets in ((0.05, 0.05), (0.1, 0.05), (0.1, 0.02)):
        for n in (500, 1066, 5000):
            for shape, sign in (("peaked", "over"), ("wide", "both")):
                share = difference_coverage(shape, sign, targets, n, **settings)
                print(f"| {shape} | {sign} | {n} | {targets[0]} and {targets[1]} | {share:.3f} |", flush=True)


if __name__ == "__main__":
    main()
