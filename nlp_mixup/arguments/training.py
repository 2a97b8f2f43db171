"""The settings of training: `MixupTrainingArguments`, those of transformers and those of mixup, each checked as it is set."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import TrainingArguments

from nlp_mixup.arguments.evaluation import IS_GREATER_BETTER, greater_is_better, listed


@dataclass
class MixupTrainingArguments(TrainingArguments):
    """[`~transformers.TrainingArguments`] and the settings of mixup (Thulasidasan et al., NeurIPS 2019).

    Raises:
        ValueError: a setting is out of its range; the message names the setting, its value and the range.

    Example:
        >>> args = MixupTrainingArguments(output_dir="runs/doctest", mixup_alpha=0.4)
        >>> args.mixup_lambda_per
        'batch'
        >>> MixupTrainingArguments(output_dir="runs/doctest", mixup_alpha=-1)
        Traceback (most recent call last):
            ...
        ValueError: mixup_alpha must be a finite number >= 0 (0 is plain training; start at 0.2 to 0.4), got -1.
    """

    mixup_alpha: float = field(
        default=0.0,
        metadata={
            "help": "lambda ~ Beta(alpha, alpha) is the share of the first example of a pair. 0 is exactly plain "
            "training; 0.2 to 0.4 is where the paper found the best calibration."
        },
    )
    mixup_lambda_per: Literal["batch", "example"] = field(
        default="batch",
        metadata={"help": "Draw lambda once per batch (per process and micro-batch), as in the paper, or per example."},
    )
    mixup_carrier: Literal["auto", "dominant", "longer"] = field(
        default="auto",
        metadata={
            "help": "Whose ids, mask and positions a mixed pair travels under: 'dominant', the example with the "
            "larger share (exact at both endpoints); 'longer', the longer one with both masks joined; 'auto' is "
            "'dominant', which on a model without mask is the paper's mixing of zero-padded rows."
        },
    )

    mixup_level: Literal["embedding", "hidden", "sentence"] = field(
        default="embedding",
        metadata={
            "help": "Where mixing happens: 'embedding', as in the paper: the embeddings of a text, the pixels of an image; "
            "'hidden', in the output of mixup_layer (encoders); 'sentence', before the last linear layer."
        },
    )
    mixup_layer: list[int] | None = field(
        default=None,
        metadata={"help": "mixup_level=hidden: the layer (1 is the first), or several of which each batch draws one."},
    )
    mixup_pixels: Literal["mixup", "cutmix"] = field(
        default="mixup",
        metadata={
            "help": "Images at mixup_level=embedding: 'mixup' interpolates the pixels; 'cutmix' pastes a box of the partner, "
            "whose area is the partner's share of the label."
        },
    )
    mixup_mode: Literal["full", "inputs_only", "labels_only"] = field(
        default="full",
        metadata={
            "help": "'full' mixes inputs and labels; 'inputs_only' keeps the hard label of the nearer example (the paper's "
            "features-only ablation); 'labels_only' keeps the nearer example's input and mixes the labels."
        },
    )
    mixup_probability: float = field(default=1.0, metadata={"help": "Share of the batches that are mixed."})
    mixup_off_epoch: float | None = field(
        default=None, metadata={"help": "Train on clean batches from this epoch on (0 is the start)."}
    )
    mixup_clean_weight: float = field(
        default=0.0,
        metadata={
            "help": "Weight w of the clean batch's loss beside the mixed one's: (mixed + w clean) / (1 + w). 1 is "
            "RegMixup; 0 is off. Needs the forward pass of twice the rows."
        },
    )
    lr_milestones: list[float] | None = field(
        default=None,
        metadata={
            "help": "Shares of the training run at which the learning rate is multiplied by lr_milestone_factor, in place of "
            "lr_scheduler_type: 0.3 0.6 0.8 are the epochs 60, 120 and 160 of 200."
        },
    )
    lr_milestone_factor: float = field(
        default=0.2, metadata={"help": "What each of lr_milestones multiplies the learning rate by."}
    )
    confidence_penalty: float = field(
        default=0.0,
        metadata={
            "help": "kappa of the entropy-regularised loss: cross-entropy - kappa * H(p), H the entropy of the "
            "prediction (Pereyra et al. 2017). 0 is off; 0.1 is usual."
        },
    )

    def __post_init__(self):
        if self.hub_token is not None:
            raise ValueError(
                "hub_token would be written to disk with the arguments. Leave it out and set the environment variable "
                "HF_TOKEN, or log in: hf auth login"
            )
        if self.per_device_train_batch_size < 1:
            raise ValueError(f"per_device_train_batch_size must be at least 1, got {self.per_device_train_batch_size}.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate >= 0):
            raise ValueError(f"learning_rate must be a finite number >= 0, got {self.learning_rate}.")
        if not all(0 < share < 1 for share in self.lr_milestones or []):
            raise ValueError(
                f"lr_milestones are shares of the training run, between 0 and 1, got {self.lr_milestones}. For epoch 60 of "
                "200, type 0.3."
            )
        if not self.lr_milestone_factor > 0:
            raise ValueError(f"lr_milestone_factor must be > 0, got {self.lr_milestone_factor}.")
        self.check_mixup()
        self._check_direction()
        self.mixup_alpha = float(self.mixup_alpha)  # a search casts to the type it finds: an int would make 0.4 a 0
        super().__post_init__()

    def _check_direction(self) -> None:
        """The better end of ``metric_for_best_model``, which the Trainer knows of names in -loss only."""
        metric = (self.metric_for_best_model or "").removeprefix("eval_")
        if metric in ("gap", "confidence"):
            raise ValueError(
                f"metric_for_best_model={metric!r} has no better end: 0 is best for the gap, and confidence alone says "
                f"nothing. Choose {listed(IS_GREATER_BETTER)}."
            )
        known = greater_is_better(metric)
        if self.greater_is_better is None:
            self.greater_is_better = known
        elif known is not None and self.greater_is_better is not known:
            raise ValueError(
                f"greater_is_better={self.greater_is_better} would keep the model with the worst {metric}. Leave it out: the "
                f"direction of {listed(IS_GREATER_BETTER)} is known."
            )

    def check_mixup(self) -> None:
        """Refuses settings of mixup that are out of range; the trainer asks again, since a search sets them later.

        Raises:
            ValueError: the message names the setting, its value and the range.
        """
        if not (math.isfinite(self.mixup_alpha) and self.mixup_alpha >= 0):
            raise ValueError(
                "mixup_alpha must be a finite number >= 0 (0 is plain training; start at 0.2 to 0.4), "
                f"got {self.mixup_alpha}."
            )
        _check_choice("mixup_lambda_per", self.mixup_lambda_per, ("batch", "example"))
        _check_choice("mixup_carrier", self.mixup_carrier, ("auto", "dominant", "longer"))
        _check_choice("mixup_level", self.mixup_level, ("embedding", "hidden", "sentence"))
        _check_choice("mixup_pixels", self.mixup_pixels, ("mixup", "cutmix"))
        if self.mixup_pixels == "cutmix" and self.mixup_level != "embedding":
            raise ValueError(
                f"mixup_pixels='cutmix' pastes pixels, so it needs mixup_level='embedding', got {self.mixup_level!r}."
            )
        _check_choice("mixup_mode", self.mixup_mode, ("full", "inputs_only", "labels_only"))
        if not 0 <= self.mixup_probability <= 1:
            raise ValueError(f"mixup_probability must lie between 0 and 1, got {self.mixup_probability}.")
        if not (math.isfinite(self.mixup_clean_weight) and self.mixup_clean_weight >= 0):
            raise ValueError(f"mixup_clean_weight must be a finite number >= 0, got {self.mixup_clean_weight}.")
        if not (math.isfinite(self.confidence_penalty) and self.confidence_penalty >= 0):
            raise ValueError(f"confidence_penalty must be a finite number >= 0, got {self.confidence_penalty}.")
        if self.mixup_off_epoch is not None and not self.mixup_off_epoch >= 0:
            raise ValueError(f"mixup_off_epoch must be >= 0, got {self.mixup_off_epoch}.")
        if isinstance(self.mixup_layer, int) and not isinstance(self.mixup_layer, bool):
            self.mixup_layer = [self.mixup_layer]  # one layer, as a search or a line of Python gives it
        layers: Any = self.mixup_layer
        if layers is not None and not (
            isinstance(layers, (list, tuple)) and all(type(layer) is int for layer in layers)
        ):
            raise ValueError(
                f"mixup_layer must be a whole number such as 2, or a list of them such as [1, 2], got {layers!r}."
            )
        if (self.mixup_level == "hidden") != bool(self.mixup_layer):
            raise ValueError(
                "mixup_layer and mixup_level='hidden' belong together: name the layer, such as --mixup_level hidden "
                f"--mixup_layer 3, or neither. Got mixup_level={self.mixup_level!r}, mixup_layer={self.mixup_layer}."
            )
        if self.mixup_layer and min(self.mixup_layer) < 1:
            raise ValueError(
                f"mixup_layer counts from 1, got {self.mixup_layer}. The embeddings are mixup_level='embedding'."
            )
        spans_step = self.mixup_level == "embedding" and self.gradient_accumulation_steps > 1
        if self.mixup_alpha > 0 and self.per_device_train_batch_size == 1 and not spans_step:
            raise ValueError(
                "per_device_train_batch_size=1 leaves no partner to mix with. Set it to 2 or more; or, at "
                "mixup_level='embedding', set gradient_accumulation_steps to 2 or more; or mixup_alpha=0."
            )
        if self.mixup_alpha > 0 and self.parallelism_config is not None:
            config = self.parallelism_config
            check_parallelism(tp_size=config.tp_size, cp_size=config.cp_size, sp_size=config.sp_size)


def check_parallelism(*, zero_stage: int = 0, **sizes: int) -> None:
    """Refuses the ways to split a model or a text under which mixup is unproven and would not fail by itself.

    Args:
        zero_stage: of DeepSpeed.
        sizes: ``tp_size``, ``cp_size`` and ``sp_size``: tensor, context and sequence parallel.

    Raises:
        ValueError: the message names what was given and what to use.

    Example:
        >>> check_parallelism(zero_stage=2, tp_size=1)
    """
    advice = "Use data parallelism (accelerate launch, DDP or FSDP), or set mixup_alpha=0."
    for name, size in sizes.items():
        if (size or 1) > 1:
            raise ValueError(
                f"{name}={size} gives several processes one batch, of which each would draw other partners. {advice}"
            )
    if zero_stage == 3:
        raise ValueError(f"DeepSpeed ZeRO-3 (stage 3) has not been shown to mix correctly. ZeRO-1 or 2, or: {advice}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
