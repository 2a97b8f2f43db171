"""The card's front matter: what the Hub reads, with the scores of ``model-index``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from nlp_mixup.release.foreign_text import plain
from nlp_mixup.release.released import Released, alpha_of, data_source, is_cutmix
from nlp_mixup.release.score_tables import EDGES
from nlp_mixup.runs import RunRecord

INDEXED = {
    "accuracy": ("accuracy", "Accuracy"),
    "nll": ("nll", "Negative log-likelihood"),
    "brier": ("brier_score", "Brier score"),
    "ece": ("ece", "Expected calibration error"),
    "oe": ("oe", "Over-confidence error"),
}
BINNED = ("ece", "oe")


def card_data(record: RunRecord, released: Released, row: Mapping[str, Any] | None) -> ModelCardData:
    trained_on = data_source(record, released)
    results = []
    if row is not None:
        source = data_source(record, released, row["split"])
        for score, (metric, name) in INDEXED.items():
            bins = {"n_bins": row["n_bins"], "bin_edges": EDGES} if score in BINNED else None
            results.append(
                EvalResult(
                    task_type=released.task,
                    dataset_type=source["id"] or _no_hub_id(source["name"]),
                    dataset_name=plain(source["name"] or "unnamed data"),
                    dataset_config=None if source["config"] is None else plain(source["config"]),
                    dataset_split=row["split"],
                    dataset_revision=None if source["revision"] is None else plain(source["revision"]),
                    metric_type=metric,
                    metric_name=f"{name} ({row['n_bins']} bins)" if bins else name,
                    metric_value=round(float(row[score]), 6),
                    metric_args=bins,
                )
            )
    tags = [
        "nlp-mixup",
        "calibration",
        *(["mixup"] if alpha_of(record) > 0 else []),
        *(["cutmix"] if is_cutmix(record) else []),
        *map(plain, released.tags),
    ]
    return ModelCardData(
        base_model=released.base_model,
        datasets=[trained_on["id"]] if trained_on["id"] else None,
        language=released.language,
        library_name="transformers",
        license=released.license,
        metrics=[metric for metric, _ in INDEXED.values()] if results else None,
        model_name=released.repo_id.split("/")[-1],
        eval_results=results or None,
        pipeline_tag=released.task,
        tags=tags + (["temperature-scaling"] if released.folded else []),
    )


def _no_hub_id(name: str | None) -> str:
    """A name for front matter that wants an id, which nothing on the Hub can have: two dashes are forbidden there.

    >>> _no_hub_id("my data.csv")
    'local--my-data.csv'
    """
    return "local--" + re.sub(r"[^\w.-]+", "-", plain(name or "unnamed"))
