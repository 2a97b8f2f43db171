"""Expected calibration error as an evaluate metric: evaluate.load on this folder, or on the Space it is pushed to."""

import evaluate

from nlp_mixup.calibration.binning import EqualWidth
from nlp_mixup.calibration.bins import CalibrationBins
from nlp_mixup.calibration.inputs import top_label
from nlp_mixup.calibration.precision import TOLERANCE
from nlp_mixup.calibration.table import ReliabilityTable
from nlp_mixup.metrics.buffered import FEATURES, INPUTS, BufferedMetric

_DESCRIPTION = """
Expected calibration error: the difference between how sure a classifier is and how often it is right, averaged over
M equal-width bins of the winning score, ECE = sum_m |B_m|/n |acc(B_m) - conf(B_m)|.
"""

_KWARGS_DESCRIPTION = (
    INPUTS.format(tolerance=TOLERANCE)
    + """
Returns:
    ece: the expected calibration error, between 0 and 1; lower is better.

Examples:
    >>> metric = evaluate.load("ece")  # or the path of this folder
    >>> result = metric.compute(predictions=[[0.1, 0.9], [0.1, 0.9]], references=[1, 0], n_bins=10)
    >>> print(round(result["ece"], 6))
    0.4
    >>> result = metric.compute(predictions=[0.75, 0.25, 0.75, 0.75], references=[1, 0, 1, 1])
    >>> print(round(result["ece"], 6))
    0.25
"""
)

_CITATION = """
@inproceedings{guo2017calibration,
  title={On Calibration of Modern Neural Networks},
  author={Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.},
  booktitle={International Conference on Machine Learning},
  year={2017}
}
"""


class Ece(BufferedMetric):
    """Expected calibration error of the winning class."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=FEATURES,
            reference_urls=["https://arxiv.org/abs/1706.04599"],
        )

    def _compute(self, predictions, references, n_bins=15):
        return self._score(*top_label(predictions, references), n_bins=n_bins)

    def _score(self, confidence, correct, n_bins=15):
        bins = CalibrationBins(binning=EqualWidth(n_bins)).update_scored(confidence, correct)
        table: ReliabilityTable = bins.table()
        return {"ece": table.ece}
