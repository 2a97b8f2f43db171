"""The comparison's figures show the numbers they are given, say what these stand on, and refuse nothing at all."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from nlp_mixup import figures
from nlp_mixup.calibration import Decision, label_entropy_cdf, mean_label_entropy, risk_coverage
from nlp_mixup.figures.alpha import alpha_figure, draw_alpha
from nlp_mixup.figures.differences import difference_figure, draw_differences
from nlp_mixup.figures.gap_by_epoch import draw_gap_by_epoch, gap_by_epoch_figure
from nlp_mixup.figures.how_to_read import HOW_TO_READ
from nlp_mixup.figures.joint_density import draw_joint_density, joint_density_figure
from nlp_mixup.figures.label_entropy import draw_label_entropy, label_entropy_figure
from nlp_mixup.figures.layout import arm_styles
from nlp_mixup.figures.ood_confidence import draw_confidence_steps, ood_confidence_figure
from nlp_mixup.figures.risk_coverage import describe_decision, draw_risk_coverage, risk_coverage_figure

ELEVEN = ["no_mixup", *(f"mixup_{number}" for number in range(9)), "a_rather_long_name_of_an_arm_with_alpha_0.1"]


def axes():
    return Figure().subplots()


def line(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


def legend_texts(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def heading(figure):
    return " ".join(figure.get_suptitle().split())


def test_no_two_arms_of_a_panel_differ_by_colour_alone():
    styles = arm_styles(ELEVEN)
    assert list(styles) == ELEVEN
    assert len({style["marker"] for style in styles.values()}) == 11
    figure = gap_by_epoch_figure({arm: [0.1, 0.2] for arm in ELEVEN}, n=100, seeds=[0])
    assert len(figure.axes) == 3
    for ax in figure.axes:
        drawn = [line for line in ax.lines if line.get_label() in ELEVEN]
        assert drawn[0].get_label() == "no_mixup"
        assert len(drawn) <= 5
        patterns = {str(line._unscaled_dash_pattern) for line in drawn}
        assert len(patterns) == len({line.get_color() for line in drawn}) == len(drawn)
    assert {line.get_label() for ax in figure.axes for line in ax.lines} >= set(ELEVEN)
    assert legend_texts(figure) == ELEVEN


def test_the_joint_density_draws_every_group_and_the_gap():
    points = {
        "no_mixup": {1: ([0.5, 0.7], [0.6, 0.8]), 3: ([0.7, 0.7], [0.9, 0.95])},
        "mixup": {1: ([0.5, 0.6], [0.45, 0.5])},
    }
    figure = joint_density_figure(points, n=120, seeds=[0, 1], size=60)
    titles = [ax.get_title() for ax in figure.axes[:4]]
    assert titles == ["epoch 1, gap +.100", "epoch 3, gap +.225", "epoch 1, gap -.075", ""]
    assert not figure.axes[3].axison  # mixup has no epoch 3
    groups = line(figure.axes[0], "group")
    assert (groups.get_xdata().tolist(), groups.get_ydata().tolist()) == ([0.6, 0.8], [0.5, 0.7])
    cross = line(figure.axes[1], "mean of the groups")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == pytest.approx((0.925, 0.7))
    assert figure.axes[0].get_xlim() == figure.axes[0].get_ylim() == (0.4, 1.0)
    assert figure.axes[0].get_ylabel() == "no_mixup"
    assert "a point is a random group of 60 validation rows" in heading(figure)
    assert "validation rows (n = 120, seeds 0, 1); gap" in heading(figure)
    # one colour scale for all panels
    assert len({ax.images[0].norm.vmax for ax in figure.axes[:3]}) == 1


def test_the_density_counts_the_groups_near():
    ax = axes()
    image = draw_joint_density([0.7, 0.7, 0.3], [0.8, 0.8, 0.4], ax, limits=(0.0, 1.0))
    values = np.asarray(image.get_array())
    assert values.max() == pytest.approx(2, rel=0.05)  # two groups in one place
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert ((row + 0.5) / len(values), (column + 0.5) / len(values)) == pytest.approx((0.7, 0.8), abs=0.01)
    assert image.origin == "lower"


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_single_group_makes_a_picture(value):
    figure = joint_density_figure({"no_mixup": {1: ([value], [value])}}, n=50, seeds=[0])
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert low <= value <= high
    assert high - low >= 0.1 - 1e-12


def test_the_gap_is_a_line_of_means_in_a_band_of_seeds():
    gaps = {"no_mixup": [[-0.02, 0.04], [0.0, 0.08]], "mixup": [[-0.05, -0.01], [-0.03, 0.01]]}
    ax = axes()
    draw_gap_by_epoch(gaps, ax)
    assert line(ax, "no_mixup").get_xdata().tolist() == [1, 2]
    assert line(ax, "no_mixup").get_ydata() == pytest.approx([-0.01, 0.06])
    assert line(ax, "mixup").get_ydata() == pytest.approx([-0.04, 0.0])
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((-0.02, 0.08))
    assert to_hex(ax.collections[1].get_facecolor()[0]) == arm_styles(gaps)["mixup"]["color"].lower()
    figure = gap_by_epoch_figure(gaps, n=1000, seeds=[1, 0])
    assert [text.get_text() for text in figure.axes[0].texts] == ["over-confident", "under-confident"]
    assert heading(figure).endswith("validation, n = 1,000, seeds 0, 1; mean over seeds, band: lowest to highest")
    assert figure.axes[0].get_ylabel() == "confidence minus accuracy"
    low, high = figure.axes[0].get_ylim()
    assert low < -0.05 < 0.08 < high
    alone = gap_by_epoch_figure({"no_mixup": [0.1, 0.1]}, n=1000, seeds=[7])
    assert heading(alone).endswith("seed 7; one seed, so no spread")
    assert alone.axes[0].get_ylim()[0] < 0  # zero is always in the picture


def test_errors_by_alpha_have_means_spread_and_floor():
    ece, oe = {0.4: [0.08, 0.1], 0: [0.2, 0.24]}, {0.4: [0.0, 0.02], 0: [0.2, 0.2]}
    ax = axes()
    draw_alpha(ece, oe, ax, floor={0.4: 0.02, 0: 0.01})
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0\nno_mixup", "0.4"]
    assert line(ax, "noise floor of ECE").get_ydata() == pytest.approx([0.01, 0.02])
    bars = {container.get_label(): container for container in ax.containers}
    assert bars["ECE, mean"].lines[0].get_ydata() == pytest.approx([0.22, 0.09])
    assert bars["OE, mean"].lines[0].get_ydata() == pytest.approx([0.2, 0.01])
    segments = bars["ECE, mean"].lines[2][0].get_segments()
    assert [segment[:, 1].tolist() for segment in segments] == [pytest.approx([0.2, 0.24]), pytest.approx([0.08, 0.1])]
    figure = alpha_figure(
        ece, oe, floor={0: 0.01, 0.4: 0.02}, n=500, n_bins=15, seeds=[0, 1], calibration="temperature"
    )
    assert "test, temperature, n = 500, seeds 0, 1, 15 bins" in heading(figure)
    assert legend_texts(figure) == ["noise floor of ECE", "ECE, mean", "OE, mean"]
    with pytest.raises(ValueError, match=r"ece has alphas \[0\], oe \[0, 0.4\] and floor \[0\]; give the same to all"):
        alpha_figure({0: [0.1]}, oe, floor={0: 0.1}, n=1, n_bins=1, seeds=[0])


def test_label_entropy_is_the_exact_distribution_with_its_mean():
    ax = axes()
    draw_label_entropy([0.2, 1.0], ax)
    curve, drop, mean = ax.lines[:3]
    assert curve.get_ydata() == pytest.approx(label_entropy_cdf(curve.get_xdata(), 0.2))
    assert mean.get_xdata()[0] == drop.get_xdata()[0] == mean_label_entropy(0.2)
    assert mean.get_ydata()[0] == pytest.approx(0.60, abs=0.01)
    figure = label_entropy_figure([0.1, 0.4, 20])
    assert legend_texts(figure) == ["alpha 0.1, mean .135", "alpha 0.4, mean .346", "alpha 20, mean .681"]
    assert "two different classes" in heading(figure)
    with pytest.raises(ValueError, match="alpha: expected a finite number of at least 0, got -1"):
        label_entropy_figure([-1])


def test_confidence_steps_are_shares_of_rows():
    ax = axes()
    confidence = {"no_mixup": [0.95, 0.99, 1.0, 0.55], "mixup": np.float32([0.55, 0.55, 0.65, 1.0000001])}
    draw_confidence_steps(confidence, ax, auroc={"mixup": 0.9}, n_bins=10)
    outlines = {patch.get_label(): patch for patch in ax.patches}
    values, edges, _ = outlines["no_mixup: mean .873"].get_data()
    assert (values[5], values[9], values.sum()) == (0.25, 0.75, 1)
    assert edges.tolist() == pytest.approx(np.linspace(0, 1, 11).tolist())
    values, _, _ = outlines["mixup: mean .688, AUROC .900"].get_data()
    assert (values[5], values[6], values[9]) == (0.5, 0.25, 0.25)  # rounding above 1 is not lost


def test_every_set_of_rows_has_a_panel_with_its_auroc():
    confidence = {name: {arm: [0.7, 0.9] for arm in ELEVEN} for name in ("test", "objective", "noise", "far")}
    auroc = {"noise": {arm: 0.5 for arm in ELEVEN}}
    figure = ood_confidence_figure(confidence, auroc, seeds=range(5), n_bins=10)
    shown = [ax for ax in figure.axes if ax.axison]
    assert len(shown) == 12  # four sets, the arms on three panels each
    assert [ax.get_title() for ax in shown[:4]] == [f"{name}, 2 scores" for name in confidence]
    texts = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in shown]
    assert texts[0][0] == "no_mixup: mean .800"
    assert texts[2][0] == texts[6][0] == "no_mixup: mean .800, AUROC .500"
    assert {text.split(":")[0].replace("\n", "") for panel in texts for text in panel} == set(ELEVEN)
    assert "raw, seeds 0 to 4 (rows of all seeds together); 10 bins" in heading(figure)


def test_risk_coverage_draws_the_mean_curve_and_the_decision():
    probs = np.stack([np.linspace(0.4, 0.1, 5), np.linspace(0.6, 0.9, 5)], axis=1)
    risks = np.stack([risk_coverage(probs, [0, 1, 1, 1, 1]), risk_coverage(probs, [0, 0, 1, 1, 1])])
    ax = axes()
    draw_risk_coverage({"no_mixup": risks}, ax, decisions={"no_mixup": (0.7, 0.6, 0.0)}, max_risk=0.05)
    assert line(ax, "no_mixup").get_xdata() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert line(ax, "no_mixup").get_ydata() == pytest.approx([0, 0, 0, (0 + 1 / 4) / 2, (1 / 5 + 2 / 5) / 2])
    marker = ax.lines[-1]
    assert (marker.get_xdata(), marker.get_ydata(), marker.get_marker()) == ([0.6], [0.0], "o")
    assert ax.texts[0].get_text() == "5% error"
    figure = risk_coverage_figure(
        {"no_mixup": risks, "mixup": risks[0], "other": risks[0]},
        decisions={"no_mixup": Decision(0.93, 0.71, 0.02), "mixup": None},
        max_risk=0.02,
        n=5,
        seeds=[0, 1],
    )
    assert legend_texts(figure) == [
        "no_mixup: accept above .93: 71% of rows at 2% error",
        "mixup: no threshold keeps the error at 2%",
        "other: no threshold keeps the error at 2%",
    ]
    assert heading(figure).endswith(
        "test, raw, n = 5, seeds 0, 1; mean over seeds; thresholds chosen on validation rows"
    )


def test_long_curves_are_thinned_and_begin_after_a_hundredth():
    risks = np.linspace(0, 0.2, 10_000)
    ax = axes()
    draw_risk_coverage({"no_mixup": risks}, ax, decisions={}, max_risk=0.02)
    curve = line(ax, "no_mixup")
    assert len(curve.get_xdata()) == 500
    assert (curve.get_xdata()[0], curve.get_xdata()[-1], curve.get_ydata()[-1]) == pytest.approx((0.0101, 1, 0.2))
    assert risk_coverage_figure({"a": [0.0]}, decisions={}, max_risk=0, n=1, seeds=[0]).axes[0].get_ylim() == (0, 0.01)


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        ((0.93, 0.71, 0.02), "accept above .93: 71% of rows at 2% error"),
        ((0.9996, 0.0712, 0.0163), "accept above .9996: 7.1% of rows at 1.6% error"),
        ((1.0, 0.5, 0.0), "accept above 1.00: 50% of rows at 0% error"),
        ((0.5, 1.0, 0.0996), "accept above .50: 100% of rows at 10% error"),
        ((0.99, 0.0, float("nan")), "accept above .99: none of these rows"),
        (None, "no threshold keeps the error at 5%"),
    ],
)
def test_the_sentence_of_a_decision(decision, sentence):
    assert describe_decision("mixup", decision, max_risk=0.05) == f"mixup: {sentence}"


def test_differences_have_intervals_and_hollow_markers_over_zero():
    ax = axes()
    draw_differences(
        {
            "mixup": {"raw": (-0.05, -0.07, -0.03), "temperature": (0.01, -0.01, 0.02)},
            "other": {"raw": (0.1, 0.0, 0.2)},
        },
        ax,
        score="ece",
    )
    (bar, clear, second_bar, hollow, third_bar, touching) = ax.lines[:6]
    assert bar.get_xdata().tolist() == [-0.07, -0.03]
    assert second_bar.get_xdata().tolist() == [-0.01, 0.02]
    assert third_bar.get_xdata().tolist() == [0.0, 0.2]
    assert [mark.get_xdata()[0] for mark in (clear, hollow, touching)] == [-0.05, 0.01, 0.1]
    assert clear.get_ydata()[0] < hollow.get_ydata()[0] < touching.get_ydata()[0]  # drawn downwards
    assert [mark.get_markerfacecolor() == "white" for mark in (clear, hollow, touching)] == [False, True, True]
    assert ax.get_legend_handles_labels()[1] == ["raw", "temperature"]
    assert ax.get_ylim() == (1.5, -0.5)


def test_the_forest_says_which_side_is_better():
    interval = {"raw": (0.01, -0.01, 0.02), "temperature": (0.0, -0.1, 0.1)}
    scores = ("accuracy", "nll", "brier", "ece", "oe")
    figure = difference_figure(
        {score: {arm: interval for arm in ELEVEN[1:]} for score in scores}, n=500, n_bins=15, seeds=[3, 4, 5]
    )
    assert [ax.get_title() for ax in figure.axes] == [
        "accuracy\nbetter →",
        "NLL\n← better",
        "Brier score\n← better",
        "ECE\n← better",
        "OE\n← better",
    ]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ELEVEN[1:]
    assert legend_texts(figure) == ["raw", "after temperature scaling", "hollow: not to be told from zero"]
    assert "Differences to no_mixup test, n = 500, seeds 3 to 5, 15 bins; bars: 95 % intervals" in heading(figure)


def every_figure(arms, seeds):
    rng = np.random.default_rng(0)

    def draws(*shape):
        return {arm: rng.uniform(0.1, 0.9, shape) for arm in arms}

    facts = {"n": 200, "seeds": seeds}
    alphas = np.linspace(0, 1, len(arms)).round(2).tolist()
    by_alpha = {alpha: rng.uniform(0, 0.2, len(seeds)) for alpha in alphas}
    triples = {arm: {"raw": (0.1, 0.0, 0.2), "temperature": (-0.1, -0.2, -0.05)} for arm in arms}
    yield joint_density_figure({arm: {1: rng.uniform(0.5, 1, (2, 4))} for arm in arms}, **facts)
    yield gap_by_epoch_figure(draws(len(seeds), 3), **facts)
    yield alpha_figure(by_alpha, by_alpha, floor={alpha: 0.01 for alpha in alphas}, n_bins=15, **facts)
    yield label_entropy_figure(alphas)
    yield ood_confidence_figure({"test": draws(200), "noise": draws(200)}, {"noise": {}}, seeds=seeds)
    yield risk_coverage_figure(draws(len(seeds), 200), decisions={}, max_risk=0.05, **facts)
    yield difference_figure({"accuracy": triples, "ece": triples}, n_bins=15, **facts)


@pytest.mark.parametrize(("arms", "seeds"), [(["no_mixup"], [0]), (ELEVEN, [0, 1])])
def test_nothing_overlaps_or_leaves_the_page(arms, seeds):
    before = dict(matplotlib.rcParams)
    for figure in every_figure(arms, seeds):
        figure.draw_without_rendering()
        renderer, page = figure._get_renderer(), figure.bbox
        title = figure._suptitle.get_window_extent(renderer)
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
        panels = [ax.get_tightbbox(renderer) for ax in figure.axes if ax.axison]
        for box in [title, *legends, *panels]:
            assert page.x0 - 2 <= box.x0, heading(figure)
            assert box.x1 <= page.x1 + 2, heading(figure)
            assert page.y0 - 2 <= box.y0, heading(figure)
            assert box.y1 <= page.y1 + 2, heading(figure)
        assert all(panel.y0 >= legend.y1 - 2 for panel in panels for legend in legends), heading(figure)
        assert all(panel.y1 <= title.y0 + 2 for panel in panels), heading(figure)
    assert dict(matplotlib.rcParams) == before


FACTS = {"n": 1, "seeds": [0]}


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: joint_density_figure({}, **FACTS), "joint_density_figure: no arms; give at least one, such as"),
        (lambda: joint_density_figure({"a": {}}, **FACTS), "joint_density_figure: arm a has an epoch without groups"),
        (
            lambda: joint_density_figure({"a": {1: ([], [])}}, **FACTS),
            "arm a has an epoch without groups; leave it out",
        ),
        (lambda: gap_by_epoch_figure({}, **FACTS), "gap_by_epoch_figure: no arms"),
        (lambda: gap_by_epoch_figure({"a": []}, **FACTS), "gap_by_epoch_figure: a has no values; leave it out"),
        (
            lambda: gap_by_epoch_figure({"a": [[1, 2], [1]]}, **FACTS),
            "a has rows of different lengths; give every seed",
        ),
        (lambda: gap_by_epoch_figure({"a": [np.nan]}, **FACTS), "a has values that are not finite"),
        (lambda: alpha_figure({}, {}, floor={}, n_bins=15, **FACTS), "alpha_figure: no alphas"),
        (lambda: label_entropy_figure([]), "label_entropy_figure: no alphas; give at least one"),
        (lambda: ood_confidence_figure({}, {}, seeds=[0]), "ood_confidence_figure: no sets of rows"),
        (lambda: ood_confidence_figure({"test": {}}, {}, seeds=[0]), "ood_confidence_figure: test: no arms"),
        (lambda: ood_confidence_figure({"test": {"a": []}}, {}, seeds=[0]), "test: a has no values"),
        (lambda: risk_coverage_figure({}, decisions={}, max_risk=0.1, **FACTS), "risk_coverage_figure: no arms"),
        (lambda: risk_coverage_figure({"a": []}, decisions={}, max_risk=0.1, **FACTS), "a has no values"),
        (lambda: difference_figure({}, n_bins=15, **FACTS), "difference_figure: no scores"),
        (lambda: difference_figure({"ece": {}}, n_bins=15, **FACTS), "difference_figure: ece: no arms"),
    ],
)
def test_nothing_to_draw_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_every_figure_says_how_to_read_it():
    drawn = {name.removesuffix("_figure") for name in dir(figures) if name.endswith("_figure")}
    assert set(HOW_TO_READ) == drawn
    for sentences in HOW_TO_READ.values():
        assert sentences[0].isupper()
        assert sentences.endswith(".")
        assert 60 < len(sentences) < 400
        assert "`" not in sentences
    assert HOW_TO_READ["joint_density"].startswith("A point is a random group of 50 validation rows")


def test_pyplot_is_not_needed():
    code = "import sys, nlp_mixup.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
