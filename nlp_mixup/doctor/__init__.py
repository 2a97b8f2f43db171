"""A trained classifier and rows -> a diagnosis of its confidence, and what would mend it."""

from nlp_mixup.doctor.arguments import ARGUMENT_CLASSES, DoctorArguments, parse_arguments
from nlp_mixup.doctor.judging import evaluate
from nlp_mixup.doctor.printing import print_evaluation
from nlp_mixup.doctor.subject import Subject, dtype_of, match_classes, unlabelled_notes
