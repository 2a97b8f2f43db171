"""A diagnosis from logits alone: its verdict, and a temperature for no row that it has seen."""

import re

import numpy as np
import pytest
from planted_models import drawn, nearly_always_right

from nlp_mixup.calibration import fit_temperature
from nlp_mixup.calibration.diagnosis import diagnose


def test_calibrated_models_are_seldom_called_anything_else():
    verdicts = [diagnose(*drawn(500, seed=seed)).verdict for seed in range(20)]
    assert verdicts.count("calibrated") >= 17  # 20 at .95 give fewer once in 60


def test_cross_fitting_scales_no_row_by_a_temperature_that_saw_it():
    logits, labels = drawn(300)
    found = diagnose(2 * logits, labels)
    factors = np.round((2 * logits / found.logits["temperature"])[:, 0], 9)
    values, counts = np.unique(factors, return_counts=True)
    assert len(values) == 2
    assert abs(counts[0] - counts[1]) <= 3
    for value in values:
        other = factors != value
        assert fit_temperature(2 * logits[other], labels[other]).value == pytest.approx(value)
        assert np.abs(np.bincount(labels[other]) - np.bincount(labels) / 2).max() <= 1


def test_two_errors_are_enough_for_a_temperature_and_its_scores():
    """Halves drawn by class alone put both errors into one half about every other time."""
    for seed in range(40):
        logits, labels = nearly_always_right(seed)
        found = diagnose(logits, labels, seed=seed)
        assert found.temperature == fit_temperature(logits, labels)
        assert found.temperature_note is None
        factor = (logits.max(axis=1) / found.logits["temperature"].max(axis=1)).round(9)
        wrong = logits.argmax(axis=1) != labels
        for value in np.unique(factor):
            other = factor != value
            assert wrong[other].sum() == 1
            assert fit_temperature(logits[other], labels[other]).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, y: (np.c_[z, z[:, 0]], y), "logits: 4 columns; the rows to judge by have 3"),
        (lambda z, y: (np.where(np.arange(len(z))[:, None] == 7, np.nan, z), y), "logits: row 7 is not finite"),
        (lambda z, y: (z, np.where(np.arange(len(y)) == 5, 3, y)), "labels: row 5 has label 3, expected 0 to 2"),
        (lambda z, y: (z, y[:-1]), "labels: 199 labels for 200 rows"),
        (lambda z, y: (z[:0], y[:0]), "logits: empty input"),
    ],
)
def test_rows_that_no_temperature_can_be_fitted_on_are_an_error(change, message):
    logits, labels = drawn(200)
    fit_logits, fit_labels = change(logits, labels)
    with pytest.raises(
        ValueError, match=re.escape(f"the rows to fit the temperature on (fit_logits, fit_labels): {message}")
    ):
        diagnose(logits, labels, fit_logits=fit_logits, fit_labels=fit_labels)


def test_fit_rows_come_with_their_labels():
    logits, labels = drawn(200)
    for given in ({"fit_logits": logits}, {"fit_labels": labels}):
        with pytest.raises(ValueError, match="fit_logits and fit_labels belong together"):
            diagnose(logits, labels, **given)


def test_fit_rows_without_a_temperature_leave_the_raw_verdict():
    logits, labels = drawn(200)
    found = diagnose(logits, labels, fit_logits=logits, fit_labels=logits.argmax(axis=1))
    assert (found.temperature, list(found.scores)) == (None, ["raw"])
    assert found.temperature_note.startswith("all 200 rows are right")


def test_a_collapsed_model_is_diagnosed():
    """Its search for T used to go on for ever in some cases."""
    for seed in range(20):
        row = np.random.default_rng(seed).normal(size=4)
        found = diagnose(np.tile(row, (40, 1)), np.tile(np.arange(4), 10))
        assert found.temperature is None
        assert "T = infinity" in found.temperature_note
