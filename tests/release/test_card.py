"""The card and the record behind it: numbers by hand, free text inert in Markdown and valid in YAML, nothing private."""

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
import transformers
import yaml
from altered_models import altered
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from datasets import concatenate_datasets
from huggingface_hub import ModelCard
from huggingface_hub.utils import HFValidationError, validate_repo_id
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from run_folders import labels_for, logits_of, model_inputs, texts_of, write_run
from safetensors.torch import load, load_file, save_file
from stored_runs import store_run
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from nlp_mixup import MixupTrainer, cli
from nlp_mixup.calibration import Temperature, decision_line, difference_intervals, softmax
from nlp_mixup.data.sources import DEMO
from nlp_mixup.models.fold import folded
from nlp_mixup.models.loading import MINILM, TEXT_CNN
from nlp_mixup.release.card import model_card
from nlp_mixup.release.decisions import decide, decisions_of
from nlp_mixup.release.foreign_text import inert, plain
from nlp_mixup.release.of_trainer import record_of
from nlp_mixup.release.released import Released
from nlp_mixup.release.save import prepare_model, prepare_run
from nlp_mixup.release.spaces import prepare_metrics
from nlp_mixup.runs.probe import probe_of, write_probe
from nlp_mixup.runs.public_record import read_record, scored_record
from nlp_mixup.runs.public_settings import BUILT_IN, public_settings
from nlp_mixup.vision.data.sources import DIGITS
from nlp_mixup.vision.models.image_cnn import BUILT_IN as vision_models

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
RELEASED = Released("me/model", "text-classification", "BertForSequenceClassification", 10, True, "a note")

FOUR_ROWS = scored_record(
    np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 1.0], [0.3, 0.0]]), np.array([1, 0, 0, 0]), label_names=["a", "b"],
    settings={}, arm="mixup", seed=0,
)  # fmt: skip


class Cells(HTMLParser):
    """The text of every table cell, and every tag that is none of the table's."""

    def __init__(self):
        super().__init__()
        self.cells, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in ("table", "thead", "tbody", "tr", "th", "td"):
            self.tags.append(tag)

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data.rstrip("\n")


def rendered(name):
    page = Cells()
    page.feed(MARKDOWN.render(f"| id | label |\n| ---: | --- |\n| 0 | {inert(name)} |\n| 1 | end |\n"))
    return page


@settings(deadline=None, max_examples=300)
@given(st.text())
@example("]]></script><img src=x onerror=alert(1)>")
@example("| a | b |\n| - | - |")
@example("\u202eevil")
@example("[x](javascript:alert(1)) ![y](z) <http://a> **b** __c__ ~~d~~ `e` \\| &lt; &#60;")
@example("<!-- ")
@example("\ud800")
def test_free_text_is_one_cell_of_plain_text_whatever_it_says(name):
    page = rendered(name)
    assert page.tags == []
    assert page.cells == ["id", "label", "0", plain(name), "1", "end"]


@settings(deadline=None, max_examples=200)
@given(st.text(min_size=1), st.text(min_size=1))
@example("---\n", "key: [value, {a: *b}] # no")
@example("\x85", "- x")
@example("null", "2024-01-01")
def test_front_matter_stays_valid_and_says_the_same_whatever_the_data_is_called(name, config):
    record = replace(FOUR_ROWS, settings={"dataset_name": name, "dataset_config_name": config, "mixup_alpha": 0.4})
    record.metrics["label_names"] = [name, config]
    text = str(model_card(record, RELEASED))
    assert text.startswith("---\n")
    front = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert ModelCard(text).data.to_dict() == front
    result = front["model-index"][0]["results"][0]
    assert result["dataset"]["config"] == plain(config)
    assert [metric["type"] for metric in result["metrics"]] == ["accuracy", "nll", "brier_score", "ece", "oe"]
    assert result["metrics"][3]["args"] == {
        "n_bins": 15, "bin_edges": "equal width, closed on the right (lo, hi]; a confidence of exactly 0 is in the first",
    }  # fmt: skip


def test_what_a_threshold_does_by_hand():
    # Confidence .9 right, .8 wrong, .8 right, .7 right, .6 wrong.
    confidence = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
    probs, labels = np.stack([confidence, 1 - confidence], axis=1), np.array([0, 1, 0, 0, 1])
    decision = decide(probs, labels, 0.25, 0.7)
    assert (decision.accepted, decision.wrong, decision.n) == (4, 1, 5)
    low, high = decision.error_interval()
    assert (round(low, 3), round(high, 3)) == (0.006, 0.806)  # Clopper and Pearson's of 1 in 4: 1 - .975^(1/4) = .0063


def test_a_few_sure_rows_keep_no_target_and_a_printed_threshold_keeps_its_row(tmp_path):
    write_run(tmp_path / "run")
    record = read_record(tmp_path / "run")
    least = 0.99999876
    sure = np.log(np.r_[np.full(59, 0.9999999), least] / (1 - np.r_[np.full(59, 0.9999999), least]))
    table = np.zeros((160, 2))
    table[:60, 0], table[60:, 0] = sure, 1.0
    labels = np.arange(160) // 60 % 2  # 60 right, then 60 wrong and 40 right
    record = replace(record, logits=dict.fromkeys(("validation", "test"), (table, labels)))
    decisions = {decision.target: decision for decision in decisions_of(record, "raw")}
    assert [decisions[target].threshold is None for target in (0.01, 0.02, 0.05, 0.1)] == [True, True, False, False]
    assert (decisions[0.05].accepted, decisions[0.05].wrong) == (60, 0)  # all sure ones, the least sure among them
    text = str(model_card(record, replace(RELEASED, folded=False)))
    assert "| 1% | no threshold keeps 1% |" in text
    printed = float(next(line for line in text.splitlines() if line.startswith("| 5% |")).split("|")[2])
    assert printed == decisions[0.05].threshold <= least
    assert "rows it accepts is no higher" in text
    assert "or more: 299 for 1%, 149 for 2%, 59 for 5%, 29 for 10%" in text


def test_decisions_are_chosen_on_validation_and_scored_on_test(tmp_path):
    write_run(tmp_path / "run")
    record, random = read_record(tmp_path / "run"), np.random.default_rng(0)
    divisor, logits = record.temperature.value, {}
    for split, n in (("validation", 400), ("test", 600)):
        table = random.normal(size=(n, 3)) + 6 * random.gamma(2.0, size=(n, 1)) * np.eye(3)[random.integers(0, 3, n)]
        logits[split] = table, labels_for(table, divisor, 1)
    record = replace(record, logits=logits)
    text = str(model_card(record, RELEASED))
    probs = {split: softmax(logits.astype(float) / divisor) for split, (logits, _) in record.logits.items()}
    threshold = decision_line(probs["validation"], record.logits["validation"][1], max_risk=0.10).threshold
    decision = decide(probs["test"], record.logits["test"][1], 0.10, threshold)
    assert 0.5 < decision.accepted / decision.n < 1
    share = f"{decision.accepted / decision.n:.1%}"
    assert f"| 10% | {threshold} | {share} | " in text
    assert "chosen on the 400 validation rows" in text


def test_what_is_not_certain_to_help_is_not_folded_and_the_card_says_so(tmp_path):
    model, _tokenizer, stored = write_run(tmp_path / "run", divisor=1.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan = prepare_run(tmp_path / "run", "me/honest")
    assert "No temperature is folded in (--fold auto): T = " in plan.note
    assert "which may be nothing" in plan.note
    config = json.loads((tmp_path / "run" / "release" / "config.json").read_text())
    assert "calibration" not in config
    card = (tmp_path / "run" / "release" / "README.md").read_text()
    assert "No temperature is folded in" in card
    assert "| as released | T = " in card
    assert "temperature-scaling" not in card
    saved = load_file(tmp_path / "run" / "release" / "model.safetensors")
    assert all((saved[name] == before[name]).all() for name in saved)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    raw = next(row for row in metrics["rows"] if (row["split"], row["calibration"]) == ("test", "raw"))
    index = {result.metric_type: result.metric_value for result in ModelCard(card).data.eval_results}
    assert index["nll"] == round(raw["nll"], 6)
    assert len(stored) == 2


def test_a_head_that_cannot_be_folded_is_released_as_it_is_with_the_reason(tmp_path):
    model = altered("own class")
    logits = np.random.default_rng(0).normal(size=(500, 3)) * 8
    record = scored_record(
        logits, labels_for(logits, 4.0, 1), label_names=["a", "b", "c"], settings={}, arm="no_mixup", seed=0
    )
    probe = {"input_ids": torch.tensor([[4, 5, 6], [7, 8, 9]])}
    plan = prepare_model(model, None, record, tmp_path / "release", "me/own", probe=probe)
    assert "No temperature is folded in, though T = " in plan.note
    assert "is a OwnLinear, not a plain nn.Linear" in plan.note
    assert "is a OwnLinear, not a plain nn.Linear" in (tmp_path / "release" / "README.md").read_text()


def test_test_rows_veto_a_temperature_that_does_harm_there(tmp_path):
    """Validation rows of another kind than test: T is certain on them and makes the test rows worse."""
    model, _tokenizer, stored = write_run(tmp_path / "run", divisor=3.0, test_divisor=0.9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    record = read_record(tmp_path / "run")
    harm = difference_intervals(record.temperature.apply(stored["test"][0].astype(float)), *stored["test"])["nll"]
    assert harm.low > 0
    plan = prepare_run(tmp_path / "run", "me/vetoed")
    assert "No temperature is folded in (--fold auto): T = " in plan.note
    assert (
        f"that of the 600 test rows by {harm.value:+.4f} ({harm.low:+.4f} to {harm.high:+.4f}, paired, 95 %)"
        in plan.note
    )
    assert "The test rows vetoed T: the test scores are no longer untouched." in plan.note
    card = (tmp_path / "run" / "release" / "README.md").read_text()
    assert "The test rows vetoed T: the test scores are no longer untouched." in card
    assert "Validation and test disagree beyond chance: accuracy " in card
    assert "temperature-scaling" not in card
    saved = load_file(tmp_path / "run" / "release" / "model.safetensors")
    assert all((saved[name] == before[name]).all() for name in saved)


def test_the_switch_is_obeyed_and_recorded(tmp_path, capsys):
    write_run(tmp_path / "run", divisor=3.0, test_divisor=0.9)
    folder, temperature = tmp_path / "run" / "release", read_record(tmp_path / "run").temperature
    plan = prepare_run(tmp_path / "run", "me/always", fold="always")
    recorded = json.loads((folder / "config.json").read_text())["calibration"]
    assert (recorded["temperature"], recorded["fold"]) == (temperature.value, "always")
    assert "is folded in, as was asked (--fold always): it changes" in plan.note
    assert "The test rows show that it does harm." in (folder / "README.md").read_text()
    plan = prepare_run(tmp_path / "run", "me/never", fold="never")
    assert "calibration" not in json.loads((folder / "config.json").read_text())
    assert "No temperature is folded in, as was asked (--fold never)." in plan.note
    write_run(tmp_path / "good", divisor=3.0)
    note = prepare_run(tmp_path / "good", "me/auto").note
    assert "vetoed" not in note
    assert "is folded in (--fold auto): it changes" in note
    assert json.loads((tmp_path / "good" / "release" / "config.json").read_text())["calibration"]["fold"] == "auto"
    cli.main(["push", str(tmp_path / "good"), "me/never", "--dry-run", "--fold", "never"])
    assert "No temperature is folded in, as was asked (--fold never)." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["push", "--metrics", "me", "--fold", "never"])
    assert "--fold is about a model's temperature" in capsys.readouterr().err
    with pytest.raises(ValueError, match="fold must be one of auto, always, never, got 'sometimes'"):
        prepare_run(tmp_path / "good", "me/auto", fold="sometimes")


def test_always_needs_a_temperature_and_a_layer_for_it(tmp_path):
    record = scored_record(None, None, label_names=["a", "b"], settings={}, arm="mixup", seed=0)
    with pytest.raises(ValueError, match=r"no temperature to fold in: .* Type --fold auto"):
        prepare_model(tiny_model("bert"), None, record, tmp_path / "release", "me/bare", fold="always")
    logits = np.random.default_rng(0).normal(size=(500, 3)) * 8
    record = scored_record(
        logits, labels_for(logits, 4.0, 1), label_names=["a", "b", "c"], settings={}, arm="no_mixup", seed=0
    )
    probe = {"input_ids": torch.tensor([[4, 5, 6], [7, 8, 9]])}
    with pytest.raises(ValueError, match="a cap, a normalisation"):
        prepare_model(altered("cap"), None, record, tmp_path / "release", "me/capped", probe=probe, fold="always")


def test_fewer_rows_than_thirty_fold_nothing(tmp_path):
    write_run(tmp_path / "run", n=(29, 600), sharpness=12.0, divisor=12.0)
    note = prepare_run(tmp_path / "run", "me/few").note
    assert "No temperature is folded in" in note
    assert "29 rows are too few to tell" in note


def test_a_certain_temperature_beside_an_ece_within_its_noise_is_explained(tmp_path):
    """The NLL sees what the ECE of these rows does not: both are said, and how they go together."""
    write_run(tmp_path / "run", divisor=2.0, sharpness=1.0, n=(4000, 120))
    plan = prepare_run(tmp_path / "run", "me/blind")
    record = read_record(tmp_path / "run")
    row = record.row("test", "raw")
    assert row["ece"] <= row["ece_floor_high"]
    assert "is folded in" in plan.note
    assert "By ECE the test rows do not tell the model without T from a calibrated one" in plan.note


def test_a_folded_model_is_never_folded_again(tmp_path):
    write_run(tmp_path / "run")
    record = read_record(tmp_path / "run")
    model = tiny_model("bert")
    probe = {"input_ids": torch.tensor([[4, 5, 6], [7, 8, 9]])}
    with folded(model, Temperature(2.0, 1.9, 2.1, 9, 1, 1, 1, 1), probe):
        for fold in ("auto", "always"):
            with pytest.raises(ValueError, match=r"carries a temperature already .* type --fold never"):
                prepare_model(model, None, record, tmp_path / "release", "me/twice", probe=probe, fold=fold)
        before = model.classifier.weight.clone()
        plan = prepare_model(model, None, record, tmp_path / "release", "me/twice", probe=probe, fold="never")
        assert (load_file(tmp_path / "release" / "model.safetensors")["classifier.weight"] == before).all()
    assert "The weights carry one already: {'method': 'temperature', 'temperature': 2.0" in plan.note


def test_without_held_out_rows_nothing_is_claimed(tmp_path):
    record = scored_record(None, None, label_names=["a", "b", "c"], settings={"mixup_alpha": 0.2}, arm="mixup", seed=1)
    plan = prepare_model(tiny_model("bert"), None, record, tmp_path / "release", "me/unmeasured")
    assert set(plan.files) == {"README.md", "arguments.yaml", "config.json", "model.safetensors"}
    card = ModelCard((tmp_path / "release" / "README.md").read_text())
    assert card.data.eval_results is None
    assert "Not measured" in card.text
    assert "Treat its probabilities as uncalibrated" in card.text
    assert "there were no held-out rows" in card.text


def test_an_image_classifier_is_released_like_a_text_classifier(tmp_path):
    _, _, stored = write_run(tmp_path / "run")
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, num_labels=3
    )
    model = ViTForImageClassification(config)
    model.save_pretrained(tmp_path / "vit")
    write_probe(tmp_path / "run", probe_of(model, {"pixel_values": torch.rand(5, 3, 32, 32)}))
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    shutil.rmtree(tmp_path / "run" / "model")
    (tmp_path / "vit").rename(tmp_path / "run" / "model")
    plan = prepare_run(tmp_path / "run", "me/images")
    assert {"preprocessor_config.json", "model.safetensors", "README.md"} <= set(plan.files)
    card = (tmp_path / "run" / "release" / "README.md").read_text()
    assert 'pipeline("image-classification", model="me/images")' in card
    assert ModelCard(card).data.pipeline_tag == "image-classification"
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "run" / "release")
    assert again.config.calibration["folded_into"] == "classifier"
    assert len(stored) == 2


def test_an_image_classifier_is_told_by_more_than_the_end_of_its_name(tmp_path):
    _, _, stored = write_run(tmp_path / "run")
    config = DeiTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, num_labels=3
    )
    shutil.rmtree(tmp_path / "run" / "model")
    model = DeiTForImageClassificationWithTeacher(config)
    model.save_pretrained(tmp_path / "run" / "model")
    write_probe(tmp_path / "run", probe_of(model, {"pixel_values": torch.rand(5, 3, 32, 32)}))
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "run" / "model")
    prepare_run(tmp_path / "run", "me/teacher")
    card = ModelCard((tmp_path / "run" / "release" / "README.md").read_text())
    assert card.data.pipeline_tag == "image-classification"
    assert len(stored) == 2


def test_damaged_weights_are_one_line(tmp_path):
    write_run(tmp_path / "run")
    path = tmp_path / "run" / "model" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"^\S+model cannot be loaded: .*Copy its files once more") as caught:
        prepare_run(tmp_path / "run", "me/torn")
    assert "\n" not in str(caught.value)
    save_file({name: value for name, value in load(whole).items() if "classifier" not in name}, path, {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"it has no weights for classifier\.bias, classifier\.weight, which would be random"
    ):
        prepare_run(tmp_path / "run", "me/headless")


def test_a_run_that_trained_adapters_is_released_merged(tmp_path):
    peft = pytest.importorskip("peft")
    _, tokenizer, _ = write_run(tmp_path / "run")
    (tmp_path / "run" / "model").rename(tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    adapters = peft.LoraConfig(task_type="SEQ_CLS", r=2, lora_alpha=4, target_modules="all-linear")
    model = peft.get_peft_model(base, adapters).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    logits = logits_of(model, tokenizer, texts_of(5, 3))
    write_probe(tmp_path / "run", probe_of(model, model_inputs(tokenizer, texts_of(5, 3))))
    model.save_pretrained(tmp_path / "run" / "model")
    tokenizer.save_pretrained(tmp_path / "run" / "model")

    plan = prepare_run(tmp_path / "run", "me/adapted")
    assert not [name for name in plan.files if "adapter" in name]
    released = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "release").eval()
    assert released.config.id2label == {0: "bad", 1: "good", 2: "so-so"}
    folded_logits = logits_of(released, tokenizer, texts_of(5, 3))
    assert folded_logits * released.config.calibration["temperature"] == pytest.approx(logits, rel=1e-4, abs=1e-6)


def test_a_second_release_replaces_the_first_whole(tmp_path):
    write_run(tmp_path / "run")
    first = prepare_run(tmp_path / "run", "me/one")
    (tmp_path / "run" / "release" / "stray.txt").write_text("x")
    second = prepare_run(tmp_path / "run", "me/two")
    assert set(first.files) == set(second.files)
    assert not (tmp_path / "run" / "release" / "stray.txt").exists()
    assert not (tmp_path / "run" / ".release.partial").exists()


def test_a_folder_of_that_name_which_no_release_made_is_kept(tmp_path):
    write_run(tmp_path / "run")
    own = tmp_path / "run" / "release"
    own.mkdir()
    prepare_run(tmp_path / "run", "me/one")  # an empty one is nobody's
    shutil.rmtree(own)
    own.mkdir()
    (own / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="release holds files that are no earlier release"):
        prepare_run(tmp_path / "run", "me/one")
    assert [path.name for path in own.iterdir()] == ["thesis.tex"]
    assert not (tmp_path / "run" / ".release.partial").exists()


def test_settings_lose_folders_and_accounts_and_nothing_else():
    given_settings = {
        "train_file": "C:\\Users\\me\\train.csv", "model_name_or_path": "/data/checkpoint/", "dataset_name": "org/data",
        "tokenizer_name": "../tok", "glove_file": "glove/6B.txt", "hub_model_id": "me/secret", "report_to": ["wandb"],
        "ood_files": ["other=/home/me/other.csv:label=x/y", "plain=rows.csv"], "learning_rate": 5e-5, "seed": 3,
        "lr_scheduler_kwargs": {"file": "~/x.json"}, "dataset_revision": "refs/convert/parquet",
    }  # fmt: skip
    public, local = public_settings(given_settings)
    assert public == {
        "train_file": "train.csv", "model_name_or_path": "checkpoint", "dataset_name": "org/data", "tokenizer_name": "tok",
        "glove_file": "6B.txt", "ood_files": ["other=other.csv:label=x/y", "plain=rows.csv"], "learning_rate": 5e-5,
        "seed": 3, "lr_scheduler_kwargs": {"file": "x.json"}, "dataset_revision": "refs/convert/parquet",
    }  # fmt: skip
    assert "dataset_name" not in local
    assert {"train_file", "model_name_or_path", "tokenizer_name"} <= local


def test_settings_that_may_be_files_lose_relative_folders_too():
    public, local = public_settings(
        {
            "resume_from_checkpoint": "secret-person/runs/checkpoint-5", "deepspeed": "secret-person/zero.json",
            "fsdp_config": {"offload": {"nvme": "secret-person/swap"}, "min_num_params": 0},
            "accelerator_config": "secret-person\\accelerator.json",
        }
    )  # fmt: skip
    assert public == {
        "deepspeed": "zero.json", "fsdp_config": {"offload": {"nvme": "swap"}, "min_num_params": 0},
        "accelerator_config": "accelerator.json",
    }  # fmt: skip
    assert local == set(public)
    assert public_settings({"deepspeed": None, "accelerator_config": {"even_batches": True}})[1] == frozenset()


@pytest.mark.parametrize("is_same_model", [True, False])
def test_a_trainer_publishes_the_numbers_stored_beside_it_only_if_they_are_its_models(tmp_path, is_same_model):
    held_out = tiny_dataset(240, seed=3)
    trainer = MixupTrainer(
        model=tiny_model("bert"), args=training_arguments(tmp_path), eval_dataset=held_out, data_collator=PadCollator()
    )
    predicted = trainer.predict(held_out)
    logits = predicted.predictions if is_same_model else predicted.predictions[::-1]
    store_run(
        tmp_path, "mixup", 0, {"validation": (logits, predicted.label_ids), "test": (logits, predicted.label_ids)}
    )
    trainer.args.output_dir = str(tmp_path / "mixup" / "seed-0")
    record = record_of(trainer, trainer.eval_dataset)
    assert set(record.logits) == ({"validation", "test"} if is_same_model else {"validation"})
    assert np.array_equal(record.logits["validation"][0], predicted.predictions)


def test_a_trainer_that_is_judged_by_its_training_rows_publishes_that(tmp_path):
    """Told by their tokens, as lists or as tensors; the three rows that train lacks are not counted."""
    rows, others = tiny_dataset(12), tiny_dataset(3, seed=1)
    mixed = concatenate_datasets([others, rows.select(range(5))])
    for number, (train, judged, told) in enumerate(
        [
            (rows, rows, "All 12 validation rows were trained on (row 1): scores on them say nothing of new rows."),
            (rows.with_format("torch"), mixed, "5 of 8 validation rows were trained on (row 4): scores on"),
            (rows, others, None),
        ]
    ):
        trainer = MixupTrainer(
            model=tiny_model("bert"), args=training_arguments(tmp_path / str(number)), data_collator=PadCollator(),
            train_dataset=train, eval_dataset=judged,
        )  # fmt: skip
        text = str(model_card(record_of(trainer, trainer.eval_dataset), replace(RELEASED, folded=False)))
        assert (told in text) if told else ("rows were trained on" not in text)


def test_a_metrics_json_of_somebody_else_does_not_stop_a_trainer_from_publishing(tmp_path):
    (tmp_path / "metrics.json").write_text('{"accuracy": 0.9}')
    trainer = MixupTrainer(model=tiny_model("bert"), args=training_arguments(tmp_path), data_collator=PadCollator())
    assert record_of(trainer, trainer.eval_dataset).logits == {}


def test_what_the_package_brings_itself_is_no_id_of_the_hub():
    names = {TEXT_CNN, MINILM, *vision_models}
    assert set(BUILT_IN["model_name_or_path"]) == names
    assert set(BUILT_IN["dataset_name"]) == {DEMO, DIGITS}
    for name in ("sklearn-digits", "demo-tweets", "org/a/b", None):
        record = replace(FOUR_ROWS, settings={"dataset_name": name, "model_name_or_path": "resnet-small"})
        assert "](https://huggingface.co" not in str(model_card(record, RELEASED))
        data = ModelCard(str(model_card(record, RELEASED))).data
        assert data.datasets is None
        with pytest.raises(HFValidationError):  # what is named there is no repository of somebody else's
            validate_repo_id(data.eval_results[0].dataset_type)
    assert "[org/a](https://huggingface.co/datasets/org/a)" in str(
        model_card(replace(FOUR_ROWS, settings={"dataset_name": "org/a"}), RELEASED)
    )
    assert ModelCard(str(model_card(FOUR_ROWS, replace(RELEASED, dataset_name="tweets")))).data.datasets is None
    assert ModelCard(str(model_card(FOUR_ROWS, replace(RELEASED, dataset="org/a")))).data.datasets == ["org/a"]


def test_the_card_names_the_rows_that_the_run_has_seen(tmp_path):
    """A recipe's data set is not looked at beside a training file; a file of its own replaces one split of it."""
    data_set = {"dataset_name": "org/set", "dataset_config_name": "small", "dataset_revision": "v1"}
    files = {name: None for name in ("train_file", "validation_file", "test_file")}

    def card_of(**settings):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        write_run(tmp_path / "run", settings={**files, **data_set, **settings}, n=(40, 60))
        record = read_record(tmp_path / "run")
        card = ModelCard(str(model_card(record, RELEASED)))
        return card, yaml.safe_load(record.arguments_yaml())

    card, arguments = card_of(train_file="/home/me/mine.csv")
    assert card.data.datasets is None
    assert not data_set.keys() & arguments.keys()
    assert "trained on mine.csv" in card.text
    assert "org/set" not in str(card)

    card, _ = card_of(train_file="mine.csv", test_file="/home/me/new.csv")
    found = card.data.eval_results[0]
    assert (found.dataset_type, found.dataset_config, found.dataset_revision) == ("local--new.csv", None, None)
    assert "org/set" not in str(card)
    assert "rows of the split `test` of new.csv," in card.text

    card, arguments = card_of(test_file="new.csv")
    found = card.data.eval_results[0]
    assert card.data.datasets == ["org/set"]
    assert (found.dataset_type, found.dataset_config, found.dataset_revision) == ("local--new.csv", None, None)
    assert data_set.items() <= arguments.items()

    card, _ = card_of()
    found = card.data.eval_results[0]
    assert (found.dataset_type, found.dataset_config, found.dataset_revision) == ("org/set", "small", "v1")
    assert "rows of the split `test`, seed 0" in card.text


def test_folders_that_are_gone_by_now_are_known_from_the_training(tmp_path):
    write_run(tmp_path / "run", settings={"model_name_or_path": "secret-person/checkpoint", "dataset_name": "mine"})
    path = tmp_path / "run" / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps({**metrics, "local": ["dataset_name", "model_name_or_path"]}))
    record = read_record(tmp_path / "run")
    assert record.settings["model_name_or_path"] == "checkpoint"
    assert (record.hub_id("model_name_or_path"), record.hub_id("dataset_name")) == (None, None)


def test_the_card_names_the_image_method_and_the_noise_in_the_labels():
    settings = {
        "mixup_alpha": 1.0, "mixup_pixels": "cutmix", "label_noise": 0.25, "image_augment": "flip", "image_size": 32,
        "lr_milestones": [0.3, 0.6], "optim": "sgd", "optim_args": "momentum=0.9", "ood_classes": ["a"],
        "text_pair_column": "other",
    }  # fmt: skip
    scores = {"n": 4, "confidence": 0.5, **{name: {"auroc": 0.5, "fpr95": 1.0} for name in ("msp", "energy")}}
    metrics = {**FOUR_ROWS.metrics, "ood": {name: {"raw": scores} for name in ("noise", "uniform", "held-out")}}
    images = replace(RELEASED, task="image-classification", architecture="VGGForImageClassification", folded=False)
    text = str(model_card(replace(FOUR_ROWS, settings=settings, metrics=metrics), images))
    for shown in ("image_augment flip", "image_size 32", "optim sgd", "ood_classes ", "text_pair_column other"):
        assert shown in text
    for said in (
        "with CutMix (α = 1)", "CutMix with λ ~ Beta(1, 1)", "arXiv:1905.04899", "25% were redrawn at random",
        "`noise` is Gaussian pixels", "`uniform` is pixels drawn evenly", "`held-out` is rows of classes", "arXiv:1409.1556",
        "lr_milestones ", "optim_args ",
    ):  # fmt: skip
        assert said in text, said
    plain_text = str(model_card(FOUR_ROWS, RELEASED))
    for absent in ("CutMix", "redrawn", "`uniform`", "`noise`"):
        assert absent not in plain_text


def test_the_card_tells_the_versions_that_trained(tmp_path):
    write_run(tmp_path / "run")
    path = tmp_path / "run" / "metrics.json"
    metrics = json.loads(path.read_text())
    assert metrics["versions"] == {"torch": torch.__version__, "transformers": transformers.__version__}
    path.write_text(json.dumps({**metrics, "versions": {"torch": "1.2.3", "transformers": "4.5.6"}}))
    prepare_run(tmp_path / "run", "me/old")
    card = (tmp_path / "run" / "release" / "README.md").read_text()
    assert f"- versions: nlp_mixup {metrics['version']}, torch 1.2.3, transformers 4.5.6" in card
    assert "- versions when it was released: " in str(model_card(FOUR_ROWS, RELEASED))


def test_base_model_is_named_where_it_is_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-checkpoint").mkdir()
    (tmp_path / "runs" / "checkpoint").mkdir(parents=True)
    for name, base in [
        ("distilbert-base-uncased", "distilbert-base-uncased"),
        ("minilm", "sentence-transformers/all-MiniLM-L6-v2"),
        ("text-cnn", None),
        ("resnet-small", None),
        ("/home/me/checkpoint", None),
        ("my-checkpoint", None),
        ("runs/checkpoint", None),
    ]:
        record = scored_record(
            None, None, label_names=["a", "b", "c"], settings={"model_name_or_path": name}, arm="mixup", seed=0
        )
        prepare_model(tiny_model("bert"), None, record, tmp_path / "release", "me/based")
        assert ModelCard((tmp_path / "release" / "README.md").read_text()).data.base_model == base


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"train_file": "mine.csv"},
            "weights drawn at random",
        ),  # the default of every recipe, which settings leave out
        ({"train_file": "mine.csv", "glove_file": "g.txt"}, "word vectors of g.txt, other weights drawn at random"),
        ({}, "not named"),  # a script's model may be any
    ],
)
def test_the_starting_point_of_a_recipe_that_names_none_is_its_default(tmp_path, settings, words):
    record = scored_record(None, None, label_names=["a", "b", "c"], settings=settings, arm="mixup", seed=0)
    prepare_model(tiny_model("bert"), None, record, tmp_path / "release", "me/based")
    assert f"- starting point: {words}\n" in (tmp_path / "release" / "README.md").read_text()


def test_a_revision_that_is_no_branch_is_refused(tmp_path):
    write_run(tmp_path / "run")
    with pytest.raises(ValueError, match="--revision must be a branch's name"):
        prepare_run(tmp_path / "run", "me/model", revision='v1"\n```\n<b>')


def test_the_metric_spaces_are_written_whole(tmp_path):
    for plan in prepare_metrics("org", tmp_path):
        assert plan.repo_type == "space"
        name = plan.repo_id.removeprefix("org/")
        assert {f"{name}.py", "README.md", "app.py", "requirements.txt", "bins.py"} <= set(plan.files)
        assert str(plan).startswith(f"space org/{name}:\n")
    with pytest.raises(ValueError, match="REPO_ID must be owner/name"):
        prepare_metrics("a/b", tmp_path)
