"""The shape of the package: what imports what, what loads when, doctests."""

import ast
import doctest
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from package_imports import MODULES, PACKAGES, ROOT, VISION, imports_of
from tiny_architectures import MODEL_TYPES
from tiny_image_models import IMAGE_MODEL_TYPES, OWN_TYPES

import nlp_mixup
import nlp_mixup.arguments
import nlp_mixup.runs
import nlp_mixup.vision

# Package, or module of the front door -> the packages that it may import: data's way through the program goes down. What is
# imported for types alone, or by a task's name, stands here too.
ARROWS = {
    "cli": {"arguments", "recipe", "data", "runs", "doctor", "reports", "release"},
    "recipe": {"arguments"},
    "arguments": set(),
    "files": set(),
    "data": {"arguments"},
    "mixing": set(),
    "calibration": set(),
    "advice": {"calibration"},
    "figures": {"calibration"},
    "metrics": {"calibration"},
    "models": {"arguments", "data", "calibration"},
    "training": {"arguments", "mixing", "models", "calibration", "release"},  # release: when `push_to_hub` is called
    "runs": {"arguments", "recipe", "files", "data", "models", "training", "calibration", "advice", "vision"},
    "reports": {"arguments", "files", "runs", "calibration", "advice", "figures"},
    "doctor": {"arguments", "recipe", "files", "data", "models", "calibration", "advice", "figures", "vision"},
    "release": {"arguments", "data", "models", "runs", "calibration", "advice", "figures", "metrics", "vision"},
    "vision.data": {"arguments", "data"},
    "vision.mixing": {"mixing"},
    "vision.models": {"arguments", "models"},
    "vision.training": {"mixing", "training", "vision.data", "vision.mixing"},
    "vision.runs": {"arguments", "recipe", "data", "runs", "vision.data", "vision.models", "vision.training"},
    "vision.doctor": {"arguments", "data", "doctor", "models", "vision.data", "vision.models"},
}
LIBRARIES = {
    "mixing": {"torch", "numpy", "transformers"},
    "calibration": {"numpy", "scipy", "sklearn", "accelerate"},  # accelerate: only inside all_reduce
    "figures": {"numpy", "matplotlib"},
}


def files_of(room):
    folder, name = (VISION, room.removeprefix("vision.")) if room.startswith("vision.") else (ROOT, room)
    return [folder / f"{name}.py"] if (folder / f"{name}.py").is_file() else sorted((folder / name).glob("*.py"))


def room_of(module):
    """The package of ours that a module lies in, or the module itself where it lies in none."""
    parts = module.split(".")[1:]
    return ".".join(parts[: 2 if parts[0] == "vision" and len(parts) > 1 else 1])


def test_every_room_has_its_arrows():
    rooms = {path.stem for path in ROOT.iterdir() if path.name[0] not in "_." and path.stem not in ("py", "recipes")}
    of_vision = {f"vision.{path.stem}" for path in VISION.iterdir() if path.name[0] not in "_."}
    assert rooms | of_vision == set(ARROWS)


def test_the_wheel_has_every_package():
    tomllib = pytest.importorskip("tomllib", reason="Python has it from 3.11")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["tool"]["setuptools"]["packages"]) == {"nlp_mixup", "nlp_mixup.recipes", *PACKAGES}


@pytest.mark.parametrize("room", ARROWS)
def test_import_arrows_point_down(room):
    for path in files_of(room):
        inside = {room_of(name) for name in imports_of(path) if name.startswith("nlp_mixup.")} - {room}
        allowed = {other for other in ARROWS if any(other == to or other.startswith(f"{to}.") for to in ARROWS[room])}
        assert inside <= allowed, path


@pytest.mark.parametrize("room", ARROWS)
def test_packages_ask_each_other_and_not_their_files(room):
    """But for calibration: what stands in its `__init__` is the documented interface for users, loaded without scipy."""
    for path in files_of(room):
        for name in imports_of(path):
            if name.startswith("nlp_mixup.") and room_of(name) not in (room, "calibration"):
                assert name in PACKAGES or room_of(name) == name.removeprefix("nlp_mixup."), f"{path}: {name}"


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


@pytest.mark.parametrize("package", ["arguments", "calibration", "runs"])
def test_numbers_and_settings_load_no_framework(package):
    assert not {"torch", "transformers", "datasets"} & loaded_after(f"import nlp_mixup.{package}")


def test_the_words_are_found_by_their_older_names_too():
    import nlp_mixup.calibration
    from nlp_mixup.advice import advice
    from nlp_mixup.calibration.diagnosis import advice as of_diagnosis

    assert nlp_mixup.calibration.advice is advice is of_diagnosis


def test_public_names_are_there_and_unknown_ones_are_named():
    for package in (nlp_mixup, nlp_mixup.arguments, nlp_mixup.runs, nlp_mixup.vision):
        assert set(package.__all__) <= set(dir(package))
        for name in package.__all__:
            assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match=r"'nlp_mixup' has no attribute 'MixupTrainr'; it has MixupMixin"):
        nlp_mixup.MixupTrainr  # noqa: B018


def test_no_second_copy_of_the_modules():
    assert "vision" not in sys.modules
    assert "recipes" not in sys.modules


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_model_type_of_the_measured_transformers_has_its_row():
    page = (Path(__file__).parents[1] / "docs" / "architectures.md").read_text()
    if f"in transformers {transformers.__version__} " not in page:
        pytest.skip("the page was measured with another transformers; what both know is compared by its --check")
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
