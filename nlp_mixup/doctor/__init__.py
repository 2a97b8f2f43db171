"""A trained classifier and rows -> a diagnosis of its confidence, and what would mend it."""

from nlp_mixup.doctor.doctor import (
    ARGUMENT_CLASSES,
    DoctorArguments,
    Subject,
    dtype_of,
    evaluate,
    match_classes,
    parse_arguments,
    print_evaluation,
    unlabelled_notes,
)

__all__ = [
    "ARGUMENT_CLASSES",
    "DoctorArguments",
    "Subject",
    "dtype_of",
    "evaluate",
    "match_classes",
    "parse_arguments",
    "print_evaluation",
    "unlabelled_notes",
]
