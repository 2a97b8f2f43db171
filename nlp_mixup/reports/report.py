"""A results folder's report: tables on the terminal, results.csv, figures/, report.md and report.html.

Everything comes from what the runs stored: nothing is trained, and no slow score is computed again.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich import box
from rich.console import Console
from rich.table import Table

from nlp_mixup.advice import (
    disagreement_line,
    disagreements_line,
    epochs_of,
    run_disagreement,
    run_standing,
    temperature_line,
)
from nlp_mixup.arguments import BASELINE, row_sources
from nlp_mixup.calibration import Temperature
from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.intervals import nll_gain
from nlp_mixup.figures import HOW_TO_READ, reliability_figure
from nlp_mixup.files import write_atomically
from nlp_mixup.reports.comparison import CALIBRATIONS, DIFFERENCES, Comparison, Estimate, verdict
from nlp_mixup.reports.figures import pooled_table, report_figures
from nlp_mixup.runs import RAW, TEMPERATURE, StoredRun, read_results, read_run, write_results

SCORES = {
    "accuracy": "accuracy",
    "NLL": "nll",
    "Brier": "brier",
    "ECE": "ece",
    "floor": "ece_floor",
    "OE": "oe",
    "gap": "gap",
}
FIGURES = {
    "reliability": "Reliability diagrams (rows of all seeds together)",
    "difference": "Differences to no_mixup",
    "gap_by_epoch": "Over-confidence by epoch",
    "joint_density": "Accuracy and confidence by epoch",
    "alpha": "Calibration error by alpha",
    "label_entropy": "How soft the training labels are",
    "ood_confidence": "Confidence on inputs from elsewhere",
    "risk_coverage": "Which rows to answer",
}
CHANGES = {"accuracy": "accuracy", "nll": "NLL", "brier": "Brier", "ece": "ECE", "oe": "OE"}


@dataclass(frozen=True)
class Grid:
    """A table for any of the report's shapes: plain text cells, a heading for each column; `strong` rows stand out."""

    header: list[str]
    rows: list[list[str]]
    strong: frozenset[tuple[int, int]] = frozenset()


def write_report(output_dir: Path) -> Path:
    """Prints the comparison, and writes results.csv, figures/*.png, report.md and report.html.

    Args:
        output_dir: a results folder.

    Returns:
        The path of report.html.

    Raises:
        FileNotFoundError, ValueError: what `read_results` and `Comparison` raise.
    """
    results = read_results(output_dir)
    comparison = Comparison(results)
    csv_path = write_results(results)
    verdicts = {arm: verdict(comparison, arm) for arm in results.runs}
    scores, changes, foreign = score_grid(comparison), change_grid(comparison), ood_grid(comparison)
    notes = [
        f"{run.arm}, seed {run.seed}: {run.metrics['temperature_note']}"
        for run in results.all_runs
        if run.metrics["temperature_note"]
    ]
    notes += [note for note in results.all_runs[0].metrics.get("row_notes", ())]
    disagreements = {f"{run.arm}, seed {run.seed}": run_disagreement(run.metrics) for run in results.all_runs}
    if line := disagreements_line(disagreements):
        notes.append(line)
    _print(comparison, scores, verdicts)
    for line in (*results.skipped, *notes):
        print(f"Note: {line}")

    figures: dict[str, bytes] = {}
    for name in FIGURES:  # none of an earlier report outlives its runs
        (output_dir / "figures" / f"{name}.png").unlink(missing_ok=True)
    for name, figure in report_figures(comparison).items():
        figures[name] = _png(figure)
        write_atomically(output_dir / "figures" / f"{name}.png", figures[name])
    first = results.all_runs[0]
    context: dict[str, Any] = {
        "title": output_dir.resolve().name,
        "data": data_line(first.settings),
        "model": _public(first.settings.get("model_name_or_path") or "text-cnn"),
        "split": results.split,
        "n": first.metrics["rows"][-1]["n"],
        "n_bins": first.metrics["rows"][-1]["n_bins"],
        "selection": first.metrics["rows"][-1]["selection"],
        "classes": len(first.metrics["label_names"]),
        "versions": sorted({run.metrics["version"] for run in results.all_runs}),
        "seeds": {arm: sorted(by_seed) for arm, by_seed in results.runs.items()},
        "verdicts": verdicts,
        "sweeps": comparison.sweeps(),
        "short": short,
        "scores": scores,
        "changes": changes,
        "foreign": foreign,
        "equal": equal_epochs_grid(comparison),
        "skipped": [*results.skipped, *notes],
        "differing": {arm: _settings_line(comparison.differing(arm)) for arm in results.runs},
        "figures": {
            name: {"title": FIGURES[name], "how": HOW_TO_READ[name], "image": base64.b64encode(image).decode()}
            for name, image in figures.items()
        },
        "baseline": BASELINE,
    }
    write_atomically(output_dir / "report.md", _render("report.md.jinja", context))
    page = output_dir / "report.html"
    write_atomically(page, _render("report.html.jinja", context))
    print(f"Table: {csv_path}")
    print(f"Report: {page}")
    return page


def print_run(folder: Path) -> None:
    """Prints a finished run's scores on each split, and what its ECE says beside its noise floor; draws its diagram."""
    run = read_run(folder)
    rows = run.metrics["rows"]
    grid = Grid(
        ["split", *SCORES],
        [
            [
                f"{row['split']} + temperature"
                if row["calibration"] == TEMPERATURE
                else f"{row['split']} (n = {row['n']})"
            ]
            + [short(row[key], "+" if key == "gap" else "") for key in SCORES.values()]
            for row in rows
        ],
    )
    _print_grid(grid, f"{run.arm}, seed {run.seed}")
    _print_conventions(rows[0])
    for split in run.metrics["intervals"]:
        print(f"{split}: {run_standing(run.metrics, split, RAW)}")
    if line := _temperature_on_test(run):
        print(line)
    if line := disagreement_line(run_disagreement(run.metrics)):
        print(f"Note: {line}")
    if run.metrics["temperature_note"]:
        print(f"Note: {run.metrics['temperature_note']}")
    for found in run.metrics.get("trained_on", {}).values():
        print(f"Note: {found['note']}")
    figure = reliability_figure({run.arm: pooled_table([run], run.last_split, RAW)})
    write_atomically(folder / "reliability.png", _png(figure))
    print(f"Run: {folder}")
    print(f"Figure: {folder / 'reliability.png'}")


def _temperature_on_test(run: StoredRun) -> str:
    """What the run's temperature does to its test rows, which it has not seen; empty where it lacks one of them."""
    stored = run.metrics["temperature"]
    if stored is None or run.last_split != "test":
        return ""
    temperature, test = Temperature(**stored), run.arrays("logits-test.npz")
    gain = nll_gain(test["logits"], test["labels"], temperature)
    return temperature_line(temperature, gain, "test", len(test["labels"]))


def score_grid(comparison: Comparison) -> Grid:
    """The scores of every arm, raw and after temperature: mean and standard deviation over seeds."""
    foreign = comparison.results.ood_names
    rows = []
    for arm in comparison.results.runs:
        for calibration in CALIBRATIONS:
            seeds = comparison.seeds(arm, calibration)
            name = arm if calibration == RAW else f"{arm} + temperature"
            if not seeds:
                rows.append([name, "0", "", *["" for _ in [*SCORES, *foreign]], ""])
                continue
            cells = [_mean_cell(comparison, arm, calibration, key) for key in SCORES.values()]
            cells += [_mean_cell(comparison, arm, calibration, f"auroc_msp_{ood}") for ood in foreign]
            temperature = _mean_cell(comparison, arm, calibration, "temperature") if calibration == TEMPERATURE else ""
            epoch = epochs_of(comparison.results.runs[arm][seed].epoch for seed in seeds)
            rows.append([name, str(len(seeds)), epoch, *cells, temperature])
    return Grid(["arm", "seeds", "epoch", *SCORES, *[f"AUROC {name}" for name in foreign], "T"], rows)


def change_grid(comparison: Comparison) -> Grid:
    """The differences to no_mixup under the same calibration, and to no_mixup with temperature; `strong` excludes 0."""
    rows: list[list[str]] = []
    strong: set[tuple[int, int]] = set()
    pairs = [(BASELINE, TEMPERATURE, RAW)]
    for arm in comparison.results.runs:
        if arm != BASELINE:
            # The last pair is what a raw arm has to beat: no_mixup with a temperature costs no training.
            pairs += [(arm, RAW, RAW), (arm, TEMPERATURE, TEMPERATURE), (arm, RAW, TEMPERATURE)]
    for arm, calibration, against in pairs:
        estimates = [comparison.difference(arm, calibration, name, against) for name in DIFFERENCES]
        if any(estimate is None for estimate in estimates):
            continue
        strong |= {(len(rows), column + 2) for column, e in enumerate(estimates) if e is not None and e.sign}
        names = [
            name if how == RAW else f"{name} + temperature" for name, how in ((arm, calibration), (BASELINE, against))
        ]
        rows.append([*names, *[_change_cell(estimate) for estimate in estimates]])
    return Grid(["arm", "minus", *[CHANGES[name] for name in DIFFERENCES]], rows, frozenset(strong))


def equal_epochs_grid(comparison: Comparison) -> Grid | None:
    """The differences to no_mixup after equally many epochs, on validation; None where all arms chose the same epochs."""
    rows: list[list[str]] = []
    strong: set[tuple[int, int]] = set()
    for arm in comparison.results.runs:
        found = comparison.equal_epochs(arm) if arm != BASELINE else None
        if found is None:
            continue
        accuracy, ece, gap = (found.last[name] for name in ("accuracy", "ece", "gap"))
        strong |= {(len(rows), column) for column, e in ((4, accuracy), (6, ece), (7, gap)) if e.sign}
        over = f"{short(min(found.ece.values()), '+')} to {short(max(found.ece.values()), '+')}"
        rows.append(
            [
                *(arm, epochs_of(found.chosen[0]), epochs_of(found.chosen[1]), f"{max(found.ece):g}"),
                *(_change_cell(accuracy), short(found.nll, "+"), _change_cell(ece), _change_cell(gap), over),
            ]
        )
    header = ["arm", "chosen", f"chosen by {BASELINE}", "equal epoch", "accuracy", "NLL", "ECE", "gap"]
    return Grid([*header, "ECE, over all equal epochs"], rows, frozenset(strong)) if rows else None


def ood_grid(comparison: Comparison) -> Grid | None:
    """AUROC and FPR95 of both scores and the mean confidence, by set and arm; None without any set."""
    rows = []
    for name in comparison.results.ood_names:
        for arm in comparison.results.runs:
            for calibration in CALIBRATIONS:
                if comparison.seeds(arm, calibration):
                    keys = [f"confidence_{name}", f"auroc_msp_{name}", f"fpr95_msp_{name}", f"auroc_energy_{name}"]
                    keys.append(f"fpr95_energy_{name}")
                    label = arm if calibration == RAW else f"{arm} + temperature"
                    rows.append([name, label, *[_mean_cell(comparison, arm, calibration, key) for key in keys]])
    header = ["set", "arm", "confidence", "AUROC (MSP)", "FPR95 (MSP)", "AUROC (energy)", "FPR95 (energy)"]
    return Grid(header, rows) if rows else None


def _mean_cell(comparison: Comparison, arm: str, calibration: str, key: str) -> str:
    mean, spread = comparison.mean(arm, calibration, key)
    cell = short(mean, "+" if key == "gap" else "")
    return cell if np.isnan(spread) or key == "ece_floor" else f"{cell}±{short(spread)}"


def _change_cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{short(estimate.value, '+')} ({short(estimate.low, '+')} to {short(estimate.high, '+')})"


def _print(comparison: Comparison, scores: Grid, verdicts: dict[str, str]) -> None:
    results = comparison.results
    row = results.all_runs[0].metrics["rows"][-1]
    seeds = sorted({run.seed for run in results.all_runs})
    kept = [
        0,
        *(scores.header.index(name) for name in ("epoch", *SCORES) if name != "Brier"),
    ]  # what a terminal has room for
    grid = Grid([scores.header[c] for c in kept], [[row[c] for c in kept] for row in scores.rows])
    _print_grid(grid, f"{results.split}, n = {row['n']}, seeds {', '.join(map(str, seeds))}")
    _print_conventions(row)
    for sweep in comparison.sweeps():
        print(f"Chosen on validation: {sweep.sentence}")
    print()
    for arm, text in verdicts.items():
        print(f"{arm}: {text}")


def _print_grid(grid: Grid, title: str) -> None:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column, name in enumerate(grid.header):
        table.add_column(name, justify="left" if column == 0 else "right", no_wrap=True)
    for row in grid.rows:
        table.add_row(*row)
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(table)


def _print_conventions(row: dict[str, Any]) -> None:
    print(
        f"ECE and OE over {row['n_bins']} equal-width bins; floor: the ECE that a perfectly calibrated model with these\n"
        "confidences would show; gap: mean confidence - accuracy, positive is over-confident; weights: "
        f"{row['selection']}."
    )


def _settings_line(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {'default' if value is None else value}" for name, value in settings.items())


def data_line(settings: dict[str, Any]) -> str:
    """Where the rows of a comparison come from, without folders.

    Example:
        >>> data_line({"dataset_name": "imdb"}), data_line({"dataset_name": "imdb", "test_file": "my/own.csv"})
        ('imdb', 'imdb (test: own.csv)')
    """
    found = {
        split: _public(value) if name == "dataset_name" else Path(value).name
        for split, (name, value) in row_sources(settings).items()
    }
    train = found.get("train", "")
    others = [f"{split}: {name}" for split, name in found.items() if name != train]
    return f"{train} ({', '.join(others)})" if others else train


def _public(name: str) -> str:
    """A Hub id or a built-in name as it is; of a local path, its last part."""
    return Path(name).name if name[:1] in "/.~" or Path(name).exists() else name


def _png(figure: Any) -> bytes:
    image = io.BytesIO()
    # Without the library's version, the same numbers give the same bytes.
    figure.savefig(image, format="png", dpi=120, metadata={"Software": None})
    return image.getvalue()


def _render(template: str, context: dict[str, Any]) -> str:
    is_html = template.endswith(".html.jinja")
    environment = Environment(
        loader=PackageLoader("nlp_mixup.reports"), autoescape=is_html, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["md"] = escape_markdown
    return environment.get_template(template).render(context)


def escape_markdown(text: Any) -> str:
    """Foreign text as inert Markdown: no HTML, no link, no table cell, no line break.

    Example:
        >>> print(escape_markdown("a|b <img> [x](y)"))
        a\\|b &lt;img&gt; \\[x\\](y)
    """
    flat = "".join(c if c.isprintable() else " " for c in str(text))
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~$!])", r"\\\1", flat)
