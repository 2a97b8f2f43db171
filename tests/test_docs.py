"""The tables of docs/ name tests that are there, and versions that were run."""

import json
import re
from pathlib import Path

import pytest
import versions

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["checks.md", "training.md"])
def test_every_test_that_a_table_names_is_there(page):
    named, file = [], None
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        for of_file, test in re.findall(r"`(?:((?:\w+/)*test_\w+\.py))?(?:::)?(test_\w+)`", line):
            file = of_file or (file if "checks" in page else "training/test_combinations.py")
            named.append((file, test))
    assert len(named) > 20
    for file, test in named:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{page} names {file}::{test}"


def test_the_page_of_versions_says_what_was_run():
    assert versions.PAGE.read_text(encoding="utf-8") == versions.page(json.loads(versions.RECORD.read_text()))
    accepted = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest = dict(package.split("==") for package in versions.LOWEST)
    for name, floor in re.findall(r'^    "([\w-]+)>=([\d.]+)', accepted, re.MULTILINE):
        if name in lowest:
            assert (lowest[name] + ".").startswith(floor + "."), name
