"""Rows and a model -> trained weights: `MixupTrainer`, what it refuses, and what it watches."""

from nlp_mixup.training.trainer import MixupMixin, MixupTrainer

__all__ = [
    "MixupMixin",
    "MixupTrainer",
]
