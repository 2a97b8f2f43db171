"""The settings of `nlp-mixup evaluate`, and what a run's folder knows of them: how its rows are read, and which they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlp_mixup.arguments import DataArguments, fields_of, parse_fields, tokens_of, used_settings
from nlp_mixup.recipe import load_recipe


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
ROWS = (*SOURCES, "dataset_config_name", "dataset_revision", "max_eval_samples", "label_noise", "ood_classes")


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
