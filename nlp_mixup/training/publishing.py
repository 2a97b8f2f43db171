"""`Trainer.push_to_hub` as a calibrated release: folded weights, card and settings instead of pickled arguments."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import CommitInfo, HfApi
from transformers import Trainer
from transformers.utils import logging

from nlp_mixup.training.watch import first_batch

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object

logger = logging.get_logger(__name__)


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
        from nlp_mixup.release import RELEASE, check_replaceable, prepare_trainer, upload

        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError(
                "The weights are spread over several processes, where no temperature can be folded in. Save them with "
                "trainer.save_model(), load them in one process, and push with nlp_mixup.release.prepare_model and upload."
            )
        check_replaceable(Path(str(self.args.output_dir)) / RELEASE)
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        plan = prepare_trainer(
            self,
            self._held_out(),
            self._probe,
            fold=fold,
            revision=revision or self.args.hub_revision,
            base_model=finetuned_from,
            dataset=_first(dataset_tags),
            dataset_name=_first(dataset),
            language=language,
            license=license,
            tags=[tags] if isinstance(tags, str) else tags or [],
        )
        if plan is None:
            return None
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


def _first(names: str | list[str] | None) -> str | None:
    return next(iter(names), None) if isinstance(names, list) else names
