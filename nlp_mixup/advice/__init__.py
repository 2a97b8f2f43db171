"""Numbers -> words: what a verdict says and what to do next, once for the doctor, the report and the card."""

from nlp_mixup.advice.arms import Arm, arm_words, epochs_of, equal_epochs_line
from nlp_mixup.advice.disagreement import disagreement_line, disagreements_line, run_disagreement
from nlp_mixup.advice.next_steps import advice
from nlp_mixup.advice.numbers import signed
from nlp_mixup.advice.temperature import ece_is_blind, fold_words, temperature_line
from nlp_mixup.advice.verdict import describe_calibration, run_standing
