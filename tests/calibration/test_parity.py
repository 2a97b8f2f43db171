"""Equal to other packages under their own conventions; each test needs the package it names and skips without it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from nlp_mixup.calibration import (
    PRESETS,
    EqualMass,
    EqualWidth,
    debiased_ece,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_table,
    root_mean_squared_calibration_error,
    smooth_ece,
)


def rows(n=3000, k=4, seed=0, sharpen=1.6):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.7), n)
    labels = (probs.cumsum(1) > rng.random((n, 1))).argmax(1)
    probs = probs**sharpen
    return probs / probs.sum(1, keepdims=True), labels


def edge_rows():
    """Confidences on every edge of 15 bins above 1/2, and several of exactly 1."""
    confidence = np.concatenate([np.arange(8, 16) / 15, [1.0, 1.0, 0.95]])
    labels = np.arange(len(confidence)) % 2
    return np.stack([1 - confidence, confidence], 1), labels


def rows_on_edges(n_bins, dtype, n=400, seed=0):
    """P(class 1) with two or three decimals, m/M, and one ulp to either side of them, and labels.

    Every other bin is over-confident, so that a row in the wrong bin changes the ECE.
    """
    rng = np.random.default_rng(seed)
    edges = (np.arange(n_bins + 1) / n_bins).astype(dtype)
    above, below = np.nextafter(edges, dtype(1)), np.nextafter(edges, dtype(0))
    rounded = [(rng.integers(0, 10**d + 1, n) / 10**d).astype(dtype) for d in (2, 3)]
    values = np.concatenate([edges, above, below, *rounded])
    return values, (np.floor(values * n_bins) % 2).astype(int)


needs_fused = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="torch.linspace without fused multiply-add"
)


@needs_fused
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_edges_are_those_of_linspace_bit_for_bit(dtype):
    for n_bins in (*range(1, 60), 100, 150, 999, 1000):
        ours = replace(PRESETS["torchmetrics"], n_bins=n_bins)._edges(dtype)
        theirs = torch.linspace(0, 1, n_bins + 1, dtype=getattr(torch, dtype)).numpy()
        assert ours.dtype == dtype
        assert (ours == theirs).all(), n_bins


@needs_fused
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_bins", [5, 10, 15, 20, 100])
def test_the_torchmetrics_preset_on_its_edges(n_bins, dtype):
    functional = pytest.importorskip("torchmetrics.functional.classification")
    positive, labels = rows_on_edges(n_bins, dtype)
    rule = replace(PRESETS["torchmetrics"], n_bins=n_bins)
    theirs = functional.binary_calibration_error(torch.tensor(positive), torch.tensor(labels), n_bins=n_bins).item()
    # they sum in the format of the input
    rounding = 1e-6 if dtype is np.float32 else 1e-13
    for given in (positive, torch.tensor(positive), positive[:, None]):
        assert expected_calibration_error(given, labels, binning=rule) == pytest.approx(theirs, abs=rounding)
    two = np.stack([dtype(1) - positive, positive], 1)
    theirs = functional.multiclass_calibration_error(torch.tensor(two), torch.tensor(labels), 2, n_bins=n_bins).item()
    assert expected_calibration_error(two, labels, binning=rule) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("n_bins", [5, 10, 15, 20, 100])
def test_the_netcal_preset_on_its_edges(n_bins):
    netcal = pytest.importorskip("netcal.metrics")
    rule = replace(PRESETS["netcal"], n_bins=n_bins)
    positive, labels = rows_on_edges(n_bins, np.float64)
    assert expected_calibration_error(positive, labels, binning=rule) == pytest.approx(
        netcal.ECE(n_bins).measure(positive, labels), abs=1e-13
    )
    single, labels = rows_on_edges(n_bins, np.float32)
    theirs = netcal.ECE(n_bins).measure(single.astype(np.float64), labels)
    assert expected_calibration_error(single, labels, binning=rule) == pytest.approx(theirs, abs=1e-13)


def test_netcal_loses_float32_rows_on_an_edge_and_scores_two_columns_as_class_one():
    netcal = pytest.importorskip("netcal.metrics")
    on_edge, labels = np.full(2, 0.7, np.float32), np.array([1, 1])
    assert netcal.ECE(10).measure(on_edge, labels) == 0.0  # counted in one bin, averaged in the next
    assert netcal.ECE(10).measure(on_edge.astype(np.float64), labels) == pytest.approx(0.3)
    assert expected_calibration_error(on_edge, labels, binning="netcal") == pytest.approx(0.3)
    probs, labels = np.array([[0.15, 0.85], [0.85, 0.15]]), np.array([0, 0])
    # class 1 claims .85 and .15 and never occurs: (.85 + .15) / 2. The winner claims .85 and is right once: .35
    assert netcal.ECE(10).measure(probs, labels) == pytest.approx(0.5)
    assert expected_calibration_error(probs[:, 1], labels, binning="netcal") == pytest.approx(0.5)
    assert expected_calibration_error(probs, labels, binning="netcal") == pytest.approx(0.35)


@pytest.mark.parametrize("k", [2, 4, 60])
@pytest.mark.parametrize("n_bins", [15, 10, 100])
def test_torchmetrics(k, n_bins):
    functional = pytest.importorskip("torchmetrics.functional.classification")
    probs, labels = rows(k=k)
    rule = EqualWidth(n_bins, closed="left", one_apart=True, binary="positive")
    for norm, ours in (
        ("l1", expected_calibration_error),
        ("max", maximum_calibration_error),
        ("l2", root_mean_squared_calibration_error),
    ):
        theirs = functional.multiclass_calibration_error(
            torch.tensor(probs), torch.tensor(labels), num_classes=k, n_bins=n_bins, norm=norm
        )
        # they bin and add in float32
        assert ours(probs.astype(np.float32), labels, binning=rule) == pytest.approx(theirs.item(), abs=1e-5)
    if k == 2:
        theirs = functional.binary_calibration_error(torch.tensor(probs[:, 1]), torch.tensor(labels), n_bins=n_bins)
        assert expected_calibration_error(probs[:, 1], labels, binning=rule) == pytest.approx(theirs.item(), abs=1e-9)


def test_torchmetrics_gives_confidence_one_a_bin_of_its_own():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    probs, labels = torch.tensor([0.95, 1.0], dtype=torch.float64), torch.tensor([1, 0])
    theirs = functional.binary_calibration_error(probs, labels, n_bins=10).item()
    assert theirs == pytest.approx(0.525)
    rule = EqualWidth(10, closed="left", one_apart=True, binary="positive")
    assert expected_calibration_error(probs, labels, binning=rule) == pytest.approx(theirs)
    assert expected_calibration_error(probs, labels, binning="netcal") == pytest.approx(0.475)


def test_torchmetrics_loses_rows_past_two_to_the_24_and_we_do_not():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    from torchmetrics.functional.classification.calibration_error import _ce_compute

    assert functional is not None
    confidence = torch.full((2**24 + 3_000_000,), 0.75)
    edges = torch.linspace(0, 1, 16)
    assert _ce_compute(confidence, torch.ones_like(confidence), edges, norm="l1").item() == 0.0
    ours = expected_calibration_error(confidence, torch.ones(len(confidence), dtype=torch.int8))
    assert ours == 0.25


@pytest.mark.parametrize("k", [2, 4])
def test_netcal(k):
    netcal = pytest.importorskip("netcal.metrics")
    probs, labels = rows(k=k)
    given = probs[:, 1] if k == 2 else probs
    ours = reliability_table(given, labels, binning="netcal")
    assert ours.ece == pytest.approx(netcal.ECE(10).measure(given, labels), abs=1e-9)
    assert ours.mce == pytest.approx(netcal.MCE(10).measure(given, labels), abs=1e-9)
    two_points = np.array([0.5, 0.25])
    theirs = netcal.ECE(2).measure(two_points, np.array([0, 1]))
    rule = EqualWidth(2, closed="left", binary="positive")
    assert expected_calibration_error(two_points, [0, 1], binning=rule) == pytest.approx(theirs) == 0.625


def test_uncertainty_calibration():
    library = pytest.importorskip("calibration.utils")
    probs, labels = rows()
    for n_bins in (10, 15):
        theirs = library.get_ece(probs, labels, num_bins=n_bins)
        assert expected_calibration_error(probs, labels, n_bins=n_bins) == pytest.approx(theirs, abs=1e-12)
    data = list(zip(probs.max(1), probs.argmax(1) == labels, strict=True))
    binned = library.bin(data, library.get_equal_prob_bins(probs.max(1), num_bins=15))
    binned = [rows_of_bin for rows_of_bin in binned if len(rows_of_bin)]
    assert debiased_ece(probs, labels, norm=2) == pytest.approx(library.unbiased_l2_ce(binned), abs=1e-12)
    np.random.seed(0)
    simulated = library.normal_debiased_ce(binned, power=1, resamples=4000)
    assert debiased_ece(probs, labels) == pytest.approx(simulated, abs=3e-4)
    edges, y = edge_rows()
    ours = expected_calibration_error(edges, y, binning=PRESETS["guo2017"])
    assert ours == pytest.approx(library.get_ece(edges, y, num_bins=15), abs=1e-12)


def test_calibstats():
    library = pytest.importorskip("calibstats")
    probs, labels = rows()
    theirs = library.ece(probs, labels, n_bins=15)
    theirs = getattr(theirs, "value", theirs)
    assert expected_calibration_error(probs, labels, binning=EqualWidth(15, closed="left")) == pytest.approx(
        float(theirs), abs=1e-12
    )


def test_relplot_smooth_ece():
    relplot = pytest.importorskip("relplot")
    for sharpen in (1.6, 3.0):
        probs, labels = rows(sharpen=sharpen)
        confidence, correct = probs.max(1), (probs.argmax(1) == labels) * 1.0
        # their mesh has 200 points, the ends at full weight, and their search ten steps of halving
        assert smooth_ece(probs, labels) == pytest.approx(relplot.smECE(confidence, correct), rel=0.01)
        for width in (0.02, 0.1):
            theirs = relplot.smECE_sigma(confidence, correct, sigma=width)
            assert smooth_ece(probs, labels, bandwidth=width) == pytest.approx(theirs, rel=0.01)


def test_relplot_gives_rows_at_confidence_one_half_their_weight():
    relplot = pytest.importorskip("relplot")
    confidence, correct = np.array([0.5, 1.0]), np.ones(2)
    assert relplot.smECE(confidence, correct) == pytest.approx(1 / 3, abs=2e-3)  # .5 / (1 + 1/2)
    assert smooth_ece([[0.5, 0.5], [1.0, 0.0]], [0, 0]) == pytest.approx(0.25, abs=1e-9)  # (.5 + 0) / 2
    below_one = np.array([0.5, 0.99])
    assert relplot.smECE(below_one, correct) == pytest.approx(0.255, rel=0.02)


def test_scikit_learn_calibration_curve():
    for n_bins in (5, 10, 15):
        binary = rows(k=2)
        on_edges = [rows_on_edges(n_bins, dtype) for dtype in (np.float32, np.float64)]
        for positive, labels in ((binary[0][:, 1], binary[1]), *on_edges):
            accuracy, confidence = calibration_curve(labels, positive, n_bins=n_bins)
            rule = replace(PRESETS["scikit-learn"], n_bins=n_bins)
            table = reliability_table(positive, labels, binning=rule)
            filled = table.count > 0
            assert table.accuracy[filled] == pytest.approx(accuracy, abs=1e-12)
            assert table.confidence[filled] == pytest.approx(confidence, abs=1e-7)  # theirs add up float32


def test_equal_mass_bins_are_those_of_array_split():
    probs, labels = rows(n=1007)
    confidence, correct = probs.max(1), probs.argmax(1) == labels
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, 15)
    expected = sum(len(p) / 1007 * abs(confidence[p].mean() - correct[p].mean()) for p in parts)
    assert reliability_table(probs, labels, binning=EqualMass(15)).ece == pytest.approx(expected, abs=1e-13)


def guo(softmaxes, labels, n_bins=15):
    """The ECELoss of Guo et al.'s repository, from its softmax on."""
    edges = torch.linspace(0, 1, n_bins + 1, dtype=softmaxes.dtype)
    confidences, predictions = torch.max(softmaxes, 1)
    accuracies = predictions.eq(labels)
    ece = torch.zeros(1, dtype=softmaxes.dtype)
    for lower, upper in itertools.pairwise(edges):
        inside = confidences.gt(lower.item()) * confidences.le(upper.item())
        if inside.any():
            accuracy, confidence = accuracies[inside].double().mean(), confidences[inside].mean()
            ece += torch.abs(confidence - accuracy) * inside.double().mean()
    return ece.item()


def test_guo_and_thulasidasan():
    probs, labels = rows()
    for preset in ("guo2017", "thulasidasan2019"):
        expected = guo(torch.tensor(probs), torch.tensor(labels), PRESETS[preset].n_bins)
        assert expected_calibration_error(probs, labels, binning=preset) == pytest.approx(expected, abs=1e-12)
