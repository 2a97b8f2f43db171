"""From the finished runs of a results folder to its table, `results.csv` and the reliability diagrams."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from nlp_mixup.calibration import ReliabilityTable, reliability_table, softmax
from nlp_mixup.figures import reliability_figure

COLUMNS = (
    *("arm", "seed", "split", "calibration", "selection", "n", "n_bins"),
    *(
        "accuracy",
        "nll",
        "brier",
        "ece",
        "ece_floor",
        "ece_floor_low",
        "ece_floor_high",
        "oe",
        "mce",
        "gap",
        "confidence",
    ),
)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, or a run killed half-way, finds all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(partial, path)


def finished_runs(output_dir: Path) -> list[Path]:
    """The run folders under `output_dir` that are done: OUT/<arm>/seed-<s> with a metrics.json."""
    return sorted(path.parent for path in output_dir.glob("*/seed-*/metrics.json"))


def read_rows(output_dir: Path, arms: list[str] | None = None) -> list[dict[str, Any]]:
    """The scores of all finished runs, a row per arm, seed, split and calibration.

    Args:
        output_dir: a results folder.
        arms: the order of the arms; others follow by name.
    """
    rows = [row for run in finished_runs(output_dir) for row in read_run(run)["rows"]]
    order = {arm: index for index, arm in enumerate(arms or [])}
    rows.sort(key=lambda row: (order.get(row["arm"], len(order)), row["arm"], row["seed"]))
    return rows


def write_results(output_dir: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes results.csv; it holds no time, host or path, so that a resumed comparison gives the same bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = output_dir / "results.csv"
    write_atomically(path, text.getvalue())
    return path


def read_run(folder: Path) -> dict[str, Any]:
    """What a finished run stored: its ``rows`` of scores, one per split and calibration, ``intervals``, ``verdicts``."""
    return json.loads((folder / "metrics.json").read_text())


def pooled_table(runs: list[Path], split: str, n_bins: int) -> ReliabilityTable:
    """The reliability table over the predictions of several runs (seeds) on one split."""
    stored = [np.load(run / f"logits-{split}.npz") for run in runs]
    probs = np.concatenate([softmax(file["logits"]) for file in stored])
    labels = np.concatenate([file["labels"] for file in stored])
    return reliability_table(probs, labels, n_bins=n_bins)


def save_reliability_figure(path: Path, runs_by_arm: dict[str, list[Path]], split: str, n_bins: int) -> Path:
    """Draws the arms' reliability diagrams side by side."""
    figure = reliability_figure({arm: pooled_table(runs, split, n_bins) for arm, runs in runs_by_arm.items()})
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    write_atomically(path, image.getvalue())
    return path


def print_run(folder: Path) -> None:
    """Prints a finished run's scores on each split, and what its ECE says beside its noise floor."""
    stored = read_run(folder)
    rows = stored["rows"]
    table = _score_table("split", f"{rows[0]['arm']}, seed {rows[0]['seed']}")
    for row in rows:
        table.add_row(f"{row['split']} (n = {row['n']})", *_score_cells([row]))
    _print(table, rows)
    for split, verdict in stored["verdicts"].items():
        print(f"{split}: {verdict}")
    print(f"Run: {folder}")
    print(f"Figure: {folder / 'reliability.png'}")


def report(output_dir: Path, arms: list[str], seeds: list[int]) -> None:
    """Prints the arms' test scores (mean and standard deviation over seeds), writes results.csv and the figure."""
    runs_by_arm = {arm: [output_dir / arm / f"seed-{seed}" for seed in seeds] for arm in arms}
    rows = read_rows(output_dir, arms)
    results = write_results(output_dir, rows)
    split = "test" if any(row["split"] == "test" for row in rows) else "validation"
    rows = [row for row in rows if row["split"] == split and row["arm"] in arms and row["seed"] in seeds]
    table = _score_table("arm", f"{split}, n = {rows[0]['n']}, seeds {', '.join(map(str, seeds))}")
    for arm in arms:
        table.add_row(arm, *_score_cells([row for row in rows if row["arm"] == arm]))
    _print(table, rows)
    figure = save_reliability_figure(output_dir / "figures" / "reliability.png", runs_by_arm, split, rows[0]["n_bins"])
    print(f"Table: {results}")
    print(f"Figure: {figure}")


SCORES = {"accuracy": "accuracy", "NLL": "nll", "ECE": "ece", "floor": "ece_floor", "OE": "oe", "gap": "gap"}


def _score_table(first_column: str, title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column(first_column, no_wrap=True)
    for name in SCORES:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _score_cells(rows: list[dict[str, Any]]) -> list[str]:
    cells = []
    for key in SCORES.values():
        values = np.array([row[key] for row in rows])
        cell = _decimal(values.mean(), "+" if key == "gap" else "")
        has_spread = len(values) > 1 and key != "ece_floor"
        cells.append(f"{cell}±{_decimal(values.std(ddof=1))}" if has_spread else cell)
    return cells


def _decimal(value: float, sign: str = "") -> str:
    """Three decimals without the zero before the point, so that a table with spreads fits 80 columns."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:{sign}.3f}"


def _print(table: Table, rows: list[dict[str, Any]]) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table)
    print(
        f"ECE and OE over {rows[0]['n_bins']} equal-width bins; floor: the ECE that a perfectly calibrated model with these\n"
        f"confidences would show; gap: mean confidence - accuracy, positive is over-confident; weights: {rows[0]['selection']}."
    )
