"""Calibration of a classifier from its probabilities: scores exact at any scale, and their noise floor.

Numbers only: nothing here draws, and nothing imports torch or transformers.
"""

from .binning import PRESETS, EqualMass, EqualWidth
from .bins import CalibrationBins, reliability_table
from .inputs import top_label
from .logits import log_softmax, nll_from_logits, softmax
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
from .summary import calibration_metrics, score_logits
from .table import ReliabilityTable

__all__ = [
    "PRESETS",
    "CalibrationBins",
    "EqualMass",
    "EqualWidth",
    "ReliabilityTable",
    "accuracy",
    "adaptive_ece",
    "brier_score",
    "calibration_metrics",
    "expected_calibration_error",
    "gap",
    "log_softmax",
    "maximum_calibration_error",
    "negative_log_likelihood",
    "nll_from_logits",
    "overconfidence_error",
    "reliability_table",
    "root_mean_squared_calibration_error",
    "score_logits",
    "softmax",
    "top_label",
]
