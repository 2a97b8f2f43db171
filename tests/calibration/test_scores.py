"""Scores beyond the bins: hand-worked cases, identities and the noise floor."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

import nlp_mixup.calibration as calibration
from nlp_mixup import metrics
from nlp_mixup.calibration import (
    CalibrationBins,
    EqualMass,
    accuracy,
    adaptive_ece,
    aurc,
    brier_decomposition,
    brier_score,
    classwise_ece,
    debiased_ece,
    energy_score,
    expected_calibration_error,
    gap,
    negative_log_likelihood,
    noise_floor,
    noise_floor_of_table,
    ood_scores,
    overconfidence_error,
    reliability_table,
    risk_at_coverage,
    risk_coverage,
    smooth_ece,
)
from nlp_mixup.figures import reliability as figures

MODULES = [
    importlib.import_module(f"nlp_mixup.calibration.{found.name}")
    for found in pkgutil.iter_modules(calibration.__path__)
]


def rows(n=2000, k=3, seed=0, sharpen=1.0):
    """Calibrated rows (sharpen 1), or rows whose confidences were sharpened after the labels were drawn."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.7), n)
    labels = (probs.cumsum(1) > rng.random((n, 1))).argmax(1)
    probs = probs**sharpen
    return probs / probs.sum(1, keepdims=True), labels


@pytest.mark.parametrize("module", [*MODULES, figures, metrics], ids=lambda module: module.__name__)
def test_doctests(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(module).failed == 0


def test_every_public_name_has_a_documentation_with_an_example_or_fields():
    for name in calibration.__all__:
        public = getattr(calibration, name)
        if name != "PRESETS":
            assert ">>>" in public.__doc__ or "Args:" in public.__doc__, name
        if callable(public) and not isinstance(public, type):
            assert ">>>" in public.__doc__, name


def test_importing_loads_numpy_alone():
    code = "import sys, nlp_mixup.calibration as c; c.PRESETS; print(*[m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["torch", "scipy", "sklearn", "transformers", "accelerate", "evaluate", "matplotlib"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_proper_scores_equal_scikit_learn():
    probs, labels = rows()
    assert negative_log_likelihood(probs, labels) == pytest.approx(log_loss(labels, probs), rel=1e-12)
    expected = sum(brier_score_loss(labels == label, column) for label, column in enumerate(probs.T))
    assert brier_score(probs, labels) == pytest.approx(expected, rel=1e-12)
    two, y = rows(k=2)
    assert brier_score(two[:, 1], y) == pytest.approx(2 * brier_score_loss(y, two[:, 1]), rel=1e-12)
    assert negative_log_likelihood(two[:, 1], y) == pytest.approx(log_loss(y, two[:, 1]), rel=1e-12)


def test_probability_zero_for_the_label_costs_infinity():
    assert negative_log_likelihood([[1.0, 0.0]], [1]) == np.inf


def test_adaptive_ece_by_hand():
    # sorted .6 .7 | .8 .9: gaps .65 - 0 and .85 - 1
    probs = [[0.4, 0.6], [0.3, 0.7], [0.2, 0.8], [0.1, 0.9]]
    assert adaptive_ece(probs, [0, 0, 1, 1], n_bins=2) == pytest.approx((0.65 + 0.15) / 2)
    assert adaptive_ece(probs, [0, 0, 1, 1], n_bins=1) == pytest.approx(abs(gap(probs, [0, 0, 1, 1])))


def test_classwise_ece_of_two_classes_mirrors():
    probs, labels = rows(k=2)
    one_class = reliability_table(probs[:, 1], labels, binning="scikit-learn").ece
    # five bins: no probability lies on an edge, so the mirrored class has the mirrored bins
    assert classwise_ece(probs, labels, n_bins=5) == pytest.approx(one_class, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(2, 5), st.integers(1, 20))
def test_brier_decomposition_adds_up(seed, n, k, n_bins):
    probs, labels = rows(n, k, seed)
    parts = brier_decomposition(probs, labels, n_bins=n_bins)
    assert parts.brier == pytest.approx(brier_score(probs, labels), abs=1e-12)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert total == pytest.approx(parts.brier, abs=1e-12)
    assert parts.reliability >= 0
    assert parts.resolution >= -1e-15
    shares = np.bincount(labels, minlength=k) / n
    assert parts.uncertainty == pytest.approx(1 - (shares**2).sum(), abs=1e-12)


def test_brier_decomposition_has_no_within_part_where_bins_hold_one_value():
    probs = np.array([[0.2, 0.8], [0.2, 0.8], [0.7, 0.3], [0.7, 0.3]])
    parts = brier_decomposition(probs, [1, 0, 0, 0], n_bins=10)
    assert parts.within_bins == pytest.approx(0, abs=1e-15)
    assert parts.reliability == pytest.approx(2 * (0.5 * 0.3**2 + 0.5 * 0.3**2))
    assert parts.resolution == pytest.approx(2 * 0.25**2)


def test_debiased_ece_is_nearly_unbiased_where_the_plug_in_is_not():
    plug_in, corrected, squared = [], [], []
    for seed in range(200):
        probs, labels = rows(500, 3, seed)
        plug_in.append(expected_calibration_error(probs, labels))
        corrected.append(debiased_ece(probs, labels))
        squared.append(debiased_ece(probs, labels, norm=2))
    assert np.mean(plug_in) > 0.04
    assert np.mean(corrected) < 0.6 * np.mean(plug_in)
    # unbiased under the root, so below 0 about as often as above, where it is cut
    assert 0.35 < np.mean(np.array(squared) == 0) < 0.65
    with pytest.raises(ValueError, match="norm: expected 1 for ECE or 2 for RMSCE, got 3"):
        debiased_ece(probs, labels, norm=3)


def test_smooth_ece_of_a_constant_gap_is_the_gap():
    probs = np.full((1000, 2), [0.3, 0.7])
    labels = (np.arange(1000) % 10 < 5).astype(int)
    assert smooth_ece(probs, labels) == pytest.approx(0.2, abs=1e-6)


def test_smooth_ece_falls_with_bandwidth_and_is_its_own_fixed_point():
    probs, labels = rows(sharpen=2.0)
    at = [smooth_ece(probs, labels, bandwidth=width) for width in (0.001, 0.01, 0.05, 0.2, 1.0)]
    assert (np.diff(at) <= 1e-12).all()
    found = smooth_ece(probs, labels)
    assert smooth_ece(probs, labels, bandwidth=found) == pytest.approx(found, abs=1e-5)
    # at the widest kernel little but the signed gap is left
    assert at[-1] == pytest.approx(abs(gap(probs, labels)), abs=1e-2)
    with pytest.raises(ValueError, match=r"bandwidth: expected a number in \(0, 1\], got 0"):
        smooth_ece(probs, labels, bandwidth=0)


def test_smooth_ece_equals_the_written_out_kernel():
    probs, labels = rows(40)
    confidence, correct = probs.max(1), probs.argmax(1) == labels
    t = (np.arange(20_000) + 0.5) / 20_000
    width = 0.07
    kernel = sum(
        np.exp(-((t[:, None] - image) ** 2) / (2 * width**2)) for image in (confidence, -confidence, 2 - confidence)
    ) / (width * np.sqrt(2 * np.pi))
    expected = np.abs(kernel @ (confidence - correct)).mean() / 40
    assert smooth_ece(probs, labels, bandwidth=width) == pytest.approx(expected, abs=1e-6)


def test_risk_and_coverage():
    probs = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    labels = [1, 0, 1, 1]
    assert risk_coverage(probs, labels).tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4])
    assert risk_at_coverage(probs, labels, coverage=0.25) == 0
    assert risk_at_coverage(probs, labels, coverage=0.26) == 0.5
    assert risk_at_coverage(probs, labels, coverage=1) == 1 - accuracy(probs, labels)
    with pytest.raises(ValueError, match=r"coverage: expected a share in \(0, 1\], got 0"):
        risk_at_coverage(probs, labels, coverage=0)


def test_aurc_of_equal_confidences_is_the_error_rate_in_any_order():
    probs = np.full((10, 2), [0.4, 0.6])
    labels = np.array([1] * 7 + [0] * 3)
    assert aurc(probs, labels) == pytest.approx(0.3)
    assert aurc(probs, labels[::-1]) == pytest.approx(0.3)


def test_ood_scores_by_hand():
    perfect = ood_scores([0.9, 0.8], [0.1, 0.2, 0.3])
    assert perfect == {"auroc": 1.0, "aupr": 1.0, "aupr_out": 1.0, "fpr95": 0.0}
    assert ood_scores([0.5] * 4, [0.5] * 4) == {"auroc": 0.5, "aupr": 0.5, "aupr_out": 0.5, "fpr95": 1.0}
    with pytest.raises(ValueError, match="foreign: row 1 is not finite: nan"):
        ood_scores([0.5], [0.1, np.nan])
    with pytest.raises(ValueError, match="familiar: expected a non-empty score per row"):
        ood_scores([], [0.1])


def test_energy_is_stable():
    assert energy_score([[1000.0, 1000.0]]) == pytest.approx([1000 + np.log(2)])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 5))
def test_ranges_of_every_score(seed, n, k):
    probs, labels = rows(n, k, seed)
    for score in (adaptive_ece, classwise_ece, smooth_ece, aurc, debiased_ece):
        assert 0 <= score(probs, labels) <= 1 + 1e-9
    assert smooth_ece(probs, labels) <= expected_calibration_error(probs, labels, n_bins=1000) + 1e-6
    assert adaptive_ece(probs, labels, n_bins=1) == pytest.approx(abs(gap(probs, labels)), abs=1e-12)


def test_the_floor_is_the_mean_ece_of_calibrated_models():
    seen, seen_oe = [], []
    for seed in range(300):
        probs, labels = rows(500, 3, seed)
        seen.append(expected_calibration_error(probs, labels))
        seen_oe.append(overconfidence_error(probs, labels))
    floors = [noise_floor(rows(500, 3, seed)[0], n_draws=300) for seed in range(10)]
    assert np.mean([floor.ece for floor in floors]) == pytest.approx(np.mean(seen), rel=0.03)
    assert np.mean([floor.oe for floor in floors]) == pytest.approx(np.mean(seen_oe), rel=0.05)
    covered = np.mean([floors[0].low <= ece <= floors[0].high for ece in seen])
    assert 0.9 < covered < 0.99


def test_a_hundred_bins_cannot_resolve_small_effects_on_five_hundred_rows():
    rng = np.random.default_rng(0)
    peaked = rng.dirichlet(np.full(6, 0.03), 500)
    assert peaked.max(1).mean() == pytest.approx(0.9, abs=0.02)
    assert noise_floor(peaked, n_bins=15).ece == pytest.approx(0.027, abs=0.002)
    assert noise_floor(peaked, n_bins=100).ece == pytest.approx(0.066, abs=0.003)


def test_the_floor_says_whether_an_ece_can_be_told_from_noise():
    probs, labels = rows(1000)
    floor = noise_floor(probs)
    assert not floor.distinguishable(expected_calibration_error(probs, labels))
    sharp, labels = rows(1000, sharpen=2.5)
    ece = expected_calibration_error(sharp, labels)
    floor = noise_floor(sharp)
    assert floor.distinguishable(ece)
    assert floor.describe(ece).endswith("above the floor (n = 1000, 15 bins)")


def test_the_floor_is_seeded_follows_the_binning_and_can_come_from_a_state():
    probs, labels = rows(3000)
    assert noise_floor(probs) == noise_floor(probs)
    assert noise_floor(probs, seed=1) != noise_floor(probs)
    state = CalibrationBins().update(probs, labels)
    assert noise_floor_of_table(state.table()).ece == pytest.approx(noise_floor(probs).ece, rel=0.03)
    mass = noise_floor(probs, binning=EqualMass(15))
    assert mass.ece == pytest.approx(
        noise_floor_of_table(reliability_table(probs, labels, binning=EqualMass(15))).ece, rel=0.03
    )
    certain = noise_floor(np.eye(3))
    assert (certain.ece, certain.low, certain.high, certain.oe) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="no rows yet"):
        noise_floor_of_table(CalibrationBins().table())
