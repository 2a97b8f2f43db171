"""What each evaluation of a run stores (history.jsonl, epochs.npz) and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from transformers import EvalPrediction, TrainerCallback
from transformers.trainer_callback import ProgressCallback
from transformers.utils import logging as transformers_logging

from nlp_mixup.calibration import calibration_metrics, softmax
from nlp_mixup.files import write_atomically, write_npz

HISTORY_SCORES = ("accuracy", "confidence", "nll", "ece", "oe", "gap")


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
