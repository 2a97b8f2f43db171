"""The report of stored runs: every number from the runs, foreign text inert, the page whole without a network."""

import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import fisher_exact
from stored_runs import planted, store_run

from nlp_mixup import cli
from nlp_mixup.advice import advice
from nlp_mixup.calibration import diagnose
from nlp_mixup.figures import HOW_TO_READ
from nlp_mixup.files import write_npz
from nlp_mixup.reports.comparison import Comparison
from nlp_mixup.reports.report import FIGURES, escape_markdown, print_run, score_grid, write_report
from nlp_mixup.runs.results import read_results

HOSTILE = "]]></script><img src=x onerror=alert(1)> | `x` [a](javascript:b)\n# h"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for arm, sharpness, alpha in (("no_mixup", 3.0, 0), ("mixup-0.2", 1.5, 0.2), ("mixup-1.0", 0.5, 1.0)):
        for seed in (0, 1):
            settings = {"mixup_alpha": alpha, "seed": seed, "dataset_name": HOSTILE, "model_name_or_path": HOSTILE}
            store_run(folder, arm, seed, planted(seed, sharpness=sharpness), settings=settings)
    return folder


@pytest.fixture(scope="module")
def reported(runs, tmp_path_factory):
    """The runs with their report; read only."""
    folder = tmp_path_factory.mktemp("reported") / "runs"
    shutil.copytree(runs, folder)
    write_report(folder)
    return folder


@pytest.fixture
def folder(runs, tmp_path):
    """A copy of the runs, without report."""
    return Path(shutil.copytree(runs, tmp_path / "runs"))


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text.append(data)


def test_every_figure_has_its_title_and_how_to_read():
    assert FIGURES.keys() == HOW_TO_READ.keys()


def test_the_whole_report(folder, capsys):
    cli.main(["report", str(folder)])
    printed = capsys.readouterr().out
    assert "no_mixup + temperature" in printed
    assert "Chosen on validation: mixup_alpha" in printed
    for name in ("results.csv", "report.md", "report.html"):
        assert (folder / name).stat().st_size > 1000
    assert {path.stem for path in (folder / "figures").iterdir()} == set(FIGURES)

    comparison = Comparison(read_results(folder))
    ece, spread = comparison.mean("mixup-0.2", "temperature", "ece")
    cell = f"{ece:.3f}±{spread:.3f}".replace("0.", ".")
    assert cell in next(line for line in printed.splitlines() if "mixup-0.2 + temperature" in line)
    markdown, page = (folder / "report.md").read_text(), (folder / "report.html").read_text()
    assert f"| {cell} |" in markdown
    assert f"<td>{cell}</td>" in page
    change = comparison.difference("mixup-0.2", "raw", "nll")
    assert change.sign == -1
    assert f"<strong>{change.value:+.3f} (".replace("0.", ".") in page
    for name in FIGURES:
        assert f"figures/{name}.png" in markdown


def test_the_page_is_self_contained_and_foreign_text_inert(reported):
    page = Page((reported / "report.html").read_text())
    assert "script" not in page.tags
    assert page.tags.count("img") == len(FIGURES)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "<img src=x" in "".join(page.text)  # as words
    markdown = (reported / "report.md").read_text()
    assert not re.search(r"<img|^# h|\[a\]\(", markdown, re.M)


def test_markdown_tables_keep_their_columns(reported):
    tables = re.findall(r"(?:^\|.*\n)+", (reported / "report.md").read_text(), re.M)
    assert len(tables) == 3
    for table in tables:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1, table


def test_escaping():
    assert escape_markdown("a\x1b[31m\u202eb") == "a \\[31m b"
    assert escape_markdown("no_mixup") == "no\\_mixup"


def test_results_csv_is_what_the_runs_stored(reported):
    rows = list(csv.DictReader(io.StringIO((reported / "results.csv").read_text())))
    stored = json.loads((reported / "mixup-1.0" / "seed-1" / "metrics.json").read_text())["rows"][-1]
    [row] = [r for r in rows if (r["arm"], r["seed"], r["split"], r["calibration"]) == ("mixup-1.0", "1", "test", "temperature")]  # fmt: skip
    assert {name: float(row[name]) for name in ("ece", "nll", "temperature", "auroc_msp_noise")} == {
        name: stored[name] for name in ("ece", "nll", "temperature", "auroc_msp_noise")
    }


def test_a_report_again_gives_the_same_bytes(reported, folder, capsys):
    write_report(folder)
    for path in reported.rglob("*"):
        assert not path.is_file() or (folder / path.relative_to(reported)).read_bytes() == path.read_bytes(), path


def test_what_is_left_out_is_said(folder, capsys):
    (folder / "mixup-1.0" / "seed-1" / "metrics.json").write_text("{")
    write_report(folder)
    assert "mixup-1.0/seed-1/metrics.json is not a whole metrics.json" in capsys.readouterr().out
    assert "is not a whole metrics.json" in (folder / "report.html").read_text()
    grid = score_grid(Comparison(read_results(folder)))
    assert {row[0]: row[1] for row in grid.rows}["mixup-1.0"] == "1"


def test_a_comparison_of_one_arm_one_seed_has_its_report(tmp_path, capsys):
    splits = planted(0, sharpness=1.0, n=40)  # too few rows for the joint density
    store_run(tmp_path, "no_mixup", 0, splits, settings={"mixup_alpha": 0}, ood={})
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "alpha.png").touch()  # of arms that are no longer there
    write_report(tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"reliability", "gap_by_epoch", "risk_coverage"}
    assert "Inputs from elsewhere" not in (tmp_path / "report.html").read_text()


def test_the_report_names_the_rows_that_the_runs_have_seen(folder):
    for path in folder.glob("*/*/arguments.yaml"):
        stored = yaml.safe_load(path.read_text())
        stored |= {"dataset_name": "org/set", "train_file": "/home/me/mine.csv", "test_file": "/home/me/new.csv"}
        path.write_text(yaml.safe_dump(stored))
    write_report(folder)
    for name in ("report.md", "report.html"):
        said = (folder / name).read_text()
        assert "mine.csv (test: new.csv)" in said
        assert "org/set" not in said


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_no_folder_no_report(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as caught:
        cli.main(["report", str(tmp_path / name)])
    assert caught.value.code == 2
    assert (
        np.count_nonzero(["no results folder" in (error := capsys.readouterr().err), "no finished run" in error]) == 1
    )


def shifted(seed, arm_sharpness, n=600):
    """Validation and test of two kinds: of the validation rows half the labels are anybody's, so that they want a high T."""
    splits = planted(seed, sharpness=arm_sharpness, n=n)
    logits, labels = splits["validation"]
    random = np.random.default_rng(1)
    splits["validation"] = logits, np.where(random.random(n) < 0.5, random.integers(0, 3, n), labels)
    return splits


def test_splits_of_two_kinds_and_a_temperature_that_did_harm_are_told(tmp_path, capsys):
    """By the train command's words and by the report's, and by nothing where both splits are alike."""
    folder = store_run(tmp_path, "no_mixup", 0, shifted(0, 1.0), settings={"mixup_alpha": 0})
    metrics = json.loads((folder / "metrics.json").read_text())
    accuracy = {row["split"]: row["accuracy"] for row in metrics["rows"]}
    right = [round(600 * accuracy[split]) for split in ("validation", "test")]
    p = fisher_exact([[right[0], 600 - right[0]], [right[1], 600 - right[1]]]).pvalue
    assert p < 1e-4
    print_run(folder)
    printed = capsys.readouterr().out
    both = " on validation and ".join(f"{accuracy[split]:.3f}"[1:] for split in ("validation", "test"))
    assert f"Note: Validation and test disagree beyond chance: accuracy {both} on test, p < .0001" in printed
    assert re.search(r"test: dividing the logits by T .* made it worse: it raises the NLL by .*Do not use it", printed)
    write_report(tmp_path)
    printed = capsys.readouterr().out
    assert "disagree beyond chance in 1 of 1 runs, most in no_mixup, seed 0: accuracy " + both in printed
    assert "Its temperature made it worse: NLL higher by" in printed
    assert "Validation and test disagree" in (tmp_path / "report.html").read_text()
    alike = store_run(tmp_path / "alike", "no_mixup", 0, planted(0, sharpness=3.0, n=600), settings={"mixup_alpha": 0})
    print_run(alike)
    printed = capsys.readouterr().out
    assert "disagree" not in printed
    assert re.search(r"test: dividing the logits by T 3\.\d+ \(.*\) lowers the NLL by", printed)


def test_a_run_says_of_itself_what_the_doctor_would(tmp_path, capsys):
    """One rule: a gap whose interval excludes 0 beside an ECE within its noise is a hint, for both and in both words."""
    splits = planted(0, sharpness=1.4, n=400)
    folder = store_run(tmp_path, "no_mixup", 0, splits, settings={"mixup_alpha": 0})
    found = diagnose(*splits["test"])
    assert found.verdict == "calibrated"
    assert found.intervals["raw"]["gap"].low > 0
    print_run(folder)
    printed = capsys.readouterr().out
    said = advice(found)[0].split(" With ")[0]
    assert "The gap hints at over-confidence" in said
    assert f"test: {said}" in printed


def test_arms_that_chose_different_epochs_are_compared_at_equal_ones_too(tmp_path, capsys):
    """By hand: 600 rows, all in one bin, so that ECE is |confidence - accuracy|; mixup chose epoch 1, no_mixup epoch 3."""
    claims = {"no_mixup": (0.86, 0.90, 0.92), "mixup": (0.83, 0.86, 0.89)}  # all of (13/15, 14/15] or of (12/15, 13/15]
    correct = np.arange(600) % 5 > 0  # accuracy .8
    for arm, chosen in (("no_mixup", 3.0), ("mixup", 1.0)):
        folder = store_run(
            tmp_path,
            arm,
            0,
            planted(0, sharpness=2.0, n=600),
            settings={"mixup_alpha": 0},
            selection="best",
            epoch=chosen,
        )
        confidence = np.tile(np.array(claims[arm], np.float32)[:, None], (1, 600))
        write_npz(folder / "epochs.npz", confidence=confidence, correct=np.tile(correct, (3, 1)))
        history = [
            {"epoch": float(e), "step": e, "gap": 0.0, "nll": 0.5 + 0.1 * e * (arm == "no_mixup")} for e in (1, 2, 3)
        ]
        (folder / "history.jsonl").write_text("".join(json.dumps(record) + "\n" for record in history))
    comparison = Comparison(read_results(tmp_path))
    found = comparison.equal_epochs("mixup")
    assert found.ece == pytest.approx({1.0: -0.03, 2.0: -0.04, 3.0: -0.03}, abs=1e-6)
    assert found.nll == pytest.approx(-0.3)
    assert found.last["accuracy"].value == 0
    write_report(tmp_path)
    printed = capsys.readouterr().out
    told = "Compared are epoch 1 of mixup and epoch 3 of no_mixup; at equal epochs its ECE on validation differs by -.040 to -.030"
    assert told in printed
    grid = score_grid(comparison)
    column = grid.header.index("epoch")
    assert {row[0]: row[column] for row in grid.rows}["mixup"] == "1"
    markdown = (tmp_path / "report.md").read_text()
    assert "## Differences at equal epochs" in markdown
    # 600 rows on which both answer alike leave 1 - .05 ** (1 / 600) = .005 for one in which they do not.
    assert "| mixup | 1 | 3 | 3 | .000 (-.005 to +.005) | -.300 | **-.030 (" in markdown
    assert "-.040 to -.030" in (tmp_path / "report.html").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
    assert {(row["arm"], row["epoch"]) for row in rows} == {("no_mixup", "3.0"), ("mixup", "1.0")}
