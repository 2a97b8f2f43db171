"""Binned scores and the streaming state: hand-worked cases, edge rules, scale, merging."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_mixup.calibration import (
    PRESETS,
    CalibrationBins,
    EqualMass,
    EqualWidth,
    expected_calibration_error,
    maximum_calibration_error,
    overconfidence_error,
    reliability_table,
    root_mean_squared_calibration_error,
)


def scored(confidence, correct, **rule):
    """A state of given confidences and correctness."""
    bins = CalibrationBins(binning=EqualWidth(**rule))
    return bins.update_scored(np.asarray(confidence, float), np.asarray(correct, bool))


def random_case(seed, n=300, k=4, dtype=np.float64):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.5), n).astype(dtype)
    return probs, rng.integers(0, k, n)


def textbook(probs, labels, n_bins):
    """ECE and OE in the style of Guo et al.'s ECELoss: one mask per bin (lo, hi], written for reading."""
    probs = np.asarray(probs, np.float64)
    confidence, correct = probs.max(1), probs.argmax(1) == labels
    ece = oe = 0.0
    for m in range(n_bins):
        inside = (confidence > m / n_bins) & (confidence <= (m + 1) / n_bins)
        if inside.any():
            difference = confidence[inside].mean() - correct[inside].mean()
            ece += inside.mean() * abs(difference)
            oe += inside.mean() * confidence[inside].mean() * max(difference, 0)
    return ece, oe


def test_two_points_on_an_edge_depend_on_the_edge_rule():
    assert scored([0.5, 0.25], [0, 1], n_bins=2, closed="left").ece == pytest.approx(0.625, abs=1e-15)
    assert scored([0.5, 0.25], [0, 1], n_bins=2, closed="right").ece == pytest.approx(0.125, abs=1e-15)


def test_confidence_one_stays_in_the_last_bin_unless_set_apart():
    together = scored([0.95, 1.0], [1, 0], n_bins=10)
    assert together.ece == pytest.approx(0.475, abs=1e-15)
    assert together.oe == pytest.approx(0.463125, abs=1e-15)
    assert scored([0.95, 1.0], [1, 0], n_bins=10, closed="left").ece == pytest.approx(0.475, abs=1e-15)
    apart = scored([0.95, 1.0], [1, 0], n_bins=10, closed="left", one_apart=True)
    assert apart.ece == pytest.approx(0.525, abs=1e-15)
    assert apart.table().lower[-1] == apart.table().upper[-1] == 1.0


def test_confidence_zero_is_in_the_first_bin():
    for closed in ("right", "left"):
        assert scored([0.0], [0], n_bins=3, closed=closed).count.tolist() == [1, 0, 0]


def test_literals_on_an_edge_follow_the_rule_for_every_number_of_bins():
    for n_bins in (2, 3, 5, 7, 10, 15, 20, 100, 1000):
        edges = np.arange(1, n_bins) / n_bins
        assert (EqualWidth(n_bins).assign(edges) == np.arange(n_bins - 1)).all()
        assert (EqualWidth(n_bins, closed="left").assign(edges) == np.arange(1, n_bins)).all()
        after, before = np.nextafter(edges, 1), np.nextafter(edges, 0)
        assert (EqualWidth(n_bins).assign(after) == np.arange(1, n_bins)).all()
        assert (EqualWidth(n_bins, closed="left").assign(before) == np.arange(n_bins - 1)).all()


def test_assign_equals_a_binary_search_over_the_edges():
    values = np.concatenate([np.random.default_rng(0).random(20_000), np.arange(1001) / 1000])
    for n_bins in (1, 10, 15, 100):
        edges = np.arange(1, n_bins) / n_bins
        assert (EqualWidth(n_bins).assign(values) == np.searchsorted(edges, values, side="left")).all()
        left = EqualWidth(n_bins, closed="left").assign(values)
        assert (left == np.searchsorted(edges, values, side="right")).all()


def test_worst_case_is_one_and_under_confidence_has_no_oe():
    worst = scored(np.ones(5), np.zeros(5))
    assert (worst.ece, worst.oe, worst.mce, worst.rmsce, worst.gap) == (1.0, 1.0, 1.0, 1.0, 1.0)
    modest = scored([0.6, 0.6, 0.7], [1, 1, 1])
    assert modest.oe == 0.0
    assert modest.ece == pytest.approx((0.4 + 0.4 + 0.3) / 3)
    assert modest.gap == pytest.approx(-(0.4 + 0.4 + 0.3) / 3)


def test_functions_and_state_agree_by_hand():
    probs, labels = [[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]], [0, 1, 1, 0]
    # bins of .1: {.6: 0 of 1}, {.7: 1 of 1}, {.9, .9: 1 of 2}
    gaps, weights = np.array([0.6, 0.3, 0.4]), np.array([1, 1, 2]) / 4
    assert expected_calibration_error(probs, labels, n_bins=10) == pytest.approx(weights @ gaps)
    assert overconfidence_error(probs, labels, n_bins=10) == pytest.approx((0.6 * 0.6 + 2 * 0.9 * 0.4) / 4)
    assert maximum_calibration_error(probs, labels, n_bins=10) == pytest.approx(0.6)
    assert maximum_calibration_error(probs, labels, n_bins=10, min_count=2) == pytest.approx(0.4)
    rmsce = root_mean_squared_calibration_error(probs, labels, n_bins=10)
    assert rmsce == pytest.approx(np.sqrt(weights @ gaps**2))
    bins = CalibrationBins(10).update(probs, labels)
    assert bins.accuracy == 0.5
    assert bins.confidence == pytest.approx(0.775)
    assert bins.gap == pytest.approx(0.275)
    rows = bins.table().as_rows()
    assert rows[8]["count"] == 2
    assert rows[8]["gap"] == pytest.approx(0.4)
    assert np.isnan(rows[0]["accuracy"])


def test_ties_go_to_the_first_index_as_argmax_does():
    assert CalibrationBins().update([[0.5, 0.5]] * 3, [0, 1, 0]).correct_sum.sum() == 2
    three = [[0.2, 0.4, 0.4]] * 3
    assert CalibrationBins().update(three, [0, 1, 2]).correct_sum.sum() == 1
    wide = np.full((2, 100), 0.01)
    assert CalibrationBins().update(wide, [0, 99]).correct_sum.sum() == 1
    # one column: at exactly one half class 0 wins, as the two-column form says
    assert CalibrationBins().update([0.5, 0.5], [0, 1]).correct_sum.sum() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 4, 48, 49, 200])
def test_equals_the_textbook_form(k, dtype):
    probs, labels = random_case(k, n=2000, k=k, dtype=dtype)
    for n_bins in (1, 10, 15, 100):
        ece, oe = textbook(probs, labels, n_bins)
        assert expected_calibration_error(probs, labels, n_bins=n_bins) == pytest.approx(ece, abs=1e-12)
        assert overconfidence_error(probs, labels, n_bins=n_bins) == pytest.approx(oe, abs=1e-12)


def test_one_column_equals_two_columns():
    p = np.random.default_rng(1).random(500)
    y = np.random.default_rng(2).integers(0, 2, 500)
    two = reliability_table(np.stack([1 - p, p], 1), y)
    for one in (p, p[:, None]):
        table = reliability_table(one, y)
        assert (table.count == two.count).all()
        assert table.ece == pytest.approx(two.ece, abs=1e-14)


def test_exact_past_two_to_the_24_rows_in_one_bin():
    rows = 2**24 + 3_000_000
    bins = CalibrationBins()
    block = np.full(1_000_000, 0.75)
    right = np.ones(1_000_000, bool)
    for start in range(0, rows, 1_000_000):
        m = min(1_000_000, rows - start)
        bins.update_scored(block[:m], right[:m])
    assert bins.n == rows
    assert bins.ece == 0.25
    assert bins.gap == -0.25


def test_ten_thousand_partial_states_of_a_billion_rows_equal_the_pooled_answer():
    rng = np.random.default_rng(0)
    whole = np.array([0] * 15, dtype=object)
    states, confidence_total = [], [0] * 15
    for _ in range(10_000):
        state = CalibrationBins()
        state.count[:] = rng.multinomial(100_000, np.full(15, 1 / 15))
        middle = (np.arange(15) + rng.random(15)) / 15
        # multiples of 2^-20, so that the pooled answer is known exactly in whole numbers
        units = np.round(state.count * middle * 2**20).astype(np.int64)
        state.confidence_sum[:] = units / 2**20
        state.correct_sum[:] = rng.binomial(state.count, middle)
        whole = whole + [u - int(c) * 2**20 for u, c in zip(units.tolist(), state.correct_sum, strict=True)]
        confidence_total = [t + u for t, u in zip(confidence_total, units.tolist(), strict=True)]
        states.append(state)
    merged = sum(states)
    assert merged.n == 1_000_000_000
    assert merged.ece == pytest.approx(sum(abs(int(x)) for x in whole) / 2**20 / 1e9, abs=1e-12)
    assert merged.confidence == pytest.approx(sum(confidence_total) / 2**20 / 1e9, abs=1e-12)


def test_merging_leaves_the_parts_alone_and_refuses_other_bins():
    a, b = scored([0.9], [1]), scored([0.2], [0])
    assert (a + b).n == 2
    assert (a.n, b.n) == (1, 1)
    assert a.merge(b) is a
    assert a.n == 2
    with pytest.raises(ValueError, match=r"cannot merge.*use the same bins everywhere"):
        a.merge(CalibrationBins(10))


def test_a_refused_batch_adds_nothing():
    bins = CalibrationBins().update([[0.1, 0.9]], [1])
    n = 200_000
    probs = np.tile([0.5, 0.5], (n, 1))
    probs[-1] = [0.9, 0.9]
    with pytest.raises(ValueError, match=f"row {n - 1} sums to 1.8"):
        bins.update(probs, np.zeros(n, int))
    assert bins.n == 1


def test_memory_does_not_grow_with_rows():
    labels = np.zeros(400_000, np.int64)
    probs = np.full((400_000, 10), 0.1, np.float32)
    tracemalloc.start()
    CalibrationBins().update(probs, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_equal_mass_needs_all_rows_and_says_so():
    with pytest.raises(TypeError, match=r"cannot be streamed; use reliability_table.*EqualMass"):
        CalibrationBins(binning=EqualMass(5))
    table = reliability_table(*random_case(0, n=101), binning=EqualMass(4))
    assert table.count.tolist() == [26, 25, 25, 25]
    assert (table.lower[1:] >= table.upper[:-1]).all()
    few = reliability_table([[0.2, 0.8]], [1], binning=EqualMass(3))
    assert few.count.tolist() == [1, 0, 0]
    assert few.ece == pytest.approx(0.2)


def test_presets_and_their_errors():
    assert PRESETS["guo2017"] == EqualWidth(15)
    assert PRESETS["thulasidasan2019"].n_bins == 100
    probs, labels = random_case(3)
    by_name = expected_calibration_error(probs, labels, binning="thulasidasan2019")
    assert by_name == expected_calibration_error(probs, labels, n_bins=100)
    with pytest.raises(ValueError, match="no preset 'guo'; accepted: guo2017, thulasidasan2019, torchmetrics"):
        expected_calibration_error(probs, labels, binning="guo")
    with pytest.raises(ValueError, match=r"n_bins=20 and binning=.* disagree"):
        expected_calibration_error(probs, labels, n_bins=20, binning="netcal")
    with pytest.raises(ValueError, match="n_bins: expected a whole number of at least 1, got 0"):
        expected_calibration_error(probs, labels, n_bins=0)
    with pytest.raises(ValueError, match='closed: expected "right"'):
        EqualWidth(5, closed="both")


def test_reading_an_empty_state_says_what_is_missing():
    with pytest.raises(ValueError, match="no rows yet: update with at least one row"):
        _ = CalibrationBins().ece


def test_min_count_no_bin_reaches():
    with pytest.raises(ValueError, match="min_count=3: the fullest bin has 1 rows"):
        maximum_calibration_error([[0.2, 0.8]], [1], min_count=3)


def test_tables_are_frozen():
    table = reliability_table([[0.2, 0.8]], [1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.count = None


cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 6), st.integers(1, 30), st.booleans())


def build(case):
    """Rows whose probabilities are multiples of 1/20, so that edges, ties, 0 and 1 all occur."""
    seed, n, k, n_bins, right = case
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(k, 2), n)
    probs = rng.integers(0, 21, n) / 20 if k == 1 else rng.multinomial(20, np.full(k, 1 / k), n) / 20
    return probs, labels, EqualWidth(n_bins, closed="right" if right else "left")


@settings(max_examples=150, deadline=None)
@given(cases)
def test_order_of_the_scores(case):
    probs, labels, rule = build(case)
    table = reliability_table(probs, labels, binning=rule)
    assert 0 <= table.oe <= table.ece + 1e-15
    assert abs(table.gap) <= table.ece + 1e-12
    assert table.ece <= table.rmsce + 1e-12
    assert table.rmsce <= table.mce + 1e-12
    assert table.mce <= 1
    assert table.n == len(labels)


@settings(max_examples=100, deadline=None)
@given(cases, st.integers(0, 2**32 - 1))
def test_order_names_and_splits_do_not_matter(case, seed):
    probs, labels, rule = build(case)
    rng = np.random.default_rng(seed)
    whole = CalibrationBins(binning=rule).update(probs, labels)
    order = rng.permutation(len(labels))
    shuffled = CalibrationBins(binning=rule).update(probs[order], labels[order])
    assert (shuffled.count == whole.count).all()
    assert shuffled.ece == pytest.approx(whole.ece, abs=1e-14)
    cuts = np.sort(rng.integers(0, len(labels) + 1, 3))
    parts = [
        CalibrationBins(binning=rule).update(p, y)
        for p, y in zip(np.split(probs, cuts), np.split(labels, cuts), strict=True)
        if len(y)
    ]
    merged = sum(parts)
    assert (merged.count == whole.count).all()
    assert (merged.correct_sum == whole.correct_sum).all()
    assert merged.confidence_sum == pytest.approx(whole.confidence_sum, abs=1e-13)
    untied = np.random.default_rng(seed).dirichlet(np.ones(5), 20)
    names, y = rng.permutation(5), rng.integers(0, 5, 20)
    renamed = np.empty_like(untied)
    renamed[:, names] = untied
    assert expected_calibration_error(renamed, names[y], binning=rule) == pytest.approx(
        expected_calibration_error(untied, y, binning=rule), abs=1e-14
    )
