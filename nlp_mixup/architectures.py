"""The facts by which model families differ for mixup: which modules embed the tokens, and who is refused."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from transformers import PreTrainedModel

# The batch is not the first dimension of what the embedding module gets.
BATCH_DIM = {"xlnet": 1}
# type -> why its embeddings cannot be mixed, as measured by the table in docs/architectures.md.
REFUSED: dict[str, str] = {}


# Encoders whose hidden states mix symmetrically under the union of both masks.
HIDDEN_TYPES = {
    *("albert", "bert", "big_bird", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "eurobert"),
    *("longformer", "modernbert", "mpnet", "nomic_bert", "roberta", "xlm-roberta"),
}


@dataclass(frozen=True)
class Embedding:
    """A module that turns token ids into vectors, called once in a forward pass.

    Attributes:
        module: the module to hook.
        batch_dim: dimension of the rows in its input and output.
        pad_token_id: fills other rows where the model lengthens the batch.
        ids: from the ids given to the model to the ids that this module embeds, rows first.
    """

    module: nn.Module
    batch_dim: int
    pad_token_id: int
    ids: Callable[[Tensor], Tensor]


def embeddings_of(model: PreTrainedModel) -> list[Embedding]:
    """The modules that embed the text: one, or the encoder's and the decoder's.

    Raises:
        ValueError: the model type is refused, or the model has no token embedding.
    """
    check_mixable(model.config)
    batch_dim = BATCH_DIM.get(model.config.model_type, 0)
    pad_token_id = model.config.get_text_config().pad_token_id or 0
    try:
        if not model.config.is_encoder_decoder:
            return [Embedding(model.get_input_embeddings(), batch_dim, pad_token_id, lambda ids: ids)]
        # What get_input_embeddings() gives is never called: encoder and decoder hold modules of their own, tied to it.
        encoder, decoder = model.get_encoder(), model.get_decoder()
        return [
            Embedding(encoder.get_input_embeddings(), batch_dim, pad_token_id, lambda ids: ids),
            Embedding(decoder.get_input_embeddings(), batch_dim, pad_token_id, lambda ids: decoder_ids(model, ids)),
        ]
    except (NotImplementedError, AttributeError) as error:
        raise ValueError(
            f"{type(model).__name__} has no token embedding to mix in (get_input_embeddings() gives none). "
            "Train a text classifier, or set mixup_alpha=0."
        ) from error


def check_mixable(config) -> None:
    """Refuses, by name and reason, the model types whose embeddings cannot be mixed.

    Args:
        config: the model's configuration.

    Raises:
        ValueError: the type is refused.
    """
    if config.model_type in REFUSED:
        raise ValueError(
            f"Model type '{config.model_type}' cannot be trained with mixup: {REFUSED[config.model_type]}. Use an encoder "
            "(BERT, RoBERTa, ModernBERT ...) or a decoder (GPT-2, Llama, Qwen ...), or set mixup_alpha=0."
        )


def encoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The layers of an encoder in the order in which they are called; ALBERT's one module once for each call.

    Raises:
        ValueError: the type is not among those whose hidden states can be mixed.
    """
    config = model.config
    if config.model_type not in HIDDEN_TYPES:
        raise ValueError(
            f"Model type '{config.model_type}' cannot be mixed at mixup_level='hidden', which is proven for "
            f"{', '.join(sorted(HIDDEN_TYPES))}: elsewhere the pooled position or the mask depends on the row's own ids. "
            "Use mixup_level='embedding' or 'sentence'."
        )
    if config.model_type == "albert":
        per_group = config.num_hidden_layers / config.num_hidden_groups
        groups = model.base_model.encoder.albert_layer_groups
        return [groups[int(layer / per_group)] for layer in range(config.num_hidden_layers)]
    lists = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers
    ]
    return list(lists[0])


def decoder_ids(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The decoder's ids that an encoder-decoder classifier makes of its input ids: the same, shifted right."""
    if hasattr(model, "_shift_right"):  # T5 and its kin
        return model._shift_right(ids)
    shift = sys.modules[type(model).__module__].shift_tokens_right  # BART and its kin
    settings = (model.config.pad_token_id, model.config.decoder_start_token_id)
    return shift(ids, *settings[: len(inspect.signature(shift).parameters) - 1])
