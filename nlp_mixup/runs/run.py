"""One run (an arm, a seed) from its arguments to a results folder that can be stopped at any moment and resumed."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from datasets import Dataset, DatasetDict
from filelock import FileLock, Timeout
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    set_seed,
)
from transformers.trainer_callback import ProgressCallback
from transformers.utils import logging as transformers_logging

import nlp_mixup
from nlp_mixup.arguments import DataArguments, ModelArguments, used_settings
from nlp_mixup.calibration import calibration_metrics, softmax
from nlp_mixup.data import (
    TRAINED,
    RowReport,
    digest,
    load_ood_texts,
    load_text_data,
    npy,
    report_rows,
    tokenize,
    tokenize_ood,
    trained_rows,
)
from nlp_mixup.files import write_atomically, write_npz
from nlp_mixup.models import find_start, limit_length, load_model, load_tokenizer
from nlp_mixup.recipe import RunArguments, load_recipe, parse_arguments, settings_of
from nlp_mixup.runs.probe import Probe, chosen_rows, probe_of, write_probe
from nlp_mixup.runs.public_record import local_settings
from nlp_mixup.runs.results import BrokenRun, differing_settings, read_run, write_run
from nlp_mixup.runs.scoring import score_run
from nlp_mixup.training import MixupTrainer

logger = logging.getLogger(__name__)

# What the rows of an unfinished run say; metrics.json takes it over.
ROWS = "rows.json"
HISTORY_SCORES = ("accuracy", "confidence", "nll", "ece", "oe", "gap")


@dataclass(frozen=True)
class Prepared:
    """What the runs of a comparison share: the data as model inputs, and how a model and its trainer are made.

    Attributes:
        arguments: the settings it was prepared with.
        splits: ``train``, ``validation`` and, where there is one, ``test``, with ``labels``.
        ood: out-of-distribution sets, without labels.
        label_names: the names of the classes, in the order of the ids.
        data_collator: makes a batch of rows.
        processing_class: the tokenizer or image processor that is saved with the model.
        load_model: a model whose new weights come from torch's global generator.
        trainer_class: what makes its trainer, from the arguments of `Trainer`.
        digests: split -> a hash of what its rows say; a streamed split has none.
        rows: what there is to say of the rows, and the hashes of those that are trained on.
    """

    arguments: RunArguments
    splits: DatasetDict
    ood: dict[str, Dataset]
    label_names: list[str]
    data_collator: Callable[[Any], Any]
    processing_class: Any
    load_model: Callable[[ModelArguments], PreTrainedModel]
    trainer_class: Callable[..., Trainer]
    digests: dict[str, str] = field(default_factory=dict)
    rows: RowReport = field(default_factory=RowReport)

    def serves(self, arguments: RunArguments) -> bool:
        return (self.arguments.data, self.arguments.model) == (arguments.data, arguments.model)


def prepare(arguments: RunArguments) -> Prepared:
    """Loads the data and turns it into model inputs. Raises what `prepare_texts` or `prepare_images` raise."""
    with arguments.training.main_process_first(desc="loading the data"):
        if arguments.data.task == "image":
            from nlp_mixup.vision.runs import prepare_images

            return prepare_images(arguments)
        return prepare_texts(arguments)


def prepare_texts(arguments: RunArguments) -> Prepared:
    """`prepare` for texts. Raises what `find_start`, `load_text_data` and `load_tokenizer` raise."""
    ood_texts = load_ood_texts(arguments.data)
    start = find_start(arguments.model)
    data = load_text_data(arguments.data, start.classes)
    start.tell(data.label_names, data.follows)
    tokenizer = load_tokenizer(arguments.model, data)
    splits = tokenize(data, tokenizer, max_length=arguments.data.max_length)
    limit_length(
        tokenizer, max_length=arguments.data.max_length
    )  # saved with the model, whose numbers are of such rows
    return Prepared(
        arguments=arguments,
        splits=splits,
        ood=tokenize_ood(arguments.data, data, ood_texts, splits, tokenizer),
        label_names=data.label_names,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        load_model=lambda model_arguments: load_model(model_arguments, data, tokenizer, start),
        trainer_class=MixupTrainer,
        digests={split: digest(rows) for split, rows in splits.items()},
        rows=report_rows(
            data.facts,
            data.label_names,
            noun="pair of texts" if arguments.data.text_pair_column else "text",
            drawn=data.drawn,
            base=trained_rows(arguments.model.model_name_or_path)[0],
        ),
    )


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
        inputs = _model_inputs(prepared, rows)
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:  # no process has the whole model
            probe = Probe(inputs, logits[rows], _precision(self.settings))
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


def read_rows_again(folder: Path, logits: np.ndarray) -> Probe:
    """The rows of a run that stored no probe, from where its settings say that they lie, with the logits that it stored.

    Args:
        folder: the run's folder.
        logits: (n, k) of all validation rows.

    Raises:
        OSError: the data or the tokenizer are not there.
        ValueError: they are not those of the run, or cannot be read.
    """
    recipe = load_recipe(str(folder / "arguments.yaml"))
    settings = {**recipe.settings, **recipe.arms.get(recipe.default_arm(), {})}
    reading = {field.name for kind in (DataArguments, ModelArguments) for field in fields(kind)} - {"ood_files"}
    kept = {name: value for name, value in settings.items() if name in reading} | {"noise_samples": 0, "use_cpu": True}
    recipe = replace(recipe, settings=kept, arms={})
    arguments = parse_arguments(recipe, recipe.default_arm(), [])
    prepared = prepare(arguments)
    n = len(prepared.splits["validation"])
    stored = json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("digests", {}).get("validation")
    if n != len(logits) or (stored and stored != prepared.digests.get("validation")):
        raise ValueError("they have changed since")
    rows = chosen_rows(n)
    return Probe(_model_inputs(prepared, rows), logits[rows], _precision(settings))


def _model_inputs(prepared: Prepared, rows: list[int]) -> dict[str, Any]:
    """Validation rows as one batch, padded as in training, without labels."""
    split = prepared.splits["validation"]
    batch = prepared.data_collator([split[row] for row in rows])
    return {name: value for name, value in batch.items() if name not in ("label", "labels")}


def _precision(settings: dict[str, Any]) -> str:
    """What the logits of a run were rounded to while it predicted."""
    return "bfloat16" if settings.get("bf16") else "float16" if settings.get("fp16") else "float32"


class EpochHistory(TrainerCallback):
    """Stores at each evaluation the validation scores (history.jsonl) and each labelled row's confidence (epochs.npz).

    Args:
        folder: the run's folder.
        n_bins: bins of ECE and OE.
    """

    def __init__(self, folder: Path, n_bins: int):
        self._jsonl, self._npz = folder / "history.jsonl", folder / "epochs.npz"
        self._metrics = calibration_metrics(n_bins=n_bins)
        self._records: list[dict[str, Any]] = []
        self._confidence: list[np.ndarray] = []
        self._correct: list[np.ndarray] = []
        self._latest: tuple[np.ndarray, np.ndarray] | None = None

    def compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        labelled = prediction.label_ids != -100
        probs = softmax(prediction.predictions[labelled])
        self._latest = probs.max(1).astype(np.float32), probs.argmax(1) == prediction.label_ids[labelled]
        return self._metrics(prediction)

    def on_train_begin(self, args, state, control, **kwargs):
        """A resumed run keeps the epochs up to its checkpoint, which is saved after they were stored."""
        self._records, self._confidence, self._correct = [], [], []
        if state.global_step == 0 or not self._jsonl.is_file():
            return
        records = [json.loads(line) for line in self._jsonl.read_text().splitlines()]
        self._records = [record for record in records if record["step"] <= state.global_step]
        with np.load(self._npz) as stored:
            self._confidence = list(stored["confidence"][: len(self._records)])
            self._correct = list(stored["correct"][: len(self._records)])

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        if not state.is_world_process_zero or self._latest is None:
            return
        scores = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        kept = {name: scores[name] for name in (*HISTORY_SCORES, "loss") if name in scores}
        self._records.append({"epoch": round(state.epoch, 6), "step": state.global_step, **kept})
        self._confidence.append(self._latest[0])
        self._correct.append(self._latest[1])
        write_npz(self._npz, confidence=np.stack(self._confidence), correct=np.stack(self._correct))
        write_atomically(self._jsonl, "".join(json.dumps(record) + "\n" for record in self._records))


class EpochProgress(ProgressCallback):
    """The Trainer's progress bar, named after the run, with one readable line of validation scores per epoch."""

    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None:
            self.training_bar.set_description(self._name)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        if len(eval_dataloader) > 100:  # a bar for less than that only flickers
            super().on_prediction_step(args, state, control, eval_dataloader=eval_dataloader, **kwargs)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.training_bar is None or not logs or "eval_ece" not in logs:
            return
        self.training_bar.write(
            f"{self._name}, epoch {state.epoch:.3g}: validation accuracy {logs['eval_accuracy']:.3f}, "
            f"NLL {logs['eval_nll']:.3f}, ECE {logs['eval_ece']:.3f}, OE {logs['eval_oe']:.3f}, "
            f"gap {logs['eval_gap']:+.3f}"
        )


def quiet() -> None:
    """Leaves out transformers' bars for the files of every checkpoint; the run's own bar stays."""
    transformers_logging.disable_progress_bar()


def last_complete_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was saved whole: the Trainer writes trainer_state.json last."""
    complete = [path for path in folder.glob("checkpoint-*") if _is_complete(path)]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


def _is_complete(checkpoint: Path) -> bool:
    """Neither cut short in writing, which ends with trainer_state.json, nor half deleted."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    names = {path.name for path in checkpoint.iterdir()}
    sharded = any(path.is_dir() for path in checkpoint.iterdir())  # FSDP and DeepSpeed save folders
    weights = any(name.endswith((".safetensors", "pytorch_model.bin")) for name in names)
    return sharded or (weights and {"optimizer.pt", "scheduler.pt"} <= names)


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
