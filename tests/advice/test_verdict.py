"""A verdict's words at the corners of its rule."""

import re

import numpy as np
import pytest
from planted_models import drawn

from nlp_mixup.advice import advice
from nlp_mixup.advice.verdict import finding
from nlp_mixup.calibration import Interval
from nlp_mixup.calibration.diagnosis import diagnose


def test_both_faults_at_once_are_called_mixed():
    """Half the rows claim too much, half too little, so that the gap cancels and the ECE does not."""
    sure, unsure = np.tile([0.0, 3.0], (1000, 1)), np.tile([0.0, 0.4], (1000, 1))
    right = np.r_[np.arange(1000) % 100 < 80, np.arange(1000) % 100 < 75]  # claims .953 and .599
    found = diagnose(np.r_[sure, unsure], right.astype(int))
    assert found.verdict == "mixed"
    assert found.alpha is None
    text = " ".join(advice(found))
    assert "neither over- nor under-confident on the whole" in text
    assert "Mixup is no remedy" in text


def test_a_verdict_shows_which_of_two_close_numbers_is_larger():
    scores = {"n": 70, "ece": 0.11101, "ece_floor_high": 0.11079, "confidence": 0.907, "accuracy": 0.871}
    text = finding(scores, Interval(0.036, -0.028, 0.125))
    assert "ECE .1110, where a perfectly calibrated model shows up to .1108 here" in text
    assert "ECE .111, a perfectly calibrated model shows up to .120 here" in finding(
        {**scores, "ece_floor_high": 0.12}, Interval(0.036, -0.028, 0.125)
    )


def test_too_few_rows_say_so_and_how_many_would_do():
    found = diagnose(*drawn(60))
    lines = advice(found)
    assert lines[0].startswith("Not distinguishable from calibrated at n = 60")
    assert "rows, the interval of a gap of .020 would exclude 0 four times of five." in lines[0]
    sd = 0.02 * np.sqrt(found.rows_needed) / 2.8
    assert 0.3 < sd < 0.5  # the spread of confidence - correct at an accuracy near .7
    assert "at least four times of five" in advice(diagnose(*drawn(6000)))[0]


def test_a_hint_is_called_a_hint():
    """A gap whose interval excludes 0 beside an ECE within its noise."""
    logits, labels = drawn(1000)
    found = diagnose(1.15 * logits, labels)
    assert found.verdict == "calibrated"
    assert found.intervals["raw"]["gap"].low > 0
    assert "The gap hints at over-confidence, too small a one to tell" in advice(found)[0]


@pytest.mark.parametrize("n", [2, 29])
def test_fewer_rows_than_thirty_have_no_verdict(n):
    rows = np.arange(n)
    found = diagnose(np.where(rows[:, None] % 2 == [0, 1], 9.0, 0.0), (rows + (rows > 0)) % 2)  # all but one wrong
    assert found.verdict == "too few rows"
    text = " ".join(advice(found))
    assert f"Nothing can be said of calibration from {n} rows; 30 are the least." in text
    assert not re.search(r"-confident by|hints|worth a run|Mixup would hurt|Leave it alone|lowers the NLL|raises", text)
