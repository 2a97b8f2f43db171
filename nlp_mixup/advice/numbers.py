"""Numbers as the sentences print them: sizes, limits, signs, percents, and how many rows."""

from __future__ import annotations

from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.intervals import Measured


def signed(gap: Measured) -> str:
    return f"{_plus(gap.value)} ({_plus(gap.low)} to {_plus(gap.high)})"


def _plus(value: float) -> str:
    return ("+" if value >= 0 else "") + short(value)


def sizes(change: Measured) -> str:
    """The limits of a size whose interval excludes 0, without their sign; one that rounds to nothing with a digit that tells."""
    low, high = sorted((abs(change.low), abs(change.high)))
    return f"{telling(low)} to {telling(high)}"


def limits(change: Measured, told: int = 0) -> str:
    """Both limits with their signs; where a direction is told, neither prints as 0."""
    if told:
        return " to ".join(f"{'-' if limit < 0 else ''}{telling(abs(limit))}" for limit in (change.low, change.high))
    return f"{short(change.low)} to {short(change.high)}"


def telling(limit: float) -> str:
    """
    >>> telling(0.0213), telling(0.00031), telling(0.0)
    ('.021', '.0003', '.000')
    """
    if limit == 0 or float(f"{limit:.3f}") != 0:
        return short(limit)
    return f"{limit:.1g}"[1:] if limit >= 1e-4 else "less than .0001"


def apart(first: float, second: float) -> tuple[str, str]:
    """Two numbers to three decimals, or to as many, up to six, as tell them apart: a verdict stands on which is larger."""
    shown = short(first), short(second)
    for decimals in (4, 5, 6):
        if shown[0] != shown[1] or first == second:
            break
        shown = f"{first:.{decimals}f}".removeprefix("0"), f"{second:.{decimals}f}".removeprefix("0")
    return shown


def percents(*values: float) -> list[str]:
    """Whole percents, or as many decimals as tell the values apart."""
    for decimals in (0, 1, 2):
        texts = [f"{value:.{decimals}%}" for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def rows(n: int) -> str:
    return "one row" if n == 1 else f"{n:,} rows"


def round_up(rows: int) -> int:
    """Two figures, as a number of this kind deserves."""
    step = 10 ** max(len(str(rows)) - 2, 0)
    return -(-rows // step) * step


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
