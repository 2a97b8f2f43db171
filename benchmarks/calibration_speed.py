"""Time and memory of ECE + OE against torchmetrics, against one pass over the data, and of the evaluate module.

    OMP_NUM_THREADS=1 python benchmarks/calibration_speed.py        (and again with OMP_NUM_THREADS=2)

Needs torch, torchmetrics and evaluate. Every ratio is of two programs timed in turn in one run, the median
of the pairs; times on a shared machine move, the ratios hold. ``amax`` is ``torch.amax(probs, 1)``, the
cheapest pass that sees every probability.
"""

from __future__ import annotations

import argparse
import os
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from nlp_mixup.calibration import CalibrationBins
from nlp_mixup.metrics import metric_path


def make(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Softmaxes in float32, made in blocks to spare memory, and labels."""
    rng = np.random.default_rng(0)
    probs = np.empty((n, k), np.float32)
    step = max(1, (1 << 22) // k)
    for start in range(0, n, step):
        block = np.exp(3 * rng.standard_normal((min(step, n - start), k), dtype=np.float32))
        probs[start : start + step] = block / block.sum(1, keepdims=True)
    return probs, rng.integers(0, k, n)


def seconds(program: Callable[[], object]) -> float:
    start = time.perf_counter()
    program()
    return time.perf_counter() - start


def ratio(slow: Callable[[], object], fast: Callable[[], object], pairs: int) -> tuple[float, float, float]:
    """Median of slow/fast over interleaved pairs, and the median seconds of each."""
    times = np.array([(seconds(slow), seconds(fast)) for _ in range(pairs)])
    return float(np.median(times[:, 0] / times[:, 1])), *(float(x) for x in np.median(times, axis=0))


def compare(n: int, k: int, pairs: int) -> None:
    """Prints the rows of one size."""
    probs, labels = make(n, k)
    tensor, targets = torch.from_numpy(probs), torch.from_numpy(labels)

    def torchmetrics(validate: bool) -> Callable[[], object]:
        return lambda: multiclass_calibration_error(tensor, targets, num_classes=k, validate_args=validate)

    def ours(validate: bool) -> Callable[[], object]:
        def program() -> tuple[float, float]:
            bins = CalibrationBins(15).update(probs, labels, validate=validate)
            return bins.ece, bins.oe

        return program

    for validate in (True, False):
        against, theirs, mine = ratio(torchmetrics(validate), ours(validate), pairs)
        passes, _, one_pass = ratio(ours(validate), lambda: torch.amax(tensor, 1), pairs)
        checks = "full checks" if validate else "validate=False"
        print(
            f"| {n:,} x {k} | {checks} | {theirs * 1e3:.0f} | {mine * 1e3:.0f} | {one_pass * 1e3:.0f} "
            f"| **{against:.1f}x faster** | **{passes:.2f} passes** |",
            flush=True,
        )
    tracemalloc.start()
    ours(True)()
    print(f"| {n:,} x {k} | extra memory | | {tracemalloc.get_traced_memory()[1] / 2**20:.1f} MiB | | | |", flush=True)
    tracemalloc.stop()


def evaluate_module(pairs: int) -> None:
    """Prints the evaluate module against the stock Arrow route on 200,000 x 10."""
    import evaluate

    probs, labels = make(200_000, 10)
    metric = evaluate.load(metric_path("ece"))
    fast = min(seconds(lambda: metric.compute(predictions=probs, references=labels)) for _ in range(pairs))
    batches = [(probs[i : i + 256], labels[i : i + 256]) for i in range(0, len(probs), 256)]

    def in_batches() -> object:
        for batch, targets in batches:
            metric.add_batch(predictions=batch, references=targets)
        return metric.compute()

    batched = min(seconds(in_batches) for _ in range(pairs))

    def stock() -> object:
        return evaluate.Metric.compute(metric, predictions=probs, references=labels)

    metric.add_batch = lambda **batch: evaluate.Metric.add_batch(metric, **batch)
    slow = seconds(stock)
    print(
        f"\nevaluate, 200,000 x 10: compute {fast:.3f} s, {len(batches)} times add_batch(256) {batched:.3f} s, "
        f"stock Arrow route {slow:.2f} s ({slow / fast:.0f}x)"
    )


def merge(states: int) -> None:
    """Prints the time to add up many partial states."""
    parts = [CalibrationBins(15) for _ in range(states)]
    print(f"merging {states:,} states: {seconds(lambda: sum(parts)):.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the ten-class case")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads()))
    torch.set_num_threads(threads)
    print(f"{threads} thread(s), torch {torch.__version__}, numpy {np.__version__}\n")
    print("| size | | torchmetrics, ms | ours, ms | amax, ms | against torchmetrics | against amax |")
    print("|---|---|---|---|---|---|---|")
    compare(options.rows, 10, options.pairs)
    compare(options.rows // 100, 1000, options.pairs)
    evaluate_module(options.pairs)
    merge(10_000)


if __name__ == "__main__":
    main()
