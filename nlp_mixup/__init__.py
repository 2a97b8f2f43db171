"""Mixup training for Hugging Face classifiers, and an honest measure of what it does to their calibration.

Importing the package loads neither torch nor transformers; each name is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nlp_mixup.arguments import MixupTrainingArguments
    from nlp_mixup.calibration import calibration_metrics
    from nlp_mixup.metrics import metric_path
    from nlp_mixup.trainer import MixupMixin, MixupTrainer

_HOMES = {
    "MixupMixin": "nlp_mixup.trainer",
    "MixupTrainer": "nlp_mixup.trainer",
    "MixupTrainingArguments": "nlp_mixup.arguments",
    "calibration_metrics": "nlp_mixup.calibration",
    "metric_path": "nlp_mixup.metrics",
}
__all__ = ["MixupMixin", "MixupTrainer", "MixupTrainingArguments", "calibration_metrics", "metric_path"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'nlp_mixup' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
