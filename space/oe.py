"""Overconfidence error as an evaluate metric: evaluate.load on this folder, or on the Space it is pushed to."""

import evaluate

from .binning import EqualWidth
from .bins import CalibrationBins
from .buffered import FEATURES, INPUTS, BufferedMetric
from .inputs import top_label
from .precision import TOLERANCE
from .table import ReliabilityTable

_DESCRIPTION = """
Overconfidence error: how far confidence exceeds accuracy, weighted by the confidence itself, over M equal-width bins of
the winning score, OE = sum_m |B_m|/n conf(B_m) max(conf(B_m) - acc(B_m), 0).
"""

_KWARGS_DESCRIPTION = (
    INPUTS.format(tolerance=TOLERANCE)
    + """
Returns:
    oe: the overconfidence error, between 0 and the ECE of the same bins; lower is less over-confident.

Examples:
    >>> metric = evaluate.load("oe")  # or the path of this folder
    >>> result = metric.compute(predictions=[[0.1, 0.9], [0.1, 0.9]], references=[1, 0], n_bins=10)
    >>> print(round(result["oe"], 6))
    0.36
    >>> result = metric.compute(predictions=[0.75, 0.25, 0.75, 0.75], references=[1, 0, 1, 1])
    >>> print(round(result["oe"], 6))
    0.0
"""
)

_CITATION = """
@inproceedings{thulasidasan2019mixup,
  title={On Mixup Training: Improved Calibration and Predictive Uncertainty for Deep Neural Networks},
  author={Thulasidasan, Sunil and Chennupati, Gopinath and Bilmes, Jeff and Bhattacharya, Tanmoy and Michalak, Sarah},
  booktitle={Advances in Neural Information Processing Systems},
  year={2019}
}
"""


class Oe(BufferedMetric):
    """Overconfidence error of the winning class."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=FEATURES,
            reference_urls=["https://arxiv.org/abs/1905.11001"],
        )

    def _compute(self, predictions, references, n_bins=15):
        return self._score(*top_label(predictions, references), n_bins=n_bins)

    def _score(self, confidence, correct, n_bins=15):
        bins = CalibrationBins(binning=EqualWidth(n_bins)).update_scored(confidence, correct)
        table: ReliabilityTable = bins.table()
        return {"oe": table.oe}
