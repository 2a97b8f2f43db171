"""The sentence CNN: word embeddings, windows of three widths, max over time, dropout, one linear layer.

Kim (2014), "Convolutional Neural Networks for Sentence Classification", arXiv:1408.5882, in the sizes that
Thulasidasan et al. (2019), arXiv:1905.11001, train on MR and TREC. This file imports no other of the package, so
that it can travel with pushed weights as remote code.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, cast

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple


@strict
class TextCNNConfig(PreTrainedConfig):
    """Sizes of the sentence CNN; the defaults are the paper's.

    Args:
        vocab_size: Number of token ids, the padding id among them.
        hidden_size: Dimension of a word's embedding.
        filter_widths: Tokens in a window, one group of filters per width.
        num_filters: Feature maps per width.
        classifier_dropout: Dropout on the pooled features.
        pad_token_id: The id whose embedding is zero and stays zero.
        initializer_range: Embeddings start uniform in ``[-initializer_range, initializer_range]``; Kim's: 0.25.

    Raises:
        ValueError: A size is out of its range.

    >>> config = TextCNNConfig(vocab_size=100, num_labels=3)
    >>> config.hidden_size, tuple(config.filter_widths), config.num_filters, config.num_labels
    (300, (3, 4, 5), 100, 3)
    """

    model_type = "text_cnn"

    vocab_size: int = 20_000
    hidden_size: int = 300
    filter_widths: list[int] | tuple[int, ...] = (3, 4, 5)
    num_filters: int = 100
    classifier_dropout: float | int = 0.5
    pad_token_id: int = 0
    initializer_range: float | int = 0.25
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"] | None = (
        "single_label_classification"
    )

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if (self.num_labels or 0) < 2:
            raise ValueError(f"num_labels={self.num_labels}: give 2 classes or more.")
        for name in ("vocab_size", "hidden_size", "num_filters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1.")
        if not self.filter_widths or min(self.filter_widths) < 1:
            raise ValueError(
                f"filter_widths={self.filter_widths}: give one width or more, each at least 1, as in (3, 4, 5)."
            )
        if not 0 <= self.classifier_dropout < 1:
            raise ValueError(f"classifier_dropout={self.classifier_dropout}: must be in [0, 1), such as 0.5.")
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(
                f"pad_token_id={self.pad_token_id}: must be an id of the vocabulary, 0 to {self.vocab_size - 1}."
            )
        if self.problem_type != "single_label_classification":
            raise ValueError(
                f"problem_type={self.problem_type!r}: the sentence CNN is for 'single_label_classification' alone."
            )


class MaxOverTime(nn.Module):
    """Windows of every width over a row, and each feature map's maximum over time (Kim 2014, equations 2 and 3).

    c_m = max over i of ReLU(w_m . x[i : i + h] + b_m), where x is zero outside the row.

    Computed as one matrix product instead of three convolutions: every token is multiplied by all h slices of every
    filter at once; the products are shifted by their place in the window and added. What follows a row's last
    token is not multiplied: rows lie end to end, max(h) - 1 zeros apart, so that no window touches two of them. A
    window of padding alone takes part in every maximum, as in a row padded to infinity.

    Args:
        hidden_size: Dimension d of a token's vector.
        filter_widths: The window lengths h.
        num_filters: Feature maps per width.
    """

    def __init__(self, hidden_size: int, filter_widths: Sequence[int], num_filters: int):
        super().__init__()
        self.filter_widths = tuple(filter_widths)
        self.num_filters = num_filters
        # Blocks of num_filters rows: width 3 place 0, width 3 place 1, ... width 5 place 4.
        self.projection = nn.Linear(hidden_size, sum(self.filter_widths) * num_filters, bias=False)
        self.bias = nn.Parameter(torch.zeros(len(self.filter_widths) * num_filters))

    def forward(self, vectors: torch.Tensor, occupied: torch.Tensor) -> torch.Tensor:
        """Pool a batch of rows.

        Args:
            vectors: (batch, length, hidden_size), zero wherever ``occupied`` is False.
            occupied: (batch, length) bool. Computing stops after a row's last True.

        Returns:
            (batch, widths x num_filters), at least 0.
        """
        margin = max(self.filter_widths)
        vectors, occupied = F.pad(vectors, (0, 0, 0, margin)), F.pad(occupied, (0, margin))
        time = torch.arange(occupied.size(1), device=occupied.device)
        row_end = ((time + 1) * occupied).amax(1, keepdim=True)
        packed = time < row_end + margin - 1  # every window that touches the row ends in here

        products = iter(self.projection(vectors[packed]).split(self.num_filters, dim=1))
        windows = torch.cat([self._sum_windows(products, width) for width in self.filter_widths], dim=1)

        # What is left out, at least one place per row, are windows of padding alone: zero before the bias.
        over_time = windows.new_zeros(*packed.shape, windows.size(1))
        over_time[packed] = windows
        return F.relu(over_time.amax(1) + self.bias)

    @staticmethod
    def _sum_windows(products: Iterator[torch.Tensor], width: int) -> torch.Tensor:
        """Value of the window that ends at each token: the last place unshifted, the first delayed the most."""
        shifted = [F.pad(next(products), (0, 0, delay, -delay)) for delay in reversed(range(width))]
        return sum(shifted[1:], start=shifted[0])


class TextCNNForSequenceClassification(PreTrainedModel):
    """Sentence CNN with a linear classifier over the pooled features.

    A row means the same alone, padded left or right, in any batch: padding embeds to zero and a row is read as
    if zeros went on for ever on both sides. There is therefore no attention mask.

    >>> model = TextCNNForSequenceClassification(TextCNNConfig(vocab_size=10, num_labels=3)).eval()
    >>> alone = model(torch.tensor([[4, 2, 7]])).logits
    >>> padded = model(torch.tensor([[0, 0, 4, 2, 7, 0], [5, 1, 3, 9, 8, 6]])).logits
    >>> padded.shape, torch.allclose(alone[0], padded[0], atol=1e-6)
    (torch.Size([2, 3]), True)
    """

    config_class = TextCNNConfig
    base_model_prefix = "text_cnn"
    main_input_name = "input_ids"
    _input_embed_layer = "embedding"
    # The loss honours num_items_in_batch: accumulated steps of the Trainer give the gradient of one big batch.
    accepts_loss_kwargs = True

    def __init__(self, config: TextCNNConfig):
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.encoder = MaxOverTime(config.hidden_size, config.filter_widths, config.num_filters)
        self.dropout = nn.Dropout(config.classifier_dropout)
        num_labels = cast(int, config.num_labels)  # None only in configurations that skip __post_init__
        self.classifier = nn.Linear(len(config.filter_widths) * config.num_filters, num_labels)
        self.post_init()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings; the padding row of the new ones is zeroed and frozen at zero."""
        if not isinstance(value, nn.Embedding):
            raise TypeError(f"{type(value).__name__} given; the sentence CNN looks words up in a torch.nn.Embedding.")
        value.padding_idx = self.config.pad_token_id
        with torch.no_grad():
            value.weight[value.padding_idx].zero_()
        self.embedding = value

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            span = self.config.initializer_range
            # A slice of a loaded weight would lose the mark that protects it, hence one guard for both steps.
            if not getattr(module.weight, "_is_hf_initialized", False):
                init.uniform_(module.weight, -span, span)
                init.zeros_(module.weight[self.config.pad_token_id])
        elif isinstance(module, MaxOverTime):
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            # torch's own default for a Conv1d or Linear, 1 / sqrt(fan in); a filter sees `width` vectors.
            fan_in = module.in_features
            if module is self.encoder.projection:
                fan_in *= max(self.config.filter_widths)
            init.uniform_(module.weight, -(fan_in**-0.5), fan_in**-0.5)
            if module.bias is not None:
                init.zeros_(module.bias)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        labels: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> SequenceClassifierOutput:
        """Classify a batch of rows.

        Args:
            input_ids: (batch, length); zero length and rows of padding alone are allowed.
            inputs_embeds: (batch, length, hidden_size) instead of ``input_ids``; padding must be zero.
            labels: (batch,) integer classes, -100 to leave a row out of the loss.
            num_items_in_batch: Rows of the whole optimisation step. With it the loss is the sum divided by it,
                without it the mean over this batch.

        Returns:
            ``logits`` (batch, num_labels) and, with labels, ``loss``: plain cross-entropy in float32.

        Raises:
            ValueError: Not exactly one of ``input_ids`` and ``inputs_embeds``; labels that are not integers.
        """
        if input_ids is not None and inputs_embeds is None:
            # Empty texts alone collate to torch.tensor([[]]), which is float.
            ids = input_ids if input_ids.numel() else input_ids.long()
            vectors = self.embedding(ids)
            # A hook may have mixed another row into this one's padding, so padding is what still is zero.
            occupied = (ids != self.config.pad_token_id) | (vectors.detach() != 0).any(-1)
        elif inputs_embeds is not None and input_ids is None:
            vectors = inputs_embeds
            occupied = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
        else:
            raise ValueError("Give exactly one of input_ids and inputs_embeds.")

        logits = self.classifier(self.dropout(self.encoder(vectors, occupied)))
        loss = None if labels is None else self._cross_entropy(logits, labels, num_items_in_batch)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _cross_entropy(self, logits, labels, num_items_in_batch) -> torch.Tensor:
        if labels.dim() != 1 or labels.is_floating_point():
            raise ValueError(
                f"labels have shape {tuple(labels.shape)} and type {labels.dtype}; accepted are integer classes of "
                "shape (batch,). Mixed labels belong in the trainer's loss, not in the model."
            )
        if num_items_in_batch is None:
            return F.cross_entropy(logits.float(), labels)
        return F.cross_entropy(logits.float(), labels, reduction="sum") / num_items_in_batch
