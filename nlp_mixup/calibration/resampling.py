"""Rows as the sums they add to every score, and random weights of the rows that show how far the scores may be off.

Each draw gives every row a weight, exponential and then divided by their sum (Rubin 1981), and one more row a weight like the
others': a copy of a random row that has the worst of labels, once for the lower and once for the upper limit. Quantiles of such
draws are Gaffke's (2005) limits for the mean of a bounded score, studied by Learned-Miller & Thomas (2019, arXiv 1905.06208);
for a share of right rows they are those of Clopper & Pearson (1934). Where all rows are alike, as where all are right, the
bootstrap's draws do not differ and its intervals have no width; these have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .binning import EqualMass, EqualWidth, resolve_binning
from .debiased import expected_absolute
from .floor import simulated_scores
from .inputs import top_label
from .logits import check_class_labels, log_softmax
from .scores import brier_per_row

#: The extra row's confidence lies this many n-ths of the way to the confidences' ends: few rows may all miss a tail of them.
UNSEEN = 10
#: A model's confidences may reach down to this, or to the lowest seen.
LOWEST_CONFIDENCE = 0.5
#: Where the log odds of a row of two classes are multiplied by r, its confidence moves by at most log(r) times the largest
#: l c (1 - c) at log odds l.
MOVED_BY_SCALE = 0.224
#: Weights per block, so that a block stays near the cache.
BLOCK = 1 << 19


@dataclass(frozen=True, eq=False)
class RowScores:
    """What every row adds to the scores; all of it additive, so that any weights of the rows give a score.

    Args:
        confidence: (n,) winning scores.
        correct: (n,) whether the winner is the label.
        bin_of_row: (n,) bin index; equal-mass bins stay those of all rows.
        n_bins: number of bins.
        nll: (n,) or None.
        brier: (n,) or None.
        either: for ``nll`` and ``brier``, (2, n): what each row would add if right, and on average of the model's errors if wrong.
    """

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    bin_of_row: NDArray[np.intp]
    n_bins: int
    nll: NDArray[np.float64] | None = None
    brier: NDArray[np.float64] | None = None
    either: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def from_confidence(
        cls, confidence: Any, correct: Any, *, n_bins: int = 15, binning: EqualWidth | EqualMass | str | None = None
    ) -> RowScores:
        """From winning scores and correctness; leaves NLL and Brier out."""
        rule = resolve_binning(n_bins, binning)
        size = len(rule.lower) if isinstance(rule, EqualWidth) else rule.n_bins
        confidence = np.asarray(confidence, dtype=np.float64)
        return cls(confidence, np.asarray(correct, dtype=bool), rule.assign(confidence), size)

    @classmethod
    def from_logits(
        cls, logits: Any, labels: Any, *, n_bins: int = 15, binning: EqualWidth | EqualMass | str | None = None
    ) -> RowScores:
        """From logits (n, k) and labels (n,), with NLL and Brier."""
        log_probs = log_softmax(logits)
        targets = check_class_labels(labels, *log_probs.shape)
        probs = np.exp(log_probs)
        confidence, correct = top_label(probs, targets, validate=False)
        binned = cls.from_confidence(confidence, correct, n_bins=n_bins, binning=binning)
        nll = -log_probs[np.arange(len(targets)), targets]
        brier = brier_per_row(probs, targets)
        every_nll = -log_probs
        every_brier = (probs**2).sum(axis=1, keepdims=True) + 1 - 2 * probs
        either = {"nll": _either(every_nll, probs), "brier": _either(every_brier, probs)}
        return cls(confidence, correct, binned.bin_of_row, binned.n_bins, nll, brier, either)

    def added(self) -> dict[str, NDArray[np.float64]]:
        """What each row adds to NLL and Brier, (n,) each, where there is either."""
        return {name: values for name, values in (("nll", self.nll), ("brier", self.brier)) if values is not None}


def _either(every: NDArray[np.float64], probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each row adds if right and, on average of the model's errors, if wrong, (2, n); from (n, k) under each label."""
    winner = (np.arange(len(probs)), probs.argmax(axis=1))
    of_errors, errors = probs.copy(), every.copy()
    of_errors[winner], errors[winner] = 0.0, np.inf
    total = of_errors.sum(axis=1)
    wrong = np.divide((of_errors * every).sum(axis=1), total, out=np.zeros_like(total), where=total > 0)
    # a confidence of 1 in float64: the likeliest error
    return np.stack([every[winner], np.where(total > 0, wrong, errors.min(axis=1))])


def _ends(
    either: NDArray[np.float64],
    added: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *confidences: NDArray[np.float64],
) -> tuple[float, float]:
    """The least and the most that one more row adds: on average if right; if wrong, as models expect of their errors, or as they were.

    Args:
        either: (2, n) what the rows add if right and if wrong.
        added: (n,) what they do add.
        correct: (n,) whether they are right.
        confidences: (n,) of each model; one less it is how often it expects the row to be wrong.
    """
    right, wrong = either
    found = [right.mean()]
    for confidence in confidences:
        doubt = 1 - confidence if (confidence < 1).any() else np.ones_like(confidence)
        found.append(wrong @ doubt / doubt.sum())
    if not correct.all():
        found.append(added[~correct].mean())
    return float(min(found)), float(max(found))


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of every score, and how far ECE and OE may be biased.

    Args:
        low: score -> (n_resamples,), the extra row on the side that lowers the score.
        high: score -> (n_resamples,), the extra row on the side that raises it.
        bias: ``ece`` and ``oe`` -> the least and the largest bias that the score on all rows may have.
    """

    low: dict[str, NDArray[Any]]
    high: dict[str, NDArray[Any]]
    bias: dict[str, tuple[float, float]]


def resample_scores(rows: RowScores, *, n_resamples: int, seed: int) -> Draws:
    """Draws of every score; the same n and seed give the same weights, so that two models' draws are paired."""
    rng = np.random.default_rng(seed)
    n = len(rows.confidence)
    order = np.argsort(rows.bin_of_row, kind="stable")
    _, starts, place = np.unique(rows.bin_of_row[order], return_index=True, return_inverse=True)
    place = place[np.argsort(order)]  # of each row's bin among the filled ones
    confidence, correct = rows.confidence[order], rows.correct[order].astype(np.float64)
    extra_rows = rng.integers(0, n, n_resamples)
    blocks = []
    step = max(1, BLOCK // (n + 1))
    for start in range(0, n_resamples, step):
        copied = extra_rows[start : start + step]
        weights = rng.standard_exponential((len(copied), n + 1))
        weights /= weights.sum(axis=1, keepdims=True)
        extra = weights[:, n]
        sums = {name: weights[:, :n] @ values for name, values in rows.added().items()}
        weights = weights[:, order]
        count = np.add.reduceat(weights, starts, axis=1)
        total = np.add.reduceat(weights * confidence, starts, axis=1)
        right = np.add.reduceat(weights * correct, starts, axis=1)
        blocks.append(_scores_of_draws(rows, sums, count, total, right, extra, copied, place[copied]))
    low, high, plain = (
        {name: np.concatenate([block[i][name] for block in blocks]) for name in blocks[0][i]} for i in range(3)
    )
    values, bias = scores_of_rows(rows), {}
    for name, (least, largest) in bias_range(rows).items():
        shift = float(plain[name].mean()) - values[name]  # on top of the value's own bias, which it tells of
        bias[name] = min(least, shift / 2, shift), max(largest, shift / 2, shift)
        low[name] = low[name] - shift
        high[name] = high[name] - shift
    # What bounds ECE and OE from below in any population bounds their upper limits: |gap|, and the gaps without max(., 0).
    ece_bound = np.maximum(high["gap"], -low["gap"])
    high["ece"] = np.maximum(high["ece"], ece_bound + bias["ece"][0])
    high["oe"] = np.maximum(high["oe"], plain["signed"] + bias["oe"][0])
    return Draws(low, high, bias)


def _scores_of_draws(
    rows: RowScores,
    sums: dict[str, NDArray[np.float64]],
    count: NDArray[np.float64],
    total: NDArray[np.float64],
    right: NDArray[np.float64],
    extra: NDArray[np.float64],
    copied: NDArray[np.intp],
    place: NDArray[np.intp],
) -> tuple[dict[str, NDArray[np.float64]], ...]:
    """The scores of some draws: lowest, highest, and ECE and OE without the extra row.

    Args:
        rows: the rows.
        sums: weighted sums of ``nll`` and ``brier``, (draws,).
        count: weights of each filled bin, (draws, bins); ``total`` of its confidences and ``right`` of its right rows.
        total: see ``count``.
        right: see ``count``.
        extra: the extra row's weight, (draws,).
        copied: the row that it copies, (draws,).
        place: that row's bin, (draws,).
    """
    n, draws = len(rows.confidence), np.arange(len(extra))
    own = rows.confidence[copied]
    way = min(1.0, UNSEEN / n)
    below = own - way * (own - min(LOWEST_CONFIDENCE, float(rows.confidence.min())))
    above = own + way * (1.0 - own)
    accuracy, confidence = right.sum(axis=1), total.sum(axis=1)
    low = {"accuracy": accuracy, "confidence": confidence + extra * below}
    high = {"accuracy": accuracy + extra, "confidence": confidence + extra * above}
    low["gap"] = confidence - accuracy + extra * (below - 1.0)
    high["gap"] = confidence - accuracy + extra * above
    for name, sum_of_rows in sums.items():
        least, most = _ends(rows.either[name], rows.added()[name], rows.correct, rows.confidence)
        low[name], high[name] = sum_of_rows + extra * least, sum_of_rows + extra * most
    excess = total - right
    share = total / count
    ece, oe = np.abs(excess).sum(axis=1), (np.maximum(excess, 0.0) * share).sum(axis=1)
    of_bin, share_of_bin = excess[draws, place], share[draws, place]
    if_wrong, if_right = of_bin + extra * own, of_bin + extra * (own - 1.0)
    others = ece - np.abs(of_bin)
    low["ece"] = others + np.minimum(np.abs(if_wrong), np.abs(if_right))
    high["ece"] = others + np.maximum(np.abs(if_wrong), np.abs(if_right))
    others = oe - np.maximum(of_bin, 0.0) * share_of_bin
    low["oe"] = others + np.maximum(if_right, 0.0) * share_of_bin
    high["oe"] = others + np.maximum(if_wrong, 0.0) * share_of_bin
    signed = (excess * share).sum(axis=1) + extra * own * share_of_bin
    return low, high, {"ece": ece, "oe": oe, "signed": signed}


def scaled_draws(
    first: RowScores, second: RowScores, draws: tuple[Draws, Draws], scale: NDArray[np.float64]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Lowest and highest draws of the additive scores of one model less those of the same, its logits multiplied by a scale.

    One more row adds what the two differ in, for which one model's ends tell little: neither at confidence 1 nor at a tie do
    they differ. NLL and Brier: as either model expects it of its errors. Confidence, and besides the Brier score, of which a
    row has at most four times the change: the way to all that a scale can do, as few rows may all miss where it does most.

    Args:
        first: rows of the model with its logits multiplied.
        second: the same rows of the model.
        draws: their draws.
        scale: (n,) what each row's logits were multiplied by, 1/T.
    """
    extra = draws[0].high["accuracy"] - draws[0].low["accuracy"]
    way = min(1.0, UNSEEN / len(scale))
    moved = np.concatenate([MOVED_BY_SCALE * np.log(scale), first.confidence - second.confidence, [0.0]])
    least, most = way * moved.min(), way * moved.max()
    low, high = {}, {}
    for name in ("confidence", "gap"):
        change = draws[0].high[name] - draws[1].high[name]
        low[name], high[name] = change + extra * least, change + extra * most
    for name, added in first.added().items():
        other = second.added()[name]
        own, others = (_ends(of.either[name], of.added()[name], of.correct, of.confidence)[0] for of in (first, second))
        ends = _ends(
            first.either[name] - second.either[name], added - other, first.correct, first.confidence, second.confidence
        )
        unseen = 4 * max(most, -least) if name == "brier" else 0.0
        change = draws[0].low[name] - draws[1].low[name] - extra * (own - others)
        low[name], high[name] = change + extra * (ends[0] - unseen), change + extra * (ends[1] + unseen)
    return low, high


def scores_of_rows(rows: RowScores) -> dict[str, float]:
    """Every score of the rows."""
    n = len(rows.confidence)
    count, confidence, correct = _sums_of_bins(rows)
    excess = confidence - correct
    share = confidence / np.maximum(count, 1.0)
    scores = {
        "accuracy": correct.sum() / n,
        "confidence": confidence.sum() / n,
        "gap": excess.sum() / n,
        "ece": np.abs(excess).sum() / n,
        "oe": np.maximum(excess, 0.0) @ share / n,
    }
    if rows.nll is not None and rows.brier is not None:
        scores |= {"nll": rows.nll.mean(), "brier": rows.brier.mean()}
    return {name: float(value) for name, value in scores.items()}


def bias_range(rows: RowScores) -> dict[str, tuple[float, float]]:
    """The least and the largest bias that ECE and OE may have, from what the true gaps may be.

    With g a bin's gap, s its standard error and m its rows, the true gap is taken for the observed one shrunk by its noise,
    t = sign(g) sqrt(max(g^2 - s^2, 0)), and for the same with (1 + 1/m) s^2. ECE's bias is then sum_m w_m (E|N(t, s^2)| - |t|);
    E max(N(t, s^2), 0), which OE needs, is half of E|N(t, s^2)| + t. And a score that perfectly calibrated models show too may
    be bias and nothing else.
    """
    sums = _sums_of_bins(rows)
    count, confidence, correct = (of_bin[sums[0] > 0] for of_bin in sums)
    gap = (confidence - correct) / count
    accuracy = (correct + 0.5) / (count + 1.0)
    error = np.sqrt(accuracy * (1 - accuracy) / count)
    weight, share = count / count.sum(), confidence / count
    found: dict[str, list[float]] = {"ece": [], "oe": []}
    for noise in (error, error * np.sqrt(1 + 1 / count)):
        true = np.sign(gap) * np.sqrt(np.maximum(gap**2 - noise**2, 0.0))
        folded = expected_absolute(true, error)
        found["ece"].append(float(weight @ (folded - np.abs(true))))
        found["oe"].append(float((weight * share) @ ((folded + true) / 2 - np.maximum(true, 0.0))))
    floors = simulated_scores(rows.bin_of_row, rows.confidence, n_draws=1000, seed=0)
    values = scores_of_rows(rows)
    for name, simulated in zip(("ece", "oe"), floors, strict=True):
        if values[name] <= np.quantile(simulated, 0.975):
            found[name].append(values[name])
    return {name: (min(biases), max(biases)) for name, biases in found.items()}


def _sums_of_bins(rows: RowScores) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows, sum of confidences and right rows of each bin, (n_bins,) each."""
    size = rows.n_bins
    return (
        np.bincount(rows.bin_of_row, minlength=size).astype(np.float64),
        np.bincount(rows.bin_of_row, weights=rows.confidence, minlength=size).astype(np.float64),
        np.bincount(rows.bin_of_row, weights=rows.correct, minlength=size).astype(np.float64),
    )
