"""What the comparison's figures stand on: label entropy by alpha, random groups, decision lines."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import binom, binomtest

from nlp_mixup.calibration import (
    accept_above,
    decision_line,
    group_points,
    label_entropy_cdf,
    mean_label_entropy,
    mean_off_label_mass,
    risk_coverage,
)
from nlp_mixup.calibration.decision import accept_above_of_confidences, decision_line_of_confidences

# alpha: E[H], E[min], P(min < .01), P(min > .25), off-label mass of 2 and of 10 balanced classes
TABLE = {
    0.1: (".135", ".058", ".64", ".10", ".029", ".053"),
    0.2: (".228", ".101", ".42", ".17", ".051", ".091"),
    0.3: (".295", ".134", ".28", ".23", ".067", ".121"),
    0.4: (".346", ".160", ".19", ".29", ".080", ".144"),
    1.0: (".500", ".250", ".02", ".50", ".125", ".225"),
    20: (".681", ".437", ".00", "1.00", ".219", ".394"),
}


def binary_entropy(share):
    return -share * np.log(share) - (1 - share) * np.log(1 - share)


def printed(value, digits):
    return f"{value:.{digits}f}".removeprefix("0")


@pytest.mark.parametrize("alpha", TABLE)
def test_label_entropy_gives_the_published_table(alpha):
    many_classes = np.full(10**6, 1e-6)  # nearly every partner has another class
    assert (
        printed(mean_label_entropy(alpha), 3),
        printed(mean_off_label_mass(alpha, many_classes), 3),
        printed(label_entropy_cdf(binary_entropy(0.01), alpha), 2),
        printed(1 - label_entropy_cdf(binary_entropy(0.25), alpha), 2),
        printed(mean_off_label_mass(alpha, [0.5, 0.5]), 3),
        printed(mean_off_label_mass(alpha, np.full(10, 0.1)), 3),
    ) == TABLE[alpha]


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 8.0])
def test_label_entropy_agrees_with_a_million_draws(alpha):
    lam = np.random.default_rng(0).beta(alpha, alpha, 10**6)
    smaller = np.minimum(lam, 1 - lam)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.nan_to_num(binary_entropy(smaller))
    levels = np.linspace(0.01, 0.69, 35)
    shares = np.searchsorted(np.sort(drawn), levels, side="right") / len(drawn)
    assert np.abs(label_entropy_cdf(levels, alpha) - shares).max() < 2.5e-3  # five standard errors
    assert mean_label_entropy(alpha) == pytest.approx(drawn.mean(), abs=2e-3)
    assert mean_off_label_mass(alpha, [0.3, 0.7]) == pytest.approx(smaller.mean() * 0.42, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 8.0])
def test_the_distribution_has_the_closed_forms_mean(alpha):
    # E[H] = integral of P(H > h); the substitution h = log 2 (1 - cos t) / 2 tames both ends
    angle = np.linspace(0, np.pi, 200_001)
    entropy = np.log(2) * (1 - np.cos(angle)) / 2
    survival = (1 - label_entropy_cdf(entropy, alpha)) * np.log(2) * np.sin(angle) / 2
    assert trapezoid(survival, angle) == pytest.approx(mean_label_entropy(alpha), abs=1e-6)


def test_label_entropy_at_its_ends_and_for_tiny_shares():
    assert label_entropy_cdf([-1.0, 0.0, np.log(2), 9.0], 0.2).tolist() == [0, 0, 1, 1]
    # alpha = 1: P = 2 m, down to shares whose entropy is tiny
    for share in (0.4999, 0.3, 1e-3, 1e-12, 1e-100):
        entropy = -share * np.log(share) - (1 - share) * np.log1p(-share)
        assert float(label_entropy_cdf(entropy, 1.0)) == pytest.approx(2 * share, rel=1e-7)
    assert label_entropy_cdf([-0.1, 0.0, 0.3], 0).tolist() == [0, 1, 1]
    assert mean_label_entropy(0) == mean_off_label_mass(0, [0.5, 0.5]) == 0


def test_label_entropy_refuses_what_is_no_alpha_entropy_or_share():
    for alpha in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"alpha: expected a finite number of at least 0, got .*; 0.2 to 0.4"):
            label_entropy_cdf(0.1, alpha)
        with pytest.raises(ValueError, match="alpha"):
            mean_label_entropy(alpha)
        with pytest.raises(ValueError, match="alpha"):
            mean_off_label_mass(alpha, [1.0])
    with pytest.raises(ValueError, match="entropy: expected numbers of nats, got nan"):
        label_entropy_cdf([0.1, float("nan")], 0.2)
    for shares in ([0.5, 0.6], [-0.5, 1.5], [], [[1.0]], [float("nan"), 1.0]):
        with pytest.raises(ValueError, match="divide the class counts by their sum"):
            mean_off_label_mass(0.2, shares)


def test_groups_are_the_same_for_every_epoch_and_arm():
    rng = np.random.default_rng(1)
    row = np.arange(1030) / 1030
    _, first = group_points(row, rng.random(1030) < 0.5)
    accuracy, again = group_points(row, row < 0.5)
    assert np.array_equal(first, again)
    assert len(first) == 20  # 1030 // 50; 30 rows are left over
    # a group's accuracy and confidence are those of its own rows: row < .5 right, so both fall together
    assert np.corrcoef(accuracy, again)[0, 1] < -0.7
    assert not np.array_equal(first, group_points(row, row < 0.5, seed=1)[1])


def test_group_points_are_means_of_every_row_once():
    confidence, correct = np.arange(12) / 12, np.arange(12) % 3 == 0
    accuracy, mean_confidence = group_points(confidence, correct, size=4)
    assert accuracy.mean() == pytest.approx(correct.mean())
    assert mean_confidence.mean() == pytest.approx(confidence.mean())
    (whole,), (score,) = group_points(confidence, correct, size=12)
    assert (whole, score) == (pytest.approx(1 / 3), pytest.approx(5.5 / 12))


def test_group_points_refuse_too_few_rows_and_different_lengths():
    with pytest.raises(ValueError, match="size: 49 rows make no group of 50; give a size from 1 to 49"):
        group_points(np.ones(49), np.ones(49))
    with pytest.raises(ValueError, match="rows make no group of 0"):
        group_points([0.5], [1], size=0)
    with pytest.raises(ValueError, match=r"got \(3,\) and \(2,\)"):
        group_points([0.1, 0.2, 0.3], [1, 1], size=1)


def columns(confidence):
    return np.stack([1 - np.asarray(confidence), confidence], axis=1)


def exact_upper_limit(wrong, n):
    """The p at which so few errors or fewer have probability .05."""
    interval = binomtest(wrong, n).proportion_ci(confidence_level=0.9, method="exact")  # two sides of .05
    return interval.high


def test_the_decision_line_by_hand():
    # .9: 29 right, the fewest of which 10% can be said, 1 - .05^(1/29) = .0981; .8: one error in 39, .1160
    probs = columns([0.9] * 29 + [0.8] * 10)
    labels = [1] * 29 + [0] + [1] * 9
    assert decision_line(probs, labels, max_risk=0.1) == (0.9, 29 / 39, 0.0)
    assert decision_line(probs, labels, max_risk=0.12) == (0.8, 1.0, 1 / 39)
    assert decision_line(probs[1:], labels[1:], max_risk=0.1) is None  # 28 right: .1015
    assert decision_line(probs, labels, max_risk=0) is None
    assert decision_line(probs, labels, max_risk=1) == (0.8, 1.0, 1 / 39)
    # a line passes over rows that do not keep it, to those that do with the rest: one error in 30 is .1486, in 46 .0990
    probs = columns([0.9] * 29 + [0.8] + [0.7] * 16)
    assert decision_line(probs, [1] * 29 + [0] + [1] * 16, max_risk=0.1) == (0.7, 1.0, 1 / 46)


def test_few_rows_that_look_well_keep_nothing():
    """Ten sure rows without an error say less than "at most 10%": their true rate may be a quarter."""
    rng = np.random.default_rng(0)
    probs, labels = (
        columns(np.r_[np.full(10, 0.99), rng.uniform(0.5, 0.9, 200)]),
        np.r_[np.ones(10), np.arange(200) % 2],
    )
    assert exact_upper_limit(0, 10) == pytest.approx(0.2589, abs=1e-4)
    assert decision_line(probs, labels.astype(int), max_risk=0.1) is None


def test_tied_rows_are_accepted_together_or_not_at_all():
    probs = columns([0.9] * 40 + [0.8] * 3)
    # the tied three have one error: with them 1 of 43, whose limit is .1057, whatever their order
    for last in ([1, 1, 0], [0, 1, 1]):
        assert decision_line(probs, [1] * 40 + last, max_risk=0.105) == (0.9, 40 / 43, 0.0)
        assert decision_line(probs, [1] * 40 + last, max_risk=0.106) == (0.8, 1.0, 1 / 43)


def test_the_decision_line_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1, 400).round(2)
    labels = (rng.random(400) < confidence).astype(int)
    probs = columns(confidence)
    for max_risk in (0.02, 0.1, 0.2, 0.29):
        every = [accept_above(probs, labels, threshold=t) for t in np.unique(confidence)]
        counts = [(round(d.risk * d.coverage * 400), round(d.coverage * 400)) for d in every]
        fitting = [d for d, count in zip(every, counts, strict=True) if exact_upper_limit(*count) <= max_risk]
        best = max(fitting, key=lambda decision: decision.coverage, default=None)
        assert (best is None) == (max_risk == 0.02)
        assert decision_line(probs, labels, max_risk=max_risk) == best
        if best:
            assert risk_coverage(probs, labels)[round(best.coverage * 400) - 1] == pytest.approx(best.risk)


def test_a_lines_true_error_rate_is_above_what_is_borne_in_one_case_of_twenty():
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(400):
        confidence = rng.choice([0.55, 0.65, 0.75, 0.85, 0.9, 0.95, 0.99], 300)
        line = decision_line_of_confidences(confidence, rng.random(300) < confidence, max_risk=0.1)
        # equal shares: the mean error of the classes from .85 up is .0775, from .75 up .112
        broken += line is not None and line.threshold < 0.85
    assert 0 < broken <= binom.ppf(0.999, 400, 0.05)


def test_a_threshold_has_as_few_decimals_as_keep_the_row_that_set_it_and_no_other():
    rng = np.random.default_rng(1)
    sure = np.r_[rng.uniform(0.99, 1, 60), 0.98765432]
    for below, threshold in ((0.95, 0.98), (0.9871, 0.9876), (0.98765431, 0.98765432), (0.5, 0.98)):
        confidence = np.r_[sure, np.full(100, below)]
        correct = np.r_[np.ones(61, bool), np.zeros(100, bool)]
        line = decision_line_of_confidences(confidence, correct, max_risk=0.05)
        assert line.threshold == threshold
        assert np.array_equal(confidence >= line.threshold, correct)
        assert accept_above_of_confidences(confidence, correct, threshold=float(str(threshold))) == line
    near_one = np.r_[np.full(60, 1 - 1e-12), np.full(60, 1 - 2e-12)]
    line = decision_line_of_confidences(near_one, np.arange(120) < 60, max_risk=0.05)
    assert (near_one >= line.threshold).sum() == 60


def test_several_models_of_the_same_rows_are_no_more_rows():
    confidence, correct = np.tile([0.9], 60), np.ones(60, bool)
    assert decision_line_of_confidences(confidence, correct, max_risk=0.05) is not None
    assert decision_line_of_confidences(confidence, correct, max_risk=0.05, copies=3) is None  # 20 rows
    assert decision_line_of_confidences(np.tile(confidence, 3), np.ones(180, bool), max_risk=0.05, copies=3) is not None


def test_decisions_refuse_bad_risks_and_thresholds():
    for max_risk in (-0.1, 1.1, float("nan")):
        with pytest.raises(
            ValueError, match=r"max_risk: expected an error rate in \[0, 1\].*0.02 bears 2 errors in 100"
        ):
            decision_line([[0.1, 0.9]], [1], max_risk=max_risk)
    with pytest.raises(ValueError, match="threshold: expected a confidence"):
        accept_above([[0.1, 0.9]], [1], threshold=float("nan"))
    nothing = accept_above([[0.1, 0.9]], [1], threshold=0.95)
    assert nothing.coverage == 0
    assert np.isnan(nothing.risk)
