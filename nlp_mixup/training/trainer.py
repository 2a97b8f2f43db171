"""`MixupTrainer`: the Hugging Face Trainer with embedding mixup, and a loss that is right under accumulation.

Thulasidasan et al., "On Mixup Training", NeurIPS 2019. A step draws a `Mix`, mixes inside the forward pass, and takes
the loss against both labels; evaluation never enters this path.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer

from nlp_mixup.mixing import (
    EmbeddingMixer,
    HiddenMixer,
    Pairing,
    draw_layer,
    encoder_layers,
    interpolate,
    mixed_cross_entropy,
)
from nlp_mixup.training.divisor import check_divisor
from nlp_mixup.training.evaluation import EvaluationMixin
from nlp_mixup.training.label_refusals import check_data_sets, check_first_evaluation_batches
from nlp_mixup.training.padding import settle_trainer_padding
from nlp_mixup.training.pairs import PairingMixin
from nlp_mixup.training.publishing import PushMixin
from nlp_mixup.training.refusals import (
    check_arguments,
    check_classifier,
    check_compute_metrics,
    check_overrides,
    check_split_model,
    check_user_loss,
    logits_of,
)
from nlp_mixup.training.schedule import milestone_schedule
from nlp_mixup.training.search import SearchMixin
from nlp_mixup.training.watch import TrainingWatch


class MixupMixin(PairingMixin, EvaluationMixin, SearchMixin, PushMixin):
    """Mixup for any subclass of `Trainer`: ``class MyTrainer(MixupMixin, MyBaseTrainer)``.

    Labels stay integers and never reach the model. The loss is the sum over rows divided by the number of labels in the
    whole step, so that micro-batches and processes give the gradient of one big batch, with mixup and without (the
    stock Trainer's is too large by the number of either, in transformers 5.5.4 to 5.24). ``eval_loss`` is plain cross-entropy, whatever smoothing,
    penalty or mixing training uses: the mean over all rows with a label, where the stock Trainer averages batch means. A
    label of -100 marks a row without one. Evaluation scores every row once, ``dataloader_drop_last`` or not.

    Beside ``loss``, which is the mixed one, the log holds ``mixup_lambda`` and ``mixup_share``: the mean lambda and the
    share of mixed batches since the last entry, of the process that logs; and after each epoch ``clean_loss``, plain
    cross-entropy in evaluation mode on a fixed sample of 256 training rows. ``logging_strategy="no"`` leaves them out.

    A ``compute_loss_func`` of your own is called once with each set of labels, and the two losses are mixed by lambda;
    ``eval_loss`` is then that function's, each batch weighted by its labels: exact for a sum over rows divided by
    ``num_items_in_batch``, or a mean over the rows with a label.

    Raises:
        ValueError: the arguments, the model or the data set cannot be trained with mixup; the message says why and
            what to do.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if Trainer in cls.__mro__ and cls.__mro__.index(Trainer) < cls.__mro__.index(MixupMixin):
            raise TypeError(
                f"Write class {cls.__name__}(MixupMixin, Trainer): behind a Trainer, the mixin does nothing."
            )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        check_arguments(self.args)
        check_compute_metrics(self.compute_metrics, self.args, self.eval_dataset)
        self.label_names = ["labels"]  # a model of one's own may name none, and would be evaluated without
        self._user_loss_func = self.compute_loss_func
        self.compute_loss_func = self._loss
        if self._user_loss_func is not None:
            check_user_loss(self.args)
        if self.args.mixup_alpha > 0:
            check_overrides(type(self), MixupMixin)
        self._mixer: EmbeddingMixer | HiddenMixer | None = None
        self._mixed_model: PreTrainedModel | None = None
        self._check_settings_and_data()
        settle_trainer_padding(self)
        # The step under way: is it training, how is it paired, did the loss see that.
        self._training = False
        self._pairing: Pairing | None = None
        self._loss_saw_pairing = False
        self._divisor_checked = False
        # Since the last log entry: batches, and the mean lambda of each mixed one.
        self._batches = 0
        self._lambdas: list[Tensor] = []
        self.add_callback(TrainingWatch(self))

    def training_step(self, model: nn.Module, inputs: dict, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        paired = [pairing for batch, pairing in self._pairings if batch is inputs]
        self._pairing = paired[0] if paired else self.pair([inputs])[0]
        self._training, self._loss_saw_pairing = True, False
        try:
            with self._armed(inputs) as carried:
                loss = super().training_step(model, carried, num_items_in_batch)
            if self._pairing is not None and not self._loss_saw_pairing:
                raise RuntimeError(
                    f"{type(self).__name__} mixed the inputs, but its loss did not mix the labels: compute_loss or "
                    "compute_loss_func was overridden. Pass compute_loss_func=... at construction instead, or call "
                    "super().compute_loss."
                )
            self._batches += 1
            if self._pairing is not None:
                # One of the two shares is hard in the modes that mix only inputs or only labels.
                of_label = self.args.mixup_mode == "labels_only"
                lam = self._pairing.label_lam if of_label else self._pairing.mix.lam[self._pairing.rows]
                self._lambdas.append(lam.mean())
            return loss
        finally:
            self._training, self._pairing = False, None

    def _armed(self, inputs: dict) -> AbstractContextManager[dict]:
        """The context in which the model's forward pass mixes, and the batch to give it."""
        pairing, args = self._pairing, self.args
        if pairing is None or args.mixup_level == "sentence":
            return nullcontext(inputs)
        mixer, with_clean = self._level_mixer(), args.mixup_clean_weight > 0
        if mixer is None:
            return nullcontext(inputs)
        if isinstance(mixer, EmbeddingMixer):
            return mixer.armed(
                pairing.inputs, pairing.mix, rows=pairing.rows, widths=pairing.widths,
                padding_side=self._padding()[1], with_clean=with_clean,
            )  # fmt: skip
        layer = draw_layer(args.mixup_layer or [], **self._coordinates(0))
        return mixer.armed(pairing.inputs, pairing.mix, layer, with_clean)

    def _level_mixer(self) -> EmbeddingMixer | HiddenMixer | None:
        # model_init gives a new model to each trial of a search.
        if self._mixer is None or self._mixed_model is not self.model:
            self._mixer, self._mixed_model = self._new_mixer(), self.model
        return self._mixer

    def _new_mixer(self) -> EmbeddingMixer | HiddenMixer | None:
        """What mixes inside the model's forward pass; None where the batch is mixed before it."""
        if self.args.mixup_level == "hidden":
            return HiddenMixer(self.model, encoder_layers(self.model))
        return EmbeddingMixer(self.model, self.args.mixup_carrier)

    def _loss(self, outputs, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        loss = self._paired_loss(outputs, labels, num_items_in_batch)
        if self._training and not self._divisor_checked and num_items_in_batch is not None:
            self._divisor_checked = True
            check_divisor(self, loss)
        return loss

    def _paired_loss(self, outputs, labels: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
        pairing = self._pairing
        if pairing is None:
            loss = self._loss_of(outputs, labels, num_items_in_batch)
            self._count(loss, labels, num_items_in_batch)
            return loss
        self._loss_saw_pairing = True
        logits, n = logits_of(outputs, self.model), len(labels)
        mixed, clean = logits[:n], logits[n:]
        if self.args.mixup_level == "sentence":
            mixed, clean = interpolate(logits, logits[pairing.mix.partners], pairing.mix.lam), logits
        loss = self._loss_of(_with_logits(outputs, mixed), labels, num_items_in_batch, pairing)
        weight = self.args.mixup_clean_weight
        if weight == 0:
            return loss
        clean_loss = self._loss_of(_with_logits(outputs, clean), labels, num_items_in_batch)
        return (loss + weight * clean_loss) / (1 + weight)

    def _loss_of(
        self, outputs, labels: Tensor, num_items: Tensor | int | None, pairing: Pairing | None = None
    ) -> Tensor:
        if torch.is_tensor(num_items):
            num_items = num_items.clamp(min=1)  # a step without labels adds nothing: 0, not 0 / 0
        if self._user_loss_func is None:
            return mixed_cross_entropy(
                logits_of(outputs, self.model), labels, *((pairing.partner_labels, pairing.label_lam) if pairing else ()),
                label_smoothing=self.args.label_smoothing_factor if self._training else 0.0,
                confidence_penalty=self.args.confidence_penalty if self._training else 0.0, num_items=num_items,
            )  # fmt: skip
        loss = self._user_loss_func(outputs, labels, num_items_in_batch=num_items)
        if pairing is None:
            return loss
        lam = pairing.label_lam[0]
        partner_loss = self._user_loss_func(outputs, pairing.partner_labels, num_items_in_batch=num_items)
        return lam * loss + (1 - lam) * partner_loss

    def _check_settings_and_data(self) -> None:
        """What is refused before anything slow; asked again as training begins, since a search sets arguments late."""
        check_split_model(self)
        check_classifier(self.model)
        self.model.config.problem_type = "single_label_classification"
        if self.args.mixup_alpha > 0 and self.args.mixup_level != "sentence":
            self._level_mixer()  # refuses what it cannot mix
        check_data_sets(self.train_dataset, self.eval_dataset, self.model.config)

    def _begin_training(self) -> None:
        self._divisor_checked = False
        self.args.check_mixup()
        self._check_settings_and_data()
        if self.args.eval_strategy != "no":
            check_first_evaluation_batches(self)
        self.model.config.__dict__.pop("calibration", None)
        if self._mixer is not None:
            self._mixer.attach()

    def train(self, *args, **kwargs):
        if self.args.torch_compile:
            # By default dynamo takes hooks for constant, and would run a graph compiled without ours, or with another's.
            torch._dynamo.config.skip_nnmodule_hook_guards = False
        if self.model is not None and self.model_wrapped is self.model:  # between two trials of a search it is None
            # After an evaluate() accelerate takes the bare model for prepared, and processes would never share gradients.
            self.model.__dict__.pop("_is_accelerate_prepared", None)
        try:
            return super().train(*args, **kwargs)
        finally:
            if self._mixer is not None:
                self._mixer.detach()
                self._mixer = None  # a search may set another level next
            self._batches, self._lambdas, self._pairings = 0, [], []

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None):
        """The Trainer's own, or the steps of ``lr_milestones``."""
        args, chosen = self.args, cast(torch.optim.Optimizer, optimizer or self.optimizer)
        if not args.lr_milestones or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        self.lr_scheduler = milestone_schedule(
            chosen, num_training_steps, args.lr_milestones, args.lr_milestone_factor,
            warmup=args.get_warmup_steps(num_training_steps),
        )  # fmt: skip
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def _save_checkpoint(self, model, trial):
        """Under the model's own names of its weights: those of an older format, as of a ViT, the Trainer reads as missing."""
        saved: Any = self.model
        stored = vars(saved).get("_weight_conversions")
        saved._weight_conversions = []
        try:
            super()._save_checkpoint(model, trial)
        finally:
            saved._weight_conversions = stored

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        if "loss" in logs and self.args.mixup_alpha > 0 and self._batches:
            logs["mixup_share"] = len(self._lambdas) / self._batches
            if self._lambdas:
                logs["mixup_lambda"] = torch.stack(self._lambdas).mean().item()
            self._batches, self._lambdas = 0, []
        super().log(logs, *args, **kwargs)


class MixupTrainer(MixupMixin, Trainer):
    """[`~transformers.Trainer`] with embedding mixup: swap it in, set ``mixup_alpha``, train any text classifier.

    Takes what `Trainer` takes; ``args`` are `MixupTrainingArguments`. See `MixupMixin` for what changes.

    Example:
        >>> from datasets import Dataset
        >>> from nlp_mixup import MixupTrainingArguments
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
        >>> trainer = MixupTrainer(
        ...     model=BertForSequenceClassification(config),
        ...     args=MixupTrainingArguments(
        ...         output_dir="runs/doctest", mixup_alpha=0.4, max_steps=1, save_strategy="no", logging_strategy="no"
        ...     ),
        ...     train_dataset=Dataset.from_dict({"input_ids": [[1, 2], [3, 4]], "label": [0, 1]}),
        ... )
        >>> output = trainer.train()  # doctest: +ELLIPSIS
        {'train_runtime': ...
        >>> output.global_step
        1
    """


def _with_logits(outputs, logits: Tensor):
    """The model's output with other logits, for a loss function that reads them."""
    if isinstance(outputs, dict):
        return type(outputs)(**{**outputs, "logits": logits})
    return (logits, *outputs[1:])
