"""The settings of what is measured and kept, `EvaluationArguments`; and which end of a score is better."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

# Score of an evaluation -> whether more of it is better; the gap and the mean confidence have no better end.
IS_GREATER_BETTER = {
    "accuracy": True, "nll": False, "brier": False, "ece": False, "oe": False, "mce": False, "loss": False,
}  # fmt: skip


@dataclass
class EvaluationArguments:
    """What is measured and kept at the end of a run."""

    _argument_group_name = "evaluation"

    n_bins: int = field(
        default=15, metadata={"help": "Equal-width confidence bins of ECE and OE (the paper used 100)."}
    )
    keep_models: Literal["none", "last", "all"] | None = field(
        default=None,
        metadata={
            "help": "Weights kept when a run is done: none, last (the final model), all (also the checkpoints that "
            "save_total_limit leaves). "
            "Default: last for train, none for compare."
        },
    )

    def __post_init__(self):
        if self.n_bins < 1:
            raise ValueError(f"n_bins must be at least 1, got {self.n_bins}.")


def greater_is_better(metric: str) -> bool | None:
    """Whether more of a score is better; also by its name behind an evaluation set's. None where that is not known.

    >>> greater_is_better("accuracy"), greater_is_better("nll"), greater_is_better("long_texts_ece")
    (True, False, False)
    """
    return next(
        (better for score, better in IS_GREATER_BETTER.items() if metric == score or metric.endswith(f"_{score}")), None
    )


def check_metric(metric: str, scores: Iterable[str], sets: Iterable[str] | None = None) -> None:
    """Refuses a ``metric_for_best_model`` that no evaluation computes.

    Args:
        metric: its name, with ``eval_`` or without.
        scores: what an evaluation computes.
        sets: the names of the evaluation sets, where there are several.

    Raises:
        ValueError: the message lists what can choose.

    Example:
        >>> check_metric("eval_brier", ["loss", "brier"])
    """
    choices = [score for score in scores if score not in ("gap", "confidence")]
    if sets is not None:
        choices = [f"{name}_{score}" for name in sets for score in choices]
    if metric.removeprefix("eval_") not in choices:
        raise ValueError(
            f"metric_for_best_model={metric!r} is not computed by the evaluations, which give {listed(choices)}. Choose one of "
            "these; in Python, compute_metrics may be a function of your own that returns it."
        )


def listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
