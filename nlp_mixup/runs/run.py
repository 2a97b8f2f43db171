"""One run (an arm, a seed) from its arguments to a results folder that can be stopped at any moment and resumed."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from filelock import FileLock, Timeout
from transformers import Trainer, set_seed
from transformers.trainer_callback import ProgressCallback

import nlp_mixup
from nlp_mixup.arguments import used_settings
from nlp_mixup.data import TRAINED, npy
from nlp_mixup.files import write_atomically
from nlp_mixup.recipe import RunArguments, settings_of
from nlp_mixup.runs.checkpoints import last_complete_checkpoint
from nlp_mixup.runs.epochs import EpochHistory, EpochProgress
from nlp_mixup.runs.prepared import Prepared
from nlp_mixup.runs.probe import Probe, chosen_rows, model_inputs, precision_of, probe_of, write_probe
from nlp_mixup.runs.public_settings import local_settings
from nlp_mixup.runs.scoring import score_run
from nlp_mixup.runs.stored import BrokenRun, differing_settings, read_run, write_run

logger = logging.getLogger(__name__)

# What the rows of an unfinished run say; metrics.json takes it over.
ROWS = "rows.json"


class Run:
    """One arm with one seed, and its folder ``OUT/<arm>/seed-<s>``.

    Args:
        arguments: all settings.
        arm: the arm's name.

    Raises:
        ValueError: the folder holds a run with other settings; the message names them.
    """

    def __init__(self, arguments: RunArguments, arm: str):
        self.arm, self.seed = arm, arguments.training.seed
        self.output_dir = Path(str(arguments.training.output_dir))
        self.folder = self.output_dir / arm / f"seed-{self.seed}"
        self.arguments = arguments
        self.settings = settings_of(arguments)
        self._check_folder()
        arguments.training.output_dir = str(self.folder)

    @property
    def is_done(self) -> bool:
        """Whether the folder holds this run, finished and whole. Raises ValueError where another version wrote it."""
        try:
            read_run(self.folder)
        except FileNotFoundError:
            return False
        except BrokenRun as error:
            logger.warning("%s It is trained again.", error)
            return False
        return True

    def lock(self) -> None:
        """Keeps other commands out of this run until `unlock`, or until this process ends, however it ends.

        Raises:
            ValueError: another process is training this run.
        """
        if self.arguments.training.process_index > 0:
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder.parent / f".{self.folder.name}.lock")
        try:
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise ValueError(f"Another process is training in {self.folder}. Wait for it, or stop it.") from error

    def unlock(self) -> None:
        """Lets other commands in again."""
        if self.arguments.training.process_index == 0:
            self._lock.release()

    def build_trainer(self, prepared: Prepared) -> Trainer:
        """The trainer, with its model freshly initialised from the seed.

        Raises:
            ValueError: the run was stopped half-way on rows that have changed since; or what the model and trainer refuse.
        """
        self._check_rows(prepared)
        training = self.arguments.training
        training.dataloader_pin_memory &= torch.accelerator.is_available()
        set_seed(self.seed)
        model = prepared.load_model(self.arguments.model)
        history = EpochHistory(self.folder, self.arguments.evaluation.n_bins)
        trainer = prepared.trainer_class(
            model=model,
            args=training,
            data_collator=prepared.data_collator,
            train_dataset=prepared.splits["train"],
            eval_dataset=prepared.splits["validation"],
            processing_class=prepared.processing_class,
            compute_metrics=history.compute_metrics,
            preprocess_logits_for_metrics=_logits_alone,
            callbacks=[history],
        )
        if not training.disable_tqdm:
            trainer.remove_callback(ProgressCallback)
            trainer.add_callback(EpochProgress(f"{self.arm}, seed {self.seed}"))
        return trainer

    def train(self, trainer: Trainer, prepared: Prepared, keep_models: str = "none") -> None:
        """Trains, or resumes from the last complete checkpoint; then scores, and writes metrics.json last.

        Args:
            trainer: from `build_trainer`.
            prepared: from `prepare`.
            keep_models: where ``evaluation.keep_models`` does not say: none, last or all.
        """
        keep_models = self.arguments.evaluation.keep_models or keep_models
        is_main = trainer.is_world_process_zero()
        if is_main:
            (self.folder / "metrics.json").unlink(missing_ok=True)  # of a broken run: no longer done
            write_atomically(self.folder / "arguments.yaml", self._arguments_yaml())
            (self.folder / TRAINED).unlink(missing_ok=True)
            if prepared.rows.hashes is not None:
                write_atomically(self.folder / TRAINED, npy(prepared.rows.hashes))
            write_atomically(self.folder / ROWS, json.dumps(prepared.digests, indent=2) + "\n")
        output = trainer.train(resume_from_checkpoint=last_complete_checkpoint(self.folder))

        predictions: dict[str, tuple[Any, Any]] = {}
        ood_logits: dict[str, Any] = {}
        for split in ("validation", "test"):
            if split in prepared.splits:
                prediction = trainer.predict(prepared.splits[split], metric_key_prefix=split)
                predictions[split] = prediction.predictions, prediction.label_ids
        for name, rows in prepared.ood.items():
            ood_logits[name] = trainer.predict(rows, metric_key_prefix=name).predictions
        if keep_models != "none":
            trainer.save_model(str(self.folder / "model"))
            self._store_probe(trainer, prepared, predictions["validation"][0])
        if not is_main:
            return
        # A pickle of the arguments, which arguments.yaml replaces.
        (self.folder / "model" / "training_args.bin").unlink(missing_ok=True)
        named = {"arm": self.arm, "seed": self.seed, "selection": _selection(self.arguments.training)}
        named["epoch"] = _chosen_epoch(trainer)
        scored = score_run(predictions, ood_logits, n_bins=self.arguments.evaluation.n_bins)
        write_run(
            self.folder,
            named,
            predictions,
            ood_logits,
            scored.resamples,
            scored.confidence,
            {
                **scored.metrics,
                "label_names": prepared.label_names,
                "digests": prepared.digests,
                "row_notes": prepared.rows.notes,
                "trained_on": prepared.rows.trained_on,
                "world_size": trainer.args.world_size,
                "train_runtime": output.metrics["train_runtime"],
                "local": local_settings(self.settings),
            },
        )
        self.drop_checkpoints(keep_models)

    def _store_probe(self, trainer: Trainer, prepared: Prepared, logits: np.ndarray) -> None:
        """Stores rows by which a release of this run is compared with the model that was trained."""
        if not trainer.is_world_process_zero():
            return
        rows = chosen_rows(len(logits))
        inputs = model_inputs(prepared, rows)
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:  # no process has the whole model
            probe = Probe(inputs, logits[rows], precision_of(self.settings))
        else:
            model: Any = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
            probe = probe_of(model, inputs)
        write_probe(self.folder, probe)

    def drop_checkpoints(self, keep_models: str = "none") -> None:
        """Deletes the checkpoints of a finished run, also of one that was stopped just before it could."""
        stored = self.folder / "arguments.yaml"
        kept = yaml.safe_load(stored.read_text(encoding="utf-8")).get("keep_models") if stored.is_file() else None
        if (kept or self.arguments.evaluation.keep_models or keep_models) != "all":
            for folder in self.folder.glob("checkpoint-*"):
                shutil.rmtree(folder)
            (self.folder / ROWS).unlink(missing_ok=True)

    def _check_rows(self, prepared: Prepared) -> None:
        """Refuses to go on from a checkpoint that has seen other rows."""
        stored = self.folder / ROWS
        if not stored.is_file() or last_complete_checkpoint(self.folder) is None:
            return
        before = json.loads(stored.read_text(encoding="utf-8"))
        changed = sorted(name for name in before | prepared.digests if before.get(name) != prepared.digests.get(name))
        if changed:
            raise ValueError(
                f"{self.folder} was stopped half-way, and the rows of {', '.join(changed)} have changed since. Bring them back, "
                "choose another --output_dir, or delete that folder to start again."
            )

    def _check_folder(self) -> None:
        stored_file = self.folder / "arguments.yaml"
        if not stored_file.is_file():
            return
        try:
            stored = used_settings(dict(yaml.safe_load(stored_file.read_text(encoding="utf-8"))))
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise ValueError(f"{stored_file} is damaged ({error}). Delete {self.folder} and start again.") from error
        stored.pop("arms", None)
        differing = [
            f"{name} is {stored.get(name, 'default')} there and {self.settings.get(name, 'default')} now"
            for name in differing_settings(stored, self.settings)
        ]
        if differing:
            raise ValueError(
                f"{self.folder} holds a run with other settings: {'; '.join(differing)}. "
                "Choose another --output_dir, or delete that folder."
            )

    def _arguments_yaml(self) -> str:
        header = (
            f"# Arm {self.arm}, seed {self.seed}. Run it again: nlp-mixup train arguments.yaml --output_dir ELSEWHERE\n"
            f"# nlp_mixup {nlp_mixup.__version__}, torch {torch.__version__}\n"
        )
        return header + yaml.safe_dump({**self.settings, "arms": {self.arm: {}}}, sort_keys=True, allow_unicode=True)


def _logits_alone(logits, labels):
    """T5 and BART return hidden states beside the logits, which would all be gathered and kept."""
    return logits[0] if isinstance(logits, tuple) else logits


def _chosen_epoch(trainer: Trainer) -> float:
    """The epoch whose weights are scored: the best by the rule, or the last."""
    state = trainer.state
    step = state.best_global_step if trainer.args.load_best_model_at_end else None
    epochs = [record["epoch"] for record in state.log_history if "eval_loss" in record and record["step"] == step]
    return round(float(epochs[0] if epochs else state.epoch or 0), 6)


def _selection(args) -> str:
    """The rule that chose the scored weights, as it stands in the table."""
    if not args.load_best_model_at_end:
        return "last epoch"
    return f"best validation {args.metric_for_best_model.removeprefix('eval_')}"
