"""What a trainer publishes: its model, with what the run in its folder stored of it, or with scores made now."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasets import Dataset
from transformers import Trainer
from transformers.utils import logging

from nlp_mixup.data import Facts, row_hash, trained_rows_of
from nlp_mixup.models import merge_adapters, probe_batch
from nlp_mixup.release.save import RELEASE, prepare_model
from nlp_mixup.release.training_section import DEFAULTS, SHOWN_SETTINGS
from nlp_mixup.release.uploading import Upload
from nlp_mixup.runs import RunRecord, probe_of, read_record, scored_record

logger = logging.get_logger(__name__)

SAME_LOGITS = 1e-3  # of the largest: how far one model's logits may differ between two runs over the same rows


def prepare_trainer(
    trainer: Trainer, held_out: Any, make_probe: Callable[[], dict[str, Any] | None], **settings: Any
) -> Upload | None:
    """Writes what a trainer publishes into ``output_dir/release``, see `prepare_model`; None on all processes but the first.

    Args:
        trainer: whose model is published; adapters are merged into it and cannot be trained on.
        held_out: the evaluation rows, or None.
        make_probe: gives a batch of their inputs, on every process; None where there are no rows.
        settings: of `prepare_model`.
    """
    record, probe = record_of(trainer, held_out), make_probe()
    if not trainer.is_world_process_zero():
        return None
    model: Any = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    probe = probe or probe_batch(model, trainer.processing_class)
    known = probe_of(model, probe, "probe rows" if held_out is None else "held-out rows")
    if getattr(model, "peft_config", None):
        logger.warning("The adapters are merged into the weights to be published; this trainer cannot train them on.")
        model = trainer.model = trainer.model_wrapped = merge_adapters(model)
    folder = Path(str(trainer.args.output_dir)) / RELEASE
    return prepare_model(
        model, trainer.processing_class, record, folder, str(trainer.hub_model_id), probe=probe, known=known, **settings
    )


def record_of(trainer: Trainer, held_out: Any) -> RunRecord:
    """What the run in output_dir stored of this model, or the scores of `eval_dataset`, on every process."""
    logits, labels = _evaluation_logits(trainer, held_out)
    stored = _stored_record(trainer, logits, labels)
    if stored is not None:
        return stored
    model: Any = trainer.model
    config = model.config
    settings = {"model_name_or_path": config._name_or_path} if config._name_or_path else {}
    settings["mixup_alpha"] = getattr(trainer.args, "mixup_alpha", 0.0)
    for name in SHOWN_SETTINGS:
        value = getattr(trainer.args, name, DEFAULTS.get(name))
        value = value.value if isinstance(value, Enum) else value
        if value != DEFAULTS.get(name):
            settings[name] = value
    return scored_record(
        logits,
        labels,
        label_names=[config.id2label[index] for index in range(config.num_labels)],
        settings=settings,
        arm="mixup" if settings["mixup_alpha"] > 0 else "no_mixup",
        seed=trainer.args.seed,
        trained_on=_trained_on(trainer, held_out),
    )


def _trained_on(trainer: Trainer, held_out: Any) -> dict[str, dict[str, Any]]:
    """How many of the evaluation rows are training rows too, told by their tokens; of other inputs that is not known."""
    hashes = []
    for rows in (trainer.train_dataset, held_out):
        if not isinstance(rows, Dataset) or "input_ids" not in rows.column_names:
            return {}
        ids = rows.select_columns(["input_ids"]).with_format(None)["input_ids"]
        hashes.append(np.array([row_hash(np.asarray(row, np.int64).tobytes()) for row in ids], np.uint64))
    trained, judged = hashes
    places = [f"row {row}" for row in range(1, len(judged) + 1)]
    found = trained_rows_of("validation", Facts(judged, np.zeros(len(judged), np.int64), places, []), trained, None)
    return {"validation": found} if found else {}


def _stored_record(trainer: Trainer, logits: Any, labels: Any) -> RunRecord | None:
    """The record in output_dir, if its validation predictions are those of this model."""
    folder = Path(str(trainer.args.output_dir))
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


def _evaluation_logits(trainer: Trainer, held_out: Any) -> tuple[Any, Any]:
    if held_out is None:
        return None, None
    output = trainer.predict(held_out)
    logits = output.predictions[0] if isinstance(output.predictions, tuple) else output.predictions
    labels, model = output.label_ids, cast(Any, trainer.model)
    if labels is None or np.ndim(logits) != 2 or logits.shape[1] != model.config.num_labels:
        return None, None
    known = np.asarray(labels) != -100
    return logits[known], np.asarray(labels)[known]
