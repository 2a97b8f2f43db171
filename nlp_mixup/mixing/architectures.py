"""The facts by which model families differ for mixup: which modules embed the tokens, and who is refused."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

# The batch is not the first dimension of what the embedding module gets.
BATCH_DIM = {"xlnet": 1}
# type -> module and batch key of each embedding of the text, where get_input_embeddings() is not the whole of it.
PATHS = {
    "perceiver": [("perceiver.input_preprocessor.embeddings", "input_ids")],
    "roc_bert": [
        ("roc_bert.embeddings.word_embeddings", "input_ids"),
        ("roc_bert.embeddings.shape_embed", "input_shape_ids"),
        ("roc_bert.embeddings.pronunciation_embed", "input_pronunciation_ids"),
    ],
}
# type -> why its embeddings cannot be mixed, as measured in docs/architectures.md.
REFUSED = {"layoutlmv2": "it needs the package detectron2, without which it could not be built and measured"}
# Batch keys that hold content of a row beside its tokens, which would travel unmixed.
UNMIXED_INPUTS = ("entity_ids", "pixel_values", "inputs_embeds")
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
        source: the batch's key of the ids that it embeds.
        ids: from the ids of that key to those that the module gets, rows first.
        batch_dim: dimension of the rows in its input and output.
        pad_token_id: fills other rows where the model lengthens the batch.
    """

    module: nn.Module
    source: str = "input_ids"
    ids: Callable[[Tensor], Tensor] = lambda ids: ids
    batch_dim: int = 0
    pad_token_id: int = 0


def embeddings_of(model: PreTrainedModel) -> list[Embedding]:
    """The modules that embed the text: one for most models, the encoder's and the decoder's for encoder-decoders.

    Raises:
        ValueError: the model type is refused, or the model has no token embedding.
    """
    config = model.config
    check_mixable(config)
    shared: dict[str, Any] = {
        "batch_dim": BATCH_DIM.get(config.model_type, 0),
        "pad_token_id": getattr(config.get_text_config(), "pad_token_id", None) or 0,
    }
    if config.model_type in PATHS:
        return [Embedding(model.get_submodule(path), source, **shared) for path, source in PATHS[config.model_type]]
    if config.model_type == "canine":
        return _hash_embeddings(model)
    try:
        if not config.is_encoder_decoder:
            return [Embedding(model.get_input_embeddings(), **shared)]
        # What get_input_embeddings() gives is often never called: encoder and decoder hold modules of their own.
        return [
            Embedding(model.get_encoder().get_input_embeddings(), **shared),
            Embedding(model.get_decoder().get_input_embeddings(), ids=partial(decoder_ids, model), **shared),
        ]
    except (NotImplementedError, AttributeError) as error:
        raise ValueError(
            f"{type(model).__name__} has no token embedding to mix in (get_input_embeddings() gives none). "
            "Train a text classifier, or set mixup_alpha=0. For images: from nlp_mixup.vision import ImageMixupTrainer."
        ) from error


def _hash_embeddings(model: PreTrainedModel) -> list[Embedding]:
    """CANINE hashes each character into several small tables, whose vectors it joins."""
    tables: Any = model.get_submodule("canine.char_embeddings")
    config: Any = model.config

    def hashed(ids: Tensor, index: int) -> Tensor:
        return tables._hash_bucket_tensors(ids, config.num_hash_functions, config.num_hash_buckets)[index]

    return [
        Embedding(getattr(tables, f"HashBucketCodepointEmbedder_{index}"), ids=partial(hashed, index=index))
        for index in range(config.num_hash_functions)
    ]


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
        adapted: Any = model  # perhaps a PeftModel
        below_adapters = adapted.get_base_model() if hasattr(model, "get_base_model") else adapted
        groups = below_adapters.base_model.encoder.albert_layer_groups
        return [groups[int(layer / per_group)] for layer in range(config.num_hidden_layers)]
    lists = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers
    ]
    return list(lists[0])


def decoder_ids(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The decoder's ids that an encoder-decoder classifier makes of its input ids: the same, shifted right."""
    for name in ("_shift_right", "prepare_decoder_input_ids_from_labels"):  # T5 and its kin
        if hasattr(model, name):
            return getattr(model, name)(ids)
    shift = sys.modules[type(model).__module__].shift_tokens_right  # BART and its kin, mBART without a start token
    if len(inspect.signature(shift).parameters) == 2:
        return shift(ids, model.config.pad_token_id)
    return shift(ids, model.config.pad_token_id, model.config.decoder_start_token_id)
