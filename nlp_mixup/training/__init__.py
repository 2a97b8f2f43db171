"""Rows and a model -> trained weights: `MixupTrainer`, what it refuses, and what it watches."""

from nlp_mixup.training.versions import check_transformers

check_transformers()  # before anything of it is imported

from nlp_mixup.training.trainer import MixupMixin, MixupTrainer  # noqa: E402
