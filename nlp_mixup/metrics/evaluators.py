"""evaluate's own evaluators and suites, for metrics of confidence: they get the probability of every class.

``evaluate.evaluator(task)`` hands the winner's class id to every metric. A metric whose declared ``predictions`` are
sequences of floats, as ECE's and OE's are, cannot be computed from that; these evaluators give it (n, k) probabilities, and
give every other metric class ids as before.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
from datasets import Value
from evaluate import EvaluationSuite as _EvaluationSuite
from evaluate import ImageClassificationEvaluator, TextClassificationEvaluator, evaluation_suite
from numpy.typing import NDArray
from scipy.stats import bootstrap
from transformers import PreTrainedModel, pipeline

TASKS = ("text-classification", "image-classification")


def evaluator(task: str = "text-classification") -> Any:
    """As ``evaluate.evaluator``, with probabilities for the metrics that take them.

    Its ``compute`` is evaluate's, strategy "bootstrap" included (whole rows are drawn, as there). Beyond that, the model
    may be a pipeline, which evaluate 0.4.6 cannot take under transformers 5; ``label_mapping`` may be left out where the
    model's own numbering is that of the labels; and ``METRIC_KWARGS = {"n_bins": 10}``, set on what this returns, reaches
    the bootstrap too.

    Args:
        task: ``"text-classification"``, its alias ``"sentiment-analysis"``, or ``"image-classification"``.

    Returns:
        The evaluator.

    Raises:
        ValueError: for another task; from ``compute``, for a ``label_mapping`` that does not number all classes of the
            model from 0, and for metrics combined of which some take probabilities and some class ids.

    Example:
        >>> evaluator("text-classification").task
        'text-classification'
    """
    if task in ("text-classification", "sentiment-analysis"):
        return _TextEvaluator("text-classification", default_metric_name="accuracy")
    if task == "image-classification":
        return _ImageEvaluator(task, default_metric_name="accuracy")
    raise ValueError(f"evaluator: no task {task!r}; accepted: {', '.join(map(repr, TASKS))}")


class EvaluationSuite(_EvaluationSuite):
    """As ``evaluate.EvaluationSuite``, whose tasks run under :func:`evaluator`; the base of a suite file's ``Suite``."""

    def run(self, model_or_pipeline: Any) -> Any:
        """Results of every task, as evaluate's."""
        with patch.object(evaluation_suite, "evaluator", evaluator):  # the name that evaluate's own run asks
            return super().run(model_or_pipeline)


class _Probabilities:
    """What both evaluators do otherwise than evaluate's."""

    task: Any  # a string, where transformers' types want one of theirs
    METRIC_KWARGS: dict[str, Any]

    def prepare_pipeline(
        self, model_or_pipeline: Any, tokenizer: Any = None, feature_extractor: Any = None, device: int | None = None
    ) -> Any:
        pipe = model_or_pipeline
        if pipe is None:
            raise ValueError("model_or_pipeline: give a model, a folder, a Hub id or a pipeline")
        if isinstance(pipe, str | PreTrainedModel):
            processor = {"tokenizer": tokenizer, "image_processor": feature_extractor}
            given = {name: value for name, value in processor.items() if value is not None}
            pipe = pipeline(self.task, model=pipe, device=device, **given)
        if pipe.task != self.task:
            raise ValueError(f"model_or_pipeline: a pipeline for {pipe.task}, expected one for {self.task}")
        self._id_of_label: dict[str, int] = {name: int(id_) for id_, name in pipe.model.config.id2label.items()}
        return pipe

    def prepare_metric(self, metric: Any) -> Any:
        loaded = super().prepare_metric(metric)  # type: ignore[misc]
        modules = getattr(loaded, "evaluation_modules", [loaded])
        kinds = {_takes_probabilities(module) for module in modules}
        if len(kinds) > 1:
            raise ValueError(
                "metric: some of these metrics take probabilities and some class ids; compute them in two calls"
            )
        self._wants_probabilities = kinds.pop()
        return loaded

    def call_pipeline(self, pipe: Any, *args: Any, **kwargs: Any) -> Any:
        return super().call_pipeline(pipe, *args, top_k=len(self._id_of_label), **kwargs)  # type: ignore[misc]

    def predictions_processor(self, predictions: Any, label_mapping: dict[str, Any] | None) -> dict[str, Any]:
        if not self._wants_probabilities:
            winners = [max(row, key=lambda element: element["score"])["label"] for row in predictions]
            return {"predictions": [label_mapping[name] if label_mapping else name for name in winners]}
        column = self._id_of_label if label_mapping is None else label_mapping
        names, size = sorted(self._id_of_label), len(self._id_of_label)
        if sorted(column) != names or sorted(column.values()) != list(range(size)):
            raise ValueError(
                f"label_mapping: got {column}; to put probabilities in order, number each of the model's classes "
                f"{', '.join(names)} from 0 to {size - 1}"
            )
        probs = np.zeros((len(predictions), size))
        for row, elements in enumerate(predictions):
            for element in elements:
                probs[row, int(column[element["label"]])] = element["score"]
        return {"predictions": probs}

    def _compute_confidence_interval(
        self,
        metric: Any,
        metric_inputs: dict[str, Any],
        metric_keys: list[str],
        confidence_level: float = 0.95,
        n_resamples: int = 9999,
        random_state: int | None = None,
    ) -> dict[str, Any]:
        """evaluate's, but of row numbers: scipy cannot pair rows of probabilities with labels."""
        columns = {name: np.asarray(list(values)) for name, values in metric_inputs.items()}

        def intervals_of(key: str) -> dict[str, Any]:
            def score(rows: NDArray[np.intp]) -> float:
                resample = {name: values[rows] for name, values in columns.items()}
                return metric.compute(**resample, **self.METRIC_KWARGS)[key]

            found = bootstrap(
                (np.arange(len(columns["references"])),),
                score,
                vectorized=False,
                confidence_level=confidence_level,
                n_resamples=n_resamples,
                random_state=random_state,
            )
            limits = found.confidence_interval
            return {"confidence_interval": (limits.low, limits.high), "standard_error": found.standard_error}

        return {key: intervals_of(key) for key in metric_keys}


class _TextEvaluator(_Probabilities, TextClassificationEvaluator):
    pass


class _ImageEvaluator(_Probabilities, ImageClassificationEvaluator):
    pass


def _takes_probabilities(metric: Any) -> bool:
    """Whether a metric declares its predictions as sequences of floats."""
    declared = metric.features if isinstance(metric.features, list) else [metric.features]
    inner = [getattr(features["predictions"], "feature", None) for features in declared]
    return any(isinstance(value, Value) and value.dtype.startswith("float") for value in inner)
