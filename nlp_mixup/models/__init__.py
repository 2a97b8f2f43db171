"""Models of the paper that transformers lacks, registered with its Auto classes when this package is imported.

The sentence CNN is in `text_cnn`, its words and their vectors in `word_tokenizer`.
"""

from transformers import AutoConfig, AutoModelForSequenceClassification

from nlp_mixup.models.text_cnn import TextCNNConfig, TextCNNForSequenceClassification
from nlp_mixup.models.word_tokenizer import build_word_tokenizer, load_glove

__all__ = ["TextCNNConfig", "TextCNNForSequenceClassification", "build_word_tokenizer", "load_glove"]

AutoConfig.register(TextCNNConfig.model_type, TextCNNConfig)
AutoModelForSequenceClassification.register(TextCNNConfig, TextCNNForSequenceClassification)
