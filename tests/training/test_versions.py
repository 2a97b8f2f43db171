"""The library that trains wrongly is refused by name, before anything of it is imported."""

import subprocess
import sys

import pytest

from nlp_mixup.training import versions


@pytest.mark.parametrize("installed", ["4.57.3", "5.0.0", "5.4.0", "5.5.3"])
def test_a_transformers_that_trains_wrongly_is_refused(monkeypatch, installed):
    monkeypatch.setattr(versions, "version", lambda name: installed)
    message = (
        rf"transformers {installed} is installed.* 5\.5\.4 or newer.*twice.*pip install -U 'transformers>=5\.5\.4,<6'"
    )
    with pytest.raises(ImportError, match=message):
        versions.check_transformers()


@pytest.mark.parametrize("installed", ["5.5.4", "5.10.0", "5.24.0", "5.25.0.dev0"])
def test_newer_ones_are_taken(monkeypatch, installed):
    monkeypatch.setattr(versions, "version", lambda name: installed)
    versions.check_transformers()


def test_the_refusal_comes_before_torch_and_transformers():
    code = (
        "import sys, importlib.metadata as m; m.version = lambda name: '5.4.0'\n"
        "try: import nlp_mixup.training\n"
        "finally: print(*{'torch', 'transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == ""
    assert "ImportError: transformers 5.4.0 is installed" in done.stderr
