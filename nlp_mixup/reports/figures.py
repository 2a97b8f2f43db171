"""From the stored numbers of a comparison to its figures: nothing is trained, and no logit is read."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nlp_mixup.arguments import BASELINE
from nlp_mixup.calibration import CalibrationBins, Decision, ReliabilityTable, group_points
from nlp_mixup.calibration.decision import accept_above_of_confidences, decision_line_of_confidences
from nlp_mixup.calibration.selective import risk_coverage_of_confidences
from nlp_mixup.figures import (
    alpha_figure,
    difference_figure,
    gap_by_epoch_figure,
    joint_density_figure,
    label_entropy_figure,
    ood_confidence_figure,
    reliability_figure,
    risk_coverage_figure,
)
from nlp_mixup.reports.comparison import CALIBRATIONS, DIFFERENCES, Comparison
from nlp_mixup.runs import RAW, StoredRun

GROUP = 50  # validation rows of a point of the joint density
DENSITY_ARMS, DENSITY_EPOCHS = 4, 5  # more make a picture that no page holds
BORNE = (0.2, 0.1, 0.05, 0.02, 0.01)  # error rates that a decision line may bear


def report_figures(comparison: Comparison) -> dict[str, Figure]:
    """Every figure of the report that the stored runs have the numbers for, by file name."""
    found = {
        "reliability": _reliability(comparison),
        "difference": _difference(comparison),
        "gap_by_epoch": _gap_by_epoch(comparison),
        "joint_density": _joint_density(comparison),
        "alpha": _alpha(comparison),
        "label_entropy": _label_entropy(comparison),
        "ood_confidence": _ood_confidence(comparison),
        "risk_coverage": _risk_coverage(comparison),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def pooled_table(runs: list[StoredRun], split: str, calibration: str) -> ReliabilityTable:
    """The reliability table over the predictions of several runs (seeds) on one split, raw or after temperature."""
    bins = CalibrationBins(n_bins=runs[0].metrics["rows"][0]["n_bins"])
    for run in runs:
        stored = run.arrays("confidence.npz")
        bins.update_scored(stored[f"{split}-{calibration}"], stored[f"{split}-correct"])
    return bins.table()


def _reliability(comparison: Comparison) -> Figure:
    tables, repeats = {}, {}
    for arm in comparison.results.runs:
        for calibration in CALIBRATIONS if arm == BASELINE else (RAW,):
            if runs := _runs(comparison, arm, calibration):
                label = arm if calibration == RAW else f"{arm} + temperature"
                tables[label] = pooled_table(runs, comparison.split, calibration)
                repeats[label] = len(runs)
    return reliability_figure(tables, repeats=repeats)


def _difference(comparison: Comparison) -> Figure | None:
    differences: dict[str, dict[str, dict[str, tuple[float, float, float]]]] = {}
    for name in DIFFERENCES:
        for arm in comparison.results.runs:
            for calibration in CALIBRATIONS if arm != BASELINE else ():
                found = comparison.difference(arm, calibration, name) if comparison.seeds(arm, calibration) else None
                if found is not None:
                    arms = differences.setdefault(name, {}).setdefault(arm, {})
                    arms[calibration] = (found.value, found.low, found.high)
    if not differences:
        return None
    return difference_figure(
        differences, n=_n(comparison), n_bins=_n_bins(comparison), seeds=_seeds(comparison), split=comparison.split
    )


def _gap_by_epoch(comparison: Comparison) -> Figure | None:
    gaps = {}
    for arm in comparison.results.runs:
        by_seed = [
            [record["gap"] for record in run.history() if float(record["epoch"]).is_integer()]
            for run in _runs(comparison, arm, RAW)
        ]
        shortest = min(map(len, by_seed))  # early stopping ends seeds apart
        if shortest > 1:
            gaps[arm] = np.array([gap[:shortest] for gap in by_seed])
    return gap_by_epoch_figure(gaps, n=_n_validation(comparison), seeds=_seeds(comparison)) if gaps else None


def _joint_density(comparison: Comparison) -> Figure | None:
    points: dict[str, dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for arm in _telling_arms(comparison):
        runs = _runs(comparison, arm, RAW)
        if not all((run.folder / "epochs.npz").is_file() for run in runs):
            continue
        stored = [run.arrays("epochs.npz") for run in runs]
        epochs = min(len(arrays["confidence"]) for arrays in stored)
        if epochs == 0 or stored[0]["confidence"].shape[1] < GROUP:
            continue
        for epoch in sorted({round(e) for e in np.linspace(1, epochs, DENSITY_EPOCHS)}):
            groups = [
                group_points(arrays["confidence"][epoch - 1], arrays["correct"][epoch - 1], size=GROUP)
                for arrays in stored
            ]
            accuracy, confidence = (np.concatenate(part) for part in zip(*groups, strict=True))
            points.setdefault(arm, {})[epoch] = accuracy, confidence
    if not points:
        return None
    return joint_density_figure(points, n=_n_validation(comparison), seeds=_seeds(comparison), size=GROUP)


def _alpha(comparison: Comparison) -> Figure | None:
    sweep = comparison.alpha_sweep()
    if sweep is None:
        return None
    arms = {0.0: BASELINE, **{alpha: arm for arm, alpha in sweep.values.items()}}
    by_alpha = {
        name: {
            alpha: [comparison.row(arm, seed, RAW)[name] for seed in comparison.seeds(arm)]
            for alpha, arm in arms.items()
        }
        for name in ("ece", "oe", "ece_floor")
    }
    return alpha_figure(
        by_alpha["ece"],
        by_alpha["oe"],
        floor={alpha: float(np.mean(values)) for alpha, values in by_alpha["ece_floor"].items()},
        n=_n(comparison),
        n_bins=_n_bins(comparison),
        seeds=_seeds(comparison),
        split=comparison.split,
    )


def _label_entropy(comparison: Comparison) -> Figure | None:
    runs = [
        run for run in comparison.results.all_runs if run.settings.get("mixup_mode") != "inputs_only"
    ]  # hard labels
    alphas = {run.settings.get("mixup_alpha") or 0 for run in runs} - {0}
    return label_entropy_figure(sorted(map(float, alphas))) if alphas else None


def _ood_confidence(comparison: Comparison) -> Figure | None:
    names = comparison.results.ood_names
    if not names:
        return None
    confidence: dict[str, dict[str, NDArray[np.float64]]] = {}
    auroc: dict[str, dict[str, float]] = {name: {} for name in names}
    for arm in comparison.results.runs:
        stored = [run.arrays("confidence.npz") for run in _runs(comparison, arm, RAW)]
        for name, key in ((comparison.split, comparison.split), *((name, f"ood-{name}") for name in names)):
            confidence.setdefault(name, {})[arm] = np.concatenate([arrays[f"{key}-{RAW}"] for arrays in stored])
        for name in names:
            auroc[name][arm] = comparison.mean(arm, RAW, f"auroc_msp_{name}")[0]
    return ood_confidence_figure(confidence, auroc, seeds=_seeds(comparison))


def _risk_coverage(comparison: Comparison) -> Figure:
    rows = [run.row("validation", RAW) for run in _runs(comparison, BASELINE, RAW)]
    error = 1 - np.mean([row["accuracy"] for row in rows if row])
    max_risk = next((borne for borne in BORNE if borne <= error / 2), BORNE[-1])
    risks: dict[str, NDArray[np.float64]] = {}
    decisions: dict[str, Decision | None] = {}
    for arm in comparison.results.runs:
        stored = [run.arrays("confidence.npz") for run in _runs(comparison, arm, RAW)]
        # A threshold for the arm: chosen on the validation rows of all seeds, measured on the scored rows of all seeds.
        chosen_on, measured_on = (
            [np.concatenate([arrays[f"{split}-{part}"] for arrays in stored]) for part in (RAW, "correct")]
            for split in ("validation", comparison.split)
        )
        line = decision_line_of_confidences(*chosen_on, max_risk=max_risk, copies=len(stored))
        decisions[arm] = line and accept_above_of_confidences(*measured_on, threshold=line.threshold)
        risks[arm] = np.stack(
            [
                risk_coverage_of_confidences(arrays[f"{comparison.split}-{RAW}"], arrays[f"{comparison.split}-correct"])
                for arrays in stored
            ]
        )
    return risk_coverage_figure(
        risks,
        decisions=decisions,
        max_risk=max_risk,
        n=_n(comparison),
        seeds=_seeds(comparison),
        split=comparison.split,
    )


def _telling_arms(comparison: Comparison) -> list[str]:
    """no_mixup, the arms that the sweeps chose, and then others up to `DENSITY_ARMS`."""
    chosen = [sweep.chosen for sweep in comparison.sweeps()]
    return list(dict.fromkeys([BASELINE, *chosen, *comparison.results.runs]))[:DENSITY_ARMS]


def _runs(comparison: Comparison, arm: str, calibration: str) -> list[StoredRun]:
    return [comparison.results.runs[arm][seed] for seed in comparison.seeds(arm, calibration)]


def _seeds(comparison: Comparison) -> list[int]:
    return sorted({run.seed for run in comparison.results.all_runs})


def _n(comparison: Comparison) -> int:
    return comparison.results.all_runs[0].metrics["rows"][-1]["n"]


def _n_bins(comparison: Comparison) -> int:
    return comparison.results.all_runs[0].metrics["rows"][-1]["n_bins"]


def _n_validation(comparison: Comparison) -> int:
    return comparison.results.all_runs[0].metrics["rows"][0]["n"]
