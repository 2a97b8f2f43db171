"""A tiny random text classifier of every model type that transformers can classify with, and batches for it.

Run as a program, it prints for each type how its token embedding behaves and how exactly `EmbeddingMixer` mixes in it.
"""

import argparse
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from nlp_mixup.embeddings import EmbeddingMixer
from nlp_mixup.mixing import Mix

MODEL_TYPES: list[str] = sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)

BOS, PAD, EOS, FIRST_TOKEN, FIRST_RESERVED, VOCABULARY = 0, 1, 2, 3, 60, 64
SIDE_BY_SIDE = ("text_config", "vision_config", "encoder", "decoder", "attn_config")

# Every configuration field of one of these names takes the value, in nested configurations too.
SMALL_FIELDS: dict[int, str] = {
    2: """num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers num_decoder_layers depth
        num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads
        num_key_value_heads num_self_attention_heads num_cross_attention_heads num_self_attends_per_block
        num_experts_per_tok linear_num_key_heads linear_num_value_heads index_n_heads n_mamba_heads""",
    4: """num_experts n_routed_experts num_local_experts kv_lora_rank q_lora_rank gated_norm_rank rotary_dim
        mamba_d_state mamba_dt_rank adapter_rank index_topk mm_tokens_per_image""",
    8: """head_dim d_kv d_head kv_channels qk_nope_head_dim qk_rope_head_dim v_head_dim index_head_dim
        linear_key_head_dim linear_value_head_dim attention_head_size embedding_size entity_emb_size
        pronunciation_embed_dim shape_embed_dim num_latents chunk_size""",
    16: """hidden_size d_model dim n_embd emb_dim d_latents out_hidden_size qk_head_dim""",
    24: """intermediate_size d_ff dff d_inner n_inner ffn_dim encoder_ffn_dim decoder_ffn_dim hidden_dim
        ffn_hidden_size moe_intermediate_size shared_expert_intermediate_size feed_forward_size""",
    32: """image_size""",
    64: """max_position_embeddings n_positions n_ctx num_hash_buckets entity_vocab_size pronunciation_vocab_size
        shape_vocab_size max_2d_position_embeddings num_position_embeddings""",
    # Token ids.
    VOCABULARY: "vocab_size",
    BOS: "bos_token_id",
    PAD: "pad_token_id decoder_start_token_id",
    EOS: "eos_token_id",
}
