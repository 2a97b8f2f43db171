"""`MixupTrainer`: the Hugging Face Trainer with embedding mixup, and a loss that is right under accumulation.

Thulasidasan et al., "On Mixup Training", NeurIPS 2019. A step draws a `Mix`, mixes inside the forward pass, and takes
the loss against both labels; evaluation never enters this path.
"""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from datasets import Dataset
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, Trainer
from transformers.utils import logging

from nlp_mixup.arguments import MixupTrainingArguments, check_parallelism
from nlp_mixup.mixing import (
    STEPS_AHEAD,
    EmbeddingMixer,
    HiddenMixer,
    Mix,
    Pairing,
    draw_ahead,
    draw_layer,
    draw_mix,
    encoder_layers,
    interpolate,
    mixed_cross_entropy,
    pool_batches,
)
from nlp_mixup.models import SAMPLE, made_up_rows, pad_token_id, settle_padding
from nlp_mixup.training.evaluation import EvaluationMixin
from nlp_mixup.training.publishing import PushMixin
from nlp_mixup.training.refusals import (
    check_arguments,
    check_batch_labels,
    check_classifier,
    check_compute_metrics,
    check_data_sets,
    check_overrides,
    check_user_loss,
    logits_of,
)
from nlp_mixup.training.search import SearchMixin
from nlp_mixup.training.watch import TrainingWatch, can_be_indexed, first_batch

logger = logging.get_logger(__name__)

if TYPE_CHECKING:

    class _Base(Trainer):  # what the mixin is mixed into
        args: MixupTrainingArguments
        model: PreTrainedModel
else:
    _Base = object


class MixupMixin(EvaluationMixin, SearchMixin, PushMixin, _Base):
    """Mixup for any subclass of `Trainer`: ``class MyTrainer(MixupMixin, MyBaseTrainer)``.

    Labels stay integers and never reach the model. The loss is the sum over rows divided by the number of labels in the
    whole step, so that micro-batches and processes give the gradient of one big batch, with mixup and without (the
    stock Trainer's is too large by the number of either). ``eval_loss`` is plain cross-entropy, whatever smoothing,
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
        self._check_parallelism()
        self._user_loss_func = self.compute_loss_func
        self.compute_loss_func = self._loss
        if self._user_loss_func is not None:
            check_user_loss(self.args)
        if self.args.mixup_alpha > 0:
            check_overrides(type(self), MixupMixin)
        self._mixer: EmbeddingMixer | HiddenMixer | None = None
        self._mixed_model: PreTrainedModel | None = None
        self._check_model()
        check_data_sets(self.train_dataset, self.eval_dataset, self.model.config)
        self._settle_padding()
        self._pairings: list[tuple[dict, Pairing | None]] = []
        self._first_batch_checked = False
        # The step under way: is it training, how is it paired, did the loss see that.
        self._training = False
        self._pairing: Pairing | None = None
        self._loss_saw_pairing = False
        # Since the last log entry: batches, and the mean lambda of each mixed one.
        self._batches = 0
        self._lambdas: list[Tensor] = []
        self.add_callback(TrainingWatch(self))

    # ---- the training step -------------------------------------------------------------------------------------------

    def get_batch_samples(self, epoch_iterator, num_batches, *args, **kwargs):
        batches, num_items_in_batch = super().get_batch_samples(epoch_iterator, num_batches, *args, **kwargs)
        if 0 < len(batches) < num_batches:
            # The stock Trainer takes no optimiser step here, and adds this gradient to the next pass's first one.
            logger.warning_once(
                f"The stream ended within a step: its last {len(batches)} of {num_batches} micro-batches are left out."
            )
            batches = []
        batches = self._augmented(batches)
        self._pairings = list(zip(batches, self.pair(batches), strict=True))
        return batches, num_items_in_batch

    def _augmented(self, batches: list[dict]) -> list[dict]:
        """The micro-batches to train on: those that were read, or random copies of their rows."""
        return batches

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

    def pair(self, batches: list[dict]) -> list[Pairing | None]:
        """Draws the pairs of a step's micro-batches from (seed, process, global step) alone; None is no mixing.

        At the embedding level partners come from all micro-batches of the step, so that accumulating 4 batches of 2 is
        one batch of 8, with mixup too; above it they come from the micro-batch's own forward pass.
        """
        for batch in batches:
            # On an accelerator only the first batch: waiting for the answer would cost time.
            on_cpu = all(value.device.type == "cpu" for value in batch.values() if isinstance(value, Tensor))
            if on_cpu or not self._first_batch_checked:
                self._check_batch(batch)
        off_epoch = self.args.mixup_off_epoch
        is_off = off_epoch is not None and (self.state.epoch or 0) >= off_epoch
        if self.args.mixup_alpha == 0 or is_off:
            return [None] * len(batches)
        groups = [batches] if self.args.mixup_level == "embedding" else [[batch] for batch in batches]
        pairings: list[Pairing | None] = []
        for micro_step, group in enumerate(groups):
            sizes = [len(batch["labels"]) for batch in group]
            if sum(sizes) == 1 and self.state.global_step == 0:
                logger.warning_once(
                    "The first batch has one row, and nothing to mix it with: is the data set that small?"
                )
            mix = self._draw(group, micro_step) if sum(sizes) > 1 else None
            if mix is None:
                pairings += [None] * len(group)
                continue
            pool = self._pool([self._prepare_inputs(batch) for batch in group])
            mix = mix.to(pool["labels"].device)
            ends = list(itertools.accumulate(sizes))
            slices = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
            widths = None
            if len({batch["input_ids"].shape[1] for batch in group if "input_ids" in batch}) > 1:
                widths = torch.cat(
                    [torch.full((m,), b["input_ids"].shape[1]) for m, b in zip(sizes, group, strict=True)]
                )
                widths = widths.to(mix.lam.device)
            pairings += [Pairing(pool, mix, rows, widths) for rows in slices]
        return pairings

    def _draw(self, group: list[dict], micro_step: int) -> Mix | None:
        """The pairs among the rows of some micro-batches."""
        mix = self._drawn_ahead(draw_mix, group, micro_step)
        if mix is None or self.args.mixup_level == "sentence":
            return mix
        # Inputs and labels must see one lambda: round it as the model's numbers will be.
        dtype = self.model.dtype
        return Mix(mix.partners, mix.lam.to(dtype).float(), mix.label_lam.to(dtype).float())

    def _drawn_ahead(
        self, draw: Callable[..., Mix | None], group: list[dict], micro_step: int, **more: Any
    ) -> Mix | None:
        """What `draw` gives for this step, the arguments and more, made with the draws of the steps around it."""
        args, coordinates = self.args, self._coordinates(micro_step)
        block, step = divmod(coordinates.pop("step"), STEPS_AHEAD)
        return draw_ahead(
            draw, block, n=sum(len(batch["labels"]) for batch in group), alpha=args.mixup_alpha, **coordinates,
            lambda_per=args.mixup_lambda_per, mode=args.mixup_mode, probability=args.mixup_probability, **more,
        )[step]  # fmt: skip

    def _coordinates(self, micro_step: int) -> dict[str, int]:
        return {
            "seed": self.args.seed, "rank": self.args.process_index, "step": self.state.global_step,
            "micro_step": micro_step,
        }  # fmt: skip

    def _pool(self, batches: list[dict]) -> dict[str, Tensor]:
        """The rows of all micro-batches that share pairs, as one batch."""
        return pool_batches(batches, *self._padding())

    def _padding(self) -> tuple[int, str]:
        """What fills rows up to the width of the others, and on which side."""
        tokenizer: Any = self.processing_class
        pad_id = pad_token_id(self.model.config)
        if pad_id is None:
            pad_id = getattr(tokenizer, "pad_token_id", None)
        return pad_id or 0, getattr(tokenizer, "padding_side", "right")

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

    def _loss(self, outputs, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
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

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None):
        """The Trainer's own, or the steps of ``lr_milestones``, which it lacks."""
        milestones = self.args.lr_milestones
        if not milestones or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        warmup, factor = self.args.get_warmup_steps(num_training_steps), self.args.lr_milestone_factor

        def share_of_learning_rate(step: int) -> float:
            passed = sum(step >= round(share * num_training_steps) for share in milestones)
            return min(1.0, (step + 1) / (warmup + 1)) * factor**passed

        chosen: Any = optimizer or self.optimizer
        self.lr_scheduler = LambdaLR(chosen, share_of_learning_rate)
        self._created_lr_scheduler = True
        return self.lr_scheduler

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

    # ---- what is refused, before anything slow -----------------------------------------------------------------------

    def _check_parallelism(self) -> None:
        """What `accelerate launch` or the model brings; the arguments' own has been refused before."""
        if self.args.mixup_alpha > 0:
            plugin = self.accelerator.state.deepspeed_plugin if self.is_deepspeed_enabled else None
            check_parallelism(
                zero_stage=plugin.zero_stage if plugin else 0,
                tp_size=self.get_tp_size(), cp_size=self.get_cp_size(), sp_size=self.get_sp_size(),
            )  # fmt: skip

    def _check_before_training(self) -> None:
        """Anew as training begins, since a search, or a line of code, sets arguments late."""
        self.args.check_mixup()
        self._check_parallelism()
        self._check_model()
        check_data_sets(self.train_dataset, self.eval_dataset, self.model.config)
        if self.args.eval_strategy != "no":
            self._check_first_evaluation_batches()
        self.model.config.__dict__.pop("calibration", None)
        if self._mixer is not None:
            self._mixer.attach()

    def _check_first_evaluation_batches(self) -> None:
        """Of data sets that declare no labels; a stream is not opened for it."""
        sets = self.eval_dataset if isinstance(self.eval_dataset, dict) else {"": self.eval_dataset}
        for rows in sets.values():
            if rows is None or hasattr(rows, "features") or not can_be_indexed(rows):
                continue
            batch = first_batch(self, rows)
            if "labels" in batch:
                check_batch_labels(batch["labels"], self.model.config.num_labels)

    def _check_model(self) -> None:
        check_classifier(self.model)
        self.model.config.problem_type = "single_label_classification"
        if self.args.mixup_alpha > 0 and self.args.mixup_level != "sentence":
            self._level_mixer()  # refuses what it cannot mix

    def _settle_padding(self) -> None:
        """The tokenizer, which is saved with the model, pads on a side where padding changes no logits."""
        tokenizer: Any = getattr(self.data_collator, "tokenizer", self.processing_class)
        if getattr(tokenizer, "padding_side", None) is None or getattr(tokenizer, "pad_token", None) is None:
            return
        args, rows = self.args, self.train_dataset if self.train_dataset is not None else self._held_out()
        pairs_are_padded = args.mixup_alpha > 0 and args.gradient_accumulation_steps > 1
        if args.train_batch_size == args.eval_batch_size == 1 and not pairs_are_padded:
            return
        if self.is_deepspeed_enabled or self.model.device.type == "meta":  # there is no whole model to run yet
            return
        change = settle_padding(self.model, self.data_collator, self._sample(rows, tokenizer), tokenizer)
        if change is not None:
            logger.warning(change)
        if getattr(self.processing_class, "padding_side", None) is not None:
            cast(Any, self.processing_class).padding_side = tokenizer.padding_side

    def _sample(self, rows: Any, tokenizer: Any) -> list[dict]:
        """The first rows of a table or list, as the collator gets them; made up for data sets that may draw when read."""
        if not isinstance(rows, Dataset | list) or not len(rows) or "input_ids" not in rows[0]:
            return made_up_rows(tokenizer)
        self._set_signature_columns_if_needed()
        used = self._signature_columns if self.args.remove_unused_columns else None
        sample = [rows[row] for row in range(min(len(rows), SAMPLE))]
        return [{name: value for name, value in row.items() if used is None or name in used} for row in sample]

    def _check_batch(self, inputs: dict) -> None:
        labels = inputs.get("labels")
        if labels is None:
            raise ValueError(
                f"The training batch has no labels, only {', '.join(sorted(inputs))}. Add a 'label' column of class ids, "
                "with a label in every row."
            )
        check_batch_labels(labels, self.model.config.num_labels)
        self._first_batch_checked = True


class MixupTrainer(MixupMixin, Trainer):
    """[`~transformers.Trainer`] with embedding mixup: swap it in, set ``mixup_alpha``, train any text classifier.

    Takes what `Trainer` takes; ``args`` are `MixupTrainingArguments`. See `MixupMixin` for what changes.

    Example:
        >>> from datasets import Dataset
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
