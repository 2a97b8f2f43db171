"""The shape of the package: what imports what, what loads when, doctests."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_architectures import MODEL_TYPES
from tiny_image_models import IMAGE_MODEL_TYPES, OWN_TYPES

import nlp_mixup
import nlp_mixup.vision

ROOT = Path(nlp_mixup.__file__).parent
VISION = Path(nlp_mixup.vision.__file__).parent  # beside the package in the repository, inside it once installed
MODULES = sorted(
    {
        module.name
        for folder, prefix in ((ROOT, "nlp_mixup."), (VISION, "nlp_mixup.vision."))
        for module in pkgutil.walk_packages([str(folder)], prefix)
        if not module.name.endswith("__main__") and ".metrics." not in module.name
    }
)
# Room -> the rooms of the package that it may import.
ARROWS = {
    "cli": {"recipe", "experiment", "report", "doctor", "push", "data"},
    "advice": {"calibration"},
    "doctor": {
        "row_checks",
        *("advice", "arguments", "calibration", "data", "figures", "label_map", "models", "recipe", "results", "rows"),
        "padding",
        "vision",  # by the task's name, or the model's own
    },
    "label_map": {"rows", "label_names"},
    "label_names": set(),
    "class_names": {"rows", "label_map", "label_names"},
    "experiment": {
        *("recipe", "arguments", "trainer", "data", "ood", "models", "calibration", "scoring", "results", "record"),
        *("verification", "row_checks", "lengths"),
        "vision",  # by the task's name
    },
    "recipe": {"arguments"},
    "trainer": {
        *("arguments", "embeddings", "levels", "pairing", "mixing", "architectures"),
        *("evaluation", "publishing", "refusals", "search", "watch", "padding"),
    },
    "refusals": {"arguments", "calibration"},
    "search": {"arguments"},
    "evaluation": {"refusals", "watch"},
    "watch": {"trainer"},  # for a type's name
    "padding": {"release"},
    "lengths": set(),
    "publishing": {"push", "record", "model_card", "release", "row_checks", "verification", "watch"},
    "embeddings": {"architectures", "mixing"},
    "levels": {"architectures", "mixing"},
    "pairing": {"mixing"},
    "push": {
        *("advice", "calibration", "release", "verification", "model_card", "record", "models", "metrics", "vision"),
        *("arguments", "padding", "lengths"),
        "experiment",  # which reads the rows of an older run again
    },
    "release": {"calibration"},
    "verification": {"release", "results"},
    "model_card": {"advice", "arguments", "calibration", "figures", "record", "results"},
    "record": {"calibration", "results", "scoring"},
    "report": {
        "advice",
        "arguments",
        "calibration",
        "comparison",
        "figures",
        "comparison_figures",
        "report_figures",
        "results",
        "scoring",
    },
    "report_figures": {"arguments", "calibration", "comparison", "figures", "comparison_figures", "results", "scoring"},
    "comparison": {"advice", "arguments", "calibration", "results", "scoring"},
    "scoring": {"advice", "calibration"},
    "results": {"arguments"},
    "ood": {"arguments", "data", "rows"},
    "comparison_figures": {"calibration", "figures"},
    "data": {"arguments", "rows", "row_checks", "demo", "class_names", "label_names"},
    "row_checks": {"rows"},
    "rows": {"arguments"},
    "models": {"label_map", "rows", "models", "arguments", "data", "release", "padding", "lengths"},
    "figures": {"calibration"},
    "calibration": {"calibration"},
    "mixing": set(),
    "architectures": set(),
    "arguments": set(),
    "demo": set(),
    "metrics": {"calibration", "metrics"},
    "vision": {
        *("arguments", "data", "rows", "row_checks", "label_map", "ood", "recipe", "experiment", "doctor", "models"),
        *("trainer", "embeddings", "levels", "pairing", "mixing", "vision"),
    },
}
LIBRARIES = {
    "mixing": {"torch", "numpy"},
    "calibration": {"numpy", "scipy", "sklearn", "accelerate"},  # accelerate: only inside all_reduce
    "figures": {"numpy", "matplotlib"},
    "comparison_figures": {"numpy", "matplotlib"},
}


def imports_of(path):
    """Every imported module of a file, relative ones spelled out."""
    package = ("nlp_mixup", *(path.relative_to(ROOT).parts[:-1] if ROOT in path.parents else ("vision",)))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*base, *([node.module] if node.module else [])])


def files_of(room):
    if room == "vision":
        return sorted(VISION.glob("*.py"))
    return [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").is_file() else sorted((ROOT / room).glob("*.py"))


def test_every_room_has_its_arrows():
    rooms = {path.stem if path.is_file() else path.name for path in ROOT.iterdir() if path.name[0] not in "_."}
    assert (rooms - {"recipes", "py", "templates"}) | {"vision"} == set(ARROWS)


@pytest.mark.parametrize("room", ARROWS)
def test_import_arrows_point_down(room):
    for path in files_of(room):
        inside = {name.split(".")[1] for name in imports_of(path) if name.startswith("nlp_mixup.")}
        assert inside <= ARROWS[room], path


@pytest.mark.parametrize("room", LIBRARIES)
def test_rooms_of_numbers_know_no_framework(room):
    for path in files_of(room):
        libraries = {name.split(".")[0] for name in imports_of(path)} - {"nlp_mixup"} - sys.stdlib_module_names
        assert libraries <= LIBRARIES[room], path


def loaded_after(code):
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_package_or_asking_for_help_loads_no_framework():
    heavy = {"torch", "transformers", "datasets", "numpy", "sklearn", "matplotlib"}
    assert not heavy & loaded_after("import nlp_mixup")
    assert not heavy & loaded_after("import nlp_mixup.vision")
    help_text = "import nlp_mixup.cli\ntry: nlp_mixup.cli.main(['--help'])\nexcept SystemExit: pass"
    assert not heavy & loaded_after(help_text)


def test_calibration_loads_no_framework():
    assert not {"torch", "transformers", "datasets"} & loaded_after("import nlp_mixup.calibration")


def test_the_words_are_found_by_their_older_names_too():
    import nlp_mixup.calibration
    from nlp_mixup.advice import advice
    from nlp_mixup.calibration.diagnosis import advice as of_diagnosis

    assert nlp_mixup.calibration.advice is advice is of_diagnosis


def test_public_names_are_there_and_unknown_ones_are_named():
    for name in nlp_mixup.__all__:
        assert getattr(nlp_mixup, name) is not None
    assert set(nlp_mixup.__all__) <= set(dir(nlp_mixup))
    with pytest.raises(AttributeError, match=r"'nlp_mixup' has no attribute 'MixupTrainr'; it has MixupMixin"):
        nlp_mixup.MixupTrainr  # noqa: B018


def test_no_second_copy_of_the_modules():
    assert "vision" not in sys.modules
    assert "recipes" not in sys.modules


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_model_type_of_the_installed_transformers_has_its_row():
    page = (Path(__file__).parents[1] / "docs" / "architectures.md").read_text()
    tables = [
        [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][1:]
        for part in page.split("## Images")
    ]
    message = "transformers has other types; run: python tests/architecture_table.py"
    assert tables == [MODEL_TYPES, [*IMAGE_MODEL_TYPES, *OWN_TYPES]], message


def test_only_absolute_imports_of_vision():
    """`import vision` from the repository's root would load a second copy of its modules."""
    for path in VISION.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        assert not [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level], path
        assert "vision" not in {name.split(".")[0] for name in imports_of(path)}
