"""What probabilities, logits and labels may look like, and the first offending row of what may not."""

import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_mixup.calibration import (
    RowScores,
    aurc,
    brier_score,
    calibration_metrics,
    diagnose,
    difference_intervals,
    energy_score,
    expected_calibration_error,
    fit_temperature,
    log_softmax,
    negative_log_likelihood,
    nll_from_logits,
    noise_floor,
    reliability_table,
    score_intervals,
    score_logits,
    slow_score_intervals,
    smooth_ece,
    softmax,
    top_label,
)
from nlp_mixup.calibration.scores import full_probabilities

GOOD = [[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]
LABELS = [1, 0, 0]
BAD_PROBS = [
    ([[0.2, 0.8], [np.nan, 0.3], [0.5, 0.5]], r"probs: row 1 is not finite: \[nan 0\.3\]"),
    ([[0.2, 0.8], [0.5, 0.5], [np.inf, 0.0]], "probs: row 2 is not finite"),
    ([[0.2, 0.8], [-0.1, 1.1], [0.5, 0.5]], r"probs: row 1 has a value outside \[0, 1\].*apply softmax to them first"),
    (
        [[0.2, 0.8], [0.5, 0.5], [0.5, 0.6]],
        r"probs: row 2 sums to 1\.1, expected 1 \(within 0\.001, which its 3 decimals",
    ),
    (
        [[0.2, 0.8], [0.5, 0.5], [1 / 3, 0.6]],
        r"probs: row 2 sums to 0\.933333, expected 1 \(within 0\.0001\): .*logits.*sum",
    ),
    ([[2.0, -1.0], [0.5, 0.5], [0.5, 0.5]], "probs: row 0 has a value outside"),
    ([[0.2, 0.8], [0.5], [0.5, 0.5]], "probs: row 1 has 1 values, row 0 has 2"),
    ([[[0.2]], [[0.8]], [[0.1]]], r"probs: expected shape \(n, k\), \(n, 1\) or \(n,\), got \(3, 1, 1\)"),
    ([0.2, 1.5, 0.1], r"probs: row 1 has a value outside \[0, 1\]"),
    ([0.2, -0.5, 0.1], r"probs: row 1 has a value outside \[0, 1\]"),
    ([[0.2], [np.nan], [0.1]], "probs: row 1 is not finite"),
    ([["a", "b"], ["c", "d"], ["e", "f"]], "probs: expected numbers, got an array of <U1"),
]
BAD_LABELS = [
    ([1, 2, 0], r"labels: row 1 has label 2, expected 0 to 1 \(2 classes\)"),
    ([1, 0, -1], "labels: row 2 has label -1"),
    ([1, 0], "labels: 2 labels for 3 rows of probs; give one label per row"),
    ([0.0, 1.0, 0.0], "labels: expected integer class indices, got float64; take the argmax of soft targets first"),
    ([[0, 1], [1, 0], [1, 0]], r"labels: expected one class index per row, shape \(n,\), got shape \(3, 2\)"),
]


@pytest.mark.parametrize(("probs", "message"), BAD_PROBS)
def test_bad_probabilities_are_refused_with_their_row(probs, message):
    for score in (top_label, expected_calibration_error, reliability_table):
        with pytest.raises(ValueError, match=message):
            score(probs, LABELS)


@pytest.mark.parametrize(("labels", "message"), BAD_LABELS)
def test_bad_labels_are_refused_with_their_row(labels, message):
    with pytest.raises(ValueError, match=message):
        top_label(GOOD, labels)


@pytest.mark.parametrize("empty", [[], np.zeros((0, 3)), np.zeros((3, 0))])
def test_empty_input_is_refused(empty):
    with pytest.raises(ValueError, match="probs: empty input"):
        top_label(empty, [])


@pytest.mark.parametrize("k", [3, 60])
def test_the_first_bad_row_is_found_in_any_block(k):
    probs = np.full((70_000, k), 1 / k, np.float32)
    for row in (0, 13_107, 69_999):
        spoiled = probs.copy()
        spoiled[row:, 1] += 0.5
        with pytest.raises(ValueError, match=f"row {row} sums to 1.5"):
            top_label(spoiled, np.zeros(70_000, int))
        labels = np.zeros(70_000, int)
        labels[row:] = k
        with pytest.raises(ValueError, match=f"labels: row {row} has label {k}"):
            top_label(probs, labels)


def test_validate_false_skips_values_only():
    assert expected_calibration_error([[0.5, 0.9]], [1], validate=False) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="2 labels for 1 rows"):
        expected_calibration_error([[0.5, 0.5]], [1, 1], validate=False)


def test_every_type_gives_the_same_table():
    torch = pytest.importorskip("torch")
    probs, labels = np.array(GOOD), np.array(LABELS)
    expected = reliability_table(probs, labels)
    forms = [
        (GOOD, LABELS),
        (tuple(map(tuple, GOOD)), tuple(LABELS)),
        (torch.tensor(probs), torch.tensor(labels)),
        (torch.tensor(probs, requires_grad=True), torch.tensor(labels)[:, None]),
        (np.asfortranarray(probs), labels.astype(np.uint8)),
        (probs[:, 1], labels),
        (probs[:, 1:], labels.astype(bool)),
        (torch.tensor(probs[:, 1]), torch.tensor(labels, dtype=torch.int32)),
    ]
    for given_probs, given_labels in forms:
        table = reliability_table(given_probs, given_labels)
        assert (table.count == expected.count).all()
        assert table.confidence_sum == pytest.approx(expected.confidence_sum, abs=1e-15)
        assert (table.correct_sum == expected.correct_sum).all()


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("k", [2, 10, 1000, 50_000])
def test_softmaxes_of_every_torch_format_are_scored_as_what_they_were_rounded_from(name, k):
    torch = pytest.importorskip("torch")
    n = min(500, 2_000_000 // k)
    logits = torch.randn(n, k, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    exact = torch.softmax(logits, 1).amax(1).numpy()
    labels = np.zeros(n, int)
    format_, u = getattr(torch, name), {"bfloat16": 2**-8, "float16": 2**-11, "float32": 2**-24}[name]
    rounded = torch.softmax(logits, 1).to(format_)
    within = torch.softmax(logits.to(format_).double(), 1).to(format_), torch.softmax(logits.to(format_), 1)
    sums = rounded.double().sum(1)
    assert name == "float32" or (sums - 1).abs().max() > 1e-4
    for probs in (rounded, *within):
        # tensors, what `.float().numpy()` makes of them, and float64 are one and the same
        confidence, correct = top_label(probs, labels)
        for other in (probs.float(), probs.float().numpy(), probs.double().numpy()):
            assert top_label(other, labels)[0] == pytest.approx(confidence, abs=1e-12)
        assert (correct == (probs.double().numpy().argmax(1) == 0)).all()
        assert full_probabilities(probs, labels)[0].max(1) == pytest.approx(confidence, abs=1e-12)
    # a value's own rounding, and that of the sum it is divided by
    assert top_label(rounded, labels)[0] == pytest.approx(exact, rel=2.1 * u + 2e-7)


def exp_in_steps(logits, format_):
    """The softmax as hardware without a wider format makes it: every step rounded, the sum too."""
    e = (logits - logits.max(1, keepdim=True).values).to(format_).exp()
    return e * (1 / e.sum(1, keepdim=True))


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_softmaxes_whose_every_step_is_rounded_lie_within_four_roundings(name):
    torch = pytest.importorskip("torch")
    logits = torch.randn(2000, 10, generator=torch.Generator().manual_seed(1)) * 3
    probs = exp_in_steps(logits, getattr(torch, name))
    off = (probs.double().sum(1) - 1).abs().max().item()
    u = {"bfloat16": 2**-8, "float16": 2**-11}[name]
    assert u < off < 4 * u
    confidence, _ = top_label(probs.float().numpy(), np.zeros(2000, int))
    assert confidence == pytest.approx(torch.softmax(logits.double(), 1).amax(1).numpy(), rel=8 * u)


@pytest.mark.parametrize("k", [2, 3, 10, 77])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decimals", [3, 4, 5])
def test_probabilities_of_three_decimals_or_more_are_mended_within_half_a_unit(k, dtype, decimals):
    rng = np.random.default_rng(0)
    exact = np.exp(4 * rng.standard_normal((2000, k)))
    exact /= exact.sum(1, keepdims=True)
    rounded, labels = exact.round(decimals).astype(dtype), (exact.cumsum(1) > rng.random((2000, 1))).argmax(1)
    half = 0.5 * 10.0**-decimals
    if k > 2:
        assert np.abs(rounded.astype(float).sum(1) - 1).max() > half
    table, _ = full_probabilities(rounded, labels)
    missed = np.abs(rounded.astype(float).sum(1) - 1) > 1e-4
    assert table.min() >= 0
    assert table[missed].sum(1) == pytest.approx(1, abs=1e-12)
    assert np.abs(table - rounded).max() <= half * 1.001
    confidence, _ = top_label(rounded, labels)
    assert confidence == pytest.approx(exact.max(1), abs=2 * half * 1.001)
    assert confidence == pytest.approx(table.max(1), abs=1e-12)
    # dividing by the sum would move the mean confidence of 77 classes and 3 decimals by a hundred times as much
    assert confidence.mean() == pytest.approx(exact.max(1).mean(), abs=half / 5)


def test_rows_that_their_precision_does_not_explain_are_refused_with_it():
    for row, message in (
        ([0.9, 0.109375], r"row 1 sums to 1.00937, expected 1 \(within 0.0001\)"),
        ([0.5, 0.25, 0.2], r"row 1 sums to 0.95, expected 1 \(within 0.0015, which its 3 decimals explain\)"),
        (
            [0.5, 0.4375, 0.03125],
            r"row 1 sums to 0.96875, expected 1 \(within 0.0156, which its bfloat16 values explain\)",
        ),
        ([0.05] + [0.0] * 999, r"row 1 sums to 0.05, expected 1 \(within 0.05, which its 3 decimals explain\)"),
        ([1.02, 0.0], r"row 1 has a value outside \[0, 1\]: \[1.02 0.  \]; if these are logits, apply softmax"),
        ([1.5, 2.25], r"row 1 has a value outside \[0, 1\]"),
    ):
        good = np.eye(len(row))[0]
        with pytest.raises(ValueError, match=message):
            top_label([good, row], [0, 0])
        with pytest.raises(ValueError, match=message):
            negative_log_likelihood([good, row], [0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_sums_of_rounded_numbers_leave_outside_the_range_is_taken(dtype):
    column = np.zeros(2, dtype)
    for _ in range(10):
        column += np.array([1.0, 0.25], dtype) / dtype(10)
    assert dtype is np.float64 or column[0] > 1  # ten tenths in float32 are 1.0000001
    for value in (column[0], dtype(1.0000001)):
        for probs in (np.array([value, 0.25], dtype), np.array([[value], [0.25]], dtype)):
            confidence, correct = top_label(probs, [1, 0])
            assert (confidence.tolist(), correct.tolist()) == ([min(value, 1.0), 0.75], [True, True])
            assert brier_score(probs, [1, 0]) == pytest.approx(0.0625)  # (0 + 2 * .25^2) / 2
    below = np.array([-1.2e-7, 0.25], dtype)
    assert top_label(below, [0, 0])[0].tolist() == [1.0, 0.75]
    two = np.stack([1 - below, below], 1)
    assert top_label(two, [0, 0])[0].tolist() == [1.0, 0.75]
    assert brier_score(two, [0, 0]) == pytest.approx(0.0625, abs=1e-7)
    for outside in (1.001, -0.001):
        with pytest.raises(
            ValueError, match=r"row 1 has a value outside \[0, 1\]: \[-?[01]\.001[0-9]*\]; .* the sigmoid"
        ):
            top_label(np.array([0.5, outside], dtype), [1, 0])


CLASS_IDS = [[1, 0, 1], np.array([1, 0, 2]), np.array([[1], [0], [1]], np.uint8), np.array([True, False, True])]


@pytest.mark.parametrize("ids", CLASS_IDS)
def test_class_ids_are_refused_by_what_they_are(ids):
    torch = pytest.importorskip("torch")
    kind = np.asarray(ids).dtype
    for probs in (ids, torch.tensor(ids)):
        for score in (top_label, expected_calibration_error, smooth_ece, brier_score, negative_log_likelihood, aurc):
            with pytest.raises(
                ValueError, match=f"one column of (torch.)?{kind} is class ids, not probabilities; give"
            ):
                score(probs, [1, 0, 2])
    with pytest.raises(ValueError, match="is class ids, not probabilities"):
        noise_floor(ids)
    assert expected_calibration_error([0.75, 1, 0], [1, 1, 0]) == pytest.approx(0.25 / 3)  # numbers, one not whole


def test_class_ids_in_floats_are_warned_of_but_not_refused():
    ids = np.array([1.0, 0.0] * 10)
    with pytest.warns(UserWarning, match=r"exactly 0 or 1 in all 20 rows; if these are class ids, give prob") as told:
        assert expected_calibration_error(ids, np.ones(20, int)) == 0.5
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected_calibration_error([1.0, 0.0], [1, 0])
        expected_calibration_error(np.r_[ids, 0.5], np.ones(21, int))
        expected_calibration_error(np.stack([1 - ids, ids], 1), np.ones(20, int))


def test_one_column_has_two_classes_and_says_so():
    with pytest.raises(
        ValueError, match=r"label 2, expected 0 to 1 \(2 classes\); one column is P\(class 1\), so of more"
    ):
        top_label([0.5, 0.25], [0, 2])


def test_rows_without_a_label_are_refused_with_the_way_to_leave_them_out():
    for score, given_, name in (
        (top_label, GOOD, "probs"),
        (brier_score, GOOD, "probs"),
        (score_logits, [[0.0, 3.0]] * 3, "logits"),
        (fit_temperature, [[0.0, 3.0]] * 3, "logits"),
    ):
        message = rf"row 1 has label -100, which marks a row without a label; .*: {name}\[labels != -100\], labels\["
        with pytest.raises(ValueError, match=message):
            score(given_, [1, -100, 0])


def test_certain_predictions_in_integers_are_probabilities():
    assert expected_calibration_error(np.eye(3, dtype=int), [0, 1, 2]) == 0.0


def test_logits_are_never_guessed():
    inside = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert expected_calibration_error(inside, [1, 0], n_bins=1) == pytest.approx(0.3)
    with pytest.warns(UserWarning, match="as probabilities do"):
        scores = score_logits(inside, [1, 0], n_bins=1)
    assert scores["nll"] == pytest.approx((np.log1p(np.exp(-0.6)) + np.log1p(np.exp(-0.2))) / 2)
    assert scores["ece"] == pytest.approx(1 - (1 / (1 + np.exp(-0.6)) + 1 / (1 + np.exp(-0.2))) / 2)


TAKES_LOGITS = {
    "fit_temperature": fit_temperature,
    "score_logits": score_logits,
    "score_intervals": partial(score_intervals, n_resamples=20),
    "slow_score_intervals": partial(slow_score_intervals, n_resamples=2),
    "nll_from_logits": nll_from_logits,
    "diagnose": diagnose,
    "diagnose, T of rows of its own": lambda z, y: diagnose(z, y, fit_logits=2 * np.log(z), fit_labels=y),
    "diagnose, probabilities for T": lambda z, y: diagnose(2 * np.log(z), y, fit_logits=z, fit_labels=y),
    "difference_intervals": lambda z, y: difference_intervals(z, 2 * np.log(z), y, n_resamples=20),
    "softmax": lambda z, y: softmax(z),
    "log_softmax": lambda z, y: log_softmax(z),
    "energy_score": lambda z, y: energy_score(z),
    "RowScores": RowScores.from_logits,
    "calibration_metrics": lambda z, y: calibration_metrics()(prediction(z, y)),
}


@pytest.mark.parametrize("name", TAKES_LOGITS)
def test_probabilities_where_logits_belong_are_warned_of_once(name):
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((300, 4))
    labels = (softmax(logits).cumsum(1) > rng.random((300, 1))).argmax(1)
    probs = softmax(logits)
    single = probs.astype(np.float16).astype(np.float32)
    for given_probs in (probs, single):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            TAKES_LOGITS[name](given_probs, labels)
            TAKES_LOGITS[name](given_probs[:200], labels[:200])
        assert [str(warning.message).partition(",")[0] for warning in told] == [
            f"logits: all {n} rows are non-negative and sum to 1" for n in (300, 200)
        ]
        assert {warning.filename for warning in told} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in (logits, np.log(probs), probs + 0.01, np.r_[probs[:-1], [[1.0, 0.5, 0.0, 0.0]]], 4 * probs):
            softmax(other)
            score_logits(other, labels)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0.0, np.nan]], [0], "logits: row 0 is not finite"),
        ([[0.0, 1.0], [0.0, -np.inf]], [0, 0], "logits: row 1 is not finite"),
        ([0.0, 1.0], [0, 0], r"logits: expected shape \(n, k\) with k at least 2, got \(2,\); for one log-odds column"),
        ([[0.0], [1.0]], [0, 0], r"got \(2, 1\)"),
        (np.zeros((0, 2)), [], "logits: empty input"),
        ([[0.0, 1.0], [1.0, 0.0]], [0, 2], "labels: row 1 has label 2"),
        ([[0.0, 1.0], [1.0, 0.0]], [0], "1 labels for 2 rows of logits"),
    ],
)
def test_bad_logits_are_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        score_logits(logits, labels)


def test_large_logits_neither_overflow_nor_underflow():
    assert nll_from_logits([[1e4, 0.0], [0.0, 1e4]], [1, 1]) == 5e3
    assert softmax([[1e4, 0.0]]).tolist() == [[1.0, 0.0]]
    assert log_softmax([[1e4, 0.0]]).tolist() == [[0.0, -1e4]]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(2, 6), st.floats(0.1, 50))
def test_score_logits_equals_its_parts(seed, n, k, scale):
    rng = np.random.default_rng(seed)
    logits, labels = scale * rng.standard_normal((n, k)), rng.integers(0, k, n)
    scores = score_logits(logits, labels, n_bins=10)
    probs = softmax(logits)
    table = reliability_table(probs, labels, n_bins=10, validate=False)
    expected = {"ece": table.ece, "oe": table.oe, "mce": table.mce, "gap": table.gap}
    expected |= {"accuracy": np.mean(logits.argmax(1) == labels), "confidence": probs.max(1).mean()}
    expected |= {"brier": np.mean(((probs - np.eye(k)[labels]) ** 2).sum(1)), "n": n, "n_bins": 10}
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, abs=1e-12)
    assert scores["nll"] == pytest.approx(nll_from_logits(logits + 7, labels), rel=1e-9)
    assert 0 <= scores["ece_floor_low"] <= scores["ece_floor_high"] <= 1
    assert 0 <= scores["ece_floor"] <= 1
    assert list(scores) == [
        "accuracy",
        "nll",
        "brier",
        "ece",
        "oe",
        "mce",
        "gap",
        "confidence",
        "n",
        "n_bins",
        "ece_floor",
        "ece_floor_low",
        "ece_floor_high",
    ]


def test_bfloat16_logits_are_scored_in_float64():
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[0.0, 2.0], [1.0, 0.0]], dtype=torch.bfloat16)
    assert score_logits(logits, torch.tensor([1, 1])) == score_logits(logits.double().numpy(), [1, 1])


def prediction(predictions, label_ids):
    return SimpleNamespace(predictions=predictions, label_ids=label_ids)


def test_compute_metrics_for_a_trainer():
    logits, labels = np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([1, 1])
    result = calibration_metrics()(prediction(logits, labels))
    scores = score_logits(logits, labels)
    kept = ("accuracy", "nll", "brier", "ece", "oe", "mce", "gap", "confidence")
    assert result == {key: scores[key] for key in kept}
    hidden = np.zeros((2, 7, 4))
    assert calibration_metrics()(prediction((logits, hidden), labels)) == result
    assert calibration_metrics(1)(prediction(logits, labels))["ece"] == pytest.approx(abs(scores["gap"]))


@pytest.mark.parametrize(
    ("label_ids", "message"),
    [
        (np.array([[0.0, 1.0], [1.0, 1.0]]), r"expected one integer label per row, got float64 of shape \(2, 2\)"),
        (np.array([0.3, 0.7]), r"got float64 of shape \(2,\).*take the argmax of soft targets first"),
        (np.array([[0, 1], [1, 1]]), r"got int64 of shape \(2, 2\)"),
        (None, "label_ids is None; evaluate a dataset with a label column"),
        ((np.array([0, 1]), np.array([0, 1])), "2 arrays of labels; set label_names"),
    ],
)
def test_compute_metrics_refuses_other_tasks(label_ids, message):
    with pytest.raises(ValueError, match=message):
        calibration_metrics()(prediction(np.zeros((2, 2)), label_ids))


def test_compute_metrics_leaves_out_rows_without_a_label():
    logits = np.log([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    compute_metrics = calibration_metrics()
    for shape in ((4,), (4, 1)):
        labels = np.array([0, -100, 0, -100]).reshape(shape)
        found = compute_metrics(SimpleNamespace(predictions=(logits, logits[:0]), label_ids=labels))
        assert found["accuracy"] == 0.5
        assert found["nll"] == pytest.approx(-np.log([0.9, 0.4]).mean(), abs=1e-12)
        assert found["brier"] == pytest.approx((2 * 0.1**2 + 2 * 0.6**2) / 2, abs=1e-12)
        assert found["mce"] == pytest.approx(0.6, abs=1e-12)
        assert found == compute_metrics(SimpleNamespace(predictions=logits[[0, 2]], label_ids=np.array([0, 0])))
    with pytest.raises(ValueError, match="no row has a label, all are -100"):
        compute_metrics(SimpleNamespace(predictions=logits, label_ids=np.full(4, -100)))


def test_the_maker_of_compute_metrics_in_its_place_names_the_fix():
    result = SimpleNamespace(predictions=np.zeros((2, 2)), label_ids=np.array([0, 1]))
    with pytest.raises(ValueError, match=r"write compute_metrics=calibration_metrics\(\)"):
        calibration_metrics(result)


def test_compute_metrics_checks_its_bins_at_once_and_pickles():
    import pickle

    with pytest.raises(ValueError, match="n_bins: expected a whole number of at least 1, got 0"):
        calibration_metrics(n_bins=0)
    assert pickle.loads(pickle.dumps(calibration_metrics(7))).n_bins == 7
