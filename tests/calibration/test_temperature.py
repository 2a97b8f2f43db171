"""The fitted temperature: by hand, against scikit-learn, its interval, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV

from nlp_mixup.calibration import NoFiniteTemperature, fit_temperature, nll_from_logits, softmax


def case(n=2000, k=4, temperature=2.0, seed=0):
    """Logits whose true temperature is known: labels are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((n, k))
    labels = (softmax(logits / temperature).cumsum(1) > rng.random((n, 1))).argmax(1)
    return logits, labels


class GivenLogits(ClassifierMixin, BaseEstimator):
    """A fitted scikit-learn classifier whose decision function is its input."""

    def __init__(self, n_classes):
        self.n_classes = n_classes

    def fit(self, x, y):
        return self

    @property
    def classes_(self):
        return np.arange(self.n_classes)

    def decision_function(self, x):
        return x

    def predict(self, x):
        return x.argmax(1)

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("temperature", [0.3, 0.6, 1.0, 2.5, 8.0])
@pytest.mark.parametrize("k", [3, 7])
def test_equals_scikit_learn(temperature, k):
    pytest.importorskip("sklearn", minversion="1.8", reason="the first scikit-learn that fits a temperature")
    from sklearn.frozen import FrozenEstimator

    logits, labels = case(k=k, temperature=temperature)
    ours = fit_temperature(logits, labels)
    theirs = CalibratedClassifierCV(FrozenEstimator(GivenLogits(k)), method="temperature", ensemble=False)
    theirs.fit(logits, labels)
    beta = theirs.calibrated_classifiers_[0].calibrators[0].beta_
    assert ours.value == pytest.approx(1 / beta, rel=1e-6)
    assert softmax(ours.apply(logits)) == pytest.approx(theirs.predict_proba(logits), abs=1e-6)


def test_the_slope_of_the_nll_is_zero_at_t():
    logits, labels = case(temperature=0.5)
    fitted = fit_temperature(logits, labels)
    assert fitted.value < 1
    step = 1e-4
    below, at, above = (nll_from_logits(logits / (fitted.value * (1 + d)), labels) for d in (-step, 0, step))
    assert abs(above - below) / (2 * step) < 1e-6
    assert at < min(below, above)
    assert at == pytest.approx(fitted.nll_after, abs=1e-12)
    assert fitted.nll_before == pytest.approx(nll_from_logits(logits, labels), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_scaled_logits_scale_t_and_shifts_change_nothing(seed, scale, shift):
    logits, labels = case(n=200, seed=seed)
    plain = fit_temperature(logits, labels)
    moved = fit_temperature(scale * (logits + shift), labels)
    assert moved.value == pytest.approx(scale * plain.value, rel=1e-6)
    assert moved.low == pytest.approx(scale * plain.low, rel=1e-6)
    assert moved.nll_after == pytest.approx(plain.nll_after, rel=1e-6)


def test_the_interval_covers_the_true_temperature():
    for truth in (0.5, 1.0, 3.0):
        hits = 0
        for seed in range(200):
            fitted = fit_temperature(*case(n=300, temperature=truth, seed=seed))
            hits += fitted.low <= truth <= fitted.high
        assert 0.91 <= hits / 200 <= 0.99


def test_ece_falls_on_a_miscalibrated_model_and_the_winner_stays():
    logits, labels = case(temperature=3.0)
    fitted = fit_temperature(logits, labels)
    assert fitted.ece_before > 0.15
    assert fitted.ece_after < 0.03
    assert fitted.n == 2000
    assert (fitted.apply(logits).argmax(1) == logits.argmax(1)).all()
    assert str(fitted) == f"T {fitted.value:.3f} ({fitted.low:.3f} to {fitted.high:.3f}, n = 2000)"


def test_torch_logits_stay_torch():
    torch = pytest.importorskip("torch")
    logits, labels = case(n=100)
    fitted = fit_temperature(torch.tensor(logits), torch.tensor(labels))
    assert fitted == fit_temperature(logits, labels)
    assert isinstance(fitted.apply(torch.tensor(logits)), torch.Tensor)
    assert fitted.apply([[1.0, 2.0]]) == pytest.approx(np.array([[1.0, 2.0]]) / fitted.value)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0.0, 1.0], [2.0, 0.0]], [1, 0], "all 2 rows are right, so the NLL falls all the way to T = 0"),
        ([[1.0, 1.0], [2.0, 2.0]], [1, 0], "every row's logits are all equal"),
        ([[0.0, 1.0], [2.0, 0.0]], [0, 1], r"T = infinity, the uniform prediction, is best"),
        ([[0.0, np.nan], [2.0, 0.0]], [0, 1], "logits: row 0 is not finite"),
        ([[0.0, 1.0], [2.0, 0.0]], [0.2, 0.8], "labels: expected integer class indices, got float64"),
        ([[0.0, 1.0], [2.0, 0.0]], [[0, 1], [1, 0]], "labels: expected one class index per row"),
        ([[0.0, 1.0], [2.0, 0.0]], [0, 2], "labels: row 1 has label 2"),
        (np.zeros((0, 2)), [], "logits: empty input"),
    ],
)
def test_degenerate_input_is_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, labels)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 7),
    st.integers(1, 50),
    st.sampled_from([np.float64, np.float32]),
    st.sampled_from([0.0, 1.0, -30.0, 1e4]),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e5]),
)
def test_a_collapsed_model_has_no_temperature(seed, k, copies, dtype, shift, scale):
    """The same logits in every row and as many labels of each class: by symmetry the best answer is the uniform one."""
    row = scale * (np.random.default_rng(seed).standard_normal(k) + shift)
    logits, labels = np.tile(row.astype(dtype), (k * copies, 1)), np.tile(np.arange(k), copies)
    with pytest.raises(NoFiniteTemperature):
        fit_temperature(logits, labels)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 7),
    st.integers(2, 60),
    st.sampled_from([np.float64, np.float32]),
    st.sampled_from([0.0, 1e-7, 1e-3]),
)
def test_near_collapse_gives_a_finite_temperature_or_says_that_there_is_none(seed, k, n, dtype, noise):
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal(k) + noise * rng.standard_normal((n, k))).astype(dtype)
    labels = rng.integers(0, k, n)
    try:
        fitted = fit_temperature(logits, labels)
    except NoFiniteTemperature:
        return
    assert 0 < fitted.value < np.inf
    assert 0 <= fitted.low <= fitted.value <= fitted.high
    near = [nll_from_logits(np.float64(logits) / (fitted.value * factor), labels) for factor in (0.99, 1.0, 1.01)]
    assert near[1] <= min(near) + 1e-15
    assert fitted.nll_after <= np.log(k) + 1e-15


@pytest.mark.parametrize("scale", [1e-310, 1e-150, 1e150, 1e300])
@pytest.mark.filterwarnings("error")
def test_logits_near_the_ends_of_float64(scale):
    logits, labels = case(n=50)
    assert fit_temperature(scale * logits, labels).value == pytest.approx(
        scale * fit_temperature(logits, labels).value, rel=1e-9
    )


def test_logits_too_far_apart_for_float64_are_refused():
    with pytest.raises(ValueError, match="further apart than float64 holds"):
        fit_temperature([[1e308, -1e308], [0.0, 1.0]], [1, 0])


def test_an_error_that_is_nearly_a_tie_still_ends_the_search():
    """Nine rows right by 1, one wrong by d: 9 / (1 + exp(1/T)) is d / (1 + exp(-d/T)), so exp(-1/T) = d / 18 for a tiny d."""
    fitted = fit_temperature([[0.0, 1.0]] * 9 + [[1e-300, 0.0]], [1] * 10)
    assert 1 / fitted.value == pytest.approx(np.log(18) + 300 * np.log(10), rel=1e-9)
