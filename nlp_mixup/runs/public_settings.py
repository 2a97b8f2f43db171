"""A run's settings as others may see them: without folders or accounts, local files by their names alone."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any

# Settings that tell of the machine or the account, and change no number.
PRIVATE = {
    *("output_dir", "logging_dir", "resume_from_checkpoint", "run_name", "report_to", "project", "trackio_space_id"),
    *(
        "disable_tqdm",
        "hub_model_id",
        "hub_strategy",
        "hub_token",
        "hub_private_repo",
        "hub_always_push",
        "hub_revision",
    ),
    "push_to_hub",
}
FILES = {
    *("train_file", "validation_file", "test_file", "glove_file"),
    *("deepspeed", "fsdp_config", "accelerator_config"),  # a file, or what would stand in it
}
IDS = {"dataset_name", "model_name_or_path", "tokenizer_name"}  # of the Hub, or local folders
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Setting -> what the package itself brings by that name, and the Hub's id of it where there is one.
BUILT_IN: dict[str, dict[str, str | None]] = {
    "model_name_or_path": {
        "text-cnn": None,
        "minilm": "sentence-transformers/all-MiniLM-L6-v2",
        **dict.fromkeys(("resnet-small", "resnet18-32", "resnet34-32", "vgg16-bn", "resnet50")),
    },
    "dataset_name": {"demo-tweets": None, "sklearn-digits": None},
}


def public_settings(
    settings: dict[str, Any], *, known_local: Collection[str] = ()
) -> tuple[dict[str, Any], frozenset[str]]:
    """Settings without accounts and folders: a local file is given by its name.

    Args:
        settings: flat.
        known_local: those that are known to have been files or folders, which may be gone.

    Returns:
        The settings, and the names of those that were local files or folders.

    Example:
        >>> public_settings({"seed": 1, "output_dir": "/home/me/runs", "train_file": "/home/me/private/train.csv"})
        ({'seed': 1, 'train_file': 'train.csv'}, frozenset({'train_file'}))
    """
    public, local = {}, {*known_local, *local_settings(settings)} & settings.keys()
    for name, value in settings.items():
        if name in PRIVATE:
            continue
        is_folder = name in IDS and value is not None and (name in local or not is_hub_id(value))
        public[name] = _without_folders(value, is_file=name in FILES or is_folder)
        if (name in FILES and isinstance(value, str)) or public[name] != value:
            local.add(name)
    return public, frozenset(local)


def _without_folders(value: Any, *, is_file: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(item, is_file=is_file) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item, is_file=is_file) for item in value]
    if not isinstance(value, str):
        return value
    name, equals, rest = value.partition("=")  # NAME=FILE[:COLUMN=VALUE] of ood_files
    if equals and re.fullmatch(r"[\w.-]+", name):
        file, *chosen = re.split(r":(?=[^:/\\]+=)", rest, maxsplit=1)
        return "".join([name, equals, _without_folders(file, is_file=True), *(f":{part}" for part in chosen)])
    is_absolute = value.startswith(("/", "~", ".", "\\")) or re.match(r"[A-Za-z]:[/\\]", value)
    if is_file or is_absolute or (re.search(r"[/\\]", value) and os.path.exists(value)):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


def local_settings(settings: Mapping[str, Any]) -> list[str]:
    """The settings that could name something on the Hub, and name a file or folder of this machine.

    Example:
        >>> local_settings({"model_name_or_path": ".", "dataset_name": "imdb", "output_dir": "."})
        ['model_name_or_path']
    """
    return sorted(
        name
        for name in IDS & settings.keys()
        if settings[name] not in (None, *BUILT_IN.get(name, ())) and os.path.exists(os.path.expanduser(settings[name]))
    )


def is_hub_id(name: str) -> bool:
    """Whether the Hub could have something of that name.

    >>> is_hub_id("org/data"), is_hub_id("imdb"), is_hub_id("a/b/c")
    (True, True, False)
    """
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None
