"""`Trainer.push_to_hub` as a calibrated release: folded weights, card and settings instead of pickled arguments."""

from __future__ import annotations

from concurrent.futures import Future
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from datasets import Dataset
from huggingface_hub import CommitInfo, HfApi
from transformers import Trainer
from transformers.utils import logging

from nlp_mixup.training.watch import first_batch

if TYPE_CHECKING:
    from nlp_mixup.runs import RunRecord

    _Base = Trainer
else:
    _Base = object

logger = logging.get_logger(__name__)

SAME_LOGITS = 1e-3  # of the largest: how far one model's logits may differ between two runs over the same rows


class PushMixin(_Base):
    """The part of `MixupMixin` that publishes."""

    def push_to_hub(  # type: ignore[override]  # Trainer's **kwargs, by their names
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        *,
        fold: str = "auto",
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> CommitInfo | Future[CommitInfo] | None:
        """Publishes the model as ``nlp-mixup push`` does; what is published lies in ``output_dir/release``.

        The temperature is fitted on ``eval_dataset`` and folded into the published weights as ``fold`` says; the
        trainer keeps its own weights, but for PEFT adapters, which are merged and cannot be trained on. What a finished
        run stored in ``output_dir`` is published if this model predicts the same on ``eval_dataset``, else only what
        these predictions give. ``training_args.bin``, a pickle, never is.

        Args:
            commit_message: of the commit.
            blocking: wait for the upload; otherwise a future is returned.
            token: instead of the environment's or the stored one.
            revision: branch to commit to.
            private: whether a new repository is private, by default ``hub_private_repo``; a public one is then refused.
            fold: ``auto`` folds T in where it is known to help, and no stored test rows veto it; ``always`` and ``never``.
            language: of the texts, for the card.
            license: of the weights, for the card.
            tags: for the card.
            model_name: unused, as are tasks and dataset_args: the card takes them from the repository and the model.
            finetuned_from: id on the Hub of the model that was fine-tuned.
            tasks: see model_name.
            dataset_tags: id on the Hub of the data set.
            dataset: its name, where it is not on the Hub.
            dataset_args: see model_name.

        Returns:
            What the Hub says of the commit, or a future of it; None on all processes but the first.

        Raises:
            FileExistsError: ``output_dir/release`` holds something else.
            ValueError: there is no token, the weights are spread over several processes, or what was written is loaded as
                another model than this one.
            UploadError: the upload did not finish; the message says how to go on.
        """
        from nlp_mixup.models import merge_adapters, probe_batch
        from nlp_mixup.release import RELEASE, check_replaceable, prepare_model, upload
        from nlp_mixup.runs import probe_of

        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError(
                "The weights are spread over several processes, where no temperature can be folded in. Save them with "
                "trainer.save_model(), load them in one process, and push with nlp_mixup.release.prepare_model and upload."
            )
        folder = Path(str(self.args.output_dir)) / RELEASE
        check_replaceable(folder)
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        record, probe = self._run_record(), self._probe()
        if not self.is_world_process_zero():
            return None
        model: Any = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        probe = probe or probe_batch(model, self.processing_class)
        known = probe_of(model, probe, "held-out rows" if self._held_out() is not None else "probe rows")
        if getattr(model, "peft_config", None):
            logger.warning(
                "The adapters are merged into the weights to be published; this trainer cannot train them on."
            )
            model = self.model = self.model_wrapped = merge_adapters(model)
        plan = prepare_model(
            model,
            self.processing_class,
            record,
            folder,
            str(self.hub_model_id),
            probe=probe,
            known=known,
            fold=fold,
            revision=revision or self.args.hub_revision,
            base_model=finetuned_from,
            dataset=_first(dataset_tags),
            dataset_name=_first(dataset),
            language=language,
            license=license,
            tags=[tags] if isinstance(tags, str) else tags or [],
        )
        logger.info(str(plan))
        settings: dict[str, Any] = {
            "private": self.args.hub_private_repo if private is None else private,
            "revision": revision or self.args.hub_revision, "token": token, "message": commit_message or "End of training",
        }  # fmt: skip
        if not blocking:
            return HfApi().run_as_future(upload, plan, **settings)
        return upload(plan, **settings)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Checkpoints stay here: they hold pickles and unfolded weights."""
        logger.warning_once(
            "hub_strategy: checkpoints are not uploaded, since they hold pickled arguments. trainer.push_to_hub() publishes "
            "the model when training has ended."
        )

    def _run_record(self) -> RunRecord:
        """What the run in output_dir stored of this model, or the scores of `eval_dataset`, on every process."""
        from nlp_mixup.release import DEFAULTS, SHOWN_SETTINGS
        from nlp_mixup.runs import scored_record

        logits, labels = self._evaluation_logits()
        stored = self._stored_record(logits, labels)
        if stored is not None:
            return stored
        model: Any = self.model
        config = model.config
        settings = {"model_name_or_path": config._name_or_path} if config._name_or_path else {}
        settings["mixup_alpha"] = getattr(self.args, "mixup_alpha", 0.0)
        for name in SHOWN_SETTINGS:
            value = getattr(self.args, name, DEFAULTS.get(name))
            value = value.value if isinstance(value, Enum) else value
            if value != DEFAULTS.get(name):
                settings[name] = value
        return scored_record(
            logits,
            labels,
            label_names=[config.id2label[index] for index in range(config.num_labels)],
            settings=settings,
            arm="mixup" if settings["mixup_alpha"] > 0 else "no_mixup",
            seed=self.args.seed,
            trained_on=self._trained_on(),
        )

    def _trained_on(self) -> dict[str, dict[str, Any]]:
        """How many of the evaluation rows are training rows too, told by their tokens; of other inputs that is not known."""
        from nlp_mixup.data import Facts, row_hash, trained_rows_of

        hashes = []
        for rows in (self.train_dataset, self._held_out()):
            if not isinstance(rows, Dataset) or "input_ids" not in rows.column_names:
                return {}
            ids = rows.select_columns(["input_ids"]).with_format(None)["input_ids"]
            hashes.append(np.array([row_hash(np.asarray(row, np.int64).tobytes()) for row in ids], np.uint64))
        trained, judged = hashes
        places = [f"row {row}" for row in range(1, len(judged) + 1)]
        found = trained_rows_of("validation", Facts(judged, np.zeros(len(judged), np.int64), places, []), trained, None)
        return {"validation": found} if found else {}

    def _stored_record(self, logits: Any, labels: Any) -> RunRecord | None:
        """The record in output_dir, if its validation predictions are those of this model."""
        from nlp_mixup.runs import read_record

        folder = Path(str(self.args.output_dir))
        if not (folder / "metrics.json").is_file():
            return None
        try:
            record = read_record(folder)
        except (ValueError, OSError) as error:
            logger.warning(f"What a run stored in {folder} is not published: {error}")
            return None
        if "validation" in record.logits and logits is not None:
            stored_logits, stored_labels = record.logits["validation"]
            if stored_logits.shape == logits.shape and np.array_equal(stored_labels, labels):
                # Batches of another size round otherwise, by less than any training changes.
                allowed = SAME_LOGITS * np.abs(stored_logits).max()
                if np.abs(stored_logits - logits).max() <= allowed:
                    return record
        logger.warning(
            f"The numbers that a run stored in {folder} are not published: they are not those of this model on eval_dataset, "
            "from which the card is made instead."
        )
        return None

    def _held_out(self) -> Any:
        """The evaluation rows; of several sets the first."""
        dataset: Any = self.eval_dataset
        return next(iter(dataset.values())) if isinstance(dataset, dict) else dataset

    def _probe(self) -> dict[str, Any] | None:
        """The first batch of the evaluation rows, without labels; random streams and loaders stay as they are."""
        dataset = self._held_out()
        if dataset is None:
            return None
        batch = self._prepare_inputs(first_batch(self, dataset))
        return {name: value for name, value in batch.items() if name not in ("labels", "label")}

    def _evaluation_logits(self) -> tuple[Any, Any]:
        dataset = self._held_out()
        if dataset is None:
            return None, None
        output = self.predict(dataset)
        logits = output.predictions[0] if isinstance(output.predictions, tuple) else output.predictions
        labels, model = output.label_ids, cast(Any, self.model)
        if labels is None or np.ndim(logits) != 2 or logits.shape[1] != model.config.num_labels:
            return None, None
        known = np.asarray(labels) != -100
        return logits[known], np.asarray(labels)[known]


def _first(names: str | list[str] | None) -> str | None:
    return next(iter(names), None) if isinstance(names, list) else names
