"""Every setting of a run, typed and checked; a field's ``help`` is its only documentation.

A recipe (YAML), the command line and Python share these names. What needs transformers is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from nlp_mixup import lazily
from nlp_mixup.arguments.data import DataArguments, row_sources, used_settings
from nlp_mixup.arguments.demo import DEMO, check_demo, demo_file
from nlp_mixup.arguments.evaluation import IS_GREATER_BETTER, EvaluationArguments, check_metric, greater_is_better
from nlp_mixup.arguments.model import ModelArguments

if TYPE_CHECKING:
    from nlp_mixup.arguments.parsing import (
        ARGUMENT_CLASSES,
        FIELDS,
        field_help,
        fields_of,
        nearest,
        parse_fields,
        tokens_of,
    )
    from nlp_mixup.arguments.training import MixupTrainingArguments, check_parallelism

BASELINE = "no_mixup"  # the arm that all others are compared with

__all__ = [
    "ARGUMENT_CLASSES",
    "BASELINE",
    "DEMO",
    "FIELDS",
    "IS_GREATER_BETTER",
    "DataArguments",
    "EvaluationArguments",
    "MixupTrainingArguments",
    "ModelArguments",
    "check_demo",
    "check_metric",
    "check_parallelism",
    "demo_file",
    "field_help",
    "fields_of",
    "greater_is_better",
    "nearest",
    "parse_fields",
    "row_sources",
    "tokens_of",
    "used_settings",
]

_PARSING = ("ARGUMENT_CLASSES", "FIELDS", "field_help", "fields_of", "nearest", "parse_fields", "tokens_of")
__getattr__, __dir__ = lazily(
    __name__,
    {
        "nlp_mixup.arguments.parsing": _PARSING,
        "nlp_mixup.arguments.training": ("MixupTrainingArguments", "check_parallelism"),
    },
)
