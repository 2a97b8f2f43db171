"""The card's decision lines: above which score predictions may be accepted, and what that does on the scored rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from nlp_mixup.calibration import decision_line, softmax, top_label
from nlp_mixup.calibration.decision import least_rows
from nlp_mixup.release.foreign_text import table_line
from nlp_mixup.runs import RunRecord

ERROR_TARGETS = (0.01, 0.02, 0.05, 0.10)


@dataclass(frozen=True)
class Decision:
    """A rule "accept predictions with a score of at least the threshold", and what it does on the scored rows.

    Args:
        target: the error rate that the rule was to keep.
        threshold: the least score, of `decision_line`, or None where no threshold keeps the target.
        accepted: rows accepted.
        wrong: wrong ones among them.
        n: rows scored.
    """

    target: float
    threshold: float | None
    accepted: int
    wrong: int
    n: int

    def error_interval(self) -> tuple[float, float]:
        """The 95 % interval of the error rate among accepted rows (Clopper & Pearson 1934)."""
        interval = binomtest(self.wrong, self.accepted).proportion_ci(method="exact")
        return float(interval.low), float(interval.high)


def decisions_of(record: RunRecord, calibration: str) -> list[Decision]:
    """For each target error: the threshold chosen on validation, and what it does on test.

    Where one of the two splits is missing, the same rows choose and score.
    """
    if record.split is None:
        return []
    scored, chosen = record.logits[record.split], record.logits.get("validation", record.logits[record.split])
    divisor = record.temperature.value if calibration == "temperature" and record.temperature else 1.0
    choice = softmax(chosen[0].astype(np.float64) / divisor)
    lines = {target: decision_line(choice, chosen[1], max_risk=target) for target in ERROR_TARGETS}
    scores = softmax(scored[0].astype(np.float64) / divisor)
    return [decide(scores, scored[1], target, line and line.threshold) for target, line in lines.items()]


def decide(probs: NDArray[Any], labels: NDArray[Any], target: float, threshold: float | None) -> Decision:
    """What accepting the rows with a confidence of at least ``threshold`` does."""
    confidence, correct = top_label(probs, labels, validate=False)
    if threshold is None:
        return Decision(target, None, 0, 0, len(confidence))
    accepted = confidence >= threshold
    return Decision(target, threshold, int(accepted.sum()), int((accepted & ~correct).sum()), len(confidence))


def decision_table(decisions: Sequence[Decision]) -> str:
    if not decisions:
        return ""
    lines = [table_line(["to keep the error at or below", "accept at or above", "rows accepted", "error among them"])]
    lines.append(table_line(["---:"] * 4))
    for decision in decisions:
        target = f"{decision.target:.0%}"
        if decision.threshold is None:
            lines.append(table_line([target, f"no threshold keeps {target}", "", ""]))
            continue
        cells = [target, str(decision.threshold), f"{decision.accepted / decision.n:.1%}"]
        if decision.accepted:
            low, high = decision.error_interval()
            cells.append(f"{decision.wrong / decision.accepted:.1%} ({low:.1%} to {high:.1%})")
        else:
            cells.append("no row to measure it on")
        lines.append(table_line(cells))
    return "\n".join(lines)


def decisions_caption(record: RunRecord, decisions: Sequence[Decision]) -> str:
    if not decisions:
        return ""
    if record.split == "test" and "validation" in record.logits:
        where = (
            f"Each threshold was chosen on the {len(record.logits['validation'][1]):,} validation rows; share and error are those of "
            f"the {decisions[0].n:,} test rows, which it has not seen."
        )
    else:
        where = f"Thresholds were chosen and scored on the same {decisions[0].n:,} rows, so the errors are optimistic."
    needed = ", ".join(f"{least_rows(decision.target)} for {decision.target:.0%}" for decision in decisions)
    return (
        "Accept a prediction when its `score` is at least the threshold, and pass the rest to somebody else. "
        f"{where} A threshold keeps an error where the one-sided 95 % upper limit of the error (Clopper-Pearson) among the "
        f"rows it accepts is no higher; that takes so many accepted rows, none of them wrong, or more: {needed}. In "
        "brackets: 95 % intervals."
    )
