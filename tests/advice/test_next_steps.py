"""What is advised: the alpha to start with, and never what was just seen to do harm."""

import numpy as np
from planted_models import drawn, nearly_always_right

from nlp_mixup.advice import advice
from nlp_mixup.calibration import fit_temperature
from nlp_mixup.calibration.diagnosis import diagnose
from nlp_mixup.calibration.label_entropy import mean_off_label_mass


def test_the_alpha_is_the_one_whose_labels_move_as_far_as_the_gap():
    for factor in (1.3, 1.6, 2.5, 6.0):
        logits, labels = drawn(4000)
        found = diagnose(factor * logits, labels)
        masses = {alpha: mean_off_label_mass(alpha, found.class_shares) for alpha in (0.1, 0.2, 0.4, 1.0)}
        distance = {alpha: abs(mass - found.scores["raw"]["gap"]) for alpha, mass in masses.items()}
        assert found.alpha == min(distance, key=distance.get)
    assert found.alpha == 1.0
    assert "so expect it to close a part" in " ".join(advice(found))
    # Table of E[min] in closed form: .058, .101, .160, .250 at .1, .2, .4, 1.
    assert [round(mean_off_label_mass(alpha, [0.5, 0.5]) * 2, 3) for alpha in (0, 0.1, 0.2, 0.4, 1.0)] == [
        0, 0.058, 0.101, 0.16, 0.25,
    ]  # fmt: skip


def test_rows_of_one_class_say_nothing_of_alpha():
    logits, _ = drawn(1000)
    found = diagnose(3 * logits, np.zeros(1000, int))
    assert found.verdict == "over-confident"
    assert found.alpha is None
    assert "All rows are of one class" in advice(found)[-1]


def test_no_temperature_where_every_row_is_right():
    logits = np.tile([0.0, 3.0], (400, 1))
    found = diagnose(np.r_[logits, -logits], np.r_[np.ones(400, int), np.zeros(400, int)])
    assert found.temperature is None
    assert found.verdict == "under-confident"
    assert list(found.scores) == ["raw"]
    assert "no T could be fitted (all 800 rows are right" in " ".join(advice(found))
    assert "Use the temperature" not in " ".join(advice(found))


def test_a_temperature_that_does_harm_is_recommended_nowhere():
    """An under-confident model and a T below 1 that validation rows of another kind gave: one verdict on it."""
    logits, labels = drawn(2000)
    other, other_labels = drawn(2000, seed=1)
    found = diagnose(0.7 * logits, labels, fit_logits=0.2 * other, fit_labels=other_labels)
    assert (found.verdict, found.temperature.high < 1, found.nll_change.low > 0) == ("under-confident", True, True)
    text = " ".join(advice(found))
    assert "do not use it" in text
    assert "Use the temperature" not in text
    assert "It costs no training" not in text
    over = diagnose(1.4 * logits, labels, fit_logits=5 * other, fit_labels=other_labels)
    assert (over.verdict, over.nll_change.low > 0) == ("over-confident", True)
    assert "Compare it with this model raw, not after temperature" in advice(over)[-1]


def test_one_error_gives_a_temperature_that_is_called_unmeasured():
    logits, labels = nearly_always_right(0, errors=1)
    found = diagnose(logits, labels)
    assert found.temperature == fit_temperature(logits, labels)
    assert list(found.scores) == list(found.intervals) == list(found.logits) == ["raw"]
    assert found.nll_change is None
    said = " ".join(advice(found))
    assert f"all rows give {found.temperature}, but what it does could not be measured" in said
    assert "(no two halves of the rows have a T each: all 50 rows are right" in said
    assert "Use the temperature" not in said
