"""Whether a fitted temperature goes into a model's weights: validation rows propose it, test rows can veto it.

Nothing is chosen on test: neither T nor how it was fitted. But a T that the test rows show to do harm is not published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .intervals import Interval, Measured, direction, nll_gain
from .temperature import Temperature

FOLDS = ("auto", "always", "never")
Outcome = Literal["certain", "uncertain", "vetoed", "always", "never", "none"]
Effect = Literal["helps", "harms", "unclear"]


@dataclass(frozen=True)
class FoldDecision:
    """What was decided, and by what.

    Args:
        fold: what was asked for: ``auto``, ``always`` or ``never``.
        outcome: ``certain``, the gain on validation is beyond doubt; ``uncertain``, it may be nothing; ``vetoed``, it is beyond
            doubt, and so is the harm on test; ``always`` and ``never``, as asked; ``none``, there is no temperature.
        validation: NLL after T minus before, on the rows that T was fitted on; None where nothing was measured.
        test: the same on test rows; None where there are none, or validation did not propose T.
    """

    fold: str
    outcome: Outcome
    validation: Interval | None = None
    test: Interval | None = None

    @property
    def folds(self) -> bool:
        return self.outcome in ("certain", "always")


def decide_fold(
    temperature: Temperature | None,
    validation: tuple[Any, Any] | None,
    test: tuple[Any, Any] | None = None,
    *,
    fold: str = "auto",
) -> FoldDecision:
    """Decides whether T is folded in.

    Args:
        temperature: as `fit_temperature` gives it, or None where none could be fitted.
        validation: logits (n, k) and labels (n,) of the rows that T was fitted on.
        test: logits and labels of rows that had no part in it.
        fold: ``auto``: where the paired 95 % interval of the change in NLL lies below 0 on validation, unless it lies above 0 on
            test; ``always`` and ``never`` do not ask the rows.

    Raises:
        ValueError: another word; or ``always`` where there is no temperature.

    Example:
        >>> import numpy as np
        >>> from nlp_mixup.calibration import fit_temperature
        >>> labels = np.arange(400) % 4 > 0  # class 1 in three rows of four
        >>> sure, honest = (np.tile([0.0, scale * np.log(3.0)], (400, 1)) for scale in (4, 1))
        >>> fitted = fit_temperature(sure, labels.astype(int))
        >>> decide_fold(fitted, (sure, labels.astype(int)), (sure, labels.astype(int))).outcome
        'certain'
        >>> decide_fold(fitted, (sure, labels.astype(int)), (honest, labels.astype(int))).outcome
        'vetoed'
    """
    if fold not in FOLDS:
        raise ValueError(f"fold must be one of {', '.join(FOLDS)}, got {fold!r}.")
    if fold == "never":
        return FoldDecision(fold, "never")
    if temperature is None or validation is None:
        if fold == "always":
            raise ValueError(
                "There is no temperature to fold in: none could be fitted on held-out rows. Type --fold auto, which then "
                "publishes the weights as they are."
            )
        return FoldDecision(fold, "none")
    gain = nll_gain(*validation, temperature)
    change = None if test is None else nll_gain(*test, temperature)
    if fold == "always":
        return FoldDecision(fold, "always", gain, change)
    if effect_of(gain, temperature.n) != "helps":
        return FoldDecision(fold, "uncertain", gain)
    vetoed = test is not None and effect_of(change, len(test[1])) == "harms"
    return FoldDecision(fold, "vetoed" if vetoed else "certain", gain, change)


def effect_of(nll_change: Measured | None, n: int | None = None) -> Effect:
    """The one verdict on a temperature, of the NLL after it minus before, paired over rows that did not choose it.

    Example:
        >>> effect_of(Interval(0.02, 0.01, 0.03)), effect_of(Interval(-0.02, -0.03, 0.01)), effect_of(None)
        ('harms', 'unclear', 'unclear')
    """
    told: dict[int, Effect] = {1: "harms", -1: "helps", 0: "unclear"}
    return "unclear" if nll_change is None else told[direction(nll_change, n)]
