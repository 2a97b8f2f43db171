"""A name -> a classifier and its tokenizer, and what is done to its head; those of the paper that transformers lacks, too.

Importing the package registers the sentence CNN with transformers' Auto classes.
"""

from transformers import AutoConfig, AutoModelForSequenceClassification

from nlp_mixup.models.adapters import (
    check_whole,
    drawn_at_random,
    is_adapted,
    label_settings,
    load_adapted,
    merge_adapters,
)
from nlp_mixup.models.fold import fold_temperature, folded
from nlp_mixup.models.lengths import limit_length
from nlp_mixup.models.loading import find_start, load_model, load_tokenizer
from nlp_mixup.models.logits import plain_logits
from nlp_mixup.models.made_up import made_up_rows, probe_batch
from nlp_mixup.models.padding import SAMPLE, check_padding, pad_token_id, settle_padding
from nlp_mixup.models.starting import Start, check_head_goes_on, check_names_of_run, read_start, renew_head
from nlp_mixup.models.text_cnn import TextCNNConfig, TextCNNForSequenceClassification
from nlp_mixup.models.trained import load_trained, load_trained_on_images, reads_images
from nlp_mixup.models.word_tokenizer import build_word_tokenizer, load_glove

AutoConfig.register(TextCNNConfig.model_type, TextCNNConfig)
AutoModelForSequenceClassification.register(TextCNNConfig, TextCNNForSequenceClassification)
