"""LoRA from the command line: what is drawn at random is trained and saved, so that what is loaded is what was trained."""

import json

import numpy as np
import pytest
import torch
import yaml
from run_folders import texts_of
from tiny_architectures import tiny_batch, tiny_classifier
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, BertConfig, BertForMaskedLM

from nlp_mixup import cli
from nlp_mixup.arguments import ModelArguments
from nlp_mixup.doctor import evaluate, parse_arguments
from nlp_mixup.models import build_word_tokenizer
from nlp_mixup.models.adapters import drawn_at_random, load_adapted, merge_adapters, model_below
from nlp_mixup.models.loading import load_tokenizer
from nlp_mixup.models.lora import add_lora
from nlp_mixup.release.save import prepare_run

peft = pytest.importorskip("peft", reason="needs peft: pip install 'nlp-mixup[combinations]'")
NAMES = ["bad", "good", "so-so"]


def logits_of(model, batch):
    with torch.no_grad():
        return model.eval()(**{name: value for name, value in batch.items() if name != "labels"}).logits


def adapted(folder, batch, rank=2):
    """Adapters on the base in a folder, after two steps that reach every trained weight."""
    torch.manual_seed(0)
    model, info = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=3, output_loading_info=True, ignore_mismatched_sizes=True
    )
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    model = add_lora(model, rank, drawn=drawn_at_random(info), probe=lambda: inputs).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(**inputs).logits, batch["labels"]).backward()
        optimizer.step()
    return model


def there_and_back(folder, batch):
    """Logits as trained, as loaded with another random stream, and as merged."""
    model = adapted(folder / "base", batch)
    trained = logits_of(model, batch)
    model.save_pretrained(folder / "adapters")
    torch.manual_seed(1)
    loaded = load_adapted(folder / "adapters", NAMES)
    assert loaded.config.id2label == dict(enumerate(NAMES))
    again = logits_of(loaded, batch)
    return trained, again, logits_of(merge_adapters(loaded), batch)


# Heads that PEFT's SEQ_CLS leaves out; names that it trips over; layers that take no adapter; mixtures of experts.
TYPES = [
    "bart",
    "flaubert",
    "perceiver",
    "t5",
    "xlnet",
    "distilbert",
    "eurobert",
    "modernbert",
    "falcon",
    "phimoe",
    "zamba",
    "mixtral",
    "deepseek_v3",
]


@pytest.mark.parametrize("model_type", TYPES)
def test_adapters_on_an_encoder_are_loaded_as_they_were_trained(model_type, tmp_path):
    model = tiny_classifier(model_type)
    model.base_model.save_pretrained(tmp_path / "base")
    trained, again, merged = there_and_back(tmp_path, tiny_batch(model, [12, 9, 7, 11]))
    torch.testing.assert_close(again, trained)
    torch.testing.assert_close(merged, trained, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model_type", ["bert", "roberta", "distilbert", "electra", "deberta-v2", "xlm", "nystromformer"]
)
def test_adapters_on_a_masked_language_model_bring_its_missing_pooler(model_type, tmp_path):
    """A base saved with another head lacks what that head has no use for, such as BERT's pooler."""
    classifier = tiny_classifier(model_type)
    base = AutoModelForMaskedLM.from_config(classifier.config)
    base.save_pretrained(tmp_path / "base")
    trained, again, merged = there_and_back(tmp_path, tiny_batch(classifier, [12, 9, 7, 11]))
    torch.testing.assert_close(again, trained)
    torch.testing.assert_close(merged, trained, rtol=1e-5, atol=1e-5)


def test_every_drawn_weight_is_trained(tmp_path):
    """The pooler that the base lacks is trained with the head; all that the base has stays."""
    model = tiny_classifier("bert")
    BertForMaskedLM(model.config).save_pretrained(tmp_path / "base")
    model = adapted(tmp_path / "base", tiny_batch(model, [12, 9, 7, 11]))
    trained = {name.split("base_model.model.")[1] for name, p in model.named_parameters() if p.requires_grad}
    whole = {name for name in trained if "lora_" not in name}
    assert whole == {
        f"{module}.modules_to_save.default.{kind}"
        for module in ("classifier", "bert.pooler.dense")
        for kind in ("weight", "bias")
    }
    assert not [name for name in trained if "lora_" in name and ("classifier" in name or "pooler" in name)]


def test_a_model_that_takes_no_adapter_is_refused_in_a_line(tmp_path):
    model = tiny_classifier("ibert")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"'ibert' takes no LoRA adapters: it has no linear layer outside its head.*--lora_rank 0"
    ) as refusal:
        add_lora(model, 2, drawn=[], probe=dict)
    assert "\n" not in str(refusal.value)
    assert before.keys() == model.state_dict().keys()


def test_what_adapters_cannot_bring_with_them_is_refused_before_training():
    model = tiny_classifier("layoutlmv3")
    with pytest.raises(ValueError, match=r"the checkpoint lacks layoutlmv3\.cls_token, which is drawn at random"):
        add_lora(model, 2, drawn=["layoutlmv3.cls_token"], probe=dict)


def test_adapters_that_lack_a_head_are_refused_where_they_are_loaded(tmp_path):
    """As PEFT's SEQ_CLS saves them by itself: adapters beside a random head, without the head."""
    model = tiny_classifier("bart")
    model.base_model.save_pretrained(tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=3)
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules="all-linear")
    peft.get_peft_model(base, config).save_pretrained(tmp_path / "run" / "model")
    (tmp_path / "run" / "arguments.yaml").write_text("seed: 0\n")
    with pytest.raises(
        ValueError, match=r"no weights for classification_head\.dense\.bias, .* would be random"
    ) as refusal:
        load_adapted(tmp_path / "run" / "model", NAMES)
    assert f"nlp-mixup train {tmp_path}/run/arguments.yaml --keep_models last --output_dir FOLDER" in str(refusal.value)


def test_adapters_that_miss_some_of_their_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    model = tiny_classifier("bert")
    model.save_pretrained(tmp_path / "base")
    adapted(tmp_path / "base", tiny_batch(model, [12, 9])).save_pretrained(tmp_path / "adapters")
    path = tmp_path / "adapters" / "adapter_model.safetensors"
    whole = load_file(path)
    for lost in ("classifier", "layer.1.output.dense.lora_B"):
        save_file({name: value for name, value in whole.items() if lost not in name}, path, {"format": "pt"})
        with pytest.raises(ValueError, match=rf"no weights for .*{lost}.*would be random"):
            load_adapted(tmp_path / "adapters", NAMES)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"adapters cannot be loaded: .* Copy its files once more"):
        load_adapted(tmp_path / "adapters", NAMES)


def test_adapters_of_a_model_of_another_size_are_refused(tmp_path):
    model = tiny_classifier("bert")
    model.save_pretrained(tmp_path / "base")
    adapted(tmp_path / "base", tiny_batch(model, [12, 9])).save_pretrained(tmp_path / "adapters")
    other = BertConfig(**(model.config.to_dict() | {"hidden_size": 32, "num_labels": 3}))
    AutoModelForSequenceClassification.from_config(other).save_pretrained(tmp_path / "base")
    with pytest.raises(ValueError, match=r"holds the adapters of another model than .*base: size mismatch") as refusal:
        load_adapted(tmp_path / "adapters", NAMES)
    assert "\n" not in str(refusal.value)


# ---- the whole way, by the command line ------------------------------------------------------------------------------


def write_data(folder):
    """Texts whose class is the word that they hold most of."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {"bad": "awful", "good": "fine", "so-so": "long"}
    random = np.random.default_rng(0)
    for split, n in (("train", 96), ("validation", 60), ("test", 60)):
        lines = ["text,label"]
        for text in texts_of(n, n):
            name = random.choice(NAMES)
            lines.append(f"{text} {words[name]} {words[name]},{name}")
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module", params=["xlm", "llama"])
def lora_run(tmp_path_factory, request):
    """A finished LoRA run on a checkpoint without a head, with a tokenizer that pads with another id than its config says."""
    folder = tmp_path_factory.mktemp("lora")
    write_data(folder)
    model = tiny_classifier(request.param)
    model.base_model.save_pretrained(folder / "base")
    texts = [line.split(",")[0] for line in (folder / "train.csv").read_text().splitlines()[1:]]
    tokenizer = build_word_tokenizer(texts)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.save_pretrained(folder / "base")
    settings = {
        **{f"{split}_file": str(folder / f"{split}.csv") for split in ("train", "validation", "test")},
        "model_name_or_path": str(folder / "base"), "lora_rank": 4, "num_train_epochs": 6, "learning_rate": 0.01,
        "per_device_train_batch_size": 16, "output_dir": str(folder / "out"), "noise_samples": 16, "use_cpu": True,
        "disable_tqdm": True, "report_to": "none", "arms": {"mixup": {"mixup_alpha": 0.2}},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "cache")
        cli.main(["train", str(folder / "recipe.yaml")])
    return folder / "out" / "mixup" / "seed-0"


def test_a_lora_run_is_released_with_the_head_that_it_trained(lora_run):
    stored = np.load(lora_run / "logits-test.npz")
    assert (stored["logits"].argmax(1) == stored["labels"]).mean() > 0.6  # of three classes: the head has learned
    prepare_run(lora_run, "me/adapted")
    released = AutoModelForSequenceClassification.from_pretrained(lora_run / "release").eval()
    texts = [line.split(",")[0] for line in (lora_run.parents[2] / "test.csv").read_text().splitlines()[1:]]
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path=str(lora_run / "release")), None)
    with torch.no_grad():
        logits = released(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    divisor = getattr(released.config, "calibration", {"temperature": 1.0})["temperature"]
    np.testing.assert_allclose(logits * divisor, stored["logits"], rtol=1e-4, atol=1e-4)


def test_evaluate_of_a_lora_run_finds_its_numbers(lora_run):
    data, options = parse_arguments(str(lora_run), ["--use_cpu", "true"])
    found = evaluate(str(lora_run), data, options)
    metrics = json.loads((lora_run / "metrics.json").read_text())
    raw = {row["split"]: row for row in metrics["rows"] if row["calibration"] == "raw"}["test"]
    assert found.subject.label_names == NAMES
    assert found.diagnosis.intervals["raw"]["accuracy"].value == pytest.approx(raw["accuracy"])
    assert found.diagnosis.intervals["raw"]["ece"].value == pytest.approx(raw["ece"], abs=1e-5)


def test_evaluate_says_where_the_model_below_was(lora_run, tmp_path, capsys):
    base = lora_run.parents[2] / "base"
    base.rename(tmp_path / "moved")
    try:
        for command in (["evaluate", str(lora_run)], ["push", str(lora_run), "me/x", "--dry-run"]):
            with pytest.raises(SystemExit):
                cli.main(command)
            said = capsys.readouterr().err.splitlines()[-1]
            assert "holds adapters alone, and the model below them is not there" in said
            assert str(base) in said
            assert "adapter_config.json" in said
    finally:
        (tmp_path / "moved").rename(base)


# ---- transformers' own add_adapter -----------------------------------------------------------------------------------


def with_own_adapter(model_type="bert", **settings):
    """A model changed by `add_adapter`, its adapter not at its neutral start."""
    model = tiny_classifier(model_type)
    try:
        model.add_adapter(peft.LoraConfig(r=2, target_modules=["query", "value"], **settings))
    except ValueError as error:
        if "version of PEFT" not in str(error):
            raise
        pytest.skip(f"transformers asks for a PEFT that is not installed: {error}")
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("settings", [{}, {"modules_to_save": ["classifier"]}])
def test_a_model_that_was_given_an_adapter_by_transformers_is_merged(settings, tmp_path):
    model = with_own_adapter(**settings)
    batch = tiny_batch(model, [12, 9, 7, 11])
    before, plain = logits_of(model, batch), logits_of(tiny_classifier("bert"), batch)
    assert (before - plain).abs().max() > 0.1
    merged = merge_adapters(model)
    torch.testing.assert_close(logits_of(merged, batch), before, rtol=1e-5, atol=1e-5)
    assert not [
        name for name in merged.state_dict() if "lora" in name or "base_layer" in name or "modules_to_save" in name
    ]
    merged.save_pretrained(tmp_path)
    assert not (tmp_path / "adapter_config.json").exists()
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(again, batch), before, rtol=1e-5, atol=1e-5)


def test_an_adapter_that_is_switched_off_is_not_merged():
    model = with_own_adapter()
    model.disable_adapters()
    batch = tiny_batch(model, [12, 9, 7, 11])
    assert torch.equal(logits_of(merge_adapters(model), batch), logits_of(tiny_classifier("bert"), batch))


def test_training_on_from_adapters_says_how_to_merge_them(lora_run, tmp_path, capsys, monkeypatch):
    """What is to be typed works: from the merged model, training starts where the run ended."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    recipe = str(lora_run.parents[2] / "recipe.yaml")
    for name in (lora_run, lora_run / "model"):
        with pytest.raises(SystemExit):
            cli.main(["train", recipe, "--model_name_or_path", str(name), "--output_dir", str(tmp_path)])
        said = capsys.readouterr().err.splitlines()[-1]
        command = f"nlp-mixup push {lora_run} me/merged --dry-run --fold never"
        assert f"holds adapters alone, and training starts from a whole model. Merge them: {command}." in said
        assert said.endswith(f"--model_name_or_path {lora_run / 'release'}")
    cli.main(command.split()[1:])
    on = ["--model_name_or_path", str(lora_run / "release"), "--num_train_epochs", "1", "--learning_rate", "0"]
    cli.main(["train", recipe, *on, "--output_dir", str(tmp_path / "on")])
    logits = [
        np.load(folder / "logits-test.npz")["logits"] for folder in (lora_run, tmp_path / "on" / "mixup" / "seed-0")
    ]
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-4, atol=1e-4)


def test_training_on_from_a_runs_folder_names_the_model_in_it(tmp_path):
    tiny_classifier("bert").save_pretrained(tmp_path / "run" / "model")
    with pytest.raises(ValueError, match=r"run is a run's folder\. Type --model_name_or_path .*run/model"):
        load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path / "run")), None)


def test_adapters_know_the_folder_and_the_revision_of_the_model_below(tmp_path, monkeypatch):
    """A run is published from wherever its owner stands, and on the revision that it was trained on."""
    monkeypatch.chdir(tmp_path)
    tiny_classifier("bert").save_pretrained("base")
    model = AutoModelForSequenceClassification.from_pretrained("base")
    add_lora(model, 2, drawn=[], probe=dict, revision="v1").save_pretrained("adapters")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert model_below(tmp_path / "adapters") == (str(tmp_path / "base"), "v1")
    load_adapted(tmp_path / "adapters", NAMES)
