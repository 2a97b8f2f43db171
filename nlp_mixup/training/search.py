"""`Trainer.hyperparameter_search` with an objective that means something where none is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transformers import Trainer
from transformers.trainer_utils import BestRun

from nlp_mixup.arguments import greater_is_better

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object


class SearchMixin(_Base):
    """The part of `MixupMixin` that searches."""

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, Any]] | None = None,
        compute_objective: Callable[[dict[str, float]], float] | None = None,
        n_trials: int = 20,
        direction: str | list[str] | None = None,
        backend: Any = None,
        hp_name: Callable[[Any], str] | None = None,
        **kwargs: Any,
    ) -> BestRun | list[BestRun]:
        """The Trainer's search, which minimises the negative log-likelihood (NLL) where no objective is given.

        With ``metric_for_best_model`` the objective is that score, in its own direction. (The stock Trainer adds up all
        scores, accuracy and the errors alike.) A trial is judged by its last evaluation.

        Args:
            hp_space: from a trial to the settings to try.
            compute_objective: from the scores of an evaluation to the number to search for.
            n_trials: settings to try.
            direction: ``minimize`` or ``maximize``; by default the objective's own, and ``minimize`` for a
                ``compute_objective``. A list for several objectives.
            backend: optuna, ray or wandb.
            hp_name: from a trial to its name.
            kwargs: for the backend.

        Raises:
            ValueError: the direction is not that of the default objective.
        """
        if compute_objective is None:
            metric = self.args.metric_for_best_model
            compute_objective = _Score(metric)
            greater = bool(self.args.greater_is_better) if metric else greater_is_better("nll")
            fitting = "maximize" if greater else "minimize"
            if direction not in (None, fitting):
                other = (
                    "" if metric else ", name another score in the arguments, such as metric_for_best_model='accuracy'"
                )
                raise ValueError(
                    f"direction={direction!r} would look for the worst {compute_objective}: leave it out{other}, or give "
                    "compute_objective=lambda metrics: ... with it."
                )
            direction = fitting
        return super().hyperparameter_search(
            hp_space, compute_objective, n_trials, direction or "minimize", backend, hp_name, **kwargs
        )


class _Score:
    """One score of an evaluation; without a name the NLL, or the loss, which is the same where it is plain."""

    def __init__(self, metric: str | None):
        self._metric = metric

    def __call__(self, metrics: dict[str, float]) -> float:
        names = [f"eval_{self._metric.removeprefix('eval_')}"] if self._metric else ["eval_nll", "eval_loss"]
        for name in names:
            if name in metrics:
                return metrics[name]
        raise ValueError(
            f"The evaluation gives no {names[0]}, which the search needs, but {', '.join(sorted(metrics))}. Set "
            "metric_for_best_model to one of them, or give compute_objective."
        )

    def __str__(self) -> str:
        return self._metric or "NLL"
