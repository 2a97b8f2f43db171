"""Figures draw what was computed, label it, and leave pyplot and global styles alone."""

import sys

import matplotlib
import numpy as np
import pytest

from nlp_mixup.calibration import reliability_table
from nlp_mixup.figures.reliability import (
    describe_table,
    draw_confidence_histogram,
    draw_reliability,
    reliability_figure,
)


@pytest.fixture
def table():
    # bins of .1: (.5, .6] under-confident, (.8, .9] over-confident
    return reliability_table([[0.4, 0.6]] * 4 + [[0.1, 0.9]] * 6, [1, 1, 1, 0, 1, 1, 1, 0, 0, 0], n_bins=10)


def axes():
    return matplotlib.figure.Figure().subplots()


def test_bars_reach_to_the_accuracy_and_gaps_to_the_confidence(table):
    ax = axes()
    draw_reliability(table, ax, title="mixup")
    bars = [(round(bar.get_x(), 6), round(bar.get_height(), 6)) for bar in ax.containers[0]]
    assert bars == [(0.5, 0.75), (0.8, 0.5)]
    labelled = {container.get_label(): container for container in ax.containers}
    (over,) = labelled["over-confident: claims more"]
    assert (over.get_y(), over.get_y() + over.get_height()) == pytest.approx((0.5, 0.9))
    (under,) = labelled["under-confident: claims less"]
    assert (under.get_y(), under.get_y() + under.get_height()) == pytest.approx((0.75, 0.6))
    assert ax.get_title() == "mixup"
    assert ax.get_xlabel() == "confidence (winning score)"
    assert ax.get_ylabel() == "accuracy"


def test_whiskers_are_the_bins_wilson_intervals(table):
    low, high = table.accuracy_interval()
    # Wilson by hand for 3 of 6: centre .5, half width z sqrt(.25/6 + z^2/144) / (1 + z^2/6)
    z = 1.959964
    half = z * np.sqrt(0.25 / 6 + z * z / 144) / (1 + z * z / 6)
    assert (low[8], high[8]) == pytest.approx((0.5 - half, 0.5 + half))
    assert np.isnan(low[0])
    ax = axes()
    draw_reliability(table, ax)
    (whiskers,) = [c for c in ax.containers if "95 %" in c.get_label()]
    segments = whiskers.lines[2][0].get_segments()
    assert segments[1][:, 1] == pytest.approx([low[8], high[8]])
    assert segments[1][0, 0] == pytest.approx(0.9)
    bare = axes()
    draw_reliability(table, bare, intervals=False)
    assert not [c for c in bare.containers if "95 %" in c.get_label()]


def test_the_histogram_shows_shares_confidence_and_accuracy(table):
    ax = axes()
    draw_confidence_histogram(table, ax)
    assert [round(bar.get_height(), 6) for bar in ax.containers[0]] == [0.4, 0.6]
    lines = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    assert lines == {"mean confidence": pytest.approx(0.78), "accuracy": pytest.approx(0.6)}


def test_numbers_say_their_n_and_bins(table):
    assert describe_table(table) == "n = 10, 10 equal-width bins (lo, hi]\nECE .300   OE .216   gap +.180"
    certain = reliability_table([[0.0, 1.0]], [0])
    assert "ECE 1.000" in describe_table(certain)
    modest = reliability_table([[0.4, 0.6]], [1])
    assert "gap -.400" in describe_table(modest)


def test_the_standard_figure_has_a_diagram_over_a_histogram_per_arm(table, tmp_path):
    before = dict(matplotlib.rcParams)
    figure = reliability_figure({"no_mixup": table, "mixup": table})
    assert [ax.get_title() for ax in figure.axes] == ["no_mixup", "mixup", "", ""]
    assert any("n = 10" in text.get_text() for text in figure.axes[0].texts)
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) == len(set(labels)) == 5
    figure.savefig(tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(ValueError, match="reliability_figure: no tables; give at least one"):
        reliability_figure({})


def test_pyplot_is_not_needed():
    import subprocess

    code = "import sys, nlp_mixup.figures.reliability; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
