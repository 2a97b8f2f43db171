"""What probabilities, logits and labels may look like, and the first offending row of what may not."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_mixup.calibration import (
    calibration_metrics,
    expected_calibration_error,
    log_softmax,
    nll_from_logits,
    reliability_table,
    score_logits,
    softmax,
    top_label,
)

GOOD = [[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]
LABELS = [1, 0, 0]
BAD_PROBS = [
    ([[0.2, 0.8], [np.nan, 0.3], [0.5, 0.5]], r"probs: row 1 is not finite: \[nan 0\.3\]"),
    ([[0.2, 0.8], [0.5, 0.5], [np.inf, 0.0]], "probs: row 2 is not finite"),
    ([[0.2, 0.8], [-0.1, 1.1], [0.5, 0.5]], r"probs: row 1 has a value outside \[0, 1\].*apply softmax to them first"),
    ([[0.2, 0.8], [0.5, 0.5], [0.5, 0.6]], r"probs: row 2 sums to 1\.1, expected 1 \(within 0\.0001\)"),
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
@pytest.mark.parametrize("k", [2, 10, 1000])
def test_softmaxes_of_every_torch_format_are_accepted(name, k):
    torch = pytest.importorskip("torch")
    logits = torch.randn(500, k, generator=torch.Generator().manual_seed(0)) * 3
    probs = torch.softmax(logits, 1).to(getattr(torch, name))
    labels = torch.zeros(500, dtype=torch.long)
    widened = probs.double().numpy()
    confidence, correct = top_label(probs, labels)
    assert (confidence == np.minimum(widened.max(1), 1)).all()
    assert (correct == (widened.argmax(1) == 0)).all()


def test_certain_predictions_in_integers_are_probabilities():
    assert expected_calibration_error(np.eye(3, dtype=int), [0, 1, 2]) == 0.0


def test_logits_are_never_guessed():
    inside = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert expected_calibration_error(inside, [1, 0], n_bins=1) == pytest.approx(0.3)
    assert score_logits(inside, [1, 0], n_bins=1)["ece"] != pytest.approx(0.3, abs=1e-3)


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
