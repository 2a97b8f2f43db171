"""Intervals: against exact limits and scipy, with few rows and near the ends, paired, and their simulated coverage."""

import csv
import sys
from dataclasses import replace
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
from nlp_mixup.calibration.diagnosis import rows_needed
from nlp_mixup.calibration.intervals import (
    accuracy_interval,
    difference_of_draws,
    differences_of_rows,
    interval_of_draws,
    intervals_of_rows,
)
from nlp_mixup.calibration.resampling import Draws, resample_scores

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import interval_coverage


def case(n=800, k=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, k))
    labels = (softmax(logits).cumsum(1) > rng.random((n, 1))).argmax(1)
    return scale * logits, labels


def two_classes(confidence, correct):
    """Logits of two classes with these winning scores, class 1 the winner, and labels."""
    confidence = np.asarray(confidence, dtype=float)
    return np.stack([np.zeros_like(confidence), np.log(confidence / (1 - confidence))], 1), np.asarray(correct, int)


@pytest.mark.parametrize(("right", "n"), [(0, 7), (1, 10), (50, 50), (97, 100), (250, 500)])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_accuracy_has_the_exact_binomial_limits(right, n, level):
    theirs = scipy.stats.binomtest(right, n).proportion_ci(level, method="exact")
    ours = accuracy_interval(right, n, level=level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    found = score_intervals(*two_classes([0.9] * n, np.arange(n) < right), n_resamples=10, level=level)["accuracy"]
    assert found == ours
    assert found.method == "Clopper-Pearson"


@pytest.mark.parametrize(("right", "n"), [(10, 10), (49, 50), (80, 100), (0, 12)])
def test_where_only_the_count_of_errors_is_unknown_nll_and_brier_have_the_exact_limits(right, n):
    """With one confidence both are linear in the share of wrong rows, so their limits follow from Clopper and Pearson's."""
    found = score_intervals(*two_classes([0.9] * n, np.arange(n) < right), n_resamples=20_000)
    exact = accuracy_interval(right, n)
    for name, if_right, if_wrong in (("nll", -np.log(0.9), -np.log(0.1)), ("brier", 2 * 0.1**2, 2 * 0.9**2)):
        expected = [if_right + (if_wrong - if_right) * (1 - limit) for limit in (exact.high, exact.low)]
        error = 0.02 * (if_wrong - if_right) * (exact.high - exact.low)  # of a quantile of 20,000 draws
        assert (found[name].low, found[name].high) == pytest.approx(expected, abs=error)
        assert found[name].low - error <= found[name].value <= found[name].high + error


@pytest.mark.parametrize(("n", "confidence"), [(50, 0.99), (30, 0.97), (100, 0.97), (200, 0.99), (10, 0.9)])
def test_where_all_rows_are_right_every_interval_has_a_width(n, confidence):
    found = score_intervals(*two_classes([confidence] * n, [1] * n))
    exact = accuracy_interval(n, n)
    for name in ("gap", "nll", "brier", "ece", "accuracy"):
        assert found[name].high - found[name].low > 0.5 * (1 - exact.low) * (1 - confidence)
    assert found["gap"].low <= confidence - 1 < 0 < found["gap"].high
    assert found["gap"].high == pytest.approx(confidence - exact.low, abs=0.15 * (1 - exact.low))
    assert found["ece"].low == 0  # a calibrated model shows as much
    assert found["ece"].high == pytest.approx(max(1 - confidence, found["gap"].high), abs=0.15 * (1 - exact.low))


def test_with_many_rows_the_limits_are_those_of_the_bootstrap_of_scipy():
    logits, labels = case()
    ours = score_intervals(logits, labels, n_resamples=4000)
    probs = softmax(logits)
    per_row = {
        "accuracy": (probs.argmax(1) == labels).astype(float),
        "nll": -np.log(probs[np.arange(800), labels]),
        "brier": ((probs - np.eye(3)[labels]) ** 2).sum(1),
        "gap": probs.max(1) - (probs.argmax(1) == labels),
        "confidence": probs.max(1),
    }
    for name, values in per_row.items():
        theirs = scipy.stats.bootstrap(
            (values,), np.mean, n_resamples=4000, method="percentile", random_state=np.random.default_rng(1)
        )
        spread = theirs.standard_error
        one_row = (values.max() - values.min()) / 800  # what the extra row weighs
        assert ours[name].value == pytest.approx(values.mean())
        assert ours[name].low == pytest.approx(theirs.confidence_interval.low, abs=0.15 * spread + one_row)
        assert ours[name].high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * spread + one_row)


def test_values_are_those_of_score_logits_and_seeds_decide():
    logits, labels = case()
    intervals = score_intervals(logits, labels, n_resamples=50)
    scores = score_logits(logits, labels)
    assert set(intervals) == {"accuracy", "confidence", "gap", "nll", "brier", "ece", "oe"}
    for name, interval in intervals.items():
        assert interval.value == pytest.approx(scores[name], abs=1e-12)
        assert interval.n_resamples == (0 if name == "accuracy" else 50)
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
    other = logits.copy()
    other[:, 0] += 0.02
    paired = difference_intervals(logits, other, labels, n_resamples=300)["nll"]
    alone = score_intervals(logits, labels, n_resamples=300)["nll"]
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)  # one row in 800 may have another answer
    forth = difference_intervals(logits, 3 * logits, labels, n_resamples=300)
    back = difference_intervals(3 * logits, logits, labels, n_resamples=300)
    for name in ("oe", "nll", "ece"):
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


def test_a_model_and_the_same_after_temperature_give_the_same_answers():
    logits, labels = case(20)
    temperatures = np.where(np.arange(20) % 2, 1.7, 2.3)[:, None]  # as of two halves
    found = difference_intervals((logits / temperatures + 5).astype(np.float32), logits, labels, n_resamples=300)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((0, 0), abs=1e-12)
    independent = difference_intervals(logits / temperatures + 0.01 * logits[::-1], logits, labels, n_resamples=300)
    assert independent["accuracy"].low < 0 < independent["accuracy"].high
    assert found["nll"].high - found["nll"].low < 0.8 * (independent["nll"].high - independent["nll"].low)


@pytest.mark.parametrize(("shape", "n"), [("peaked", 30), ("sharp", 10), ("sharp", 100)])
def test_a_model_after_and_before_its_temperature_is_covered(shape, n):
    """Each model's own ends left out .16 of NLL at 30 rows, and .2 of Brier and .13 of NLL where most rows are sure."""
    for row in interval_coverage.Cell((shape,), ("under-confident",), n, 0.6).run(600, 200):
        assert float(row["high"]) >= 0.93, row  # the upper end of the Monte Carlo interval


def test_one_more_row_of_a_pair_adds_what_the_two_differ_in():
    """Ten rows at .6 and .9, all right; T = 1/2 makes odds 1.5 and 9 into 2.25 and 81, and so a wrong row lose more.

    The errors to be expected after it, 1/3.25 and 1/82, are rather of the first kind; those before, .4 and .1, less so.
    """
    logits, labels = two_classes([0.6, 0.9] * 5, [1] * 10)
    found = difference_intervals(2 * logits, logits, labels, n_resamples=200_000)
    wrong, right = np.log([3.25 / 2.5, 82 / 10]), np.log([3.25 / 2.5 / 1.5, 82 / 10 / 9])
    most = wrong @ [0.4, 0.1] / 0.5
    assert most > wrong @ [1 / 3.25, 1 / 82] / (1 / 3.25 + 1 / 82)
    weights = np.random.default_rng(1).dirichlet(np.ones(11), 200_000)
    drawn = weights[:, :10] @ np.tile(right, 5)
    assert found["nll"].high == pytest.approx(np.quantile(drawn + weights[:, 10] * most, 0.975), rel=0.03)
    assert found["nll"].low == pytest.approx(np.quantile(drawn + weights[:, 10] * right.mean(), 0.025), rel=0.03)
    moved = np.array([2.25 / 3.25 - 0.6, 81 / 82 - 0.9])
    drawn = weights[:, :10] @ np.tile(moved, 5)
    assert found["gap"].low == pytest.approx(np.quantile(drawn, 0.025), rel=0.03)  # a sure row does not move
    odds = np.geomspace(1, 1000, 10_001)
    assert (odds**2 / (1 + odds**2) - odds / (1 + odds)).max() == pytest.approx(0.224 * np.log(2), rel=0.05)
    unseen = weights[:, 10] * 0.224 * np.log(2)
    assert found["gap"].high == pytest.approx(np.quantile(drawn + unseen, 0.975), rel=0.03)


def test_two_models_that_answer_alike_so_far_may_differ_in_more_rows():
    """Fifty rows, both always right: the one may still be wrong in 1 - .05^(1/50) of all rows, and the other never.

    The extra row's weight exceeds w in (1 - w)^50 of the draws, and in every other one it tells for one model alone.
    """
    first, labels = two_classes([0.99] * 50, [1] * 50)
    second, _ = two_classes([0.98] * 50, [1] * 50)
    second[:, 0] += np.linspace(0, 1e-3, 50)
    found = differences_of_rows(*(RowScores.from_logits(z, labels) for z in (first, second)), n_resamples=4000)
    limit = 1 - 0.05 ** (1 / 50)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((-limit, limit), rel=0.05)
    assert found["gap"].high > 0.01 + 0.95 * limit > 0.01 - 0.95 * limit > found["gap"].low  # the first claims .01 more


def test_a_difference_is_narrower_than_both_ends_together_and_turns_round_with_its_models():
    def draws(seed, least, largest):
        rng = np.random.default_rng(seed)
        low = rng.random(400)
        return Draws({"ece": low}, {"ece": low + 0.01}, {"ece": (least, largest)})

    first, second = draws(0, 0.0, 0.06), draws(1, 0.01, 0.09)
    forth, back = difference_of_draws(first, second), difference_of_draws(second, first)
    assert forth.bias["ece"] == pytest.approx((-0.02 - 0.05, -0.02 + 0.05))  # half ranges .03 and .04, as 3-4-5
    assert forth.low["ece"] == pytest.approx(-back.high["ece"], abs=1e-15)
    assert forth.bias["ece"] == pytest.approx((-back.bias["ece"][1], -back.bias["ece"][0]))
    width = forth.high["ece"] - forth.low["ece"]
    assert width == pytest.approx(np.where(np.arange(400) % 2, 0.0, 0.02), abs=1e-12)
    alike = difference_of_draws(
        first, second, same_answers=True
    )  # one wrong row may raise one's ECE and lower the other's
    assert (alike.high["ece"] == forth.high["ece"]).all()
    assert alike.bias == forth.bias


@pytest.mark.parametrize(("truth", "n"), [("over-confident", 30), ("both", 200)])
def test_a_difference_to_a_model_whose_errors_do_not_show_yet_is_covered(truth, n):
    """Pairs that are in no table; with both biases at the same ends, three intervals of ECE in ten would miss the truth."""
    for row in interval_coverage.Cell(("wide", "wide"), ("calibrated", truth), n).run(400, 200):
        assert float(row["high"]) >= 0.93, row  # the upper end of the Monte Carlo interval


def test_the_rows_that_one_model_alone_has_right_are_counted_the_rarer_way():
    rng = np.random.default_rng(0)
    chances, luck = np.full((2, 200_000), [[0.9], [0.7]]), rng.random(200_000)
    other = np.where(rng.random(200_000) < interval_coverage.SAME_LUCK, luck, rng.random(200_000))
    first, second = luck < chances[0], other < chances[1]
    expected = min((first & ~second).mean(), (second & ~first).mean())
    assert interval_coverage.one_alone_right(*chances) == pytest.approx(expected, abs=0.002)
    assert interval_coverage.one_alone_right(*chances) == pytest.approx(0.3 * 0.7 * 0.1)
    row = {"n": 700, "accuracy": "0.9", "discordant": "0.0210"}
    assert not interval_coverage.apart(row)
    assert interval_coverage.apart(row | {"n": 720})
    assert not interval_coverage.apart(row | {"n": 720, "discordant": ""})


def test_rows_that_are_all_alike_give_slow_scores_a_width_too():
    logits, labels = two_classes([0.95] * 40, [1] * 40)
    for name, interval in slow_score_intervals(logits, labels, n_resamples=100).items():
        assert interval.low <= interval.high
        assert interval.high - interval.low > 0.01, name
        assert interval.method == "bootstrap of rows and one more"


def test_the_simulation_has_the_limits_of_the_library():
    """All sets of the simulation are scored together; each limit is that of `intervals_of_rows`, but for float32 and floors."""
    rng = np.random.default_rng(0)
    for n, shape in ((10, "sharp"), (50, "peaked"), (30, "0.99")):
        weights = interval_coverage.Weights.of(n, 200)
        confidence, other = (interval_coverage.SHAPES[name](rng, (6, n)) for name in (shape, "wide"))
        correct, also = rng.random((6, n)) < confidence - 0.1, rng.random((6, n)) < other
        sets = interval_coverage.draw_sets(confidence, correct, weights, rng)
        others = interval_coverage.draw_sets(other, also, weights, rng)
        for row in range(6):
            one = RowScores.from_confidence(confidence[row], correct[row])
            two = RowScores.from_confidence(other[row], also[row])
            alone = intervals_of_rows(one, n_resamples=200)
            paired = differences_of_rows(one, two, n_resamples=200)
            for name in ("accuracy", "confidence", "gap"):
                low, high = interval_coverage.limits(sets, name, n)
                assert (alone[name].low, alone[name].high) == pytest.approx((low[row], high[row]), abs=1e-5)
                low, high = interval_coverage.difference_limits(sets, others, name)
                assert (paired[name].low, paired[name].high) == pytest.approx((low[row], high[row]), abs=1e-5)
            draws = [resample_scores(rows, n_resamples=200, seed=0) for rows in (one, two)]
            for name in (
                "ece",
                "oe",
            ):  # the biases depend on the floor, simulated from bins or rows: here the simulation's
                ranges = [(of.bias[name][0][row], of.bias[name][1][row]) for of in (sets, others)]
                low, high = interval_coverage.difference_limits(sets, others, name)
                between = difference_of_draws(*(replace(d, bias={name: r}) for d, r in zip(draws, ranges, strict=True)))
                found = interval_of_draws(0.0, between.low[name], between.high[name], between.bias[name], 0.95)
                assert (found.low, found.high) == pytest.approx((low[row], high[row]), abs=2e-4)
            for name in ("ece", "oe"):  # the lower one depends on the floor
                assert alone[name].high == pytest.approx(interval_coverage.limits(sets, name, n)[1][row], abs=1e-5)
            z, labels = two_classes(confidence[row], correct[row])
            nll = score_intervals(z, labels, n_resamples=200)["nll"]
            low, high = interval_coverage.limits(sets, "nll", n)
            assert (nll.low, nll.high) == pytest.approx((low[row], high[row]), abs=1e-4)
            after = difference_intervals(z / 1.5, z, labels, n_resamples=200)
            both = tuple(softmax(logits).max(1)[None] for logits in (z / 1.5, z))
            for name in ("gap", "nll", "brier"):
                low, high = interval_coverage.scaled_limits(both, correct[[row]], 1.5, weights, name)
                assert (after[name].low, after[name].high) == pytest.approx((low[0], high[0]), abs=1e-5)


@pytest.mark.parametrize(
    ("shapes", "truths", "n"),
    [
        (("0.99",), ("calibrated",), 50),
        (("0.97",), ("calibrated",), 30),
        (("0.97",), ("calibrated",), 100),
        (("0.99",), ("calibrated",), 200),
        (("peaked",), ("over-confident",), 30),
        (("0.99", "0.97"), ("calibrated", "under-confident"), 50),
    ],
)
def test_intervals_cover_the_truth_with_few_rows_and_near_the_ends(shapes, truths, n):
    for row in interval_coverage.Cell(shapes, truths, n).run(600, 200):
        assert float(row["high"]) >= 0.93, row  # the upper end of the Monte Carlo interval
        if "0.99" in shapes and row["score"] == "gap" and n == 50:
            assert float(row["coverage of 0.1"]) < 0.6


@pytest.mark.parametrize(("shape", "sign"), [("peaked", 1), ("0.97", 1), ("0.97", -1), ("0.8", 1), ("0.8", -1)])
def test_a_small_gap_shows_in_four_sets_of_five_at_the_rows_that_are_named(shape, sign):
    """Nearer to the ends in more: .97 has more room for over-confidence than for its opposite."""
    rng = np.random.default_rng(0)
    draw = interval_coverage.SHAPES[shape]
    confidence = draw(rng, 20_000)
    # Of a calibrated model, which is who reads the sentence.
    n = rows_needed(confidence, rng.random(20_000) < confidence)
    weights = interval_coverage.Weights.of(n, 300)
    hits = 0
    for _ in range(10):
        confidence = draw(rng, (20, n))
        sets = interval_coverage.draw_sets(confidence, rng.random((20, n)) < confidence - sign * 0.02, weights, rng)
        low, high = interval_coverage.limits(sets, "gap", n)
        hits += ((low > 0) if sign > 0 else (high < 0)).sum()
    assert hits / 200 > 0.72  # .8, less three standard errors
    if shape != "0.97":
        assert hits / 200 < 0.9


def test_few_rows_that_are_all_right_claim_no_power():
    for n in (1, 10, 30):
        assert rows_needed(np.full(n, 0.97), np.ones(n, dtype=bool)) > 20 * n


COVERAGE = Path(__file__).parents[2] / "results" / "interval-coverage.csv"


def test_the_table_of_coverage_holds_every_cell_and_none_fails():
    with COVERAGE.open(newline="") as file:
        table = [row | {"n": int(row["n"])} for row in csv.DictReader(file)]
    cells = {(row["confidences"], row["truth"], row["n"]) for row in table}
    wanted = {(c.name, " and ".join(c.truths), c.n) for c in interval_coverage.cells()}
    assert cells == wanted
    assert all(int(row["sets"]) == 10_000 for row in table)
    assert [row for row in table if float(row["high"]) < interval_coverage.TARGET] == []
