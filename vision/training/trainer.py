"""`ImageMixupTrainer`: the trainer of `nlp_mixup.training.trainer` for images, whose pixels are mixed instead of embeddings.

Thulasidasan et al., "On Mixup Training", NeurIPS 2019. Pairs, lambda, loss, modes and levels are the text side's; this file
says only what pixels change.
"""

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor
from transformers import Trainer

from nlp_mixup.mixing import EmbeddingMixer, HiddenMixer, Mix, Pairing
from nlp_mixup.training import MixupMixin
from nlp_mixup.vision.data import Augmenter
from nlp_mixup.vision.mixing import (
    check_image_model,
    check_inputs,
    draw_cut_mix,
    image_layers,
    mixed_batch,
    pool_images,
)


class ImageMixupTrainer(MixupMixin, Trainer):
    """[`~transformers.Trainer`] with pixel mixup: swap it in, set ``mixup_alpha``, train any image classifier.

    Takes what `Trainer` takes; ``args`` are `MixupTrainingArguments`. ``mixup_level="embedding"``, the default, mixes the
    normalised ``pixel_values`` before the forward pass, by interpolation or, with ``mixup_pixels="cutmix"``, by pasting a
    box; ``hidden`` mixes what stage or layer ``mixup_layer`` puts out, ``sentence`` the logits. See `MixupMixin` for what
    else changes.

    An `Augmenter` shifts and mirrors the images of a batch before they are mixed. Its draws, like the pairs, follow from
    seed, process and step alone: a resumed run sees the copies that an uninterrupted one sees, and ``clean_loss`` none.

    With BatchNorm, micro-batches and processes have statistics of their own, so that their gradient is the big batch's
    with those statistics frozen only.

    Raises:
        ValueError: as `MixupMixin`; or the model reads no pixels, or a batch holds none.

    Example:
        >>> import torch
        >>> from nlp_mixup import MixupTrainingArguments
        >>> from transformers import ViTConfig, ViTForImageClassification
        >>> config = ViTConfig(image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
        >>> trainer = ImageMixupTrainer(
        ...     model=ViTForImageClassification(config),
        ...     args=MixupTrainingArguments(
        ...         output_dir="runs/doctest", mixup_alpha=0.4, max_steps=1, save_strategy="no", logging_strategy="no"
        ...     ),
        ...     train_dataset=[{"pixel_values": torch.rand(3, 8, 8), "labels": label} for label in (0, 1)],
        ... )
        >>> output = trainer.train()  # doctest: +ELLIPSIS
        {'train_runtime': ...
        >>> output.global_step
        1
    """

    def __init__(self, *args, augmenter: Augmenter | None = None, **kwargs):
        self._augmenter = augmenter
        super().__init__(*args, **kwargs)

    def _augmented(self, batches: list[dict]) -> list[dict]:
        if self._augmenter is None or self._augmenter.augmentation == "none":
            return batches
        augmented = []
        for micro_step, batch in enumerate(batches):
            random = np.random.default_rng([*self._coordinates(micro_step).values(), 3])
            augmented.append(batch | {"pixel_values": self._augmenter(batch["pixel_values"], random)})
        return augmented

    def pair(self, batches: list[dict]) -> list[Pairing | None]:
        pairings = super().pair(batches)
        if len(batches) > 1:
            for batch, pairing in zip(batches, pairings, strict=True):
                if pairing is not None and self.args.mixup_level == "embedding":
                    # A view of the joined rows, so that the step's pixels are kept once.
                    batch["pixel_values"] = pairing.inputs["pixel_values"][pairing.rows]
        return pairings

    def _draw(self, group: list[dict], micro_step: int) -> Mix | None:
        if self.args.mixup_pixels == "mixup":
            return super()._draw(group, micro_step)
        # Nothing to round: pixels are pasted whole, and labels are mixed by counting them.
        return self._drawn_ahead(draw_cut_mix, group, micro_step, size=tuple(group[0]["pixel_values"].shape[-2:]))

    def _pool(self, batches: list[dict]) -> dict[str, Tensor]:
        return pool_images(batches)

    def _armed(self, inputs: dict) -> AbstractContextManager[dict]:
        pairing = self._pairing
        if pairing is None or self.args.mixup_level != "embedding":
            return super()._armed(inputs)
        with_clean = self.args.mixup_clean_weight > 0
        return nullcontext(mixed_batch(pairing.inputs, pairing.mix, pairing.rows, with_clean))

    def _new_mixer(self) -> EmbeddingMixer | HiddenMixer | None:
        check_image_model(self.model)
        return HiddenMixer(self.model, image_layers(self.model)) if self.args.mixup_level == "hidden" else None

    def _check_batch(self, inputs: dict) -> None:
        super()._check_batch(inputs)
        if self.args.mixup_alpha > 0 and self.args.mixup_level == "embedding":
            check_inputs(inputs)
        pixels = inputs.get("pixel_values")
        # One NaN or infinity makes the sum so, and the sum alone needs no tensor as large as the batch.
        if pixels is None or pixels.sum(dtype=torch.float32).isfinite():
            return
        for row, image in enumerate(pixels):
            if not image.isfinite().all():
                raise ValueError(
                    f"The pixel_values of row {row} of a batch at step {self.state.global_step} are not all finite: NaN or "
                    "infinite pixels, or a normalisation by a standard deviation of 0."
                )
