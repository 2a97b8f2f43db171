"""A batch -> its pairs and their lambda -> mixed embeddings -> the loss of both labels; torch alone."""

from nlp_mixup.mixing.architectures import encoder_layers
from nlp_mixup.mixing.draw import STEPS_AHEAD, Mix, Mode, draw_ahead, draw_layer, draw_mix, mix_in_mode
from nlp_mixup.mixing.embeddings import EmbeddingMixer, interpolate
from nlp_mixup.mixing.hidden import HiddenMixer
from nlp_mixup.mixing.loss import mixed_cross_entropy
from nlp_mixup.mixing.pairing import Pairing, pool_batches
