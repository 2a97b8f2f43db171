"""Mixup in the hidden states that a layer of an encoder puts out.

Manifold mixup (Verma et al., ICML 2019); TMix (Chen et al., ACL 2020). The third level, the sentence just before the last
linear layer (Guo et al. 2019), is the interpolation of logits and needs no module: see `nlp_mixup.training.trainer`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from nlp_mixup.mixing.draw import Mix
from nlp_mixup.mixing.embeddings import interpolate


class HiddenMixer:
    """Mixes the hidden states that a layer puts out, while a batch is armed.

    Each row travels under the union of its own mask and its partner's, given at the input: M(a, b, lambda) equals
    M(b, a, 1 - lambda). At lambda = 1 a row shorter than its partner is therefore not quite its plain forward pass.

    Args:
        model: an encoder with a classifier's head.
        layers: its layers in the order in which they are called, such as `nlp_mixup.mixing.architectures.encoder_layers` gives.

    Example:
        >>> from nlp_mixup.mixing.architectures import encoder_layers
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=3, num_attention_heads=2)
        >>> model = BertForSequenceClassification(config)
        >>> HiddenMixer(model, encoder_layers(model)).n_layers
        3
    """

    def __init__(self, model: PreTrainedModel, layers: list[nn.Module]):
        self.n_layers = len(layers)
        self._sites = {module: _Layer(module) for module in layers}
        self._layers = [self._sites[module] for module in layers]

    @contextmanager
    def armed(
        self, inputs: dict[str, Tensor], mix: Mix, layer: int, with_clean: bool = False
    ) -> Iterator[dict[str, Tensor]]:
        """Within this context the model's forward pass mixes the output of `layer`; keep it open through backward.

        Args:
            inputs: a collated batch of n rows.
            mix: the pairs, n rows, on the batch's device.
            layer: 1 to `n_layers`.
            with_clean: append the rows themselves, unmixed, behind the mixed ones.

        Yields:
            The batch to give to the model.

        Raises:
            ValueError: there is no such layer.
        """
        if not 1 <= layer <= self.n_layers:
            raise ValueError(f"mixup_layer {layer} does not exist; the model has the layers 1 to {self.n_layers}.")
        carried = dict(inputs)
        mask = inputs.get("attention_mask")
        if mask is not None:
            carried["attention_mask"] = torch.maximum(mask, mask[mix.partners])
        if with_clean:
            carried |= {
                name: torch.cat([carried[name], value])
                for name, value in inputs.items()
                if name != "labels" and torch.is_tensor(value) and value.shape[:1] == mix.partners.shape
            }
        site = self._layers[layer - 1]
        site.arm(mix, call=self._layers[: layer - 1].count(site), calls=self._layers.count(site))
        try:
            yield carried
        finally:
            site.mix = None

    def attach(self) -> None:
        """Puts the hooks on the model, where they rest until a batch is armed; see `EmbeddingMixer.attach`."""
        for site in self._sites.values():
            site.attach()

    def detach(self) -> None:
        """Takes the hooks off the model, which is then as it was before."""
        for site in self._sites.values():
            site.detach()


class _Layer:
    """One layer module and its hook; ALBERT calls one module for every layer."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.mix: Mix | None = None
        self._handle: RemovableHandle | None = None
        self._call = self._calls = 0
        self._wanted = 0

    def attach(self) -> None:
        if self._handle is None:
            self._handle = self.module.register_forward_hook(self._mix_output)

    def arm(self, mix: Mix, call: int, calls: int) -> None:
        self.attach()
        self.mix, self._wanted, self._calls, self._call = mix, call, calls, 0

    def detach(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _mix_output(self, module: nn.Module, args: tuple, output):
        if self.mix is None:
            return None
        if self._calls > 1:  # a number that changes makes torch.compile start again: not where layers are modules
            self._call += 1
            if self._call != self._wanted + 1:
                return None
        hidden = output[0] if isinstance(output, tuple) else output
        n = len(self.mix.partners)
        mixed = interpolate(hidden[:n], hidden[self.mix.partners], self.mix.lam.to(hidden.device))
        mixed = torch.cat([mixed, hidden[n:]]) if len(hidden) > n else mixed
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed
