"""The statistics of a comparison: paired by seed and row, the wider interval, and words that never claim more."""

import json
import re

import numpy as np
import pytest
from scipy import stats
from stored_runs import planted, store_run

from nlp_mixup.calibration import RowScores, difference_intervals, fit_temperature, nll_from_logits, score_logits
from nlp_mixup.calibration.intervals import differences_of_rows
from nlp_mixup.files import write_npz
from nlp_mixup.reports.comparison import Comparison, Estimate, verdict
from nlp_mixup.reports.report import change_grid
from nlp_mixup.runs.results import read_results


def compare(folder, **sharpness):
    """Runs of arms whose logits are too sharp (> 1) or too flat (< 1); 'seeds' runs each."""
    seeds = sharpness.pop("seeds", 3)
    n = sharpness.pop("n", 200)
    for arm, value in sharpness.items():
        alpha = 0 if arm == "no_mixup" else 0.4
        for seed in range(seeds):
            store_run(
                folder, arm, seed, planted(seed, sharpness=value, n=n), settings={"mixup_alpha": alpha, "seed": seed}
            )
    return Comparison(read_results(folder))


def test_one_seed_gives_the_paired_interval_over_rows(tmp_path):
    comparison = compare(tmp_path, no_mixup=3.0, mixup=1.0, seeds=1)
    logits, labels = planted(0, sharpness=1.0)["test"]
    other, _ = planted(0, sharpness=3.0)["test"]
    rows = [RowScores.from_logits(z, labels) for z in (logits, other)]
    expected = differences_of_rows(*rows)
    for name in ("accuracy", "nll", "brier", "ece", "oe", "gap"):
        found = comparison.difference("mixup", "raw", name)
        assert found.value == pytest.approx(expected[name].value, abs=1e-6)
        assert (found.low, found.high) == pytest.approx((expected[name].low, expected[name].high), abs=1e-5)
        assert (found.over, found.seeds) == ("rows", 1)


def test_several_seeds_are_paired_and_the_wider_interval_is_told(tmp_path):
    comparison = compare(tmp_path, no_mixup=3.0, mixup=1.0, seeds=3)
    differences = []
    for seed in range(3):
        (one, labels), (two, _) = (planted(seed, sharpness=s)["test"] for s in (1.0, 3.0))
        differences.append(nll_from_logits(one, labels) - nll_from_logits(two, labels))
    found = comparison.difference("mixup", "raw", "nll")
    assert found.value == pytest.approx(np.mean(differences), abs=1e-6)
    assert found.spread == pytest.approx(np.std(differences, ddof=1), abs=1e-6)
    t = stats.t.ppf(0.975, 2) * np.std(differences, ddof=1) / np.sqrt(3)
    rows = difference_intervals(one, two, labels)["nll"]
    assert found.high - found.low >= max(2 * t, 0.8 * (rows.high - rows.low))
    assert found.over == ("seeds" if 2 * t > found.high - found.low - 1e-9 else "rows")


def test_seeds_that_only_one_arm_has_are_left_out_of_the_difference(tmp_path):
    comparison = compare(tmp_path, no_mixup=3.0, mixup=1.0, seeds=2)
    store_run(tmp_path, "no_mixup", 9, planted(9, sharpness=30.0), settings={"mixup_alpha": 0, "seed": 9})
    with_extra = Comparison(read_results(tmp_path))
    assert with_extra.seeds("no_mixup") == [0, 1, 9]
    assert with_extra.difference("mixup", "raw", "nll") == comparison.difference("mixup", "raw", "nll")
    store_run(tmp_path, "erl", 5, planted(5, sharpness=1.0), settings={"confidence_penalty": 0.1, "seed": 5})
    alone = Comparison(read_results(tmp_path))
    assert alone.difference("erl", "raw", "nll") is None
    assert "shares no seed with no_mixup" in verdict(alone, "erl")


def test_the_temperature_comes_from_validation_alone(tmp_path):
    comparison = compare(tmp_path, no_mixup=3.0, mixup=1.0, seeds=1)
    splits = planted(0, sharpness=3.0)
    temperature = fit_temperature(*splits["validation"])
    logits, labels = splits["test"]
    expected = score_logits(np.asarray(logits, np.float64) / temperature.value, labels)
    for name in ("nll", "ece", "oe", "accuracy"):
        assert comparison.mean("no_mixup", "temperature", name)[0] == pytest.approx(expected[name])


def test_the_sweep_is_chosen_by_validation_nll(tmp_path):
    store_run(tmp_path, "no_mixup", 0, planted(0, sharpness=3.0), settings={"mixup_alpha": 0, "seed": 0})
    for alpha, sharpness in ((0.1, 2.0), (0.4, 1.0), (1.0, 0.3)):
        settings = {"mixup_alpha": alpha, "seed": 0}
        store_run(tmp_path, f"mixup-{alpha}", 0, planted(0, sharpness=sharpness), settings=settings)
    settings = {"mixup_alpha": 0.4, "mixup_mode": "inputs_only", "seed": 0}
    store_run(tmp_path, "inputs_only", 0, planted(0, sharpness=1.0), settings=settings)
    [sweep] = Comparison(read_results(tmp_path)).sweeps()
    assert sweep.setting == "mixup_alpha"
    assert list(sweep.values.values()) == [0.1, 0.4, 1.0]
    assert sweep.chosen == "mixup-0.4"
    logits, labels = planted(0, sharpness=1.0)["validation"]
    assert sweep.nll["mixup-0.4"] == pytest.approx(nll_from_logits(logits, labels), abs=1e-6)
    assert sweep.sentence.startswith("mixup_alpha 0.4, the arm mixup-0.4, by the lowest mean NLL of 0.1 (NLL")


def test_words_for_an_over_confident_baseline_and_an_under_confident_arm(tmp_path):
    comparison = compare(tmp_path, no_mixup=4.0, mild=1.5, strong=0.2, seeds=2, n=2000)
    gap = comparison.mean("no_mixup", "raw", "gap")[0]
    assert verdict(comparison, "no_mixup").startswith(f"Over-confident by {gap:.3f}".replace("0.", ".", 1))
    mild = verdict(comparison, "mild")
    assert mild.startswith("Less over-confident than no_mixup: ECE lower by")
    assert "NLL lower by" in mild
    strong = verdict(comparison, "strong")
    assert "under-confident by" in strong
    assert "Under-confident: lower alpha than 0.4" in strong


def test_words_for_a_calibrated_baseline(tmp_path):
    comparison = compare(tmp_path, no_mixup=1.0, same=1.0, flat=0.4, seeds=2, n=2000)
    assert verdict(comparison, "no_mixup").startswith("Not distinguishable from calibrated: nothing for mixup")
    same = verdict(comparison, "same")
    assert same.startswith("ECE not distinguishable from no_mixup's")
    assert "Accuracy not distinguishable" in same
    assert "Calibration is worse than no_mixup's: ECE higher by" in verdict(comparison, "flat")
    assert "which is worse" in verdict(comparison, "flat")


def test_a_degenerate_validation_split_gives_no_temperature_and_says_so(tmp_path):
    splits = planted(0, sharpness=1.0)
    labels = splits["validation"][1]
    splits["validation"] = (20 * np.eye(3, dtype=np.float32)[labels], labels)
    store_run(tmp_path, "no_mixup", 0, splits, settings={"mixup_alpha": 0, "seed": 0})
    comparison = Comparison(read_results(tmp_path))
    run = comparison.results.runs["no_mixup"][0]
    assert run.metrics["temperature"] is None
    assert "rows are right" in run.metrics["temperature_note"]
    assert comparison.seeds("no_mixup", "temperature") == []


def test_a_folder_without_baseline_is_refused(tmp_path):
    store_run(tmp_path, "mixup", 0, planted(0, sharpness=1.0), settings={"mixup_alpha": 0.4, "seed": 0})
    with pytest.raises(ValueError, match="has no finished run of the arm 'no_mixup'"):
        Comparison(read_results(tmp_path))


def test_an_ece_far_above_the_floor_is_never_called_calibrated(tmp_path):
    """A third of the rows too sure, the others not sure enough, and a gap whose interval holds 0."""
    splits = {}
    for (name, (sharp, labels)), (flat, _) in zip(
        planted(0, sharpness=5.0, n=2000).items(), planted(0, sharpness=0.3, n=2000).values(), strict=True
    ):
        splits[name] = np.where(np.arange(len(labels))[:, None] % 3 == 0, sharp, flat), labels
    store_run(tmp_path, "no_mixup", 0, splits, settings={"mixup_alpha": 0, "seed": 0})
    comparison = Comparison(read_results(tmp_path))
    comparison.score = lambda arm, calibration, name: Estimate(0.01, -0.1, 0.1, "seeds", 1, float("nan"))
    text = verdict(comparison, "no_mixup")
    assert text.startswith("Not calibrated (ECE .")
    assert "in which direction is not distinguishable (gap -.100 to .100)" in text


def test_less_and_still_and_now_follow_the_gaps(tmp_path):
    comparison = compare(tmp_path, no_mixup=0.3, over=1.6, seeds=2, n=2000)
    text = verdict(comparison, "over")
    assert text.startswith("Better calibrated than no_mixup: ECE lower by")
    assert "now over-confident by" in text


def test_the_competitor_is_no_mixup_with_temperature(tmp_path):
    comparison = compare(tmp_path, no_mixup=3.0, mixup=1.5, seeds=1)
    rows = {(row[0], row[1]): row for row in change_grid(comparison).rows}
    found = comparison.difference("mixup", "raw", "nll", "temperature")
    assert rows["mixup", "no_mixup + temperature"][3].startswith(f"{found.value:+.3f}".replace("0.", "."))
    (one, labels), (two, _) = (planted(0, sharpness=s)["test"] for s in (1.5, 3.0))
    scaled = two / fit_temperature(*planted(0, sharpness=3.0)["validation"]).value
    assert found.value == pytest.approx(nll_from_logits(one, labels) - nll_from_logits(scaled, labels), abs=1e-5)


def test_an_arm_at_a_default_value_belongs_to_its_sweep(tmp_path):
    store_run(tmp_path, "no_mixup", 0, planted(0, sharpness=3.0), settings={"mixup_alpha": 0, "seed": 0})
    for share, sharpness in ((0.25, 3.5), (0.5, 3.0), (1.0, 0.8)):
        settings = {"mixup_alpha": 0.4, "mixup_probability": share, "seed": 0}
        if share == 1.0:
            del settings["mixup_probability"]  # the default, which arguments.yaml does not hold
        store_run(tmp_path, f"share-{share}", 0, planted(0, sharpness=sharpness), settings=settings)
    [sweep] = [s for s in Comparison(read_results(tmp_path)).sweeps() if s.setting == "mixup_probability"]
    assert list(sweep.values.values()) == [0.25, 0.5, 1.0]
    assert sweep.chosen == "share-1.0"


def test_the_alpha_figure_takes_the_arms_that_differ_by_alpha_alone(tmp_path):
    store_run(tmp_path, "no_mixup", 0, planted(0, sharpness=3.0), settings={"mixup_alpha": 0, "seed": 0})
    for alpha in (0.1, 0.4):
        for arm, more in (("inputs_only", {"mixup_mode": "inputs_only"}), ("mixup", {})):
            settings = {"mixup_alpha": alpha, "seed": 0} | more
            store_run(tmp_path, f"{arm}-{alpha}", 0, planted(0, sharpness=1.0 + alpha), settings=settings)
    comparison = Comparison(read_results(tmp_path))
    assert len(comparison.sweeps()) == 2
    assert list(comparison.alpha_sweep().values) == ["mixup-0.1", "mixup-0.4"]
    assert comparison.differing("inputs_only-0.1") == {"mixup_alpha": 0.1, "mixup_mode": "inputs_only"}


def shifted(seed, *, validation, test, n=2000):
    """Splits of two kinds, as where validation rows come from elsewhere: the logits of each are off by a factor of its own."""
    return {
        "validation": planted(seed, sharpness=validation, n=n)["validation"],
        "test": planted(seed, sharpness=test, n=n)["test"],
    }


DIRECTIONS = r"(higher|lower|worse|better|confident) (by|than)|which is worse|mixup to mend|make this worse"


def test_two_rows_tell_no_direction_in_words_or_table(tmp_path):
    splits = {"validation": planted(0, sharpness=1.0)["validation"]}
    labels = np.array([0, 1])
    for arm, wrong in (("no_mixup", [[3.0, 0, 0], [0, 3.0, 0]]), ("mixup", [[0, 1.0, 0], [1.0, 0, 0]])):
        store_run(tmp_path, arm, 0, splits | {"test": (np.array(wrong, np.float32), labels)}, ood={})
    comparison = Comparison(read_results(tmp_path))
    change = comparison.difference("mixup", "raw", "nll")
    assert change.value > 1
    for arm in ("no_mixup", "mixup"):
        assert not re.search(DIRECTIONS, text := verdict(comparison, arm)), text
        assert "Nothing can be said from 2 rows, neither better nor worse: 30 are the least." in text
    assert not change_grid(comparison).strong


def test_a_temperature_that_did_harm_is_told_and_never_recommended(tmp_path):
    """Validation says T = .2, test would want .7: an under-confident arm, made over-confident."""
    for arm, alpha in (("no_mixup", 0), ("mixup", 0.4)):
        splits = shifted(0, validation=0.2, test=0.7)
        store_run(tmp_path, arm, 0, splits, settings={"mixup_alpha": alpha, "seed": 0})
    comparison = Comparison(read_results(tmp_path))
    change = comparison.difference("mixup", "temperature", "nll", "raw", other="mixup")
    assert change.low > 0
    for arm in ("no_mixup", "mixup"):
        text = verdict(comparison, arm)
        assert f"Its temperature made it worse: NLL higher by {change.value:.3f} (".replace("0.", ".", 1) in text
        assert "Under-confident by" in text or "under-confident by" in text
        assert not re.search(r"use a temperature|A temperature below 1", text)


def test_a_temperature_that_helps_is_a_way_out_of_under_confidence(tmp_path):
    comparison = compare(tmp_path, no_mixup=1.0, flat=0.4, seeds=1, n=2000)
    text = verdict(comparison, "flat")
    assert "Under-confident: lower alpha than 0.4, or use a temperature below 1." in text
    assert "made it worse" not in text


def test_a_temperature_changes_no_answer_of_its_own_run(tmp_path):
    comparison = compare(tmp_path, no_mixup=3.0, seeds=2)
    change = comparison.difference("no_mixup", "temperature", "accuracy", "raw")
    assert (change.low, change.high) == pytest.approx((0, 0), abs=1e-9)
    assert comparison.difference("no_mixup", "temperature", "nll", "raw").high < 0


def test_runs_of_the_first_format_are_compared_by_their_logits(tmp_path):
    """Their stored resamples are a bootstrap's, without the extra row."""
    new = compare(tmp_path, no_mixup=3.0, mixup=1.0, seeds=2)
    for path in tmp_path.glob("*/seed-*/metrics.json"):
        stored = json.loads(path.read_text())
        bias = {split: {c: {"ece": 0.01, "oe": 0.01} for c in of} for split, of in stored["bias"].items()}
        path.write_text(json.dumps(stored | {"format": 2, "bias": bias}))
        write_npz(
            path.with_name("resamples.npz"),
            **{name: np.zeros((1000, 7), np.float32) for name in ("test-raw", "test-temperature")},
        )
    old = Comparison(read_results(tmp_path))
    for name in ("accuracy", "nll", "ece"):
        one, two = (c.difference("mixup", "raw", name, "temperature") for c in (new, old))
        assert (two.low, two.high) == pytest.approx((one.low, one.high), abs=1e-6)
