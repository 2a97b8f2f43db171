"""An evaluation's files: evaluation.json, evaluation.md, reliability.png and the logits."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

import nlp_mixup
from nlp_mixup.advice import advice
from nlp_mixup.calibration import reliability_table, softmax
from nlp_mixup.doctor.judging import Evaluation
from nlp_mixup.doctor.table import columns_of, legend_of, title_of, warnings_of
from nlp_mixup.figures import reliability_figure
from nlp_mixup.files import write_atomically


def as_record(evaluation: Evaluation) -> dict[str, Any]:
    """All numbers, as evaluation.json holds them."""
    diagnosis = evaluation.diagnosis
    temperature = diagnosis.temperature
    return {
        "format": 1,
        "version": nlp_mixup.__version__,
        "model": evaluation.model,
        "sources": evaluation.subject.sources,
        "split": evaluation.split,
        "label_names": evaluation.subject.label_names,
        "label_map": evaluation.subject.label_map,
        "verdict": diagnosis.verdict,
        "rows": [
            {
                "split": evaluation.split,
                "calibration": key,
                # Cross-fitted rows are scaled by the T of their other half, which is near this one.
                "temperature": 1.0 if key == "raw" or temperature is None else temperature.value,
                **scores,
            }
            for key, scores in diagnosis.scores.items()
        ],
        "intervals": {
            key: {name: [found.value, found.low, found.high] for name, found in intervals.items()}
            for key, intervals in diagnosis.intervals.items()
        },
        "temperature": None
        if temperature is None
        else {f.name: getattr(temperature, f.name) for f in fields(temperature) if f.name != "level"},
        "temperature_note": diagnosis.temperature_note,
        "cross_fitted": diagnosis.cross_fitted,
        "nll_change": None if diagnosis.nll_change is None else asdict(diagnosis.nll_change),
        "rows_needed": diagnosis.rows_needed,
        "class_shares": diagnosis.class_shares.tolist(),
        "mixup_alpha": diagnosis.alpha,
        "trained_on": evaluation.subject.trained_on,
        "advice": advice(diagnosis),
        "notes": evaluation.notes,
    }


def write_files(evaluation: Evaluation, record: dict[str, Any], folder: Path) -> None:
    """Writes evaluation.json, evaluation.md, reliability.png and logits-<split>.npz."""
    diagnosis = evaluation.diagnosis
    for split, logits in evaluation.logits.items():
        content = io.BytesIO()
        np.savez_compressed(content, logits=logits, labels=evaluation.labels[split].astype(np.int64))
        write_atomically(folder / f"logits-{split}.npz", content.getvalue())
    n_bins = int(diagnosis.scores["raw"]["n_bins"])
    tables = {
        "raw" if key == "raw" else "after temperature": reliability_table(
            softmax(logits), diagnosis.labels, n_bins=n_bins
        )
        for key, logits in diagnosis.logits.items()
    }
    image = io.BytesIO()
    reliability_figure(tables).savefig(image, format="png", dpi=150)
    write_atomically(folder / "reliability.png", image.getvalue())
    columns = columns_of(evaluation)
    lines = [
        f"# {_escape(title_of(evaluation))}",
        "",
        *(f"**{_escape(line)}**\n" for line in warnings_of(evaluation)),
        *(f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)),
        "",
        _escape(legend_of(evaluation)),
        "",
        *(f"- {_escape(line)}" for line in (*record["advice"], *evaluation.notes)),
        "",
        "![Reliability diagrams](reliability.png)",
        "",
    ]
    lines.insert(3 + len(warnings_of(evaluation)), "|" + "---|" * len(columns))
    write_atomically(folder / "evaluation.md", "\n".join(lines))
    write_atomically(folder / "evaluation.json", json.dumps(record, indent=1) + "\n")


def _escape(text: str) -> str:
    """Names of models, files and classes as they are, whatever Markdown would make of them."""
    return "".join(f"\\{letter}" if letter in "\\`*_<>[]|#&" else letter for letter in text)
