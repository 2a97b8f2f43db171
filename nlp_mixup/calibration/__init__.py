"""Calibration of a classifier from its probabilities: scores exact at any scale, and their noise floor.

Numbers only: nothing here draws, and nothing imports torch or transformers.
"""

from typing import Any

from . import diagnosis as _diagnosis
from .binning import PRESETS, EqualMass, EqualWidth
from .bins import CalibrationBins, reliability_table
from .classwise import BrierDecomposition, brier_decomposition, classwise_ece
from .debiased import debiased_ece
from .decision import (
    Decision,
    accept_above,
    accept_above_of_confidences,
    decision_line,
    decision_line_of_confidences,
    least_rows,
)
from .diagnosis import SMALL_GAP, Diagnosis, above_floor, diagnose, verdict_of
from .disagreement import Disagreement, compare_accuracies
from .distributed import all_reduce
from .floor import NoiseFloor, noise_floor, noise_floor_of_table, short
from .folding import FoldDecision, decide_fold
from .grouping import group_points
from .inputs import top_label
from .intervals import (
    MIN_ROWS_FOR_DIRECTION,
    N_RESAMPLES,
    Interval,
    Measured,
    describe_calibration,
    difference_intervals,
    difference_of_draws,
    differences_of_rows,
    direction,
    interval_of_draws,
    intervals_of_draws,
    nll_gain,
    resample_interval,
    score_intervals,
)
from .label_entropy import label_entropy_cdf, mean_label_entropy, mean_off_label_mass
from .logits import log_softmax, nll_from_logits, softmax
from .resampling import Draws, RowScores, resample_scores, scores_of_rows
from .scores import (
    accuracy,
    adaptive_ece,
    brier_score,
    expected_calibration_error,
    gap,
    maximum_calibration_error,
    negative_log_likelihood,
    overconfidence_error,
    root_mean_squared_calibration_error,
)
from .selective import aurc, energy_score, ood_scores, risk_at_coverage, risk_coverage, risk_coverage_of_confidences
from .smooth import smooth_ece
from .summary import calibration_metrics, score_logits, slow_score_intervals
from .table import ReliabilityTable
from .temperature import NoFiniteTemperature, Temperature, fit_temperature

__all__ = [
    "MIN_ROWS_FOR_DIRECTION",
    "N_RESAMPLES",
    "PRESETS",
    "SMALL_GAP",
    "BrierDecomposition",
    "CalibrationBins",
    "Decision",
    "Diagnosis",
    "Disagreement",
    "Draws",
    "EqualMass",
    "EqualWidth",
    "FoldDecision",
    "Interval",
    "Measured",
    "NoFiniteTemperature",
    "NoiseFloor",
    "ReliabilityTable",
    "RowScores",
    "Temperature",
    "above_floor",
    "accept_above",
    "accept_above_of_confidences",
    "accuracy",
    "adaptive_ece",
    "advice",
    "all_reduce",
    "aurc",
    "brier_decomposition",
    "brier_score",
    "calibration_metrics",
    "classwise_ece",
    "compare_accuracies",
    "debiased_ece",
    "decide_fold",
    "decision_line",
    "decision_line_of_confidences",
    "describe_calibration",
    "diagnose",
    "difference_intervals",
    "difference_of_draws",
    "differences_of_rows",
    "direction",
    "energy_score",
    "expected_calibration_error",
    "fit_temperature",
    "gap",
    "group_points",
    "interval_of_draws",
    "intervals_of_draws",
    "label_entropy_cdf",
    "least_rows",
    "log_softmax",
    "maximum_calibration_error",
    "mean_label_entropy",
    "mean_off_label_mass",
    "negative_log_likelihood",
    "nll_from_logits",
    "nll_gain",
    "noise_floor",
    "noise_floor_of_table",
    "ood_scores",
    "overconfidence_error",
    "reliability_table",
    "resample_interval",
    "resample_scores",
    "risk_at_coverage",
    "risk_coverage",
    "risk_coverage_of_confidences",
    "root_mean_squared_calibration_error",
    "score_intervals",
    "score_logits",
    "scores_of_rows",
    "short",
    "slow_score_intervals",
    "smooth_ece",
    "softmax",
    "top_label",
    "verdict_of",
]


def __getattr__(name: str) -> Any:
    """``advice``: see `nlp_mixup.calibration.diagnosis`."""
    if name == "advice":
        return _diagnosis.__getattr__(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
