"""Images and a model -> trained weights: `ImageMixupTrainer`."""

from nlp_mixup.vision.training.trainer import ImageMixupTrainer
