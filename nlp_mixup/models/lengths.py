"""How many tokens of a row a model can take, by its configuration; many tokenizers name no limit, or one that is too large."""

from __future__ import annotations

import math
from typing import Any

# Types with a table of positions: a longer row is an IndexError, or a RuntimeError, in the middle of training. All others
# count positions relatively, rotate, or clamp. tests/models/test_lengths.py runs each type at its limit and beyond.
TABLE = {
    *("albert", "bart", "bert", "big_bird", "bigbird_pegasus", "biogpt", "canine", "convbert", "ctrl", "deberta"),
    *("deberta-v2", "distilbert", "electra", "ernie", "flaubert", "fnet", "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo"),
    *("gptj", "layoutlm", "mbart", "megatron-bert", "mobilebert", "mra", "mvp", "nystromformer", "openai-gpt", "opt"),
    *("perceiver", "plbart", "reformer", "rembert", "roc_bert", "roformer", "squeezebert", "xlm", "yoso"),
}
# The same, but the first token's position is the padding id + 1: of RoBERTa's 514 positions 512 are left.
TABLE_AFTER_PADDING = {
    *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mpnet"),
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
}
# Values by which these types do without their table.
NO_TABLE: dict[str, dict[str, Any]] = {
    "esm": {"position_embedding_type": "rotary"},
    "deberta": {"position_biased_input": False},
}
NO_TABLE["deberta-v2"] = NO_TABLE["deberta"]


def max_positions(config: Any) -> int | None:
    """The most tokens of a row, special tokens included; None where the architecture sets no limit.

    Args:
        config: a model's configuration.

    Example:
        >>> from transformers import BertConfig, DebertaV2Config, RobertaConfig
        >>> max_positions(BertConfig()), max_positions(RobertaConfig(max_position_embeddings=514))
        (512, 512)
        >>> max_positions(DebertaV2Config(position_biased_input=False)) is None
        True
    """
    name = config.model_type
    unlimited = NO_TABLE.get(name, {}).items()
    if name not in TABLE | TABLE_AFTER_PADDING or any(getattr(config, key) == value for key, value in unlimited):
        return None
    if name == "reformer" and config.axial_pos_embds:
        return math.prod(config.axial_pos_shape)
    if name in TABLE:
        return config.max_position_embeddings
    padding = 1 if name == "mpnet" else config.pad_token_id or 0
    return config.max_position_embeddings - padding - 1


def limit_length(tokenizer: Any, config: Any = None, max_length: int | None = None) -> None:
    """Lowers a tokenizer's own limit to the model's, and to what rows are cut to; it is saved with the tokenizer.

    Whoever then calls it with ``truncation=True``, as the card of a release does, cuts texts where they were cut here.

    Args:
        tokenizer: whose ``model_max_length`` is lowered.
        config: of its model.
        max_length: of the rows that the model is trained and measured on, in tokens.
    """
    limits = [max_length, max_positions(config) if config is not None else None]
    tokenizer.model_max_length = min([tokenizer.model_max_length, *(limit for limit in limits if limit is not None)])
