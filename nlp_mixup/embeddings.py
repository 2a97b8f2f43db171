"""Mixes a batch in the embedding layer, inside the model's ordinary forward pass.

Embedding-layer mixup of text, Thulasidasan et al., NeurIPS 2019: E(a) and E(b) are interpolated position by position.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlp_mixup.architectures import embedding_module
from nlp_mixup.mixing import Mix, interpolate

Carrier = Literal["auto", "dominant", "longer"]


def choose_carriers(mix: Mix, lengths: Tensor, carrier: Carrier = "auto") -> tuple[Tensor, Tensor, Tensor]:
    """For each pair, the row it travels under (ids, mask, positions), the other row, and the carrier's share.

    A pair needs one real row around its mixed embeddings: position ids, masks and the pooled position of many models
    are computed from the token ids. ``dominant`` takes the example with the larger share, so that lambda 1 and 0 give
    the plain forward pass of either; ``longer`` takes the longer one. Ties go to the longer, then to the earlier row,
    so that mixing (a, b, lambda) equals mixing (b, a, 1 - lambda).

    Args:
        mix: the pairs, n rows.
        lengths: (n,) tokens of each row.
        carrier: ``auto`` is ``dominant``.

    Returns:
        (n,) rows that carry, (n,) rows mixed in, (n,) share of the carrier.

    Example:
        >>> mix = Mix(torch.tensor([1, 0]), torch.tensor([0.3, 0.3]))
        >>> carriers, others, lam = choose_carriers(mix, torch.tensor([5, 9]))
        >>> carriers.tolist(), others.tolist(), [round(share, 2) for share in lam.tolist()]
        ([1, 0], [0, 1], [0.7, 0.7])
    """
    own = torch.arange(len(mix.partners), device=mix.partners.device)
    length_gain = lengths[mix.partners] - lengths
    partner_wins_tie = (length_gain > 0) | ((length_gain == 0) & (mix.partners < own))
    if carrier == "longer":
        partner_carries = partner_wins_tie
    else:
        partner_carries = (mix.lam < 0.5) | ((mix.lam == 0.5) & partner_wins_tie)
    carriers = torch.where(partner_carries, mix.partners, own)
    others = torch.where(partner_carries, own, mix.partners)
    return carriers, others, torch.where(partner_carries, 1 - mix.lam, mix.lam)


class EmbeddingMixer:
    """Mixes the output of a model's embedding module while a batch is armed; at other times the model is untouched.

    Two hooks on the embedding module make it embed carriers and partners in one call and return the interpolation, so
    that weights which are gathered for the call only (FSDP, ZeRO) are there, and gradients reach both partners.

    Args:
        model: a text classifier.
        carrier: see `choose_carriers`.

    Raises:
        ValueError: the architecture cannot be mixed.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
        >>> model = BertForSequenceClassification(config).eval()
        >>> batch = {"input_ids": torch.tensor([[1, 2], [3, 4]]), "attention_mask": torch.ones(2, 2)}
        >>> mix = Mix(partners=torch.tensor([1, 0]), lam=torch.ones(2))
        >>> with torch.no_grad(), EmbeddingMixer(model).armed(batch, mix) as carried:
        ...     mixed = model(**carried).logits
        >>> bool(torch.equal(mixed, model(**batch).logits))  # lambda = 1 is the plain forward pass
        True
    """

    def __init__(self, model: PreTrainedModel, carrier: Carrier = "auto"):
        self.model = model
        self.carrier = carrier
        self.embedding = embedding_module(model)
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        # Only tensors or None: torch.compile would recompile at every step that changes a Python number in a hook.
        self._other_ids: Tensor | None = None
        self._lam: Tensor | None = None

    @contextmanager
    def armed(self, inputs: dict[str, Tensor], mix: Mix) -> Iterator[dict[str, Tensor]]:
        """Within this context the model's forward pass mixes; keep it open through backward.

        Args:
            inputs: a collated batch with ``input_ids`` (n, length) and whatever else the model takes per row.
            mix: the pairs, n rows, on the batch's device.

        Yields:
            The batch to give to the model: the carriers' rows. ``labels`` stay those of the original rows.

        Raises:
            RuntimeError: the first armed forward pass did not call the embedding module exactly once.
        """
        if "input_ids" not in inputs:
            raise ValueError(
                f"Embedding mixup needs input_ids in the batch, which has {', '.join(sorted(inputs))}. "
                "Collate token ids, or set mixup_alpha=0."
            )
        ids, mask = inputs["input_ids"], inputs.get("attention_mask")
        lengths = mask.sum(1) if mask is not None else torch.full_like(ids[:, 0], ids.shape[1])
        carriers, others, lam = choose_carriers(mix, lengths, self.carrier)
        carried = {
            name: value[carriers]
            if torch.is_tensor(value) and name != "labels" and value.shape[:1] == ids.shape[:1]
            else value
            for name, value in inputs.items()
        }
        if self.carrier == "longer" and mask is not None:
            carried["attention_mask"] = torch.maximum(mask[carriers], mask[others])

        first_time = not self._handles
        calls = self._attach() if first_time else []
        self._other_ids, self._lam = ids[others], lam
        try:
            yield carried
        finally:
            self._other_ids = self._lam = None
            if first_time:
                self._handles.pop().remove()
        if first_time and len(calls) != 1:
            self.detach()
            raise RuntimeError(
                f"{type(self.model).__name__} called its embedding module {len(calls)} times in a forward pass; mixup "
                "needs exactly one call. Set mixup_alpha=0, and please report the model type "
                f"'{self.model.config.model_type}'."
            )

    def detach(self) -> None:
        """Takes the hooks off the model, which is then as it was before."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _attach(self) -> list[int]:
        """Hooks the embedding module; the returned list gets an entry at each call until the last handle goes."""
        calls: list[int] = []
        self._handles = [
            self.embedding.register_forward_pre_hook(self._append_others),
            # First of the forward hooks: NEFTune's noise belongs on the mixed embeddings.
            self.embedding.register_forward_hook(self._mix_output, prepend=True),
            self.embedding.register_forward_hook(lambda *_: calls.append(1)),
        ]
        return calls

    def _append_others(self, module: nn.Module, args: tuple) -> tuple | None:
        if self._other_ids is None:
            return None
        return (torch.cat([args[0], self._other_ids]), *args[1:])

    def _mix_output(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
        if self._lam is None:
            return None
        carried, others = output.chunk(2)
        return interpolate(carried, others, self._lam.to(output.device))
