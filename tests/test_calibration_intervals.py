"""Intervals: against scipy, paired by shared rows, and a small seeded run of the coverage simulation."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import nlp_mixup.calibration as calibration
from nlp_mixup.calibration import (
    EqualMass,
    Interval,
    RowScores,
    aurc,
    describe_calibration,
    difference_intervals,
    noise_floor,
    resample_interval,
    score_intervals,
    score_logits,
    slow_score_intervals,
    smooth_ece,
    softmax,
)
from nlp_mixup.calibration.intervals import differences_of_rows, intervals_of_rows

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from interval_coverage import coverage, difference_coverage, solve


def case(n=800, k=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, k))
    labels = (softmax(logits).cumsum(1) > rng.random((n, 1))).argmax(1)
    return scale * logits, labels


def test_additive_scores_equal_the_percentile_bootstrap_of_scipy():
    logits, labels = case()
    ours = score_intervals(logits, labels, n_resamples=4000)
    probs = softmax(logits)
    per_row = {
        "accuracy": probs.argmax(1) == labels,
        "nll": -np.log(probs[np.arange(800), labels]),
        "brier": ((probs - np.eye(3)[labels]) ** 2).sum(1),
        "gap": probs.max(1) - (probs.argmax(1) == labels),
    }
    for name, values in per_row.items():
        theirs = scipy.stats.bootstrap(
            (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
        )
        spread = theirs.standard_error
        assert ours[name].value == pytest.approx(values.mean())
        assert ours[name].low == pytest.approx(theirs.confidence_interval.low, abs=0.15 * spread)
        assert ours[name].high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * spread)


def test_values_are_those_of_score_logits_and_seeds_decide():
    logits, labels = case()
    intervals = score_intervals(logits, labels, n_resamples=50)
    scores = score_logits(logits, labels)
    assert set(intervals) == {"accuracy", "confidence", "gap", "nll", "brier", "ece", "oe"}
    for name, interval in intervals.items():
        assert interval.value == pytest.approx(scores[name], abs=1e-12)
        assert interval.n_resamples == 50
    assert intervals == score_intervals(logits, labels, n_resamples=50)
    assert intervals != score_intervals(logits, labels, n_resamples=50, seed=1)
    wide, narrow = (score_intervals(logits, labels, n_resamples=300, level=level)["nll"] for level in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_calibrated_model_gets_an_interval_that_reaches_nearly_to_zero():
    logits, labels = case()
    interval = score_intervals(logits, labels)["ece"]
    assert interval.low < 0.005
    sharp = score_intervals(*case(scale=4.0))["ece"]
    assert sharp.low > 0.1


def test_paired_differences_share_their_rows():
    logits, labels = case()
    same = difference_intervals(logits, logits, labels, n_resamples=100)
    assert all((x.value, x.low, x.high) == (0, 0, 0) for x in same.values())
    # a constant shift of the NLL would be lost in unpaired noise; paired it is seen exactly
    other = logits.copy()
    other[:, 0] += 0.02
    paired = difference_intervals(logits, other, labels, n_resamples=300)["nll"]
    alone = score_intervals(logits, labels, n_resamples=300)["nll"]
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)
    forth = difference_intervals(logits, 3 * logits, labels, n_resamples=300)
    back = difference_intervals(3 * logits, logits, labels, n_resamples=300)
    for name in ("ece", "oe", "nll"):
        assert forth[name].high < 0
        assert forth[name].low == pytest.approx(-back[name].high, abs=1e-12)
    with pytest.raises(ValueError, match="paired differences need the same rows: got 2 and 3"):
        differences_of_rows(
            RowScores.from_confidence([0.5] * 2, [1] * 2), RowScores.from_confidence([0.5] * 3, [1] * 3)
        )


def test_equal_mass_bins_have_intervals_too():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 1, 1000)
    rows = RowScores.from_confidence(confidence, rng.random(1000) < confidence - 0.2, binning=EqualMass(10))
    interval = intervals_of_rows(rows, n_resamples=200)["ece"]
    assert interval.low < 0.2 < interval.high


def test_slow_scores_are_resampled_by_calling_them():
    logits, labels = case(300)
    probs = softmax(logits)
    interval = resample_interval(aurc, probs, labels, biased=False)
    assert interval.n_resamples == 200
    assert interval.low < interval.value < interval.high
    assert interval.value == aurc(probs, labels)
    plain = resample_interval(smooth_ece, probs, labels, biased=False, n_resamples=100)
    corrected = resample_interval(smooth_ece, probs, labels, biased=True, n_resamples=100)
    assert 0 <= corrected.low < plain.low
    assert corrected.high < plain.high


def test_slow_scores_come_in_one_call_with_their_own_values():
    logits, labels = case(300, scale=3.0)
    found = slow_score_intervals(logits, labels, n_resamples=40)
    probs = softmax(logits)
    assert set(found) == {"adaptive_ece", "classwise_ece", "smooth_ece", "debiased_ece", "aurc"}
    for name, interval in found.items():
        assert interval.value == pytest.approx(getattr(calibration, name)(probs, labels), abs=1e-12)
        assert 0 < interval.low < interval.high < 1
        assert interval.n_resamples == 40


def test_near_the_floor_only_one_thing_is_said():
    logits, labels = case()
    interval = score_intervals(logits, labels, n_resamples=100)["ece"]
    floor = noise_floor(softmax(logits))
    assert describe_calibration(interval, floor).startswith("not distinguishable from calibrated (n = 800, 15 bins")
    sharp, labels = case(scale=3.0)
    interval = score_intervals(sharp, labels, n_resamples=100)["ece"]
    said = describe_calibration(interval, noise_floor(softmax(sharp)))
    assert said.startswith(f"ECE {interval}, a perfect model here: .0")
    assert str(Interval(0.5, 0.25, 1.0)) == ".500 (.250 to 1.000)"


@pytest.mark.parametrize(("shape", "sign"), [("peaked", "over"), ("wide", "both")])
def test_intervals_of_ece_and_oe_cover_the_truth(shape, sign):
    assert solve(shape, sign, 0.05)[1] == pytest.approx(0.05, abs=1e-4)
    found = coverage(shape, sign, 0.05, 500, repetitions=150, resamples=150)
    # 150 repetitions have a standard error of .018 at .95
    assert found["coverage"] >= 0.91
    assert found["oe_coverage"] >= 0.88
    assert found["plain"] < found["coverage"]


def test_the_plain_percentile_bootstrap_is_wrong_near_calibration():
    found = coverage("wide", "over", 0.02, 500, repetitions=60, resamples=100)
    assert found["plain"] < 0.4
    assert found["coverage"] >= 0.88


def test_paired_differences_cover_the_truth():
    assert difference_coverage("peaked", "over", (0.1, 0.05), 500, repetitions=80, resamples=100) >= 0.88
