"""Numbers -> words: what a verdict says and what to do next, once for the doctor, the report and the card."""

from nlp_mixup.advice.words import (
    Arm,
    advice,
    arm_words,
    disagreement_line,
    disagreements_line,
    ece_is_blind,
    epochs_of,
    equal_epochs_line,
    fold_words,
    run_disagreement,
    run_standing,
    temperature_line,
)

__all__ = [
    "Arm",
    "advice",
    "arm_words",
    "disagreement_line",
    "disagreements_line",
    "ece_is_blind",
    "epochs_of",
    "equal_epochs_line",
    "fold_words",
    "run_disagreement",
    "run_standing",
    "temperature_line",
]
