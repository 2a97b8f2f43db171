"""From the stored numbers of a comparison to its figures: pooled over seeds, nothing trained or scored again."""

from __future__ import annotations

from matplotlib.figure import Figure

from nlp_mixup.arguments import BASELINE
from nlp_mixup.calibration import CalibrationBins, ReliabilityTable, softmax
from nlp_mixup.comparison import CALIBRATIONS, Comparison
from nlp_mixup.figures import reliability_figure
from nlp_mixup.results import StoredRun
from nlp_mixup.scoring import RAW


def comparison_figures(comparison: Comparison) -> dict[str, Figure]:
    """Every figure of the report that the stored runs have the numbers for, by file name."""
    return {"reliability": _reliability(comparison)}


def _reliability(comparison: Comparison) -> Figure:
    results = comparison.results
    tables = {}
    for arm in results.runs:
        for calibration in CALIBRATIONS if arm == BASELINE else (RAW,):
            runs = [results.runs[arm][seed] for seed in comparison.seeds(arm, calibration)]
            if runs:
                label = arm if calibration == RAW else f"{arm} + temperature"
                tables[label] = pooled_table(runs, results.split, calibration)
    return reliability_figure(tables)


def pooled_table(runs: list[StoredRun], split: str, calibration: str) -> ReliabilityTable:
    """The reliability table over the predictions of several runs (seeds) on one split, raw or after temperature."""
    bins = CalibrationBins(n_bins=runs[0].metrics["rows"][0]["n_bins"])
    for run in runs:
        stored = run.arrays(f"logits-{split}.npz")
        row = run.row(split, calibration)
        bins.update(softmax(stored["logits"] / row["temperature"]), stored["labels"])
    return bins.table()
