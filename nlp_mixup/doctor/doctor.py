"""`nlp-mixup evaluate MODEL`: how well a trained classifier's confidence can be believed, and what to do about it.

The model may come from anywhere; one file of labelled rows that it was not trained on is enough. With a validation and
a test split, the temperature is fitted on validation and everything is judged on test; with one split, the temperature is
cross-fitted in two halves. The rules of the verdict stand in `nlp_mixup.calibration.diagnosis`.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate import PartialState
from datasets import Dataset, DatasetDict
from datasets.utils.logging import disable_progress_bar as disable_datasets_bars
from rich import box
from rich.console import Console
from rich.table import Table
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
from transformers.utils.logging import disable_progress_bar as disable_transformers_bars

import nlp_mixup
from nlp_mixup.advice import advice, disagreement_line
from nlp_mixup.arguments import DataArguments, used_settings
from nlp_mixup.calibration import Diagnosis, Interval, diagnose, reliability_table, softmax
from nlp_mixup.calibration.disagreement import compare_accuracies
from nlp_mixup.calibration.floor import short
from nlp_mixup.data import (
    HeldOut,
    judged_rows,
    match_labels,
    number_classes,
    read_held_out,
    shorten,
    tell_unlabelled,
    text_data,
    tokenize,
    trained_rows,
)
from nlp_mixup.figures import reliability_figure
from nlp_mixup.files import write_atomically
from nlp_mixup.models import SAMPLE, load_trained, reads_images, settle_padding
from nlp_mixup.recipe import fields_of, load_recipe, parse_fields, tokens_of


@dataclass
class DoctorArguments:
    """How the model is loaded and what is written."""

    _argument_group_name = "evaluate"

    output_dir: str | None = field(
        default=None,
        metadata={"help": "Folder for evaluation.json, evaluation.md, reliability.png and the logits. Default: none."},
    )
    json: bool = field(default=False, metadata={"help": "Print the content of evaluation.json, and nothing else."})
    n_bins: int = field(
        default=15, metadata={"help": "Equal-width confidence bins of ECE and OE (the paper used 100)."}
    )
    model_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the Hub model."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer, where it is not the model's own."})
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run code that the Hub model brings with it. Read it first."}
    )
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Rows of a batch, on each device."})
    bf16: bool = field(
        default=False,
        metadata={
            "help": "Compute in bfloat16, which rounds logits to three digits. Without it, a GPU computes in the precision "
            "of the checkpoint and a CPU in float32."
        },
    )
    use_cpu: bool = field(default=False, metadata={"help": "Leave a GPU alone."})

    def __post_init__(self):
        for name in ("n_bins", "per_device_eval_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")


ARGUMENT_CLASSES: tuple[Any, ...] = (DataArguments, DoctorArguments)
# Settings of a run that say how any rows are read and scored ...
READING = (
    *(
        "drop_blank",
        "task",
        "text_column",
        "text_pair_column",
        "label_column",
        "label_map",
        "max_length",
        "image_column",
        "image_size",
    ),
    *("data_split_seed", "n_bins"),
)
# ... and those that say which rows the run itself was scored on.
SOURCES = ("dataset_name", "validation_file", "test_file")
NO_LIMIT = 10**6  # a tokenizer that knows none has a larger number
ROWS = (*SOURCES, "dataset_config_name", "dataset_revision", "max_eval_samples", "label_noise", "ood_classes")


@dataclass(frozen=True)
class Subject:
    """A model and the rows that it is judged by; whatever makes one of these can be evaluated.

    Attributes:
        model: a classifier of K classes.
        splits: ``validation``, ``test`` or both: model inputs and ``labels``, the model's class ids.
        sources: split -> what its rows are called.
        label_names: the model's K class names.
        label_map: data label -> the model's class, as they were matched.
        data_collator: makes a batch of rows.
        notes: what a reader should know of how the rows were read.
        trained_on: split -> how many of its rows the model was trained on; see `nlp_mixup.data.row_checks.RowReport`.
    """

    model: Any
    splits: DatasetDict
    sources: dict[str, str]
    label_names: list[str]
    label_map: dict[str, str]
    data_collator: Callable[[list[Any]], dict[str, Any]]
    notes: list[str]
    trained_on: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found.

    Attributes:
        model: as it was named.
        subject: what was judged.
        split: the split that everything is judged by.
        logits: split -> (n, K).
        labels: split -> (n,).
        diagnosis: numbers and verdict.
        notes: what a reader should know beside them.
    """

    model: str
    subject: Subject
    split: str
    logits: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    diagnosis: Diagnosis
    notes: list[str]


def parse_arguments(model: str, overrides: list[str]) -> tuple[DataArguments, DoctorArguments]:
    """Command-line tokens as arguments. What they leave out, a run's folder knows: how its rows are read, and which they are.

    The run's own rows are left alone as soon as others are named.

    Raises:
        ValueError: an unknown flag, a value out of its range, or a run whose settings cannot be read.
        SystemExit: a value of the wrong type, with the parser's message.
    """
    stored = Path(model).expanduser() / "arguments.yaml"
    settings: dict[str, Any] = {}
    if stored.is_file() and not stored.with_name("config.json").is_file():
        run = used_settings(load_recipe(str(stored)).settings)
        wanted = {*READING, *(() if fields_of(overrides) & set(SOURCES) else ROWS)}
        settings = {name: value for name, value in run.items() if name in wanted}
    data, options = parse_fields(ARGUMENT_CLASSES, [*tokens_of(settings), *overrides])
    return data, options


def prepare(model: str, data: DataArguments, options: DoctorArguments) -> Subject:
    """Reads the rows, loads the model and matches their labels with its classes, by ``task`` or as the model's config says.

    Raises:
        ValueError: settings, data, model or labels that cannot be used; so do FileNotFoundError and ImportError.
    """
    for name in ("train_file", "max_train_samples"):
        if getattr(data, name) is not None:
            raise ValueError(
                f"{name} has no use here: rows that a model was trained on say nothing of its calibration. Type "
                "--validation_file FILE, --test_file FILE or both."
            )
    files = [Path(name).expanduser() for name in (data.validation_file, data.test_file) if name]
    if len(files) == 2 and files[0].resolve() == files[1].resolve():
        raise ValueError(f"validation_file and test_file are both {files[0]}. Give it once: --validation_file.")
    if data.task == "image" or reads_images(model, revision=options.model_revision):
        from nlp_mixup.vision.doctor import prepare_images

        return prepare_images(model, data, options)
    return prepare_texts(model, data, options)


def prepare_texts(model: str, data: DataArguments, options: DoctorArguments) -> Subject:
    """`prepare` for texts. Raises what it raises."""
    held_out = read_held_out(data)
    network, tokenizer = load_trained(
        model,
        revision=options.model_revision,
        tokenizer_name=options.tokenizer_name,
        trust_remote_code=options.trust_remote_code,
        dtype=dtype_of(options),
    )
    classes, label_map, tables = match_classes(network, held_out, data)
    texts = text_data(tables, classes, data)
    splits = tokenize(texts, tokenizer, max_length=data.max_length)
    collate, notes = DataCollatorWithPadding(tokenizer), []
    if options.per_device_eval_batch_size > 1:
        change = settle_padding(network, collate, _sample(splits), tokenizer)
        notes += [change] if change else []
    limit = tokenizer.model_max_length
    longest = min(data.max_length, limit)
    full = sum(len(ids) >= longest for split in splits.values() for ids in split["input_ids"])
    total = sum(map(len, splits.values()))
    trained, unknown = trained_rows(model)
    rows = judged_rows(texts.facts, classes, trained, noun="pair of texts" if data.text_pair_column else "text")
    takes = f" the model takes {limit}: --max_length {limit}." if longest < limit < NO_LIMIT else " see --max_length."
    cut = f"{full:,} of {total:,} rows fill {longest} tokens and may have been cut:{takes}"
    return Subject(
        model=network,
        splits=splits,
        sources={split: read.rows.source for split, read in held_out.items()},
        label_names=classes,
        label_map=label_map,
        data_collator=collate,
        notes=[
            *unlabelled_notes(held_out),
            *notes,
            *([cut] if full else []),
            *([unknown] if unknown else []),
            *rows.notes,
        ],
        trained_on=rows.trained_on,
    )


def unlabelled_notes(held_out: dict[str, HeldOut]) -> list[str]:
    """How many rows of each split have no label."""
    return [line for read in held_out.values() for line in tell_unlabelled(read.rows)]


def _sample(splits: DatasetDict) -> list[dict[str, Any]]:
    """Some rows of the first split, as the collator gets them."""
    rows = next(iter(splits.values()))
    return [rows[row] for row in range(min(len(rows), SAMPLE))]


def dtype_of(options: DoctorArguments) -> torch.dtype | str:
    """What weights are loaded as: on a GPU the checkpoint's own type, on a CPU float32."""
    return "auto" if torch.accelerator.is_available() and not options.use_cpu else torch.float32


def match_classes(
    model: Any, held_out: dict[str, HeldOut], data: DataArguments
) -> tuple[list[str], dict[str, str], dict[str, pa.Table]]:
    """Matches the rows' labels with the model's classes.

    Args:
        model: a classifier.
        held_out: the splits as read.
        data: ``label_map``; ``label_noise``, and the seed of its draw.

    Returns:
        The model's K class names, data label -> class name, and the splits with class ids for labels.

    Raises:
        ValueError: a label that has no class, or whose class cannot be known.
    """
    config: Any = model.config
    classes = [str(config.id2label[index]) for index in range(config.num_labels)]
    id_of, label_map = {}, {}
    for split, read in held_out.items():
        id_of[split] = match_labels(read.counts, read.names, classes, data.label_map, read.rows.source)
        for label, class_id in sorted(id_of[split].items(), key=lambda item: item[1]):
            label_map[str(read.names.get(label, label) if isinstance(label, int) else label)] = classes[class_id]
    return classes, label_map, number_classes(held_out, id_of, len(classes), data)


def predict(subject: Subject, options: DoctorArguments) -> dict[str, np.ndarray]:
    """Logits (n, K) of each split, in the order of its rows; rows of like length share a batch, the longest come first."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=subject.model,
            args=TrainingArguments(
                output_dir=folder,
                per_device_eval_batch_size=options.per_device_eval_batch_size,
                bf16=options.bf16,
                use_cpu=options.use_cpu,
                dataloader_pin_memory=torch.accelerator.is_available() and not options.use_cpu,
                label_names=["labels"],
                disable_tqdm=not sys.stderr.isatty(),
                report_to="none",
            ),
            data_collator=subject.data_collator,
            preprocess_logits_for_metrics=_logits_alone,
        )
        logits = {}
        for split, rows in subject.splits.items():
            order = _by_length(rows)
            logits[split] = np.empty((len(rows), len(subject.label_names)), dtype=np.float32)
            logits[split][order] = trainer.predict(rows.select(order)).predictions
    return logits


def _logits_alone(outputs: Any, labels: Any) -> torch.Tensor:
    """Without the hidden states that some models return beside their logits."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def _by_length(rows: Dataset) -> np.ndarray:
    if "input_ids" not in rows.column_names:
        return np.arange(len(rows))
    return np.argsort([-len(ids) for ids in rows["input_ids"]], kind="stable")


def judge(
    model: str, subject: Subject, logits: dict[str, np.ndarray], options: DoctorArguments, seed: int = 0
) -> Evaluation:
    """Scores test by a temperature of validation, or the only split by one that is cross-fitted.

    Args:
        model: what it is called.
        subject: from `prepare`.
        logits: from `predict`.
        options: the number of bins.
        seed: of the halves of cross-fitting.

    Raises:
        ValueError: logits that are not finite.
    """
    labels = {split: np.asarray(rows.with_format("numpy")["labels"][:]) for split, rows in subject.splits.items()}
    split = "test" if "test" in logits else "validation"
    both = len(logits) == 2
    diagnosis = diagnose(
        logits[split],
        labels[split],
        fit_logits=logits["validation"] if both else None,
        fit_labels=labels["validation"] if both else None,
        n_bins=options.n_bins,
        seed=seed,
    )
    notes = [*_folded(subject.model.config), *subject.notes]
    if both:
        right = {name: float((logits[name].argmax(1) == labels[name]).mean()) for name in logits}
        found = compare_accuracies(right["validation"], len(labels["validation"]), right["test"], len(labels["test"]))
        if shifted := disagreement_line(found):
            notes.append(shifted)
    commonest = int(diagnosis.class_shares.argmax())
    share = diagnosis.class_shares[commonest]
    if diagnosis.intervals["raw"]["accuracy"].high < share:
        notes.append(
            f"The model is right less often than always saying {subject.label_names[commonest]!r}, {share:.0%}: check that "
            "these rows are of its kind and that the labels mean its classes."
        )
    return Evaluation(model, subject, split, logits, labels, diagnosis, notes)


def _folded(config: Any) -> list[str]:
    """What `nlp_mixup.models.fold` recorded of a temperature in the weights, in a sentence; the record may be anybody's."""
    recorded = getattr(config, "calibration", None)
    if not isinstance(recorded, dict) or not isinstance(recorded.get("temperature"), float):
        return []
    n, split = recorded.get("n"), shorten([recorded.get("split")])
    rows = f"{n:,} {split} rows" if isinstance(n, int) else f"{split} rows"
    return [
        f"This model's weights carry a temperature of {recorded['temperature']:.3f}, fitted on {rows}. "
        "Any temperature here comes on top of it."
    ]


def evaluate(model: str, data: DataArguments, options: DoctorArguments) -> Evaluation:
    """Loads, predicts and judges; from Python what ``nlp-mixup evaluate`` does.

    Raises:
        ValueError: settings, data, model or labels that cannot be used; so do FileNotFoundError and ImportError.
    """
    if not sys.stderr.isatty():
        disable_datasets_bars()
        disable_transformers_bars()
    if options.output_dir is not None:
        Path(options.output_dir).mkdir(parents=True, exist_ok=True)  # found out now, not after the predictions
    subject = prepare(model, data, options)
    return judge(model, subject, predict(subject, options), options, data.data_split_seed)


# What is printed and written

SCORES = ("accuracy", "confidence", "nll", "brier", "ece", "oe", "gap")
HEADINGS = {"nll": "NLL", "brier": "Brier", "ece": "ECE", "oe": "OE"}


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
    heading, *columns = _columns(evaluation)
    table = Table(box=box.SIMPLE_HEAD)
    for column in (heading, *columns):
        table.add_column(column[0], no_wrap=True)
    for cells in zip(*(column[1:] for column in (heading, *columns)), strict=True):
        table.add_row(*cells)
    _say(console, _title(evaluation))
    for line in _warnings(evaluation):
        _say(console, f"Warning: {line}")
    console.print(table)
    for line in (_legend(evaluation), "", *record["advice"], *(f"Note: {note}" for note in evaluation.notes)):
        _say(console, line)
    if options.output_dir is not None:
        _say(console, f"Written: {options.output_dir}")


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False)


def _title(evaluation: Evaluation) -> str:
    scores = evaluation.diagnosis.scores["raw"]
    source = evaluation.subject.sources[evaluation.split]
    return (
        f"{evaluation.model} on {source}: {evaluation.split}, n = {scores['n']:,}, "
        f"{len(evaluation.subject.label_names)} classes"
    )


def _warnings(evaluation: Evaluation) -> list[str]:
    """What takes the worth from the numbers below it: rows that the model was trained on."""
    return [found["note"] for found in evaluation.subject.trained_on.values()]


def _columns(evaluation: Evaluation) -> list[list[str]]:
    """The table by columns: names of scores, raw, and where there is a temperature, after it."""
    columns = [["", *(HEADINGS.get(name, name) for name in SCORES)]]
    columns[0].insert(columns[0].index("ECE") + 1, "noise floor")
    for key, scores in evaluation.diagnosis.scores.items():
        intervals = evaluation.diagnosis.intervals[key]
        cells = ["raw" if key == "raw" else "after temperature"]
        for name in SCORES:
            cells.append(_cell(intervals[name], signed=name == "gap"))
            if name == "ece":
                cells.append(f"{short(scores['ece_floor'])} (up to {short(scores['ece_floor_high'])})")
        columns.append(cells)
    return columns


def _cell(interval: Interval, signed: bool) -> str:
    value, low, high = (
        f"{'+' if signed and number >= 0 else ''}{short(number)}"
        for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} ({low} to {high})"


def _legend(evaluation: Evaluation) -> str:
    diagnosis = evaluation.diagnosis
    text = (
        f"In brackets: 95% intervals over rows, those of ECE and OE corrected for their bias. ECE and OE over "
        f"{diagnosis.scores['raw']['n_bins']} equal-width bins; noise floor: the ECE that a perfectly calibrated model "
        "with these confidences would show; gap: mean confidence - accuracy, positive is over-confident."
    )
    if "temperature" not in diagnosis.scores:
        return text
    if diagnosis.cross_fitted:
        return f"{text} After temperature: each half of the rows under the T of the other half."
    return f"{text} T is fitted on {evaluation.subject.sources['validation']}."


def as_record(evaluation: Evaluation) -> dict[str, Any]:
    """All numbers, as evaluation.json holds them."""
    diagnosis = evaluation.diagnosis
    temperature = diagnosis.temperature
    return {
        "format": 1,
        "version": nlp_mixup.__version__,
        "model": evaluation.model,
        "sources": evaluation.subject.sources,
        "split": evaluation.split,
        "label_names": evaluation.subject.label_names,
        "label_map": evaluation.subject.label_map,
        "verdict": diagnosis.verdict,
        "rows": [
            {
                "split": evaluation.split,
                "calibration": key,
                # Cross-fitted rows are scaled by the T of their other half, which is near this one.
                "temperature": 1.0 if key == "raw" or temperature is None else temperature.value,
                **scores,
            }
            for key, scores in diagnosis.scores.items()
        ],
        "intervals": {
            key: {name: [found.value, found.low, found.high] for name, found in intervals.items()}
            for key, intervals in diagnosis.intervals.items()
        },
        "temperature": None
        if temperature is None
        else {f.name: getattr(temperature, f.name) for f in fields(temperature) if f.name != "level"},
        "temperature_note": diagnosis.temperature_note,
        "cross_fitted": diagnosis.cross_fitted,
        "nll_change": None if diagnosis.nll_change is None else asdict(diagnosis.nll_change),
        "rows_needed": diagnosis.rows_needed,
        "class_shares": diagnosis.class_shares.tolist(),
        "mixup_alpha": diagnosis.alpha,
        "trained_on": evaluation.subject.trained_on,
        "advice": advice(diagnosis),
        "notes": evaluation.notes,
    }


def write_files(evaluation: Evaluation, record: dict[str, Any], folder: Path) -> None:
    """Writes evaluation.json, evaluation.md, reliability.png and logits-<split>.npz."""
    diagnosis = evaluation.diagnosis
    for split, logits in evaluation.logits.items():
        content = io.BytesIO()
        np.savez_compressed(content, logits=logits, labels=evaluation.labels[split].astype(np.int64))
        write_atomically(folder / f"logits-{split}.npz", content.getvalue())
    n_bins = int(diagnosis.scores["raw"]["n_bins"])
    tables = {
        "raw" if key == "raw" else "after temperature": reliability_table(
            softmax(logits), diagnosis.labels, n_bins=n_bins
        )
        for key, logits in diagnosis.logits.items()
    }
    image = io.BytesIO()
    reliability_figure(tables).savefig(image, format="png", dpi=150)
    write_atomically(folder / "reliability.png", image.getvalue())
    columns = _columns(evaluation)
    lines = [
        f"# {_escape(_title(evaluation))}",
        "",
        *(f"**{_escape(line)}**\n" for line in _warnings(evaluation)),
        *(f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)),
        "",
        _escape(_legend(evaluation)),
        "",
        *(f"- {_escape(line)}" for line in (*record["advice"], *evaluation.notes)),
        "",
        "![Reliability diagrams](reliability.png)",
        "",
    ]
    lines.insert(3 + len(_warnings(evaluation)), "|" + "---|" * len(columns))
    write_atomically(folder / "evaluation.md", "\n".join(lines))
    write_atomically(folder / "evaluation.json", json.dumps(record, indent=1) + "\n")


def _escape(text: str) -> str:
    """Names of models, files and classes as they are, whatever Markdown would make of them."""
    return "".join(f"\\{letter}" if letter in "\\`*_<>[]|#&" else letter for letter in text)
