"""The facts by which model families differ for mixup: which module embeds the tokens, and who is refused."""

from torch import nn
from transformers import PreTrainedModel

REFUSED_TYPES = {
    "xlnet": "its embeddings run with the batch in the second dimension",
}
ENCODER_DECODER_REASON = "an encoder-decoder embeds the text twice, and both calls would have to be mixed"


def check_mixable(config) -> None:
    """Refuses, by name and reason, the model types whose embeddings cannot be mixed.

    Args:
        config: the model's configuration.

    Raises:
        ValueError: the type is refused.

    Example:
        >>> from transformers import XLNetConfig
        >>> check_mixable(XLNetConfig())
        Traceback (most recent call last):
            ...
        ValueError: Model type 'xlnet' cannot be trained with mixup: its embeddings run with the batch in the second \
dimension. Use an encoder (BERT, RoBERTa, ModernBERT ...) or a decoder (GPT-2, Llama, Qwen ...), or set mixup_alpha=0.
    """
    reason = (
        ENCODER_DECODER_REASON if getattr(config, "is_encoder_decoder", False) else REFUSED_TYPES.get(config.model_type)
    )
    if reason is not None:
        raise ValueError(
            f"Model type '{config.model_type}' cannot be trained with mixup: {reason}. Use an encoder (BERT, RoBERTa, "
            "ModernBERT ...) or a decoder (GPT-2, Llama, Qwen ...), or set mixup_alpha=0."
        )


def embedding_module(model: PreTrainedModel) -> nn.Module:
    """The module that turns token ids into vectors, called once in a forward pass.

    Raises:
        ValueError: the model type is refused, or the model has no token embedding.
    """
    check_mixable(model.config)
    try:
        return model.get_input_embeddings()
    except (NotImplementedError, AttributeError) as error:
        raise ValueError(
            f"{type(model).__name__} has no token embedding to mix in (get_input_embeddings() gives none). "
            "Train a text classifier, or set mixup_alpha=0."
        ) from error
