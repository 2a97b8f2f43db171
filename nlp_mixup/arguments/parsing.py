"""Command-line tokens -> the dataclasses of the settings, with a line for a flag that there is not; and their help."""

import argparse
import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, NoReturn

from transformers import HfArgumentParser

from nlp_mixup.arguments.data import DataArguments
from nlp_mixup.arguments.evaluation import EvaluationArguments
from nlp_mixup.arguments.model import ModelArguments
from nlp_mixup.arguments.training import MixupTrainingArguments

ARGUMENT_CLASSES: tuple[Any, ...] = (ModelArguments, DataArguments, MixupTrainingArguments, EvaluationArguments)
FIELDS = {f.name: f for cls in ARGUMENT_CLASSES for f in fields(cls) if f.init}


def parse_fields(classes: tuple[Any, ...], tokens: list[str]) -> list[Any]:
    """Command-line tokens as one instance of each dataclass.

    Raises:
        ValueError: an unknown flag (the message names the nearest), or a value out of its range.
        SystemExit: a value of the wrong type, with the parser's message.
    """
    parser = _Parser(classes, prog="nlp-mixup", allow_abbrev=False)
    *arguments, unknown = parser.parse_args_into_dataclasses(
        args=tokens, return_remaining_strings=True, look_for_args_file=False
    )
    if unknown:
        flag = unknown[0].split("=")[0].lstrip("-").replace("-", "_")
        known = [f.name for cls in classes for f in fields(cls) if f.init]
        raise ValueError(f"Unknown argument '{unknown[0]}'.{nearest(flag, known, prefix='--')}")
    return arguments


def field_help(classes: tuple[Any, ...] = ARGUMENT_CLASSES) -> str:
    """The help of every argument field."""
    return _Parser(classes, prog="nlp-mixup", usage=argparse.SUPPRESS, add_help=False).format_help()


def fields_of(overrides: list[str]) -> set[str]:
    """The argument fields that command-line tokens set, such as {"mixup_alpha"} for ["--mixup_alpha", "0.4"]."""
    names = {token.split("=")[0].lstrip("-").replace("-", "_") for token in overrides if token.startswith("--")}
    return {name.removeprefix("no_") if name not in FIELDS else name for name in names}


def tokens_of(settings: dict[str, Any]) -> list[str]:
    """Settings as command-line tokens, such as ["--mixup_alpha=0.4"] for {"mixup_alpha": 0.4}."""
    return [token for name, value in settings.items() for token in _tokens(name, value)]


def _tokens(name: str, value: Any) -> list[str]:
    """One setting as command-line tokens, so that YAML and the command line are parsed by the same rules.

    PyYAML reads 5e-5 as a string, and HfArgumentParser's own YAML reader keeps it one; argparse's types do not.
    """
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{name}={str(value).lower()}"]
    if isinstance(value, dict) and name in ("ood_files", "label_map"):
        value = [f"{key}={file}" for key, file in value.items()]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}={json.dumps(value) if isinstance(value, dict) else value}"]


class _Parser(HfArgumentParser):
    """Without argparse's usage listing of all 130 flags in front of a one-line error, and with -1=CLASS for a value."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # What argparse takes for a value though it begins with a dash: numbers and, beside them, NAME=VALUE.
        self._negative_number_matcher = re.compile(r"-\d+$|-\d*\.\d+$|-[^-].*=", re.DOTALL)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"nlp-mixup: error: {message}\n")


def nearest(given: str, known: Iterable[str], prefix: str = "") -> str:
    """A question that names the nearest of the known names; empty where none is near."""
    matches = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{prefix}{matches[0]}'?" if matches else ""
