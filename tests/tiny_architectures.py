"""A tiny random text classifier of every model type that transformers can classify with, and batches for it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

MODEL_TYPES: list[str] = sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
BOS, PAD, EOS = 0, 1, 2
TOKENS = range(3, 60)  # ids of ordinary tokens: special tokens lie below, image tokens above
LABELS = 3

# A configuration field of one of these names takes the value after it, in nested configurations too.
SMALL: dict[str, int] = {
    """num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers num_decoder_layers depth
    num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads num_key_value_heads
    num_self_attention_heads num_cross_attention_heads num_self_attends_per_block num_experts_per_tok
    linear_num_key_heads linear_num_value_heads index_n_heads n_mamba_heads""": 2,
    """num_experts n_routed_experts num_local_experts kv_lora_rank q_lora_rank gated_norm_rank rotary_dim
    mamba_d_state mamba_dt_rank adapter_rank mm_tokens_per_image xpath_unit_hidden_size max_depth""": 4,
    """head_dim d_kv d_head kv_channels qk_nope_head_dim qk_rope_head_dim v_head_dim index_head_dim
    linear_key_head_dim linear_value_head_dim attention_head_size embedding_size entity_emb_size
    pronunciation_embed_dim shape_embed_dim num_latents chunk_size""": 8,
    "hidden_size d_model dim n_embd emb_dim d_latents out_hidden_size qk_head_dim": 16,
    """intermediate_size d_ff dff d_inner n_inner ffn_dim encoder_ffn_dim decoder_ffn_dim hidden_dim ffn_hidden_size
    moe_intermediate_size shared_expert_intermediate_size feed_forward_size""": 24,
    "image_size input_size": 32,
    """vocab_size max_position_embeddings n_positions n_ctx num_hash_buckets entity_vocab_size shape_vocab_size
    pronunciation_vocab_size max_2d_position_embeddings num_position_embeddings index_topk""": 64,
    "bos_token_id": BOS,
    "pad_token_id": PAD,
    "eos_token_id decoder_start_token_id": EOS,
    "image_token_id image_token_index": 60,
    "video_token_id": 61,
    "vision_start_token_id boi_token_index": 62,
    "vision_end_token_id eoi_token_index": 63,
}
SMALL_FIELDS = {name: value for names, value in SMALL.items() for name in names.split()}

# What else a type's configuration needs to be small and consistent.
HYBRID = ["linear_attention", "full_attention"]
TYPE_FIELDS: dict[str, dict[str, Any]] = {
    "axk1": {"n_group": 1, "topk_group": 1, "mlp_layer_types": ["dense", "sparse"]},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}}},
    "deepseek_v3": {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    "funnel": {"block_sizes": [1, 1]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "jamba": {"attn_layer_offset": 1, "attn_layer_period": 2},
    "layoutlmv3": {"coordinate_size": 2, "shape_size": 4},
    "lilt": {"hidden_size": 24},
    "longformer": {"attention_window": 8},
    "mistral4": {"head_dim": 16},
    "mobilebert": {"intra_bottleneck_size": 16, "num_feedforward_networks": 1},
    "mt5": {"decoder_start_token_id": PAD},
    "qwen3_5": {"text_config": {"layer_types": HYBRID}},
    "qwen3_5_text": {"layer_types": HYBRID},
    "qwen3_next": {"layer_types": HYBRID},
    # Axial positions would fix the length in training; a seed makes the hashes of its attention repeatable.
    "reformer": {
        **{"axial_pos_embds": False, "hash_seed": 0, "num_buckets": 2, "attn_layers": ["local", "lsh"]},
        **{"local_attn_chunk_length": 8, "lsh_attn_chunk_length": 8},
    },
    "squeezebert": {"embedding_size": 16},
    "t5": {"decoder_start_token_id": PAD},
    "umt5": {"decoder_start_token_id": PAD},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 3, "layers_block_type": ["linear_attention", "hybrid", "hybrid"]},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"]},
}
# The padded length of a batch has to be a multiple of this: shorter ones fail in a pooling layer, or in training.
PAD_TO_MULTIPLE = {"canine": 4, "funnel": 4, "reformer": 8}


class MissingDependency(ImportError):
    """A model type cannot be built because a package it needs is not installed; the message names it."""


def small_fields(config: PreTrainedConfig, special: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments that rebuild a configuration small and without dropout or noise; `special` has the last word."""
    fields: dict[str, Any] = {}
    for name in config.to_dict():
        value = getattr(config, name, None)
        if isinstance(value, PreTrainedConfig):
            fields[name] = {"model_type": value.model_type, **small_fields(value, special.get(name, {}))}
        elif isinstance(value, float) and ("drop" in name or "jitter" in name):
            fields[name] = 0.0
        elif name in SMALL_FIELDS and (value is None or type(value) is int):
            fields[name] = SMALL_FIELDS[name]
    return {**fields, **{name: value for name, value in special.items() if not isinstance(fields.get(name), dict)}}


def tiny_classifier(model_type: str, seed: int = 0) -> PreTrainedModel:
    """A random classifier of `LABELS` labels on the CPU, in eval mode, whose logits depend visibly on every token.

    Args:
        model_type: one of `MODEL_TYPES`.
        seed: draws the weights.

    Raises:
        MissingDependency: the type needs a package that is not installed.
    """
    config_class = CONFIG_MAPPING[model_type]
    fields = small_fields(config_class(), TYPE_FIELDS.get(model_type, {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = config_class(**{"num_labels": LABELS, "pad_token_id": PAD, **fields})
        try:
            model = AutoModelForSequenceClassification.from_config(config)
        except ImportError as error:
            raise MissingDependency(f"Model type '{model_type}' cannot be built: {str(error).strip()}") from error
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.3)
    return model.eval()


def tiny_batch(model: PreTrainedModel, lengths: Sequence[int], side: str = "right", seed: int = 0) -> dict[str, Tensor]:
    """Random rows of the given lengths with mask and labels, padded on one side to the longest.

    Rows of encoder-decoders end with one end-of-sequence token, which several of them pool at.

    Args:
        model: one of `tiny_classifier`.
        lengths: tokens of each row, >= 1.
        side: of the padding, ``right`` or ``left``.
        seed: draws tokens and labels.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, multiple = len(lengths), PAD_TO_MULTIPLE.get(model.config.model_type, 1)
    longest = -(-max(lengths) // multiple) * multiple
    ids = torch.full((rows, longest), PAD)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        span = slice(0, length) if side == "right" else slice(longest - length, longest)
        ids[row, span] = torch.randint(TOKENS.start, TOKENS.stop, (length,), generator=generator)
        mask[row, span] = 1
        if model.config.is_encoder_decoder:
            ids[row, span.stop - 1] = EOS
    labels = torch.randint(LABELS, (rows,), generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def forward(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model(**batch).logits
