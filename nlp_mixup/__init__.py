"""Mixup training for Hugging Face classifiers, and an honest measure of what it does to their calibration.

Importing the package loads neither torch nor transformers; each name is loaded when it is first used.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from nlp_mixup.arguments import MixupTrainingArguments
    from nlp_mixup.calibration import calibration_metrics
    from nlp_mixup.metrics import metric_path
    from nlp_mixup.training import MixupMixin, MixupTrainer

__all__ = ["MixupMixin", "MixupTrainer", "MixupTrainingArguments", "calibration_metrics", "metric_path"]


def lazily(package: str, names: Mapping[str, tuple[str, ...]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` (PEP 562) of a package that loads the modules of some names when they are first used.

    Args:
        package: its ``__name__``.
        names: module -> the names that it gives.
    """
    homes = {name: module for module, given in names.items() for name in given}
    namespace = vars(sys.modules[package])

    def load(name: str) -> Any:
        if name not in homes:
            known = ", ".join(namespace["__all__"])
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {known}")
        value = getattr(importlib.import_module(homes[name]), name)
        namespace[name] = value
        return value

    return load, lambda: [*namespace, *homes]


__getattr__, __dir__ = lazily(
    __name__,
    {
        "nlp_mixup.arguments": ("MixupTrainingArguments",),
        "nlp_mixup.calibration": ("calibration_metrics",),
        "nlp_mixup.metrics": ("metric_path",),
        "nlp_mixup.training": ("MixupMixin", "MixupTrainer"),
    },
)
