"""The image counterpart of `nlp_mixup`: pixel mixup with the same trainer, arms and report.

Importing it loads neither torch nor transformers; each name is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from nlp_mixup import lazily

if TYPE_CHECKING:
    from nlp_mixup.vision.training import ImageMixupTrainer

__all__ = ["ImageMixupTrainer"]

__getattr__, __dir__ = lazily(__name__, {"nlp_mixup.vision.training": ("ImageMixupTrainer",)})
