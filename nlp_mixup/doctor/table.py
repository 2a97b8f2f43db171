"""What is shown of an evaluation, on the terminal and in evaluation.md alike: title, warnings, score table, legend."""

from __future__ import annotations

from nlp_mixup.advice import signed
from nlp_mixup.calibration.floor import short
from nlp_mixup.doctor.judging import Evaluation

SCORES = ("accuracy", "confidence", "nll", "brier", "ece", "oe", "gap")
HEADINGS = {"nll": "NLL", "brier": "Brier", "ece": "ECE", "oe": "OE"}


def title_of(evaluation: Evaluation) -> str:
    scores = evaluation.diagnosis.scores["raw"]
    source = evaluation.subject.sources[evaluation.split]
    return (
        f"{evaluation.model} on {source}: {evaluation.split}, n = {scores['n']:,}, "
        f"{len(evaluation.subject.label_names)} classes"
    )


def warnings_of(evaluation: Evaluation) -> list[str]:
    """What takes the worth from the numbers below it: rows that the model was trained on."""
    return [found["note"] for found in evaluation.subject.trained_on.values()]


def columns_of(evaluation: Evaluation) -> list[list[str]]:
    """The table by columns: names of scores, raw, and where there is a temperature, after it."""
    columns = [["", *(HEADINGS.get(name, name) for name in SCORES)]]
    columns[0].insert(columns[0].index("ECE") + 1, "noise floor")
    for key, scores in evaluation.diagnosis.scores.items():
        intervals = evaluation.diagnosis.intervals[key]
        cells = ["raw" if key == "raw" else "after temperature"]
        for name in SCORES:
            cells.append(signed(intervals[name]) if name == "gap" else str(intervals[name]))
            if name == "ece":
                cells.append(f"{short(scores['ece_floor'])} (up to {short(scores['ece_floor_high'])})")
        columns.append(cells)
    return columns


def legend_of(evaluation: Evaluation) -> str:
    diagnosis = evaluation.diagnosis
    text = (
        f"In brackets: 95% intervals over rows, those of ECE and OE corrected for their bias. ECE and OE over "
        f"{diagnosis.scores['raw']['n_bins']} equal-width bins; noise floor: the ECE that a perfectly calibrated model "
        "with these confidences would show; gap: mean confidence - accuracy, positive is over-confident."
    )
    if "temperature" not in diagnosis.scores:
        return text
    if diagnosis.cross_fitted:
        return f"{text} After temperature: each half of the rows under the T of the other half."
    return f"{text} T is fitted on {evaluation.subject.sources['validation']}."
