"""What is published is loaded from its files and gives the logits of the model that was trained; else it is refused."""

import numpy as np
import pytest
import torch
import yaml
from altered_models import altered
from conftest import PadCollator, tiny_batch, tiny_dataset, tiny_model, training_arguments
from run_folders import texts_of, write_run
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from nlp_mixup import MixupTrainer, cli
from nlp_mixup.calibration import Temperature
from nlp_mixup.models.fold import fold_temperature
from nlp_mixup.models.logits import plain_logits
from nlp_mixup.release.save import prepare_model, prepare_run
from nlp_mixup.release.uploading import upload
from nlp_mixup.runs.probe import FILE, Probe, check_same_model, chosen_rows, probe_of, read_probe, write_probe
from nlp_mixup.runs.public_record import scored_record

UPLOADED = {
    *("README.md", "arguments.yaml", "config.json", "model.safetensors", "reliability.png", "tokenizer.json"),
    "tokenizer_config.json",
}


def change(path, name, action):
    """Rewrites one tensor of a file of weights."""
    weights = load_file(path)
    weights[name] = action(weights[name])
    save_file(weights, path, {"format": "pt"})


# ---- the comparison itself -------------------------------------------------------------------------------------------


def test_the_rows_come_back_as_they_were_stored(tmp_path):
    model = tiny_model("bert")
    probe = probe_of(model, tiny_batch())
    write_probe(tmp_path, probe)
    again = read_probe(tmp_path)
    assert (again.dtype, again.rows) == ("float32", "validation rows")
    np.testing.assert_array_equal(again.logits, probe.logits)
    for name, value in tiny_batch().items():
        assert torch.equal(again.inputs[name], value)
        assert again.inputs[name].dtype == value.dtype
    with np.load(tmp_path / FILE, allow_pickle=False) as stored:  # no pickle in it
        assert all(stored[name].dtype != object for name in stored)
    assert read_probe(tmp_path / "elsewhere") is None
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:99])
    with pytest.raises(ValueError, match=r"probe\.npz cannot be read .* Copy it once more"):
        read_probe(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "digits"), [(torch.float32, 3.4527e-4), (torch.bfloat16, 0.0884), (torch.float16, 0.03125)]
)
def test_half_of_the_digits_of_the_precision_have_to_agree(dtype, digits):
    """sqrt(eps) of the largest logit: 2^-11.5 of float32, 2^-3.5 of bfloat16, 2^-5 of float16."""
    model = tiny_model("bert").to(dtype)
    probe = probe_of(model, tiny_batch())
    assert probe.dtype == str(dtype).removeprefix("torch.")
    assert probe.logits.dtype == np.float32
    largest = np.abs(probe.logits).max()
    for share, agrees in ((0.99, True), (1.01, False)):
        shifted = Probe(probe.inputs, probe.logits.copy(), probe.dtype)
        where = np.unravel_index(np.abs(probe.logits).argmin(), probe.logits.shape)
        shifted.logits[where] += share * digits * largest
        if agrees:
            check_same_model(model, shifted)
        else:
            with pytest.raises(
                ValueError, match="is not the model that was trained: on 4 validation rows its logits are off"
            ):
                check_same_model(model, shifted)


def test_a_temperature_divides_the_stored_logits():
    model, batch = tiny_model("bert"), tiny_batch()
    probe = probe_of(model, batch)
    fold_temperature(model, Temperature(1.7, 1.5, 1.9, 400, 1.0, 0.9, 0.1, 0.02), batch)
    assert "divided by T, to within" in check_same_model(model, probe, 1.7)
    for wrong in (1.0, 1.71, 1 / 1.7):
        with pytest.raises(ValueError, match="is not the model that was trained"):
            check_same_model(model, probe, wrong)


def test_weights_in_another_precision_are_another_model():
    """bfloat16 keeps 8 bits of a weight: the logits differ by about .4%, where float32 allows .035%."""
    model = tiny_model("bert")
    probe = probe_of(model, tiny_batch())
    with pytest.raises(ValueError, match="the rounding of float32 allows"):
        check_same_model(model.to(torch.bfloat16), probe)


def test_not_a_number_is_no_agreement():
    model = tiny_model("bert")
    probe = probe_of(model, tiny_batch())
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="off by up to nan"):
        check_same_model(model, probe)


def test_another_number_of_classes_is_said():
    probe = probe_of(tiny_model("bert"), tiny_batch())
    with pytest.raises(ValueError, match=r"logits of shape \(4, 2\) for 4 validation rows, and gave \(4, 3\)"):
        check_same_model(tiny_model("bert", num_labels=2), probe)


def test_no_random_stream_is_moved_and_autocast_is_off():
    model, batch = tiny_model("bert").train(), tiny_batch()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    wanted = plain_logits(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain_logits(model, batch), wanted)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training


# ---- push of a run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "text-cnn"])
def test_a_release_says_that_it_was_compared(kind, tmp_path):
    write_run(tmp_path / "run", kind)
    plan = prepare_run(tmp_path / "run", "me/whole")
    said = "Loaded from its files, the model gives 32 validation rows the logits that it had in training, divided by T, to within"
    assert said in plan.note
    assert said in (tmp_path / "run" / "release" / "README.md").read_text()


def test_what_is_uploaded_is_this_list_and_neither_probe_rows_nor_hashes(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    (tmp_path / "run" / "row-hashes.npz").write_bytes(b"hashes")
    assert (tmp_path / "run" / FILE).is_file()
    plan = prepare_run(tmp_path / "run", "me/listed")
    assert set(plan.files) == UPLOADED
    sent = []
    monkeypatch.setattr("nlp_mixup.release.uploading.HfApi", lambda token: _Api(sent))
    upload(plan, token="hf_x")
    assert {operation.path_in_repo for operation in sent} == UPLOADED
    assert not [name for name in plan.files if "probe" in name or "hash" in name]
    stored = (tmp_path / "run" / FILE).read_bytes()
    assert not [name for name, path in plan.files.items() if stored in path.read_bytes()]


class _Api:
    """The Hub, as far as an upload asks it."""

    def __init__(self, sent):
        self._sent = sent

    def create_repo(self, *args, **kwargs):
        pass

    def create_commit(self, repo_id, operations, **kwargs):
        self._sent += operations


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("classifier.weight", lambda weight: torch.randn_like(weight)),
        ("bert.pooler.dense.weight", lambda weight: torch.randn_like(weight) * 0.02),
        ("classifier.bias", lambda bias: bias + torch.tensor([0.01, 0.0, 0.0])),
        ("bert.embeddings.word_embeddings.weight", lambda weight: weight.to(torch.bfloat16).float()),
    ],
    ids=["head", "pooler", "bias", "rounded"],
)
def test_weights_that_are_not_those_that_were_trained_are_refused_before_anything_is_left(
    name, action, tmp_path, capsys
):
    write_run(tmp_path / "run")
    torch.manual_seed(1)
    change(tmp_path / "run" / "model" / "model.safetensors", name, action)
    with pytest.raises(SystemExit):
        cli.main(["push", str(tmp_path / "run"), "me/another", "--dry-run"])
    captured = capsys.readouterr()
    said = captured.err.splitlines()[-1]
    assert (
        "What would be published is not the model that was trained: on 32 validation rows its logits are off by up to"
        in said
    )
    assert said.endswith("Nothing was uploaded.")
    assert "bytes" not in captured.out
    assert not (tmp_path / "run" / "release").exists()
    assert not (tmp_path / "run" / ".release.partial").exists()


def test_a_refused_release_leaves_the_one_before(tmp_path):
    write_run(tmp_path / "run")
    prepare_run(tmp_path / "run", "me/first")
    before = (tmp_path / "run" / "release" / "model.safetensors").read_bytes()
    change(
        tmp_path / "run" / "model" / "model.safetensors",
        "classifier.bias",
        lambda bias: bias + torch.tensor([1.0, 0, 0]),
    )
    with pytest.raises(ValueError, match="is not the model that was trained"):
        prepare_run(tmp_path / "run", "me/second")
    assert (tmp_path / "run" / "release" / "model.safetensors").read_bytes() == before


def test_a_class_of_ones_own_that_others_load_as_another_is_refused(tmp_path):
    """What lies behind the classifier is in no file, so that whoever loads it gets other logits."""
    record = scored_record(None, None, label_names=["a", "b", "c"], settings={}, arm="no_mixup", seed=0)
    with pytest.raises(
        ValueError, match=r"another model|is loaded as BertForSequenceClassification, and was trained as Altered"
    ):
        prepare_model(altered("norm"), None, record, tmp_path / "release", "me/capped", probe=tiny_batch())
    assert not (tmp_path / "release").exists()


# ---- runs that stored no rows ----------------------------------------------------------------------------------------


def older_run(folder, **settings):
    """A run whose validation file is there, and which stored no rows."""
    _, _, stored = write_run(folder / "run", settings={"model_name_or_path": str(folder / "run" / "model"), **settings})
    names = ("bad", "good", "so-so")
    lines = [f"{text},{names[label]}" for text, label in zip(texts_of(400, 1), stored["validation"][1], strict=True)]
    (folder / "validation.csv").write_text("\n".join(["text,label", *lines]))
    (folder / "train.csv").write_text(
        "\n".join(["text,label", *(f"{text},{names[i % 3]}" for i, text in enumerate(texts_of(30, 7)))])
    )
    path = folder / "run" / "arguments.yaml"
    content = yaml.safe_load(path.read_text())
    content.pop("test_file")
    files = {f"{split}_file": str(folder / f"{split}.csv") for split in ("train", "validation")}
    path.write_text(yaml.safe_dump({**content, **files, "output_dir": str(folder / "out")}))
    (folder / "run" / FILE).unlink()
    return folder / "run"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_an_older_run_reads_its_rows_again(tmp_path, cache):
    run = older_run(tmp_path)
    plan = prepare_run(run, "me/older")
    assert "the model gives 32 validation rows the logits that it had in training" in plan.note
    change(run / "model" / "model.safetensors", "classifier.bias", lambda bias: bias + torch.tensor([1.0, 0, 0]))
    with pytest.raises(ValueError, match="is not the model that was trained"):
        prepare_run(run, "me/older")


def test_an_older_run_that_rounded_is_compared_as_it_rounded(tmp_path, cache):
    run = older_run(tmp_path, bf16=True)
    with np.load(run / "logits-validation.npz") as stored:
        logits = torch.from_numpy(stored["logits"]).to(torch.bfloat16).float().numpy()
        np.savez(run / "logits-validation.npz", logits=logits, labels=stored["labels"])
    assert "(allowed " in prepare_run(run, "me/older").note


def test_an_older_run_without_its_rows_is_refused_with_what_to_type(tmp_path, cache):
    run = older_run(tmp_path)
    (tmp_path / "validation.csv").rename(tmp_path / "moved.csv")
    with pytest.raises(
        ValueError, match=r"stored no rows to compare a release with, .* cannot be read again"
    ) as refusal:
        prepare_run(run, "me/older")
    assert str(refusal.value).endswith(f"nlp-mixup train {run}/arguments.yaml --keep_models last --output_dir FOLDER")
    assert "\n" not in str(refusal.value)
    (tmp_path / "moved.csv").rename(tmp_path / "validation.csv")
    with (tmp_path / "validation.csv").open("a") as file:
        file.write("\na film,good")
    with pytest.raises(ValueError, match="cannot be read again: they have changed since"):
        prepare_run(run, "me/older")


# ---- what training stores --------------------------------------------------------------------------------------------


def test_a_text_run_stores_its_rows_and_is_released_by_them(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("bad", "good")
    for split, n in (("train", 60), ("validation", 40)):
        (tmp_path / f"{split}.csv").write_text(
            "\n".join(["text,label", *(f"{t},{names[i % 2]}" for i, t in enumerate(texts_of(n, n)))])
        )
    settings = {
        "train_file": "train.csv", "validation_file": "validation.csv", "num_train_epochs": 1, "output_dir": "out",
        "noise_samples": 8, "use_cpu": True, "disable_tqdm": True, "arms": {"mixup": {"mixup_alpha": 0.4}},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    cli.main(["train", "recipe.yaml"])
    run = tmp_path / "out" / "mixup" / "seed-0"
    probe = read_probe(run)
    with np.load(run / "logits-validation.npz") as stored:
        np.testing.assert_allclose(probe.logits, stored["logits"][chosen_rows(40)], rtol=1e-4, atol=1e-5)
    assert set(probe.inputs) == {"input_ids"}
    prepare_run(run, "me/cnn")
    cli.main(["train", "recipe.yaml", "--output_dir", "other", "--keep_models", "none"])
    assert not (tmp_path / "other" / "mixup" / "seed-0" / FILE).exists()  # nothing to publish


def test_an_image_run_stores_its_rows_and_is_released_by_them(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [
        "--output_dir",
        "out",
        "--num_train_epochs",
        "1",
        "--noise_samples",
        "8",
        "--use_cpu",
        "true",
        "--disable_tqdm",
        "true",
    ]
    cli.main(["train", "digits-quickstart", "--arm", "mixup", *flags, "--max_train_samples", "100"])
    (run,) = (tmp_path / "out" / "mixup").glob("seed-*")
    probe = read_probe(run)
    assert list(probe.inputs) == ["pixel_values"]
    assert probe.logits.shape == (32, 10)
    assert "32 validation rows" in prepare_run(run, "me/digits").note
    weights = next(
        name for name in load_file(run / "model" / "model.safetensors") if "conv" in name and name.endswith("weight")
    )
    change(run / "model" / "model.safetensors", weights, torch.zeros_like)
    with pytest.raises(ValueError, match="is not the model that was trained"):
        prepare_run(run, "me/digits")
    (run / FILE).unlink()  # as an older version left it
    with pytest.raises(ValueError, match="is not the model that was trained"):
        prepare_run(run, "me/digits")


# ---- trainer.push_to_hub ---------------------------------------------------------------------------------------------


def pushed(tmp_path, model, monkeypatch, **settings):
    """The plan of a trainer's push, which uploads nothing."""
    plans = []
    monkeypatch.setattr("nlp_mixup.release.upload", lambda plan, **_: plans.append(plan))
    trainer = MixupTrainer(
        model=model,
        args=training_arguments(tmp_path / "out", max_steps=2, mixup_alpha=0.4),
        train_dataset=tiny_dataset(), data_collator=PadCollator(), **settings,
    )  # fmt: skip
    trainer.hub_model_id = "me/x"
    trainer.train()
    trainer.push_to_hub()
    return plans[0], trainer


def test_a_trainers_release_is_compared_with_its_model(tmp_path, monkeypatch):
    plan, trainer = pushed(tmp_path, tiny_model("bert"), monkeypatch, eval_dataset=tiny_dataset(240, seed=3))
    assert "held-out rows the logits that it had in training" in plan.note
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "release")
    divisor = loaded.config.calibration["temperature"]
    torch.testing.assert_close(plain_logits(loaded, tiny_batch()) * divisor, plain_logits(trainer.model, tiny_batch()))
    assert set(plan.files) == UPLOADED - {"tokenizer.json", "tokenizer_config.json"}


def test_a_trainers_release_without_held_out_rows_is_compared_too(tmp_path, monkeypatch):
    plan, _ = pushed(tmp_path, tiny_model("bert"), monkeypatch)
    assert "8 probe rows the logits that it had in training" in plan.note


class Capped(BertForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None, labels=None):
        outputs = super().forward(input_ids, attention_mask, labels=labels)
        outputs.logits = 2 * torch.tanh(outputs.logits / 2)
        return outputs


def test_a_trainers_model_that_others_load_as_another_is_refused(tmp_path, monkeypatch):
    model = Capped(tiny_model("bert").config)
    model.load_state_dict(tiny_model("bert").state_dict())
    with pytest.raises(ValueError, match="It is loaded as BertForSequenceClassification, and was trained as Capped"):
        pushed(tmp_path, model, monkeypatch, eval_dataset=tiny_dataset(24, seed=3))
    assert not (tmp_path / "out" / "release").exists()


def test_a_model_that_was_given_an_adapter_is_published_merged(tmp_path, monkeypatch):
    peft = pytest.importorskip("peft", reason="needs peft: pip install 'nlp-mixup[combinations]'")
    model = tiny_model("bert")
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["query", "value"], modules_to_save=["classifier"]))
    plan, trainer = pushed(tmp_path, model, monkeypatch, eval_dataset=tiny_dataset(24, seed=3))
    assert "held-out rows the logits that it had in training" in plan.note
    assert not [name for name in plan.files if "adapter" in name]
    assert not [name for name in trainer.model.state_dict() if "lora" in name]
