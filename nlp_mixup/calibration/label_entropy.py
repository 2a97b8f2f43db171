"""How far mixup moves labels, as a function of alpha; exact, from the Beta distribution of lambda alone."""

from __future__ import annotations

from typing import Any

import numpy as np


def mean_off_label_mass(alpha: float, class_shares: Any) -> float:
    """The share of a mixed label that lies off the nearer example's class, on average.

    E[min(lambda, 1 - lambda)] P(partner of another class), where lambda ~ Beta(alpha, alpha) gives
    E[min] = I_0.5(alpha + 1, alpha), the regularised incomplete beta function, and the partner is any row.

    Args:
        alpha: of the Beta distribution; 0 is no mixup.
        class_shares: (k,) each class's share of the rows; any positive scale.

    Returns:
        Between 0 and 1/2.

    Example:
        >>> round(mean_off_label_mass(0.4, [0.5, 0.5]), 3), round(mean_off_label_mass(0.4, [0.1] * 10), 3)
        (0.08, 0.144)
    """
    from scipy.special import betainc

    shares = np.asarray(class_shares, dtype=np.float64)
    shares = shares / shares.sum()
    if alpha == 0:
        return 0.0
    return float(betainc(alpha + 1.0, alpha, 0.5) * (1.0 - (shares**2).sum()))
