"""Calibration of a classifier from its probabilities: scores exact at any scale, and their noise floor.

Numbers only: nothing here draws, and nothing imports torch or transformers.
"""

from importlib import import_module
from typing import Any

from .binning import PRESETS, EqualMass, EqualWidth
from .bins import CalibrationBins, reliability_table
from .classwise import BrierDecomposition, brier_decomposition, classwise_ece
from .debiased import debiased_ece
from .decision import Decision, accept_above, decision_line
from .diagnosis import Diagnosis, diagnose
from .distributed import all_reduce
from .floor import NoiseFloor, noise_floor, noise_floor_of_table
from .grouping import group_points
from .inputs import top_label
from .intervals import Interval, difference_intervals, resample_interval, score_intervals
from .label_entropy import label_entropy_cdf, mean_label_entropy, mean_off_label_mass
from .logits import log_softmax, nll_from_logits, softmax
from .resampling import RowScores
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
from .selective import aurc, energy_score, ood_scores, risk_at_coverage, risk_coverage
from .smooth import smooth_ece
from .summary import calibration_metrics, score_logits, slow_score_intervals
from .table import ReliabilityTable
from .temperature import NoFiniteTemperature, Temperature, fit_temperature

__all__ = [
    "PRESETS",
    "BrierDecomposition",
    "CalibrationBins",
    "Decision",
    "Diagnosis",
    "EqualMass",
    "EqualWidth",
    "Interval",
    "NoFiniteTemperature",
    "NoiseFloor",
    "ReliabilityTable",
    "RowScores",
    "Temperature",
    "accept_above",
    "accuracy",
    "adaptive_ece",
    "advice",
    "all_reduce",
    "aurc",
    "brier_decomposition",
    "brier_score",
    "calibration_metrics",
    "classwise_ece",
    "debiased_ece",
    "decision_line",
    "describe_calibration",
    "diagnose",
    "difference_intervals",
    "energy_score",
    "expected_calibration_error",
    "fit_temperature",
    "gap",
    "group_points",
    "label_entropy_cdf",
    "log_softmax",
    "maximum_calibration_error",
    "mean_label_entropy",
    "mean_off_label_mass",
    "negative_log_likelihood",
    "nll_from_logits",
    "noise_floor",
    "noise_floor_of_table",
    "ood_scores",
    "overconfidence_error",
    "reliability_table",
    "resample_interval",
    "risk_at_coverage",
    "risk_coverage",
    "root_mean_squared_calibration_error",
    "score_intervals",
    "score_logits",
    "slow_score_intervals",
    "smooth_ece",
    "softmax",
    "top_label",
]


def __getattr__(name: str) -> Any:
    """``advice`` and ``describe_calibration``, whose words stand above the numbers: the public names here still find them."""
    if name in ("advice", "describe_calibration"):
        return getattr(import_module("nlp_mixup.advice"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
