"""The words on an arm, which tell no direction that its interval or its printed number does not."""

import re

import pytest

from nlp_mixup.advice import Arm, arm_words
from nlp_mixup.calibration import Interval
from nlp_mixup.calibration.intervals import direction


@pytest.mark.parametrize(("value", "says"), [(0.0004, "not distinguishable"), (0.0006, "by .001 (.0002 to .001)")])
def test_what_rounds_to_nothing_is_no_direction(value, says):
    """The interval excludes 0, the printed number does not; and a told limit never prints as 0."""
    change = Interval(value, 0.0002, 0.0009)
    changes = dict.fromkeys(("accuracy", "nll", "ece", "gap"), change)
    gap = Interval(0.1, 0.05, 0.15)
    scores = {"n": 10_000, "ece": 0.1, "ece_floor_high": 0.02}
    text = arm_words(Arm("mixup", "no_mixup", scores, gap, gap, changes, {}, change, change))
    assert says in text
    assert bool(re.search(r"higher|worse", text)) == (value > 0.0005)
    assert ("(.000 to" in text) == (value < 0.0005)
    assert direction(change, 10_000) == (value > 0.0005)
    assert direction(change, 29) == 0


def test_a_gap_beside_an_ece_within_its_noise_is_a_hint():
    gap = Interval(-0.07, -0.123, -0.021)
    scores = {"n": 250, "ece": 0.075, "ece_floor_high": 0.09}
    text = arm_words(Arm("no_mixup", "no_mixup", scores, gap, gap, {}, {}, None, None))
    assert text.startswith(
        "Not distinguishable from calibrated, though its gap hints at under-confidence (-.123 to -.021)"
    )
