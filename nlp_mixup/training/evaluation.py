"""Evaluation that counts: the rows that were asked for, each of them once, and those with a label alone.

The stock Trainer's ``eval_loss`` is a mean of batch means, in which the rows that fill up the last batch of several
processes count twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel, Trainer

from nlp_mixup.training.label_refusals import check_batch_labels, check_class_names
from nlp_mixup.training.refusals import logits_of
from nlp_mixup.training.watch import clean_sample, random_streams_kept

if TYPE_CHECKING:

    class _Base(Trainer):
        model: PreTrainedModel
else:
    _Base = object


class EvaluationMixin(_Base):
    """The part of `MixupMixin` that evaluates."""

    def __init__(self, *args, **kwargs):
        # In an evaluation: each batch's sum of losses and number of labels. The rows that each kept loader was made for.
        self._evaluated: list[Tensor] | None = None
        self._loaded_rows: dict[str, Any] = {}
        super().__init__(*args, **kwargs)

    def clean_loss(self) -> float:
        """Plain cross-entropy in evaluation mode on the same 256 training rows (or all) each time.

        Training goes on as without: neither the state of the model, nor the random streams of Python, NumPy and torch,
        nor a loader of the Trainer's is changed. A data set that draws from a generator of its own moves that, where no
        workers read it.
        """
        was_training, losses = self.model.training, []
        self.model.eval()
        with random_streams_kept(self.args.device), torch.no_grad():
            for batch in self.get_test_dataloader(clean_sample(self.train_dataset)):
                inputs = self._prepare_inputs(self._each_row_once(batch))
                labels = inputs.pop("labels")
                with self.compute_loss_context_manager():
                    logits = logits_of(self.model(**inputs), self.model)
                loss = F.cross_entropy(logits.float(), labels, reduction="sum")
                losses.append(torch.stack([loss, labels.ne(-100).sum()]))
        self.model.train(was_training)
        return self._mean_loss(losses)[0]

    def get_eval_dataloader(self, eval_dataset=None):
        """The Trainer's, of every row, and of these rows: with persistent workers it keeps the first data set's loader."""
        name = eval_dataset if isinstance(eval_dataset, str) else "eval"
        rows: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(rows, str):
            rows = cast(dict, self.eval_dataset)[rows]
        if self._loaded_rows.get(name) is not rows:
            check_class_names(rows, "eval_dataset", self.model.config)
            vars(self).get("_eval_dataloaders", {}).pop(name, None)
            self._loaded_rows[name] = rows
        with self._settings(dataloader_drop_last=False):
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset):
        """The Trainer's, of every row; it is used once, and workers that persist would stay for ever."""
        check_class_names(test_dataset, "test_dataset", self.model.config)
        with self._settings(dataloader_drop_last=False, dataloader_persistent_workers=False):
            return super().get_test_dataloader(test_dataset)

    @contextmanager
    def _settings(self, **settings: Any) -> Iterator[None]:
        """Arguments that hold within this context."""
        before = {name: getattr(self.args, name) for name in settings}
        vars(self.args).update(settings)
        try:
            yield
        finally:
            vars(self.args).update(before)

    def evaluation_loop(
        self, dataloader, description, prediction_loss_only=None, ignore_keys=None, metric_key_prefix="eval"
    ):
        """The loss is the mean over all rows with a label; the stock one is a mean of batch means, some rows counted twice."""
        self._evaluated = []
        try:
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
            if self._evaluated:
                loss, n_labels = self._mean_loss(self._evaluated)
                if n_labels == 0 and description != "Prediction":
                    raise ValueError(
                        "None of the rows to evaluate has a label: all are -100. Give rows with labels, or call "
                        "trainer.predict, which needs none."
                    )
                cast(dict, output.metrics)[f"{metric_key_prefix}_loss"] = loss
            return output
        finally:
            self._evaluated = None

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        inputs, config = self._each_row_once(inputs), self.model.config
        if inputs.get("labels") is not None:
            check_batch_labels(inputs["labels"], config.num_labels)
        if ignore_keys is None and self.preprocess_logits_for_metrics is None and not config.output_hidden_states:
            # T5, BART and their kin return every token's state unasked, and all of them would be kept. The Trainer's own
            # default is the cache, which transformers calls so from 5.24 on, and past_key_values before.
            ignore_keys = [
                *getattr(config, "keys_to_ignore_at_inference", ["cache", "past_key_values"]),
                "encoder_last_hidden_state",
            ]
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The Trainer's; of a model that returns a tuple, the loss stands in front, as the evaluation expects it."""
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if not isinstance(outputs, dict) and "labels" not in inputs:  # the model got none, and computed no loss
            outputs = (loss, *(outputs if isinstance(outputs, tuple) else (outputs,)))
        return (loss, outputs) if return_outputs else loss

    def _count(self, loss: Tensor, labels: Tensor, num_items: Tensor | int | None) -> None:
        """Notes a batch's loss, which was divided by `num_items`, or is a mean, if this is an evaluation."""
        if self._evaluated is not None:
            n_labels = labels.ne(-100).sum()
            total = loss.detach().float() * (n_labels if num_items is None else num_items)
            self._evaluated.append(torch.stack([total.where(n_labels > 0, 0), n_labels]))

    def _each_row_once(self, inputs: dict) -> dict:
        """A batch without labels for the rows that only fill up the last batch of several processes."""
        state, labels = self.accelerator.gradient_state, inputs.get("labels")
        if self.args.world_size == 1 or labels is None or not state.end_of_dataloader or state.remainder <= 0:
            return inputs
        labels = labels.clone()
        labels[max(0, state.remainder - self.args.process_index * len(labels)) :] = -100
        return {**inputs, "labels": labels}

    def _mean_loss(self, batches: list[Tensor]) -> tuple[float, float]:
        """The mean loss of all rows with a label (nan without any), and their number, from each batch's sums of both."""
        sums = torch.stack(batches).cpu().double().sum(0)
        if self.args.world_size > 1:
            sums = cast(Tensor, self.accelerator.reduce(sums.to(self.args.device)))
        return (sums[0] / sums[1]).item(), sums[1].item()
