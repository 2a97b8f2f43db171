"""A batch of images -> its mixed pixels: mixup and CutMix; and which image models can be mixed."""

from nlp_mixup.vision.mixing.architectures import check_image_model, image_layers
from nlp_mixup.vision.mixing.draw import draw_cut_mix
from nlp_mixup.vision.mixing.pixels import check_inputs, mix_pixels, mixed_batch, pool_images
