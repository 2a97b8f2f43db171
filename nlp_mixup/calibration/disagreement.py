"""Whether two sets of rows disagree beyond chance on how often a model is right: validation against test.

What is fitted or chosen on one of two such sets need not hold on the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import fisher_exact

#: One pair of like sets in twenty, at most, differs so by chance.
LEVEL = 0.05


@dataclass(frozen=True)
class Disagreement:
    """Two accuracies and how probable so wide a difference is, were both sets of one kind.

    Args:
        accuracy: of the first set.
        other: of the second.
        p: of Fisher's exact test, two-sided.
    """

    accuracy: float
    other: float
    p: float

    @property
    def beyond_chance(self) -> bool:
        return self.p < LEVEL


def compare_accuracies(accuracy: float, n: int, other: float, other_n: int) -> Disagreement:
    """Fisher's exact test (1935) of two proportions: exact for any number of rows, and never too sure.

    Args:
        accuracy: share of the first set's rows that are right.
        n: rows of the first set.
        other: share of the second set's.
        other_n: rows of the second set.

    Example:
        >>> compare_accuracies(0.424, 500, 0.544, 500).beyond_chance, compare_accuracies(0.75, 8, 0.5, 8).beyond_chance
        (True, False)
        >>> round(compare_accuracies(1.0, 3, 0.0, 3).p, 9)  # 2 of the 20 ways to put three right rows among six
        0.1
    """
    right, other_right = round(accuracy * n), round(other * other_n)
    table = [[right, n - right], [other_right, other_n - other_right]]
    return Disagreement(accuracy, other, float(fisher_exact(table).pvalue))
