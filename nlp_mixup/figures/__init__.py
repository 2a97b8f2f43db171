"""Numbers -> pictures: ``draw_*(data, ax)`` draw what was computed elsewhere.

Nothing touches pyplot or a global style, so figures fit a caller's own layout and threads.
"""

from nlp_mixup.figures.alpha import alpha_figure
from nlp_mixup.figures.differences import difference_figure
from nlp_mixup.figures.gap_by_epoch import gap_by_epoch_figure
from nlp_mixup.figures.how_to_read import HOW_TO_READ
from nlp_mixup.figures.joint_density import joint_density_figure
from nlp_mixup.figures.label_entropy import label_entropy_figure
from nlp_mixup.figures.ood_confidence import ood_confidence_figure
from nlp_mixup.figures.reliability import INK, OVER, reliability_figure
from nlp_mixup.figures.risk_coverage import risk_coverage_figure
