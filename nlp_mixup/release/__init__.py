"""A finished run or a trained model -> its folder on the Hub: weights with the temperature inside, and the card."""

from nlp_mixup.release.card import DEFAULTS, SHOWN_SETTINGS
from nlp_mixup.release.push import RELEASE, check_replaceable, prepare_metrics, prepare_model, prepare_run, upload

__all__ = [
    "DEFAULTS",
    "RELEASE",
    "SHOWN_SETTINGS",
    "check_replaceable",
    "prepare_metrics",
    "prepare_model",
    "prepare_run",
    "upload",
]
