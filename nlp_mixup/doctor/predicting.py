"""A subject -> the logits of its rows, in batches of rows of like length."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments

from nlp_mixup.doctor.arguments import DoctorArguments
from nlp_mixup.doctor.subject import Subject


def predict(subject: Subject, options: DoctorArguments) -> dict[str, np.ndarray]:
    """Logits (n, K) of each split, in the order of its rows; rows of like length share a batch, the longest come first."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=subject.model,
            args=TrainingArguments(
                output_dir=folder,
                per_device_eval_batch_size=options.per_device_eval_batch_size,
                bf16=options.bf16,
                use_cpu=options.use_cpu,
                dataloader_pin_memory=torch.accelerator.is_available() and not options.use_cpu,
                label_names=["labels"],
                disable_tqdm=not sys.stderr.isatty(),
                report_to="none",
            ),
            data_collator=subject.data_collator,
            preprocess_logits_for_metrics=_logits_alone,
        )
        logits = {}
        for split, rows in subject.splits.items():
            order = _by_length(rows)
            logits[split] = np.empty((len(rows), len(subject.label_names)), dtype=np.float32)
            logits[split][order] = trainer.predict(rows.select(order)).predictions
    return logits


def _logits_alone(outputs: Any, labels: Any) -> torch.Tensor:
    """Without the hidden states that some models return beside their logits."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def _by_length(rows: Dataset) -> np.ndarray:
    if "input_ids" not in rows.column_names:
        return np.arange(len(rows))
    return np.argsort([-len(ids) for ids in rows["input_ids"]], kind="stable")
