"""An evaluation on the terminal: its table and the advice, or its numbers alone as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from accelerate import PartialState
from rich import box
from rich.console import Console
from rich.table import Table

from nlp_mixup.doctor.arguments import DoctorArguments
from nlp_mixup.doctor.files import as_record, write_files
from nlp_mixup.doctor.judging import Evaluation
from nlp_mixup.doctor.table import columns_of, legend_of, title_of, warnings_of


def print_evaluation(evaluation: Evaluation, options: DoctorArguments) -> None:
    """Prints the table and the advice, or with ``json`` the numbers alone; writes the files where a folder is named."""
    if not PartialState().is_main_process:
        return
    record = as_record(evaluation)
    if options.output_dir is not None:
        write_files(evaluation, record, Path(options.output_dir))
    if options.json:
        print(json.dumps(record, indent=1))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    heading, *columns = columns_of(evaluation)
    table = Table(box=box.SIMPLE_HEAD)
    for column in (heading, *columns):
        table.add_column(column[0], no_wrap=True)
    for cells in zip(*(column[1:] for column in (heading, *columns)), strict=True):
        table.add_row(*cells)
    _say(console, title_of(evaluation))
    for line in warnings_of(evaluation):
        _say(console, f"Warning: {line}")
    console.print(table)
    for line in (legend_of(evaluation), "", *record["advice"], *(f"Note: {note}" for note in evaluation.notes)):
        _say(console, line)
    if options.output_dir is not None:
        _say(console, f"Written: {options.output_dir}")


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False)
