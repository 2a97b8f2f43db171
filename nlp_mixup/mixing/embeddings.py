"""Mixes a batch in the embedding layer, inside the model's ordinary forward pass.

Embedding-layer mixup of text, Thulasidasan et al., NeurIPS 2019: E(a) and E(b) are interpolated position by position.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from nlp_mixup.mixing.architectures import UNMIXED_INPUTS, Embedding, embeddings_of
from nlp_mixup.mixing.draw import Mix

Carrier = Literal["auto", "dominant", "longer"]


def interpolate(first: Tensor, second: Tensor, lam: Tensor, batch_dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """lambda * first + (1 - lambda) * second, row by row; exactly `first` at lambda = 1, `second` at 0.

    Args:
        first, second: tensors of one shape, rows along `batch_dim`.
        lam: (n,) in [0, 1].
        out: where to write the result, such as `second`; for tensors that need no gradient.

    Example:
        >>> interpolate(torch.tensor([[8.0], [8.0]]), torch.tensor([[4.0], [4.0]]), torch.tensor([0.25, 1.0]))
        tensor([[5.],
                [8.]])
    """
    shape = [1] * first.dim()
    shape[batch_dim] = -1
    # lerp keeps neither tensor for backward, where lam * first + (1 - lam) * second would make two more.
    return torch.lerp(second, first, lam.to(first.dtype).view(shape), out=out)


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
        >>> mix = Mix(torch.tensor([1, 0]), torch.tensor([0.3, 0.3]), torch.tensor([0.3, 0.3]))
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
    """Mixes the output of a model's embedding modules while a batch is armed; at other times the model is untouched.

    Two hooks on each embedding module make it embed carriers and partners in one call and return the interpolation, so
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
        >>> mix = Mix(torch.tensor([1, 0]), torch.ones(2), torch.ones(2))
        >>> with torch.no_grad(), EmbeddingMixer(model).armed(batch, mix) as carried:
        ...     mixed = model(**carried).logits
        >>> bool(torch.equal(mixed, model(**batch).logits))  # lambda = 1 is the plain forward pass
        True
    """

    def __init__(self, model: PreTrainedModel, carrier: Carrier = "auto"):
        self.model = model
        self.carrier = carrier
        self._sites = [_Site(embedding) for embedding in embeddings_of(model)]
        self._checked = False

    @contextmanager
    def armed(
        self,
        inputs: dict[str, Tensor],
        mix: Mix,
        *,
        rows: slice = slice(None),
        widths: Tensor | None = None,
        padding_side: str = "right",
        with_clean: bool = False,
    ) -> Iterator[dict[str, Tensor]]:
        """Within this context the model's forward pass mixes; keep it open through backward.

        Args:
            inputs: collated rows with ``input_ids`` (n, length) and whatever else the model takes per row. Partners are
                found among them.
            mix: the pairs, n rows, on the rows' device.
            rows: the rows of this forward pass, where they are a micro-batch of the n.
            widths: (n,) the width at which each row was collated; the carriers' widest becomes the width of the pass.
            padding_side: ``right`` or ``left``, where columns are cut off to that width.
            with_clean: append the rows themselves, unmixed, behind the mixed ones.

        Yields:
            The batch to give to the model: the carriers' rows. ``labels`` are those of the original rows.

        Raises:
            ValueError: there are no token ids.
            RuntimeError: the first armed forward pass did not call each embedding module exactly once.
        """
        if "input_ids" not in inputs:
            raise ValueError(
                f"Embedding mixup needs input_ids in the batch, which has {', '.join(sorted(inputs))}. "
                "Collate token ids, or set mixup_alpha=0. For images: from nlp_mixup.vision import ImageMixupTrainer."
            )
        unmixed = [name for name in UNMIXED_INPUTS if name in inputs]
        if unmixed:
            raise ValueError(
                f"Embedding mixup would mix the text but not {unmixed[0]}. Leave that input out, or set mixup_alpha=0."
            )
        ids, mask = inputs["input_ids"], inputs.get("attention_mask")
        if ids.dim() != 2:
            raise ValueError(f"input_ids must be (rows, length), got {tuple(ids.shape)}: one text per label.")
        lengths = mask.sum(1) if mask is not None else torch.full_like(mix.partners, ids.shape[1])
        carriers, others, lam = (chosen[rows] for chosen in choose_carriers(mix, lengths, self.carrier))
        own = torch.arange(len(ids), device=ids.device)[rows]
        taken = torch.cat([carriers, own]) if with_clean else carriers
        carried = select_rows(inputs, taken) | {name: inputs[name][own] for name in ("labels",) if name in inputs}
        if self.carrier == "longer" and mask is not None:
            carried["attention_mask"] = carried["attention_mask"].clone()
            carried["attention_mask"][: len(carriers)] = torch.maximum(mask[carriers], mask[others])
        columns = slice(None)
        if widths is not None:
            width = int(widths[taken].max())
            columns = slice(0, width) if padding_side == "right" else slice(ids.shape[1] - width, None)
            carried = {
                name: value[:, columns] if torch.is_tensor(value) and value.shape[1:2] == ids.shape[1:] else value
                for name, value in carried.items()
            }
        sites = [site for site in self._sites if site.embedding.source in inputs]
        other_ids = [site.embedding.ids(inputs[site.embedding.source][others][:, columns]) for site in sites]
        try:
            for site, site_ids in zip(sites, other_ids, strict=True):
                site.arm(site_ids, lam)
            yield carried
        finally:
            calls = [site.disarm() for site in sites]
        if not self._checked and calls != [1] * len(sites):
            self.detach()
            raise RuntimeError(
                f"{type(self.model).__name__} called its embedding modules {calls} times in a forward pass; mixup "
                "needs exactly one call of each. Set mixup_alpha=0, and please report the model type "
                f"'{self.model.config.model_type}'."
            )
        self._checked = True

    def attach(self) -> None:
        """Puts the hooks on the model, where they rest until a batch is armed.

        The first armed batch does so too; before the first step, it spares torch.compile a second plain graph.
        """
        for site in self._sites:
            site.attach()

    def detach(self) -> None:
        """Takes the hooks off the model, which is then as it was before."""
        for site in self._sites:
            site.detach()


class _Site:
    """One embedding module and its two hooks."""

    def __init__(self, embedding: Embedding):
        self.embedding = embedding
        self._handles: list[RemovableHandle] = []
        # torch.compile recompiles where a Python number differs when a graph is entered: this one is 0 each time.
        self._calls = 0
        self._other_ids: Tensor | None = None
        self._lam: Tensor | None = None

    def attach(self) -> None:
        if not self._handles:
            module = self.embedding.module
            self._handles = [
                module.register_forward_pre_hook(self._append_others),
                # First of the forward hooks: NEFTune's noise belongs on the mixed embeddings.
                module.register_forward_hook(self._mix_output, prepend=True),
            ]

    def arm(self, other_ids: Tensor, lam: Tensor) -> None:
        self.attach()
        self._other_ids, self._lam, self._calls = other_ids, lam, 0

    def disarm(self) -> int:
        """Stops mixing; returns the counted calls."""
        self._other_ids = self._lam = None
        return self._calls

    def detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _is_text(self, ids: Tensor) -> bool:
        """Whether these are the batch's ids, rather than the padding alone that some models embed apart."""
        return self._other_ids is not None and ids.shape[1 - self.embedding.batch_dim] >= self._other_ids.shape[1]

    def _append_others(self, module: nn.Module, args: tuple) -> tuple | None:
        if self._other_ids is None or not self._is_text(args[0]):
            return None
        length = args[0].shape[1 - self.embedding.batch_dim]
        # The model may have padded the ids on the right, to a multiple of its window.
        others = nn.functional.pad(
            self._other_ids, (0, length - self._other_ids.shape[1]), value=self.embedding.pad_token_id
        )
        batch_dim = self.embedding.batch_dim
        return (torch.cat([args[0], others.movedim(0, batch_dim)], dim=batch_dim), *args[1:])

    def _mix_output(self, module: nn.Module, args: tuple, output):
        if self._lam is None or not self._is_text(args[0]):
            return None
        self._calls += 1
        vectors = output[0] if isinstance(output, tuple) else output
        batch_dim, n = self.embedding.batch_dim, self._lam.shape[0]
        carried, clean, others = vectors.split([n, vectors.shape[batch_dim] - 2 * n, n], dim=batch_dim)
        mixed = interpolate(carried, others, self._lam.to(vectors.device), batch_dim)
        if clean.shape[batch_dim] > 0:
            mixed = torch.cat([mixed, clean], dim=batch_dim)
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed


def select_rows(inputs: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Every per-row tensor of a batch at these rows; the rest as it is."""
    n = len(inputs["input_ids"])
    return {
        name: value[rows] if torch.is_tensor(value) and value.shape[:1] == (n,) else value
        for name, value in inputs.items()
    }
