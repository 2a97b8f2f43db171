"""Pairs the rows of one optimiser step, across its micro-batches: accumulation changes no pair and no number."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nlp_mixup.mixing.draw import Mix


@dataclass(frozen=True)
class Pairing:
    """A micro-batch, the rows among which its partners are, and the pairs.

    Attributes:
        inputs: the collated rows of all micro-batches that share the pairs, n rows.
        mix: the pairs, n rows.
        rows: which of the n are this micro-batch.
        widths: (n,) the width at which each row was collated, where rows of several micro-batches are joined.
    """

    inputs: dict[str, Tensor]
    mix: Mix
    rows: slice
    widths: Tensor | None

    @property
    def labels(self) -> Tensor:
        """(m,) labels of this micro-batch's rows."""
        return self.inputs["labels"][self.rows]

    @property
    def partner_labels(self) -> Tensor:
        """(m,) labels of their partners."""
        return self.inputs["labels"].index_select(0, self.mix.partners[self.rows])

    @property
    def label_lam(self) -> Tensor:
        """(m,) share of each row's own label."""
        return self.mix.label_lam[self.rows]


def pool_batches(batches: list[dict[str, Tensor]], pad_token_id: int, padding_side: str = "right") -> dict[str, Tensor]:
    """Joins collated batches of different widths into one: ids are padded with the pad token, the rest with zeros.

    Args:
        batches: each with ``input_ids`` (m, length); other per-token tensors are (m, length, ...).
        pad_token_id: what pads ids.
        padding_side: ``right`` or ``left``, as the batches are padded.

    Returns:
        All rows in order, as one batch.

    Example:
        >>> batches = [{"input_ids": torch.tensor([[5, 6]])}, {"input_ids": torch.tensor([[7, 8, 9]])}]
        >>> pool_batches(batches, pad_token_id=0)["input_ids"].tolist()
        [[5, 6, 0], [7, 8, 9]]
    """
    if len(batches) == 1:
        return batches[0]
    width = max(batch["input_ids"].shape[1] for batch in batches)

    def widened(name: str, batch: dict[str, Tensor]) -> Tensor:
        value, missing = batch[name], width - batch["input_ids"].shape[1]
        if missing == 0 or value.dim() < 2 or value.shape[1] != batch["input_ids"].shape[1]:
            return value
        sides = (0, missing) if padding_side == "right" else (missing, 0)
        fill = pad_token_id if name == "input_ids" else 0
        return F.pad(value, (*(0, 0) * (value.dim() - 2), *sides), value=fill)

    return {
        name: torch.cat([widened(name, batch) for batch in batches]) if torch.is_tensor(value) else value
        for name, value in batches[0].items()
    }
