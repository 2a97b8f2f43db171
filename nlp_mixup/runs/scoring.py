"""What a finished run is worth, from its logits: scores raw and after temperature, intervals, out-of-distribution scores.

The temperature is fitted on the validation split alone. Resamples of rows are drawn with the seed that every run of a
comparison shares and kept, so that a report can pair the runs without seeing a logit again.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_mixup.advice import run_standing
from nlp_mixup.calibration import (
    NoFiniteTemperature,
    RowScores,
    energy_score,
    fit_temperature,
    ood_scores,
    score_logits,
    slow_score_intervals,
    softmax,
)
from nlp_mixup.calibration.intervals import N_RESAMPLES, intervals_of_draws
from nlp_mixup.calibration.resampling import Draws, resample_scores

SLOW_RESAMPLES = 100  # of scores that take milliseconds each, after every run
RAW, TEMPERATURE = "raw", "temperature"
RESAMPLED = ("accuracy", "confidence", "gap", "nll", "brier", "ece", "oe")  # the order of the stored resamples


@dataclass
class Scored:
    """The numbers of one run; `metrics` is what metrics.json holds.

    Attributes:
        metrics: ``rows``, one per split and calibration; ``intervals`` and ``verdicts`` by split and calibration;
            ``bias``, the least and the largest that ECE and OE may have, which paired intervals need; ``temperature`` or why there is none;
            ``ood``; ``labels``, a digest of each split's labels, which tells whether two runs scored the same rows.
        resamples: (2, N_RESAMPLES, 7) float32 by ``<split>-<calibration>``: the lowest and the highest draws, columns in the
            order of `RESAMPLED`.
        confidence: the rows' winning scores by ``<split>-<calibration>`` and ``ood-<set>-<calibration>``, and whether the
            winner is the label by ``<split>-correct``: all that figures need.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    resamples: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    confidence: dict[str, NDArray[Any]] = field(default_factory=dict)


def score_run(
    predictions: dict[str, tuple[NDArray[Any], NDArray[Any]]], ood_logits: dict[str, NDArray[Any]], *, n_bins: int
) -> Scored:
    """Scores a run on its splits.

    Args:
        predictions: logits (n, k) and labels (n,) of ``validation`` and, where there is one, ``test``.
        ood_logits: logits (m, k) of each out-of-distribution set; the last split is what they are told apart from.
        n_bins: equal-width bins of ECE and OE.

    Example:
        >>> logits, labels = np.tile([0.0, 2.0], (40, 1)), np.arange(40) % 4 > 0
        >>> scored = score_run({"validation": (logits, labels)}, {}, n_bins=15)
        >>> [(row["calibration"], round(row["confidence"], 2)) for row in scored.metrics["rows"]]
        [('raw', 0.88), ('temperature', 0.75)]
    """
    scored = Scored()
    metrics = scored.metrics = {
        "rows": [], "intervals": {}, "verdicts": {}, "bias": {}, "temperature": None, "temperature_note": None,
        "ood": {}, "labels": {},
    }  # fmt: skip
    temperatures = {RAW: 1.0}
    try:
        fitted = fit_temperature(*predictions["validation"])
        temperatures[TEMPERATURE] = fitted.value
        metrics["temperature"] = asdict(fitted)
    except NoFiniteTemperature as error:  # what cannot be scored at all is an error
        metrics["temperature_note"] = f"no temperature could be fitted on validation: {error}"

    last = list(predictions)[-1]
    for split, (logits, labels) in predictions.items():
        metrics["labels"][split] = hashlib.blake2b(np.asarray(labels, np.int64).tobytes(), digest_size=8).hexdigest()
        for part in ("intervals", "verdicts", "bias"):
            metrics[part][split] = {}
        for calibration, temperature in temperatures.items():
            scaled = np.asarray(logits, np.float64) / temperature
            row = {"split": split, "calibration": calibration, "temperature": temperature}
            metrics["rows"].append(row | score_logits(scaled, labels, n_bins=n_bins))
            rows = RowScores.from_logits(scaled, labels, n_bins=n_bins)
            scored.confidence[f"{split}-{calibration}"] = rows.confidence
            scored.confidence[f"{split}-correct"] = rows.correct
            draws = resample_scores(rows, n_resamples=N_RESAMPLES, seed=0)
            intervals = intervals_of_draws(rows, draws)
            if split == last and calibration == RAW:  # seconds, not milliseconds
                intervals |= slow_score_intervals(scaled, labels, n_bins=n_bins, n_resamples=SLOW_RESAMPLES)
            metrics["intervals"][split][calibration] = {
                name: (interval.value, interval.low, interval.high) for name, interval in intervals.items()
            }
            metrics["verdicts"][split][calibration] = run_standing(metrics, split, calibration)
            metrics["bias"][split][calibration] = draws.bias
            scored.resamples[f"{split}-{calibration}"] = np.array(
                [[of[name] for name in RESAMPLED] for of in (draws.low, draws.high)], dtype=np.float32
            ).transpose(0, 2, 1)

    for name, logits in ood_logits.items():
        metrics["ood"][name] = {}
        for calibration, temperature in temperatures.items():
            scaled = np.asarray(logits, np.float64) / temperature
            scored.confidence[f"ood-{name}-{calibration}"] = softmax(scaled).max(axis=1)
            found = score_foreign(np.asarray(predictions[last][0], np.float64) / temperature, scaled)
            metrics["ood"][name][calibration] = found
            row = next(r for r in metrics["rows"] if (r["split"], r["calibration"]) == (last, calibration))
            for score in ("msp", "energy"):
                row[f"auroc_{score}_{name}"] = found[score]["auroc"]
                row[f"fpr95_{score}_{name}"] = found[score]["fpr95"]
            row[f"confidence_{name}"] = found["confidence"]
    return scored


def stored_draws(resamples: NDArray[np.float32], bias: dict[str, list[float]]) -> Draws:
    """Draws as `score_run` stores them: ``resamples`` of a split and calibration, and its ``bias`` in the metrics."""
    low, high = (dict(zip(RESAMPLED, of.T.astype(np.float64), strict=True)) for of in resamples)
    return Draws(low, high, {name: (least, largest) for name, (least, largest) in bias.items()})


def draws_of_logits(logits: NDArray[Any], labels: NDArray[Any], temperature: float, *, n_bins: int) -> Draws:
    """The draws that `score_run` would store, from what a run of 0.1 has: its stored ones are of another method."""
    rows = RowScores.from_logits(np.asarray(logits, np.float64) / temperature, labels, n_bins=n_bins)
    return resample_scores(rows, n_resamples=N_RESAMPLES, seed=0)


def score_foreign(familiar_logits: NDArray[Any], foreign_logits: NDArray[Any]) -> dict[str, Any]:
    """How confident a model is on foreign rows, and how well two scores tell them from familiar ones.

    Args:
        familiar_logits: (n, k) of in-distribution rows.
        foreign_logits: (m, k) of out-of-distribution rows.

    Returns:
        ``n`` and ``confidence`` (the mean winning score) of the foreign rows; ``msp`` (the winning score) and ``energy``,
        each with the four numbers of `ood_scores`.

    Example:
        >>> score_foreign(np.array([[0.0, 9.0], [9.0, 0.0]]), np.array([[0.0, 0.0]]))["msp"]["auroc"]
        1.0
    """
    msp = [softmax(logits).max(axis=1) for logits in (familiar_logits, foreign_logits)]
    return {
        "n": len(foreign_logits),
        "confidence": float(msp[1].mean()),
        "msp": ood_scores(*msp),
        "energy": ood_scores(energy_score(familiar_logits), energy_score(foreign_logits)),
    }
