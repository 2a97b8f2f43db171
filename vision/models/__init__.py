"""A name -> an image classifier and its image processor; those of the paper that transformers lacks are registered here."""

from nlp_mixup.vision.models.image_cnn import BUILT_IN
from nlp_mixup.vision.models.loading import (
    check_channels,
    check_model_name,
    find_start,
    load_image_model,
    load_image_processor,
)
