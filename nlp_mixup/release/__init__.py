"""A finished run or a trained model -> its folder on the Hub: weights with the temperature inside, and the card."""

from nlp_mixup.release.of_trainer import prepare_trainer
from nlp_mixup.release.save import RELEASE, check_replaceable, prepare_model, prepare_run
from nlp_mixup.release.spaces import prepare_metrics
from nlp_mixup.release.uploading import upload
