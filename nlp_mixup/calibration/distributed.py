"""Adds up calibration states across the processes of an accelerate launch."""

from __future__ import annotations

from typing import Any

from .bins import CalibrationBins


def all_reduce(bins: CalibrationBins, accelerator: Any) -> CalibrationBins:
    """The sum of every process's state, on every process.

    Counts travel as they are, int64 and float64, whatever the device computes in. Give each process its own
    rows: rows a sampler repeats to fill the last batch would count twice.

    Args:
        bins: this process's state, not changed.
        accelerator: an ``accelerate.Accelerator``.

    Returns:
        A new state of all rows.

    Raises:
        ValueError: if processes use different bins.

    Example:
        >>> from types import SimpleNamespace
        >>> alone = SimpleNamespace(num_processes=1)
        >>> all_reduce(CalibrationBins().update([[0.1, 0.9]], [1]), alone).n
        1
    """
    if accelerator.num_processes == 1:
        return CalibrationBins(binning=bins.binning).merge(bins)
    from accelerate.utils import gather_object

    total = CalibrationBins(binning=bins.binning)
    for state in gather_object([bins]):
        total.merge(state)
    return total
