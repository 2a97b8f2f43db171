"""Every shipped text recipe trains two steps on a tiny stand-in of its model and data."""

import json

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from nlp_mixup import cli
from nlp_mixup.models.word_tokenizer import build_word_tokenizer
from nlp_mixup.recipe import load_recipe, shipped_recipes

WORDS = ["red", "blue", "cold", "warm", "moon", "tree", "runs", "sits", "the", "a"]
SMALL = {"num_attention_heads": 2, "num_hidden_layers": 12, "hidden_size": 8, "intermediate_size": 8}
CONFIGS = {
    "bert": BertConfig(**SMALL),
    "minilm": BertConfig(**SMALL),
    "distilbert": DistilBertConfig(n_layers=6, dim=8, hidden_dim=8, n_heads=2),
    "qwen3": Qwen3Config(**SMALL | {"num_hidden_layers": 2}, num_key_value_heads=2, head_dim=4),
}
TEXT_RECIPES = sorted(name for name in shipped_recipes() if load_recipe(name).settings.get("task", "text") == "text")


def write_rows(path, label_column, n):
    random = np.random.default_rng(n)
    lines = [f"text,{label_column}"]
    for row in range(n):
        lines.append(f"{' '.join(random.choice(WORDS, random.integers(3, 9)))},{('yes', 'no', 'oos')[row % 3]}")
    path.write_text("\n".join(lines) + "\n")


def write_model(folder, kind):
    """A random model of the recipe's architecture with a word tokenizer, as from_pretrained finds one."""
    words = build_word_tokenizer([" ".join(WORDS)]).backend_tokenizer
    words.add_special_tokens(["[CLS]", "[SEP]", "[PAD]"])
    ids = [(token, words.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ids
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]"
    )
    config = CONFIGS[kind]
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_two_steps_on_a_stand_in(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    recipe = load_recipe(name)
    label_column = recipe.settings.get("label_column", "label")
    flags = [
        "--max_steps",
        "2",
        "--bf16",
        "false",
        "--disable_tqdm",
        "true",
        "--output_dir",
        "out",
        "--noise_samples",
        "9",
    ]
    for split, n in (("train", 30), ("validation", 24), ("test", 24)):
        write_rows(tmp_path / f"{split}.csv", label_column, n)
        flags += [f"--{split}_file", f"{split}.csv"]
    if "max_train_samples" in recipe.settings:
        flags += ["--max_train_samples", "20"]
    model = recipe.settings["model_name_or_path"]
    if model != "text-cnn":
        if "lora_rank" in recipe.settings:
            pytest.importorskip("peft", reason="the LoRA recipe needs peft: pip install 'nlp-mixup[combinations]'")
        write_model(tmp_path / "model", next(kind for kind in CONFIGS if kind in model.lower()))
        flags += ["--model_name_or_path", "model"]
    if "glove_file" in recipe.settings:
        (tmp_path / "glove.txt").write_text("".join(f"{word} {' '.join(['0.1'] * 300)}\n" for word in WORDS[:5]))
        flags += ["--glove_file", "glove.txt"]
    arm = next(arm for arm in recipe.arms if arm.startswith("mixup"))
    cli.main(["train", name, "--arm", arm, *flags])
    metrics = json.loads((tmp_path / "out" / arm / f"seed-{recipe.seeds[0]}" / "metrics.json").read_text())
    held_out = "ood_classes" in recipe.settings
    assert len(metrics["label_names"]) == (2 if held_out else 3)
    assert ("held-out" in metrics["ood"]) == held_out
    by_accuracy = recipe.settings.get("load_best_model_at_end", False)
    assert metrics["rows"][0]["selection"] == ("best validation accuracy" if by_accuracy else "last epoch")


def test_every_recipe_says_how_to_run_it():
    for name, path in shipped_recipes().items():
        lines = path.read_text().splitlines()
        assert lines[0].startswith("# "), name
        assert any(f"nlp-mixup compare {name}" in line or f"train {name}" in line for line in lines[1:5]), name
