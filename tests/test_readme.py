"""The README's blocks run: Python as it stands, commands as far as their recipes and flags."""

import re
from pathlib import Path

import pytest
import torch
from conftest import tiny_model
from datasets import Dataset

from nlp_mixup.models import build_word_tokenizer
from nlp_mixup.recipe import load_recipe, parse_arguments

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = [
    line.split("#")[0].split("&&")[-1].split()
    for language, block in BLOCKS
    if language == "bash"
    for line in block.splitlines()
]
PYTHON = [block for language, block in BLOCKS if language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts = ["a good film", "a bad film", "fine", "dull plot"]
    tokenizer = build_word_tokenizer(texts)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # as a BERT's own: it would read the padding as words
    rows = Dataset.from_dict({"input_ids": tokenizer(texts)["input_ids"], "label": [0, 1, 2, 1]})
    generator = torch.Generator().manual_seed(0)
    names = {
        "model": tiny_model("bert"), "tokenizer": tokenizer, "train": rows, "validation": rows,
        "logits": torch.randn(200, 3, generator=generator), "labels": torch.arange(200) % 3,
    }  # fmt: skip
    exec(block, names)
    assert re.search(r"eval_ece|ECE \.\d+", capsys.readouterr().out)


def test_the_two_commands_of_the_first_minute_are_there():
    assert 'pip install -e ".[demo]" && nlp-mixup compare quickstart' in TEXT
    assert 'pip install -e ".[test]" && pytest -n 2 --dist loadfile' in TEXT


@pytest.mark.parametrize("words", [c for c in COMMANDS if {"train", "compare"} & set(c)], ids=" ".join)
def test_commands_name_real_recipes_and_flags(words):
    if "--help" in words:
        return
    command = words[words.index("train" if "train" in words else "compare") + 1 :]
    recipe = load_recipe(command[0])
    arm = command[command.index("--arm") + 1] if "--arm" in command else next(iter(recipe.arms))
    overrides = command[1:]
    for flag in ("--arm", "--arms", "--seeds"):
        if flag in overrides:
            start = overrides.index(flag)
            values = next((i for i, w in enumerate(overrides[start + 1 :]) if w.startswith("--")), len(overrides))
            overrides = overrides[:start] + overrides[start + 1 + values :]
    parse_arguments(recipe, arm, overrides)


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target
