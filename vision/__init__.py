"""The image counterpart of `nlp_mixup`: pixel mixup with the same trainer, arms and report.

Importing it loads neither torch nor transformers; each name is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlp_mixup.vision.trainer import ImageMixupTrainer

__all__ = ["ImageMixupTrainer"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'nlp_mixup.vision' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module("nlp_mixup.vision.trainer"), name)
    globals()[name] = value
    return value
