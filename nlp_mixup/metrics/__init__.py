"""Calibration's scores as evaluate modules, and the Spaces that carry them to where this package is not installed.

``evaluate.load(metric_path("ece"))`` asks no server. A Space must work on its own: `write_space` gives it the formula's files.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

#: Each name is a folder beside this file with the module and the Space's README.
METRICS = ("ece", "oe")
HERE = Path(__file__).parent
#: What a module imports of ours, which its Space has beside it.
PARTS = (
    *(HERE.parent / "calibration" / f"{name}.py" for name in ("binning", "bins", "inputs", "precision", "table")),
    HERE / "buffered.py",
)


def metric_path(name: str) -> str:
    """The installed folder of an evaluate module.

    Args:
        name: ``"ece"`` or ``"oe"``.

    Returns:
        A path for ``evaluate.load``, which then asks no server.

    Raises:
        ValueError: for another name.

    Example:
        >>> metric_path("ece").endswith("ece")
        True
    """
    if name not in METRICS:
        raise ValueError(f"metric_path: no metric {name!r}; accepted: {', '.join(map(repr, METRICS))}")
    return str(HERE / name)


def write_space(name: str, folder: Path) -> None:
    """Writes a metric's self-contained folder, where every import of ours is of a file beside it.

    Args:
        name: ``"ece"`` or ``"oe"``.
        folder: made, with what it lies in.

    Example:
        >>> write_space("oe", Path("space"))
        >>> sorted(path.stem for path in Path("space").glob("*.py"))
        ['app', 'binning', 'bins', 'buffered', 'inputs', 'oe', 'precision', 'table', 'tests']
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(metric_path(name))
    for path in (HERE / "space" / "app.py", HERE / "space" / "tests.py", HERE / "space" / "requirements.txt"):
        shutil.copyfile(path, folder / path.name)
    shutil.copyfile(own / "README.md", folder / "README.md")
    for path in (own / f"{name}.py", *PARTS):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"^from nlp_mixup\.(?:calibration|metrics)\.(\w+) import", r"from .\1 import", text, flags=re.M)
        (folder / path.name).write_text(text, encoding="utf-8")
