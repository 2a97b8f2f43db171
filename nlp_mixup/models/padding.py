"""Whether a row's logits depend on how far it is padded, measured by running the model, and the side where they do not.

A batch is padded to its longest row. Models that read the first token or count positions from the left edge are wrong
where padding stands on the left, XLNet where it stands on the right, and a few types on either side: their accuracy and
confidence then depend on the batch size. `docs/architectures.md` has what was measured for each type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from nlp_mixup.models.logits import plain_logits
from nlp_mixup.models.made_up import made_up_rows

SAMPLE = 64  # rows of which two are compared
APART = 8  # tokens that the longer of the two has more, where there is such a row
LONG_ENOUGH = 3  # tokens: what is left of an empty text may hide the difference
OTHER = {"right": "left", "left": "right"}


def pad_token_id(config: Any) -> int | None:
    """The id that a model's configuration names for padding; some, as Perceiver's, have no such field.

    Example:
        >>> from transformers import PerceiverConfig
        >>> pad_token_id(PerceiverConfig()) is None
        True
    """
    return getattr(config.get_text_config(), "pad_token_id", None)


def settle_padding(
    model: Any, collate: Callable[[list[Any]], Mapping[str, Any]], rows: Iterable[Any], tokenizer: Any = None
) -> str | None:
    """Makes sure that a row gets the same logits alone and in a batch, by choosing the side of the padding.

    A short and a long row are scored alone and together: three small forward passes, in evaluation mode and on random
    streams of their own. Where the logits differ, the tokenizer is set to pad on the other side, if they agree there.

    Args:
        model: a classifier on whatever device.
        collate: makes a batch of rows, padded as in training or scoring.
        rows: some of them, with ``input_ids``; those of `made_up_rows` where there are none.
        tokenizer: what `collate` pads with; without one, the side cannot be chosen.

    Returns:
        What was changed, in a sentence; None where the tokenizer's own side is right.

    Raises:
        ValueError: the logits differ on either side, by name of the model.
    """
    pair, side = pick_rows(rows), getattr(tokenizer, "padding_side", None)
    if pair is None:
        return None
    name, error = type(model).__name__, padding_error(model, collate, pair)
    if error <= allowed_error(model):
        if side in OTHER:
            _set_side(tokenizer, side)
        return None
    if side not in OTHER:
        raise ValueError(
            f"{name} gives a row other logits in a batch than alone (by {error:.0%} of the largest), so its numbers would "
            "depend on the batch size. Pad on the other side, give the model the attention_mask, or pad every row to one "
            "length before training."
        )
    _set_side(tokenizer, OTHER[side])
    if padding_error(model, collate, pair) <= allowed_error(model):
        return (
            f"Rows are padded on the {OTHER[side]}, not on the {side} as the tokenizer says: padded there, {name} gives a row "
            f"other logits than alone (by {error:.0%} of the largest). Elsewhere, type tokenizer.padding_side = '{OTHER[side]}'."
        )
    _set_side(tokenizer, side)
    raise ValueError(
        f"{name} gives a row other logits in a batch than alone, on whichever side it is padded (by {error:.0%} of the "
        "largest), so its numbers would depend on the batch size. Choose another model; docs/architectures.md says which types "
        "are exact. Or leave nothing to pad: score with --per_device_eval_batch_size 1, or in Python give MixupTrainer rows "
        "that are all padded to one length."
    )


def check_padding(model: Any, tokenizer: Any) -> None:
    """Refuses a tokenizer that pads where the model's logits depend on it; it is left as it is.

    Raises:
        ValueError: the logits of a row differ, alone and padded.
    """
    pair = pick_rows(made_up_rows(tokenizer))
    if pair is None:
        return
    error = padding_error(model, lambda rows: tokenizer.pad(rows, return_tensors="pt"), pair)
    if error > allowed_error(model):
        raise ValueError(
            f"{type(model).__name__} gives a row other logits in a batch than alone, padded on the {tokenizer.padding_side} as its "
            f"tokenizer does (by {error:.0%} of the largest): what was measured depends on the batch size, and is not what users "
            "would get. Train the run again elsewhere, which chooses the side where they agree or says that there is none."
        )


def padding_error(model: Any, collate: Callable[[list[Any]], Mapping[str, Any]], rows: tuple[Any, Any]) -> float:
    """The largest difference between a row's logits alone and beside the other, as a share of the largest logit; best is 0.

    Args:
        model: a classifier.
        collate: makes a batch of rows.
        rows: two, of different lengths: one is padded in the batch, the other is its longest.
    """
    together = _logits(model, collate(list(rows)))
    alone = torch.cat([_logits(model, collate([row])) for row in rows])
    if not (alone.isfinite().all() and together.isfinite().all()):
        return 0.0  # a broken model, which says nothing of padding
    return ((together - alone).abs().max() / alone.abs().max().clamp(min=torch.finfo(alone.dtype).tiny)).item()


def pick_rows(rows: Iterable[Any]) -> tuple[Any, Any] | None:
    """A short and a longer row; None where all are of one length, so that nothing is ever padded.

    Example:
        >>> short, long = pick_rows([{"input_ids": [5] * n} for n in (20, 1, 6, 4, 13)])
        >>> len(short["input_ids"]), len(long["input_ids"])
        (4, 13)
    """
    by_length = sorted((row for row in rows if len(row["input_ids"]) > 0), key=lambda row: len(row["input_ids"]))
    lengths = [len(row["input_ids"]) for row in by_length]
    if not lengths or lengths[0] == lengths[-1]:
        return None
    first = next((at for at, n in enumerate(lengths) if n >= LONG_ENOUGH and n < lengths[-1]), 0)
    last = next((at for at, n in enumerate(lengths) if n >= lengths[first] + APART), -1)
    return by_length[first], by_length[last]


def _set_side(tokenizer: Any, side: str) -> None:
    tokenizer.padding_side = side
    tokenizer.init_kwargs["padding_side"] = side  # without which save_pretrained leaves it out


def allowed_error(model: Any) -> float:
    """The most that `padding_error` may be: half of the digits of the model's numbers, which rounding may take over its layers.

    3.5e-4 in float32; where padding counts, the error is a hundred times that and more.
    """
    # Positions are computed in float32 whatever the weights are.
    return max(torch.finfo(dtype).eps for dtype in (model.dtype, torch.float32)) ** 0.5


def _logits(model: Any, batch: Mapping[str, Any]) -> Tensor:
    labels = ("label", "labels")
    inputs = {name: value for name, value in batch.items() if torch.is_tensor(value) and name not in labels}
    return plain_logits(model, inputs).float()
