"""An evaluate metric that keeps NumPy arrays instead of writing every row through Arrow.

The stock route encodes row by row in Python, seconds for 200,000 rows; this one takes what the formula needs
of a batch, nine bytes a row, when the batch arrives. Several processes still meet through evaluate's own
files.
"""

from abc import ABC, abstractmethod

import datasets
import evaluate
import numpy as np

from nlp_mixup.calibration.inputs import as_array, check_shape, top_label

INPUTS = """
Args:
    predictions: probabilities, one row per example: (n, k) rows that sum to 1, or (n,) the probability of class 1
        of a binary task. NumPy, torch or lists. Not logits: apply the softmax first. Not class ids. A row may miss the
        sum 1 by {tolerance:g}, and by more where it was rounded to a half format or to decimals.
    references: (n,) integer class indices.
    n_bins: number of equal-width bins (lo, hi], 15 by default.
"""


class BufferedMetric(evaluate.Metric, ABC):
    """A metric of each row's winning score and correctness; a subclass gives ``_info`` and ``_score``."""

    @abstractmethod
    def _score(self, confidence, correct, n_bins=15):
        """The metric's dictionary from winning scores (n,) and correctness (n,)."""

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Adds a batch, which is checked at once; a refused batch adds nothing."""
        if self.num_process > 1:
            if predictions is not None:  # Arrow would turn class ids into floats
                check_shape(as_array(predictions, "predictions"), "predictions")
            evaluate.Metric.add_batch(self, predictions=predictions, references=references, **kwargs)
            return
        if kwargs:
            raise ValueError(f"Bad inputs: {list(kwargs)}. All required inputs are {self._feature_names()}")
        if predictions is None or references is None:
            missing = "predictions" if predictions is None else "references"
            raise ValueError(f"Inputs are missing: {missing}. All required inputs are {self._feature_names()}")
        probs = as_array(predictions, "predictions")
        n_classes = check_shape(probs, "predictions")
        held = self._held()
        if held and held[0][2] != n_classes:
            raise ValueError(f"predictions: {n_classes} columns after batches of {held[0][2]}; use one shape for all")
        labels = as_array(references, "references")
        if getattr(labels.dtype, "kind", "") == "f" and np.isfinite(labels).all() and (labels == np.rint(labels)).all():
            labels = labels.astype(np.int64)  # as Arrow casts them; scipy's bootstrap makes floats of all it resamples
        held.append((*top_label(probs, labels), n_classes))

    def add(self, *, prediction=None, reference=None, predictions=None, references=None, **kwargs):
        """Adds one example: its probabilities, or the probability of class 1, and its class index.

        ``evaluate.combine`` hands one example over under the plural names.
        """
        prediction = predictions if prediction is None else prediction
        reference = references if reference is None else reference
        if self.num_process > 1:
            if prediction is not None:
                check_shape(as_array([prediction], "predictions"), "predictions")
            evaluate.Metric.add(self, prediction=prediction, reference=reference, **kwargs)
            return
        self.add_batch(predictions=[prediction], references=[reference], **kwargs)

    def compute(self, *, predictions=None, references=None, **kwargs):
        """Scores what was added and what is given here, then forgets it; an error leaves what was added in place."""
        if self.num_process > 1:
            return evaluate.Metric.compute(self, predictions=predictions, references=references, **kwargs)
        held = self._held()
        before = len(held)
        try:
            if predictions is not None or references is not None:
                self.add_batch(predictions=predictions, references=references)
            if not held:
                raise ValueError("nothing to compute: call add or add_batch first, or give predictions and references")
            confidence = np.concatenate([batch[0] for batch in held])
            correct = np.concatenate([batch[1] for batch in held])
            result = self._score(confidence, correct, **kwargs)
        except (TypeError, ValueError):
            del held[before:]
            raise
        held.clear()
        return result

    def __len__(self):
        """Number of rows held."""
        return evaluate.Metric.__len__(self) + sum(len(batch[0]) for batch in self._held())

    def _held(self):
        """Batches so far, each (confidence, correct, number of columns)."""
        if not hasattr(self, "_batches"):
            self._batches: list[tuple] = []
        return self._batches


#: float64, because float32 moves confidences on an edge into the next bin.
FEATURES = [
    datasets.Features(
        {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Value("int64")}
    ),
    datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}),
]
