"""Inputs to verify a model on where no data are at hand: random words of the vocabulary, or random pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel


def probe_batch(model: PreTrainedModel, processing_class: Any, *, rows: int = 8) -> dict[str, Tensor]:
    """A batch to verify on, made without any data: random words of the vocabulary, or random pixels.

    Args:
        model: on whose device the batch is put.
        processing_class: its tokenizer or image processor; None for a model of texts, whose ids are then drawn.
        rows: texts of 1 to ``rows`` times 3 tokens, or images.

    Raises:
        ValueError: the tokenizer or processor makes no batch out of plain texts or images.
    """
    random = np.random.default_rng(0)
    if processing_class is None:
        return _random_ids(model, random, rows)
    try:
        if hasattr(processing_class, "decode"):
            ids = [random.integers(0, len(processing_class), 1 + 3 * row).tolist() for row in range(rows)]
            texts = [processing_class.decode(row, skip_special_tokens=True) or "a" for row in ids]
            batch = processing_class(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        else:
            images = list(random.integers(0, 256, (rows, 64, 64, 3), np.uint8))
            batch = processing_class(images, return_tensors="pt")
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{type(processing_class).__name__} makes no batch of plain {'texts' if hasattr(processing_class, 'decode') else 'images'} "
            f"({error}). Give fold_temperature a probe batch of your own."
        ) from error
    return {name: value.to(model.device) for name, value in batch.items() if isinstance(value, Tensor)}


def made_up_rows(tokenizer: Any) -> list[dict[str, Any]]:
    """Rows of random words of the vocabulary, as the tokenizer makes them of texts; for where no data are at hand."""
    random = np.random.default_rng(0)
    ids = [random.integers(0, len(tokenizer), n).tolist() for n in (4, 24)]
    texts = [tokenizer.decode(row, skip_special_tokens=True) or "a" for row in ids]
    # Their lengths in tokens may be any, if the tokenizer splits what it joined.
    return [dict(tokenizer(text, truncation=True, max_length=n)) for text, n in zip(texts, (8, 32), strict=True)]


def _random_ids(model: PreTrainedModel, random: np.random.Generator, rows: int) -> dict[str, Tensor]:
    """Rows of 16 ids, which end with the model's end-of-sequence token where it has one: some pool there."""
    config = model.config.get_text_config()
    if model.main_input_name != "input_ids":
        raise ValueError(
            f"{type(model).__name__} reads no token ids, so that no batch can be drawn. Give a probe batch."
        )
    end = getattr(config, "eos_token_id", None)
    ids = torch.from_numpy(random.integers(0, config.vocab_size, (rows, 16)))
    if isinstance(end, int):
        ids[ids == end] = (end + 1) % config.vocab_size
        ids[:, -1] = end
    return {"input_ids": ids.to(model.device)}
