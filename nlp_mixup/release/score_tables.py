"""The card's tables of scores, on the rows it was scored on and on foreign ones, and what stands below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlp_mixup.advice import run_standing
from nlp_mixup.release.foreign_text import data_link, inert, table_line
from nlp_mixup.release.released import Released, data_source
from nlp_mixup.runs import RunRecord

EDGES = "equal width, closed on the right (lo, hi]; a confidence of exactly 0 is in the first"
# Score -> how the card calls it; of the bin scores, model-index names the bins.
SCORES = {
    "accuracy": "accuracy (higher is better)",
    "nll": "negative log-likelihood (lower)",
    "brier": "Brier score (lower)",
    "ece": "ECE, expected calibration error (lower)",
    "ece_floor": "ECE that a perfectly calibrated model would show here",
    "oe": "OE, over-confidence error (lower)",
    "mce": "MCE, the worst bin (lower)",
    "confidence": "mean confidence",
    "gap": "gap: mean confidence − accuracy (0 is best)",
}


def score_table(record: RunRecord, split: str, calibration: str) -> str:
    columns = [row for row in (record.row(split, name) for name in ("raw", "temperature")) if row is not None]
    heads = []
    for row in columns:
        if row["calibration"] == calibration:
            head = "as released"
        else:
            head = "before temperature" if calibration == "temperature" else "not folded in"
        is_scaled = row["calibration"] == "temperature"
        heads.append(f"T = {row['temperature']:.3f}, {head}" if is_scaled else head)
    lines = [table_line(["score", *heads]), table_line(["---", *["---:"] * len(columns)])]
    for score, label in SCORES.items():
        lines.append(table_line([label, *(_with_interval(record, row, score) for row in columns)]))
    return "\n".join(lines)


def _with_interval(record: RunRecord, row: Mapping[str, Any], score: str) -> str:
    sign = "+" if score == "gap" else ""
    value = f"{row[score]:{sign}.3f}"
    stored = record.metrics["intervals"].get(row["split"], {}).get(row["calibration"], {}).get(score)
    if score == "ece_floor":
        return f"{value} ({row['ece_floor_low']:.3f} to {row['ece_floor_high']:.3f})"
    return value if stored is None else f"{value} ({stored[1]:{sign}.3f} to {stored[2]:{sign}.3f})"


def scores_caption(record: RunRecord, released: Released, row: Mapping[str, Any]) -> str:
    split = row["split"]
    source = data_source(record, released, split)
    of = "" if source == data_source(record, released) else f" of {data_link(source)}"
    held_out = "held-out" if split == "test" else "validation"
    note = "" if split == "test" else " The temperature was fitted on these same rows, so its column is optimistic."
    if redrawn := record.settings.get("label_noise"):
        note += (
            f" Of all labels, those of the scored rows among them, {100 * redrawn:g}% were redrawn at random over the classes "
            "(`label_noise`): the scores are those against such labels."
        )
    if trained_on := record.metrics.get("trained_on", {}).get(split):
        note += f" **{inert(trained_on['note'], limit=400)}**"
    return (
        f"Measured on the {row['n']:,} {held_out} rows of the split `{split}`{of}, seed {record.metrics['seed']}. In brackets: 95 % "
        f"intervals over rows, Clopper and Pearson's for accuracy. ECE, OE and MCE use {row['n_bins']} bins of the winning score, {EDGES}.{note}"
    )


def verdicts(record: RunRecord, split: str) -> str:
    names = {"raw": "Without temperature", "temperature": "With temperature"}
    return "\n".join(
        f"- {name}: {inert(run_standing(record.metrics, split, calibration), limit=600)}"
        for calibration, name in names.items()
        if record.row(split, calibration) is not None
    )


def ood_table(record: RunRecord, calibration: str) -> str:
    lines = [
        table_line(["inputs", "n", "mean confidence", "AUROC", "FPR95", "AUROC, energy", "FPR95, energy"]),
        table_line(["---", *["---:"] * 6]),
    ]
    for name, found in record.metrics["ood"].items():
        stored = found.get(calibration) or found["raw"]
        lines.append(
            table_line(
                [
                    inert(name),
                    f"{stored['n']:,}",
                    f"{stored['confidence']:.3f}",
                    *(f"{stored[score][key]:.3f}" for score in ("msp", "energy") for key in ("auroc", "fpr95")),
                ]
            )
        )
    return "\n".join(lines) if len(lines) > 2 else ""


def ood_caption(record: RunRecord, released: Released, row: Mapping[str, Any] | None) -> str:
    familiar = f" (on its own {row['split']} rows: {row['confidence']:.3f})" if row else ""
    is_text = released.task == "text-classification"
    meanings = {
        "noise": "random tokens" if is_text else "Gaussian pixels with the training images' mean and spread",
        "uniform": "" if is_text else "pixels drawn evenly from their whole range",
        "held-out": "rows of classes that it was not trained on",
    }
    told = [f"`{name}` is {meanings[name]}" for name in record.metrics["ood"] if meanings.get(name)]
    return (
        "How sure the released model is of inputs that belong to none of its classes"
        f"{familiar}, and how well a score tells them from its own: the winning probability, or the energy of the logits. AUROC: "
        "1 is best, 0.5 is chance. FPR95: share of foreign inputs accepted where 95 % of its own are; 0 is best."
        + "".join(f" {sentence}." for sentence in told)
    )
