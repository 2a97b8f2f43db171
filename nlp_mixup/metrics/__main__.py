"""Writes the formula's files into every metric folder: ``python -m nlp_mixup.metrics``; ``--check`` only compares.

A metric folder must work where this package is not installed, so it carries copies. Their one source is
``nlp_mixup/calibration``; ``buffered.py`` has its source in ``ece``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nlp_mixup.metrics import METRICS

HERE = Path(__file__).parent
CALIBRATION_FILES = ("binning.py", "bins.py", "inputs.py", "precision.py", "table.py")


def copies() -> dict[Path, Path]:
    """Every copy's path and its source's path."""
    pairs = {
        HERE / metric / name: HERE.parent / "calibration" / name for metric in METRICS for name in CALIBRATION_FILES
    }
    return pairs | {HERE / metric / "buffered.py": HERE / "ece" / "buffered.py" for metric in METRICS[1:]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nlp_mixup.metrics", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a copy differs from its source")
    options = parser.parse_args()
    stale = [copy for copy, source in copies().items() if not copy.exists() or copy.read_bytes() != source.read_bytes()]
    if options.check and stale:
        names = ", ".join(str(copy.relative_to(HERE)) for copy in stale)
        sys.exit(f"stale copies: {names}; run python -m nlp_mixup.metrics")
    if not options.check:
        for copy in stale:
            copy.write_bytes(copies()[copy].read_bytes())
            print(f"wrote {copy.relative_to(HERE)}")


if __name__ == "__main__":
    main()
