"""The doctor on models whose fault is known, as labels were drawn from softmax(z) and the logits are z times a factor.

Images take the same way, of which only what differs is tested: how rows are found and read.
"""

import csv
import json
import logging
import re
import shlex
import shutil

import numpy as np
import pytest
import torch
from conftest import tiny_model
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature
from image_folders import write_images
from PIL import Image
from transformers import AutoConfig, AutoModel, ViTConfig, ViTForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from nlp_mixup import cli
from nlp_mixup.advice import advice
from nlp_mixup.advice.verdict import finding
from nlp_mixup.arguments import DataArguments
from nlp_mixup.calibration import Interval, expected_calibration_error, fit_temperature, softmax
from nlp_mixup.calibration.diagnosis import diagnose
from nlp_mixup.calibration.label_entropy import mean_off_label_mass
from nlp_mixup.data.label_map import match_labels
from nlp_mixup.doctor import DoctorArguments, evaluate
from nlp_mixup.models import build_word_tokenizer

CLASSES = ["negative", "so_so", "positive"]
WORDS = [f"word{i}" for i in range(40)]


def texts_of(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 9))) for _ in range(n)]


def build(model_type="bert", classes=CLASSES):
    """A tiny random classifier whose logits have mean 0 and spread 1.5 over the texts, and its tokenizer."""
    tokenizer = build_word_tokenizer(WORDS)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    names = {"id2label": dict(enumerate(classes)), "label2id": {name: i for i, name in enumerate(classes)}}
    settings = {
        **names,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": len(classes),
    }
    model = tiny_model(model_type, **settings)
    head = model.score if hasattr(model, "score") else model.classifier
    logits = logits_of(model, tokenizer, texts_of(500, seed=99))
    with torch.no_grad():
        factor = 1.5 / logits.std(0)
        head.weight *= factor[:, None]
        if head.bias is not None:
            head.bias.copy_((head.bias - logits.mean(0)) * factor)
    return model, tokenizer, head


def logits_of(model, tokenizer, texts, pairs=None):
    """Rows of one length at a time, so that neither padding nor its mask can matter."""
    encoded = tokenizer(texts, *([pairs] if pairs else []))["input_ids"]
    logits = torch.empty(len(texts), model.config.num_labels)
    with torch.no_grad():
        for length in set(map(len, encoded)):
            rows = [i for i, ids in enumerate(encoded) if len(ids) == length]
            logits[rows] = model(input_ids=torch.tensor([encoded[i] for i in rows])).logits
    return logits


def write_rows(path, labels, texts, **columns):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", *columns])
        writer.writerows(zip(texts, labels, *columns.values(), strict=True))


def draw_labels(logits, seed):
    rng = np.random.default_rng(seed)
    return (logits.numpy() + rng.gumbel(size=logits.shape)).argmax(1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """over, under and calibrated: three models' folders; validation.csv and test.csv with labels by name."""
    folder = tmp_path_factory.mktemp("planted")
    model, tokenizer, head = build()
    for split, n, seed in (("validation", 1500, 1), ("test", 2000, 2)):
        texts = texts_of(n, seed)
        ids = draw_labels(logits_of(model, tokenizer, texts), seed)
        write_rows(folder / f"{split}.csv", [CLASSES[i] for i in ids], texts)
    for name, factor in (("calibrated", 1), ("over", 3), ("under", 1 / 3)):
        with torch.no_grad():
            head.weight *= factor
            head.bias *= factor
            model.save_pretrained(folder / name)
            tokenizer.save_pretrained(folder / name)
            head.weight /= factor
            head.bias /= factor
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def record_of(capsys, *argv):
    capsys.readouterr()
    cli.main(["evaluate", *map(str, argv), "--json"])
    return json.loads(capsys.readouterr().out)


def fails(capsys, *argv):
    with pytest.raises(SystemExit) as caught:
        cli.main(["evaluate", *map(str, argv)])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    line = error.splitlines()[-1]
    assert line.startswith("nlp-mixup: error: ")
    return line


def both(folder):
    return "--validation_file", folder / "validation.csv", "--test_file", folder / "test.csv"


# The advice


@pytest.mark.parametrize(
    ("name", "verdict", "temperature", "says"),
    [
        ("over", "over-confident", 3, "Mixup is worth a run: start with --mixup_alpha"),
        ("under", "under-confident", 1 / 3, "Mixup would hurt: it lowers the confidence further. Use the temperature."),
        ("calibrated", "calibrated", 1, "Leave it alone"),
    ],
)
@pytest.mark.parametrize("splits", ["two", "one"])
def test_a_planted_fault_gets_the_right_advice(planted, capsys, name, verdict, temperature, says, splits):
    files = both(planted) if splits == "two" else ("--test_file", planted / "test.csv")
    record = record_of(capsys, planted / name, *files)
    assert record["verdict"] == verdict
    assert record["cross_fitted"] == (splits == "one")
    assert record["split"] == "test"
    fitted = record["temperature"]
    assert fitted["low"] < temperature < fitted["high"]
    assert fitted["n"] == (1500 if splits == "two" else 2000)
    raw, after = record["rows"]
    assert (raw["n"], raw["calibration"], after["calibration"]) == (2000, "raw", "temperature")
    assert after["ece"] <= after["ece_floor_high"]
    assert raw["accuracy"] == after["accuracy"]
    advice_text = " ".join(record["advice"])
    assert says in advice_text
    assert (record["mixup_alpha"] is not None) == (name == "over")
    assert ("--mixup_alpha" in advice_text) == (name == "over")
    low, high = record["intervals"]["raw"]["gap"][1:]
    assert {"over": low > 0, "under": high < 0, "calibrated": low < 0 < high}[name]


def test_what_is_printed_and_written(planted, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    cli.main(["evaluate", str(planted / "over"), *map(str, both(planted)), "--output_dir", str(out)])
    printed = capsys.readouterr().out
    files = {"evaluation.json", "evaluation.md", "reliability.png", "logits-validation.npz", "logits-test.npz"}
    assert {path.name for path in out.iterdir()} == files
    record = json.loads((out / "evaluation.json").read_text())
    stored = np.load(out / "logits-test.npz")
    probs = softmax(stored["logits"])
    raw, after = record["rows"]
    assert raw["ece"] == pytest.approx(expected_calibration_error(probs, stored["labels"]))
    assert raw["accuracy"] == pytest.approx((probs.argmax(1) == stored["labels"]).mean())
    fit = np.load(out / "logits-validation.npz")
    temperature = fit_temperature(fit["logits"], fit["labels"]).value
    scaled = softmax(stored["logits"] / temperature)
    assert record["temperature"]["value"] == after["temperature"] == pytest.approx(temperature)
    assert after["ece"] == pytest.approx(expected_calibration_error(scaled, stored["labels"]))

    gap = record["intervals"]["raw"]["gap"]
    assert gap[0] == pytest.approx(raw["confidence"] - raw["accuracy"])
    claim = f"Over-confident by {gap[0]:.3f} ({gap[1]:.3f} to {gap[2]:.3f}): it claims".replace("0.", ".")
    assert claim in printed
    assert f"it claims {raw['confidence']:.0%} and is right {raw['accuracy']:.0%}." in printed.replace("\n", " ")
    assert max(map(len, printed.splitlines())) <= 120
    for text in (claim, "| ECE |", "![Reliability diagrams](reliability.png)"):
        assert text in (out / "evaluation.md").read_text()
    assert (out / "reliability.png").stat().st_size > 10_000


def test_the_logits_are_the_rows_own_whatever_batch_they_travel_in(planted, tmp_path, capsys):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    out = tmp_path / "out"
    validation = planted / "validation.csv"
    record_of(capsys, planted / "over", "--validation_file", validation, "--max_eval_samples", 40, "--output_dir", out)
    stored = np.load(out / "logits-validation.npz")
    assert len(stored["logits"]) == 40
    model = AutoModelForSequenceClassification.from_pretrained(planted / "over").eval()
    tokenizer = AutoTokenizer.from_pretrained(planted / "over")
    with validation.open() as file:
        rows = list(csv.DictReader(file))
    logits = logits_of(model, tokenizer, [row["text"] for row in rows]).numpy()
    labels = [CLASSES.index(row["label"]) for row in rows]
    # The sampled rows keep the file's order.
    at = 0
    for wanted, label in zip(stored["logits"], stored["labels"], strict=True):
        while not np.allclose(logits[at], wanted, atol=1e-4) or labels[at] != label:
            at += 1
    assert at < len(rows)


def test_a_run_folder_stands_for_its_model(planted, tmp_path, capsys):
    run = tmp_path / "mixup" / "seed-0"
    shutil.copytree(planted / "over", run / "model")
    assert record_of(capsys, run, *both(planted))["verdict"] == "over-confident"
    shutil.rmtree(run / "model")
    (run / "metrics.json").write_text("{}")
    assert "did not keep its weights. Train it again elsewhere" in fails(capsys, run, *both(planted))


def test_pairs_of_texts(tmp_path, capsys):
    model, tokenizer, _ = build()
    first, second = texts_of(300, 1), texts_of(300, 2)
    labels = draw_labels(logits_of(model, tokenizer, first, second), 3)
    write_rows(tmp_path / "rows.csv", [CLASSES[i] for i in labels], first, other=second)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    record_of(capsys, tmp_path / "model", "--validation_file", tmp_path / "rows.csv", "--text_pair_column", "other",
              "--output_dir", out)  # fmt: skip
    stored = np.load(out / "logits-validation.npz")
    np.testing.assert_allclose(stored["logits"], logits_of(model, tokenizer, first, second), atol=1e-4)
    assert (stored["labels"] == labels).all()


def test_a_decoder_without_a_pad_token(tmp_path, capsys):
    model, tokenizer, _ = build("llama")
    texts = texts_of(200, 1)
    logits = logits_of(model, tokenizer, texts)
    write_rows(tmp_path / "rows.csv", [CLASSES[i] for i in draw_labels(logits, 3)], texts)
    tokenizer.add_special_tokens({"eos_token": "word39"})
    tokenizer.pad_token = None
    model.config.pad_token_id = None
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    record_of(capsys, tmp_path / "model", "--test_file", tmp_path / "rows.csv", "--output_dir", out)
    kept = [i for i, text in enumerate(texts) if not text.endswith("word39")]  # else its last token counts as padding
    np.testing.assert_allclose(np.load(out / "logits-test.npz")["logits"][kept], logits[kept], atol=1e-4)


# Labels


def test_labels_match_by_name_and_integers_by_the_names_the_data_gives_them(planted, tmp_path, capsys):
    with (planted / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    texts, names = [row["text"] for row in rows], [row["label"] for row in rows]
    expected = record_of(capsys, planted / "over", "--test_file", planted / "test.csv")["rows"][0]["accuracy"]
    others = {
        "negative": ("NEGATIVE", 2),
        "so_so": ("So  so", 0),
        "positive": (" positive", 1),
    }  # ids unlike the model's

    def accuracy(path, *more):
        return record_of(capsys, planted / "over", "--test_file", path, *more)["rows"][0]["accuracy"]

    write_rows(tmp_path / "spelt.csv", [others[name][0] for name in names], texts)
    assert accuracy(tmp_path / "spelt.csv") == expected
    ids = [others[name][1] for name in names]
    write_rows(tmp_path / "column.csv", ids, texts, label_name=names)
    assert accuracy(tmp_path / "column.csv") == expected
    write_rows(tmp_path / "bare.csv", ids, texts)
    line = fails(capsys, planted / "over", "--test_file", tmp_path / "bare.csv")
    assert "has labels without names" in line
    assert "The model's classes: 0 negative, 1 so_so, 2 positive." in line
    assert "--label_map" in line
    assert accuracy(tmp_path / "bare.csv", "--label_map", "2=negative", "0=so so", "1=2") == expected
    assert accuracy(tmp_path / "bare.csv", "--label_map", "identity") != expected
    (tmp_path / "labels.json").write_text(json.dumps({str(number): name for name, (_, number) in others.items()}))
    assert accuracy(tmp_path / "bare.csv") == expected
    features = Features({"text": Value("string"), "label": ClassLabel(names=["so_so", "positive", "negative"])})
    Dataset.from_dict({"text": texts, "label": ids}, features).to_parquet(tmp_path / "feature.parquet")
    assert accuracy(tmp_path / "feature.parquet") == expected


@pytest.mark.parametrize(
    ("labels", "names", "classes", "label_map", "expected"),
    [
        ([0, 1], {}, ["LABEL_0", "LABEL_1"], [], {0: 0, 1: 1}),
        (["LABEL_1"], {}, ["LABEL_0", "LABEL_1"], [], {"LABEL_1": 1}),
        ([0, 1], {}, ["1", "0"], [], {0: 1, 1: 0}),
        (["a", "b"], {}, ["LABEL_0", "LABEL_1"], ["a=1", "b=0"], {"a": 1, "b": 0}),
        (["x", "good"], {}, ["bad", "good"], ["x=bad"], {"x": 0, "good": 1}),
        (["a=b"], {}, ["bad", "good"], ["a=b=good"], {"a=b": 1}),
        (["1"], {}, ["1", "0"], ["1=1"], {"1": 0}),  # a class of that name comes before the id
        ([0, 1], {0: "down", 1: "up"}, ["LABEL_0", "LABEL_1"], ["identity"], {0: 0, 1: 1}),
        (["up"], {0: "down", 1: "up"}, ["LABEL_0", "LABEL_1"], ["identity"], {"up": 1}),
        (["Pos", "pos"], {}, ["pos", "Pos"], [], {"Pos": 1, "pos": 0}),
        (["Pos", "pos"], {}, ["pos", "neg"], ["Pos==pos"], {"Pos": 0, "pos": 0}),
        (["b="], {}, ["bad", "good"], ["b==good"], {"b=": 1}),  # the label itself ends in =
        ([-1, 1], {}, ["bad", "good"], ["-1=bad", "1=good"], {-1: 0, 1: 1}),
        ([1, 2, 3], {}, ["LABEL_0", "LABEL_1"], ["1=0", "2=1", "3==LABEL_1"], {1: 0, 2: 1, 3: 1}),
        (["caf\u00e9"], {}, ["bad", "cafe\u0301"], [], {"caf\u00e9": 1}),
    ],
)
def test_label_maps(labels, names, classes, label_map, expected):
    assert match_labels(dict.fromkeys(labels, 1), names, classes, label_map, "rows.csv") == expected


@pytest.mark.parametrize(
    ("labels", "names", "classes", "label_map", "message"),
    [
        (["bad", "good"], {}, ["LABEL_0", "LABEL_1"], [], "rows.csv has named labels (bad, good), but the model's classes "
         "have no names, and which is which cannot be known. The model's classes: 0 LABEL_0, 1 LABEL_1. If they are the "
         "same classes, say which class each one is, for instance, if these are right: --label_map bad=LABEL_0 good=LABEL_1"),
        ([0, 1], {0: "bad", 1: "good"}, ["0", "1"], [], "has named labels (bad, good), but the model's classes have no"),
        ([0, 1], {}, ["bad", "good"], [], "rows.csv has labels without names (0, 1), but the model's classes are named"),
        (["bad", "meh", "meh 2"], {}, ["bad", "good"], [], "labels that are no class of the model: 'meh' (3 rows), 'meh 2'"
         " (3 rows). The model's classes: 0 bad, 1 good. Remove these rows, or say which class they are, for "
         "instance, if these are right: --label_map meh=good 'meh 2==bad'"),
        ([0, 5], {}, ["LABEL_0", "LABEL_1"], [], "are not the model's ids, and which is which cannot be known: '0' (3 rows), '5' (3 "
         "rows). The model's classes: 0 LABEL_0, 1 LABEL_1. If they are the same classes, say which class each one is, for "
         "instance, if these are right: --label_map 0=LABEL_0 5=LABEL_1"),
        ([1, 2, 3], {}, ["LABEL_0", "LABEL_1", "LABEL_2"], ["3=2"], "'1' (3 rows), '2' (3 rows). The model's classes: 0 LABEL_0, "
         "1 LABEL_1, 2 LABEL_2. If they are the same classes, say which class each one is, for instance, if these are right: "
         "--label_map 3=2 1=LABEL_0 2=LABEL_1"),
        ([0, 1], {}, ["LABEL_0", "LABEL_1"], ["0=0", "1=0"], "several labels on one class: '0', '1' would all be 'LABEL_0'"),
        (["pos", "Pos"], {}, ["pos", "neg"], [], "If that is meant, say it with '==': --label_map Pos==pos"),
        (["POS"], {}, ["pos", "Pos"], [], "no class of the model: 'POS'"),
        ([0, 5], {}, ["bad", "good"], ["identity"], "are 0 to 1, but rows.csv has: 5"),
        (["bad"], {}, ["bad", "good"], ["identity"], "takes the labels for the model's ids"),
        (["x"], {}, ["bad", "good"], ["x"], "'x' is neither LABEL=CLASS (LABEL==CLASS where several labels are one class) nor 'identity' alone"),
        (["x"], {}, ["bad", "good"], ["x=fine"], "'x=fine' names no class of the model, which has: 0 bad, 1 good"),
        (["x"], {}, ["bad", "good"], ["x=2"], "'x=2' names no class of the model"),
        (["x"], {}, ["bad", "good"], ["x=0", "x=1"], "gives 'x' two classes"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_known_are_refused(labels, names, classes, label_map, message):
    with pytest.raises(ValueError) as raised:
        match_labels(dict.fromkeys(labels, 3), names, classes, label_map, "rows.csv")
    assert message in str(raised.value)
    if "--label_map" in str(raised.value):  # what it says to type works
        typed = shlex.split(str(raised.value).split("--label_map ")[1].split("; ")[0])
        assert match_labels(dict.fromkeys(labels, 3), names, classes, typed, "rows.csv").keys() == set(labels)
    if "--label_map identity" in str(raised.value):
        assert match_labels(dict.fromkeys(labels, 3), names, classes, ["identity"], "rows.csv").keys() == set(labels)


# Refusals


def test_data_that_cannot_be_judged_by(planted, tmp_path, capsys):
    model, test = planted / "over", planted / "test.csv"
    assert "There are no labelled rows to judge on" in fails(capsys, model)
    assert "train_file has no use here" in fails(capsys, model, "--train_file", test)
    assert "are both" in fails(capsys, model, "--test_file", test, "--validation_file", test)
    assert "there is no file" in fails(capsys, model, "--test_file", tmp_path / "none.csv")
    assert "has no column 'txt'" in fails(capsys, model, "--test_file", test, "--text_column", "txt")
    assert "Did you mean '--label_map'?" in fails(capsys, model, "--test_file", test, "--lable_map", "a=1")
    assert "n_bins must be at least 1" in fails(capsys, model, "--test_file", test, "--n_bins", "0")
    assert "exists" in fails(capsys, model, "--test_file", test, "--output_dir", test).lower()
    shutil.copy(test, tmp_path / "train.csv")
    assert "has neither a validation nor a test split" in fails(capsys, model, "--dataset_name", tmp_path)
    write_rows(tmp_path / "hidden.csv", [-1, -1], ["a", "b"])
    assert "No labelled rows are left" in fails(capsys, model, "--test_file", tmp_path / "hidden.csv")
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--test_file", str(test), str(model)])
    assert "MODEL comes first" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        cli.main(["evaluate", "--help"])
    assert caught.value.code == 0
    assert "--label_map" in capsys.readouterr().out


def test_models_that_cannot_be_judged(planted, tmp_path, capsys):
    test = ("--test_file", planted / "test.csv")
    assert "There is no folder" in fails(capsys, tmp_path / "none", *test)
    assert "holds no model: there is no config.json" in fails(capsys, tmp_path, *test)
    unknown = fails(capsys, "nobody/nothing-here", *test)
    assert "cannot be loaded as a text or image classifier: there is no folder of that name here, and" in unknown
    tokenizer = build_word_tokenizer(WORDS)
    for name, settings, message in (
        ("one", {"num_labels": 1}, "has num_labels 1: one number a row"),
        ("multi", {"problem_type": "multi_label_classification"}, "is a model for multi label classification"),
    ):
        tiny_model("bert", vocab_size=len(tokenizer), **settings).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        assert message in fails(capsys, tmp_path / name, *test)
    # An encoder without a head would get a random one.
    AutoModel.from_config(AutoConfig.from_pretrained(planted / "over")).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    message = fails(capsys, tmp_path / "encoder", *test)
    assert "is no trained classifier: it has no weights for classifier.bias, classifier.weight" in message
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "adapter_config.json names no base_model_name_or_path" in fails(capsys, tmp_path / "adapter", *test)


def test_weights_that_are_a_pickle_run_nothing(planted, tmp_path, capsys):
    """The old format is read with torch's weights_only: code in it is refused, not run."""
    folder, trace = tmp_path / "pickled", tmp_path / "ran"
    shutil.copytree(planted / "over", folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": _Touches(trace)}, folder / "pytorch_model.bin")
    message = fails(capsys, folder, "--test_file", planted / "test.csv")
    assert "its weights are a pickle of more than tensors, which is not run" in message
    assert not trace.exists()
    (folder / "pytorch_model.bin").unlink()
    (folder / "model.safetensors").write_bytes((planted / "over" / "model.safetensors").read_bytes()[:500])
    assert "cannot be loaded" in fails(capsys, folder, "--test_file", planted / "test.csv")


class _Touches:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_of_a_model_is_not_run_unasked(planted, tmp_path, capsys):
    folder = tmp_path / "custom"
    shutil.copytree(planted / "over", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "custom", "auto_map": {"AutoConfig": "custom.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "custom.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    message = fails(capsys, folder, "--test_file", planted / "test.csv")
    assert "it brings code of its own. Read it, then type --trust_remote_code" in message
    assert not (tmp_path / "ran").exists()


# Images


@pytest.fixture(scope="module")
def image_model(tmp_path_factory):
    """A tiny ViT and the processor that squeezes images to 16 x 16; in a folder with them, generated images of 20 x 14."""
    folder = tmp_path_factory.mktemp("images")
    torch.manual_seed(0)
    names = {"id2label": {0: "bee", 1: "ant"}, "label2id": {"bee": 0, "ant": 1}}  # not in the order of the names
    config = ViTConfig(
        image_size=16, patch_size=4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        initializer_range=0.3, **names,
    )  # fmt: skip
    model = ViTForImageClassification(config).eval()
    model.save_pretrained(folder / "model")
    processor = ViTImageProcessorPil(
        size={"height": 16, "width": 16}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4], do_convert_rgb=True
    )
    processor.save_pretrained(folder / "model")
    write_images(folder / "data", splits=("validation", "test"), n=40, size=20)
    for file in (folder / "data").rglob("*.png"):
        Image.open(file).crop((0, 0, 20, 14)).save(file)
    return folder, model, processor


def image_logits(model, processor, images):
    with torch.no_grad():
        return model(**processor(images, return_tensors="pt")).logits.numpy()


def test_images_are_read_as_the_model_s_own_processor_reads_them(image_model, tmp_path, capsys):
    folder, model, processor = image_model
    files = sorted((folder / "data" / "test").rglob("*.png"))
    labels = [int(file.parent.name == "ant") for file in files]
    expected = image_logits(model, processor, [Image.open(file) for file in files])
    out = tmp_path / "out"
    record = record_of(capsys, folder / "model", "--dataset_name", folder / "data", "--output_dir", out)
    assert (record["split"], record["cross_fitted"]) == ("test", False)
    assert record["label_map"] == {"ant": "ant", "bee": "bee"}
    stored = np.load(out / "logits-test.npz")
    np.testing.assert_allclose(stored["logits"], expected, atol=1e-5)
    assert stored["labels"].tolist() == labels
    assert record["rows"][0]["nll"] == pytest.approx(-np.log(softmax(expected)[range(40), labels]).mean(), abs=1e-5)

    # A parquet file, whose images come from inside it and may have another column's name.
    features = Features({"photo": ImageFeature(), "label": ClassLabel(names=["ant", "bee"])})
    rows = {"photo": [{"bytes": file.read_bytes(), "path": None} for file in files], "label": [1 - i for i in labels]}
    Dataset.from_dict(rows, features).to_parquet(tmp_path / "rows.parquet")
    parquet = ("--validation_file", tmp_path / "rows.parquet", "--image_column", "photo", "--task", "image")
    assert record_of(capsys, folder / "model", *parquet)["rows"][0] == record["rows"][0] | {"split": "validation"}
    # A folder of the classes alone.
    alone = record_of(capsys, folder / "model", "--dataset_name", folder / "data" / "test")
    assert alone["rows"][0] == record["rows"][0]
    assert alone["cross_fitted"] is True
    # With image_size, a copy of the processor is set to it, as in training: here it is its own.
    record_of(capsys, folder / "model", *parquet, "--image_size", 16, "--output_dir", out)
    np.testing.assert_allclose(np.load(out / "logits-validation.npz")["logits"], expected, atol=1e-5)


def test_what_is_wrong_with_images_is_named(image_model, planted, tmp_path, capsys):
    folder, _, _ = image_model
    model, data = folder / "model", tmp_path / "data"
    shutil.copytree(folder / "data" / "test", data)
    broken = data / "bee" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    assert f"{broken} cannot be read as an image" in fails(capsys, model, "--dataset_name", data)
    broken.unlink()
    (data / "wasp").mkdir()
    assert "wasp holds no images" in fails(capsys, model, "--dataset_name", data)
    shutil.copy(data / "ant" / "0.png", data / "wasp" / "0.png")
    assert "labels that are no class of the model: 'wasp' (1 rows)" in fails(capsys, model, "--dataset_name", data)
    shutil.copytree(folder / "data" / "test", tmp_path / "set" / "train")
    message = fails(capsys, model, "--dataset_name", tmp_path / "set")
    assert "has neither a validation nor a test split" in message
    assert "images are read from .parquet files" in fails(capsys, model, "--test_file", planted / "test.csv")
    message = fails(capsys, planted / "over", "--task", "image", "--dataset_name", folder / "data")
    assert "cannot be loaded as an image classifier" in message


# A run's folder


def test_an_image_run_s_folder_gives_the_run_s_own_numbers(tmp_path, capsys):
    """Also with redrawn labels, other bins and the package's own type of model; flags win over what the run says."""
    data = write_images(tmp_path / "data", n=40, size=8)
    settings = {
        "task": "image", "dataset_name": str(data), "model_name_or_path": "resnet-small", "num_train_epochs": 1, "n_bins": 7,
        "label_noise": 0.3, "use_cpu": True, "disable_tqdm": True, "report_to": "none", "noise_samples": 0,
        "output_dir": str(tmp_path / "runs"),
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(settings))
    cli.main(["train", str(tmp_path / "recipe.yaml")])
    run = tmp_path / "runs" / "no_mixup" / "seed-0"
    trained = {
        row["calibration"]: row
        for row in json.loads((run / "metrics.json").read_text())["rows"]
        if row["split"] == "test"
    }
    found = {row["calibration"]: row for row in record_of(capsys, run, "--use_cpu")["rows"]}
    assert found["raw"]["n_bins"] == 7
    for calibration, row in found.items():
        for score in ("accuracy", "nll", "brier", "ece", "oe", "confidence"):
            assert row[score] == pytest.approx(trained[calibration][score], abs=1e-5), (calibration, score)
    assert record_of(capsys, run, "--use_cpu", "--n_bins", 9)["rows"][0]["n_bins"] == 9
    # Other rows are read as the run's were, and their labels are not redrawn.
    other = record_of(capsys, run, "--use_cpu", "--dataset_name", data / "test")
    assert other["sources"] == {"test": str(data / "test")}
    assert other["rows"][0]["accuracy"] != found["raw"]["accuracy"]


def test_a_text_run_s_folder_says_how_its_rows_are_read(planted, tmp_path, capsys):
    run = tmp_path / "mixup" / "seed-0"
    shutil.copytree(planted / "over", run / "model")
    for split in ("validation", "test"):
        content = (planted / f"{split}.csv").read_text()
        (tmp_path / f"{split}.csv").write_text(content.replace("text,label", "tweet,mood"))
    settings = {
        "train_file": "train.csv", "dataset_name": "demo-tweets", "validation_file": str(tmp_path / "validation.csv"),
        "test_file": str(tmp_path / "test.csv"), "text_column": "tweet", "label_column": "mood", "max_length": 5,
        "max_eval_samples": 700, "mixup_alpha": 0.4, "num_train_epochs": 3.0, "arms": {"mixup": {}},
    }  # fmt: skip
    (run / "arguments.yaml").write_text(json.dumps(settings))
    columns = ("--text_column", "tweet", "--label_column", "mood", "--max_length", 5, "--max_eval_samples", 700)
    expected = record_of(capsys, run / "model", *both(tmp_path), *columns)
    found = record_of(capsys, run)
    assert found | {"model": None} == expected | {"model": None}
    assert found["rows"][0]["n"] == 700
    assert "rows fill 5 tokens" in found["notes"][0]
    assert "rows fill 6 tokens" in record_of(capsys, run, "--max_length", 6)["notes"][0]
    taken_out = record_of(capsys, run, "--ood_classes", "so_so")
    assert taken_out["rows"][0]["n"] == 700
    assert taken_out["label_map"] == {"negative": "negative", "positive": "positive"}
    # Of the run's rows none is left once others are named; how they are read stays.
    other = record_of(capsys, run, "--test_file", tmp_path / "validation.csv")
    assert other["sources"] == {"test": str(tmp_path / "validation.csv")}
    assert (other["rows"][0]["n"], other["notes"][0].split(" rows")[0][-5:]) == (1500, "1,500")
    (run / "arguments.yaml").write_text("max_lenght: 5")
    assert "Unknown key 'max_lenght'" in fails(capsys, run)


# A temperature in the weights


@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_temperature_in_the_weights_is_told_in_one_line(kind, planted, image_model, tmp_path, capsys):
    if kind == "text":
        model, rows = planted / "over", ("--test_file", planted / "test.csv")
    else:
        model, rows = image_model[0] / "model", ("--dataset_name", image_model[0] / "data")
    folder = tmp_path / "folded"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    assert not any("temperature of" in note for note in record_of(capsys, folder, *rows)["notes"])
    recorded = {"method": "temperature", "temperature": 2.9416, "n": 1500, "split": "validation"}
    (folder / "config.json").write_text(json.dumps(config | {"calibration": recorded}))
    cli.main(["evaluate", str(folder), *map(str, rows)])
    told = "This model's weights carry a temperature of 2.942, fitted on 1,500 validation rows."
    assert told in " ".join(capsys.readouterr().out.split())
    # A record of another make says nothing, and breaks nothing.
    (folder / "config.json").write_text(json.dumps(config | {"calibration": ["isotonic"]}))
    assert not any("temperature of" in note for note in record_of(capsys, folder, *rows)["notes"])


# Corners of the verdict


def drawn(n, k=3, spread=1.5, seed=0):
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(n, k))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(1)


def test_calibrated_models_are_seldom_called_anything_else():
    verdicts = [diagnose(*drawn(500, seed=seed)).verdict for seed in range(20)]
    assert verdicts.count("calibrated") >= 17  # 20 at .95 give fewer once in 60


def test_both_faults_at_once_are_called_mixed():
    """Half the rows claim too much, half too little, so that the gap cancels and the ECE does not."""
    sure, unsure = np.tile([0.0, 3.0], (1000, 1)), np.tile([0.0, 0.4], (1000, 1))
    right = np.r_[np.arange(1000) % 100 < 80, np.arange(1000) % 100 < 75]  # claims .953 and .599
    found = diagnose(np.r_[sure, unsure], right.astype(int))
    assert found.verdict == "mixed"
    assert found.alpha is None
    text = " ".join(advice(found))
    assert "neither over- nor under-confident on the whole" in text
    assert "Mixup is no remedy" in text


def test_a_verdict_shows_which_of_two_close_numbers_is_larger():
    scores = {"n": 70, "ece": 0.11101, "ece_floor_high": 0.11079, "confidence": 0.907, "accuracy": 0.871}
    text = finding(scores, Interval(0.036, -0.028, 0.125))
    assert "ECE .1110, where a perfectly calibrated model shows up to .1108 here" in text
    assert "ECE .111, a perfectly calibrated model shows up to .120 here" in finding(
        {**scores, "ece_floor_high": 0.12}, Interval(0.036, -0.028, 0.125)
    )


def test_the_alpha_is_the_one_whose_labels_move_as_far_as_the_gap():
    for factor in (1.3, 1.6, 2.5, 6.0):
        logits, labels = drawn(4000)
        found = diagnose(factor * logits, labels)
        masses = {alpha: mean_off_label_mass(alpha, found.class_shares) for alpha in (0.1, 0.2, 0.4, 1.0)}
        distance = {alpha: abs(mass - found.scores["raw"]["gap"]) for alpha, mass in masses.items()}
        assert found.alpha == min(distance, key=distance.get)
    assert found.alpha == 1.0
    assert "so expect it to close a part" in " ".join(advice(found))
    # Table of E[min] in closed form: .058, .101, .160, .250 at .1, .2, .4, 1.
    assert [round(mean_off_label_mass(alpha, [0.5, 0.5]) * 2, 3) for alpha in (0, 0.1, 0.2, 0.4, 1.0)] == [
        0, 0.058, 0.101, 0.16, 0.25,
    ]  # fmt: skip


def test_too_few_rows_say_so_and_how_many_would_do():
    found = diagnose(*drawn(60))
    lines = advice(found)
    assert lines[0].startswith("Not distinguishable from calibrated at n = 60")
    assert "rows, the interval of a gap of .020 would exclude 0 four times of five." in lines[0]
    sd = 0.02 * np.sqrt(found.rows_needed) / 2.8
    assert 0.3 < sd < 0.5  # the spread of confidence - correct at an accuracy near .7
    assert "at least four times of five" in advice(diagnose(*drawn(6000)))[0]


def test_a_hint_is_called_a_hint():
    """A gap whose interval excludes 0 beside an ECE within its noise."""
    logits, labels = drawn(1000)
    found = diagnose(1.15 * logits, labels)
    assert found.verdict == "calibrated"
    assert found.intervals["raw"]["gap"].low > 0
    assert "The gap hints at over-confidence, too small a one to tell" in advice(found)[0]


def test_rows_of_one_class_say_nothing_of_alpha():
    logits, _ = drawn(1000)
    found = diagnose(3 * logits, np.zeros(1000, int))
    assert found.verdict == "over-confident"
    assert found.alpha is None
    assert "All rows are of one class" in advice(found)[-1]


def test_no_temperature_where_every_row_is_right():
    logits = np.tile([0.0, 3.0], (400, 1))
    found = diagnose(np.r_[logits, -logits], np.r_[np.ones(400, int), np.zeros(400, int)])
    assert found.temperature is None
    assert found.verdict == "under-confident"
    assert list(found.scores) == ["raw"]
    assert "no T could be fitted (all 800 rows are right" in " ".join(advice(found))
    assert "Use the temperature" not in " ".join(advice(found))


def test_a_temperature_that_does_harm_is_recommended_nowhere():
    """An under-confident model and a T below 1 that validation rows of another kind gave: one verdict on it."""
    logits, labels = drawn(2000)
    other, other_labels = drawn(2000, seed=1)
    found = diagnose(0.7 * logits, labels, fit_logits=0.2 * other, fit_labels=other_labels)
    assert (found.verdict, found.temperature.high < 1, found.nll_change.low > 0) == ("under-confident", True, True)
    text = " ".join(advice(found))
    assert "do not use it" in text
    assert "Use the temperature" not in text
    assert "It costs no training" not in text
    over = diagnose(1.4 * logits, labels, fit_logits=5 * other, fit_labels=other_labels)
    assert (over.verdict, over.nll_change.low > 0) == ("over-confident", True)
    assert "Compare it with this model raw, not after temperature" in advice(over)[-1]


@pytest.mark.parametrize("n", [2, 29])
def test_fewer_rows_than_thirty_have_no_verdict(n):
    rows = np.arange(n)
    found = diagnose(np.where(rows[:, None] % 2 == [0, 1], 9.0, 0.0), (rows + (rows > 0)) % 2)  # all but one wrong
    assert found.verdict == "too few rows"
    text = " ".join(advice(found))
    assert f"Nothing can be said of calibration from {n} rows; 30 are the least." in text
    assert not re.search(r"-confident by|hints|worth a run|Mixup would hurt|Leave it alone|lowers the NLL|raises", text)


def test_cross_fitting_scales_no_row_by_a_temperature_that_saw_it():
    logits, labels = drawn(300)
    found = diagnose(2 * logits, labels)
    factors = np.round((2 * logits / found.logits["temperature"])[:, 0], 9)
    values, counts = np.unique(factors, return_counts=True)
    assert len(values) == 2
    assert abs(counts[0] - counts[1]) <= 3
    for value in values:
        other = factors != value
        assert fit_temperature(2 * logits[other], labels[other]).value == pytest.approx(value)
        assert np.abs(np.bincount(labels[other]) - np.bincount(labels) / 2).max() <= 1


def nearly_always_right(seed, errors=2, n=100):
    """Confidences near .98 and as many errors as asked for, anywhere."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    logits = np.zeros((n, 2))
    logits[np.arange(n), labels] = rng.normal(4, 0.5, n)
    wrong = rng.choice(n, errors, replace=False)
    logits[wrong] = logits[wrong, ::-1]
    return logits, labels


def test_two_errors_are_enough_for_a_temperature_and_its_scores():
    """Halves drawn by class alone put both errors into one half about every other time."""
    for seed in range(40):
        logits, labels = nearly_always_right(seed)
        found = diagnose(logits, labels, seed=seed)
        assert found.temperature == fit_temperature(logits, labels)
        assert found.temperature_note is None
        factor = (logits.max(axis=1) / found.logits["temperature"].max(axis=1)).round(9)
        wrong = logits.argmax(axis=1) != labels
        for value in np.unique(factor):
            other = factor != value
            assert wrong[other].sum() == 1
            assert fit_temperature(logits[other], labels[other]).value == pytest.approx(value)


def test_one_error_gives_a_temperature_that_is_called_unmeasured():
    logits, labels = nearly_always_right(0, errors=1)
    found = diagnose(logits, labels)
    assert found.temperature == fit_temperature(logits, labels)
    assert list(found.scores) == list(found.intervals) == list(found.logits) == ["raw"]
    assert found.nll_change is None
    said = " ".join(advice(found))
    assert f"all rows give {found.temperature}, but what it does could not be measured" in said
    assert "(no two halves of the rows have a T each: all 50 rows are right" in said
    assert "Use the temperature" not in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, y: (np.c_[z, z[:, 0]], y), "logits: 4 columns; the rows to judge by have 3"),
        (lambda z, y: (np.where(np.arange(len(z))[:, None] == 7, np.nan, z), y), "logits: row 7 is not finite"),
        (lambda z, y: (z, np.where(np.arange(len(y)) == 5, 3, y)), "labels: row 5 has label 3, expected 0 to 2"),
        (lambda z, y: (z, y[:-1]), "labels: 199 labels for 200 rows"),
        (lambda z, y: (z[:0], y[:0]), "logits: empty input"),
    ],
)
def test_rows_that_no_temperature_can_be_fitted_on_are_an_error(change, message):
    logits, labels = drawn(200)
    fit_logits, fit_labels = change(logits, labels)
    with pytest.raises(
        ValueError, match=re.escape(f"the rows to fit the temperature on (fit_logits, fit_labels): {message}")
    ):
        diagnose(logits, labels, fit_logits=fit_logits, fit_labels=fit_labels)


def test_fit_rows_come_with_their_labels():
    logits, labels = drawn(200)
    for given in ({"fit_logits": logits}, {"fit_labels": labels}):
        with pytest.raises(ValueError, match="fit_logits and fit_labels belong together"):
            diagnose(logits, labels, **given)


def test_fit_rows_without_a_temperature_leave_the_raw_verdict():
    logits, labels = drawn(200)
    found = diagnose(logits, labels, fit_logits=logits, fit_labels=logits.argmax(axis=1))
    assert (found.temperature, list(found.scores)) == (None, ["raw"])
    assert found.temperature_note.startswith("all 200 rows are right")


def test_a_collapsed_model_is_diagnosed():
    """Its search for T used to go on for ever in some cases."""
    for seed in range(20):
        row = np.random.default_rng(seed).normal(size=4)
        found = diagnose(np.tile(row, (40, 1)), np.tile(np.arange(4), 10))
        assert found.temperature is None
        assert "T = infinity" in found.temperature_note


def test_labels_that_fit_no_class_are_noticed(planted, tmp_path, caplog):
    """A wrong label map makes the model worse than the commonest class."""
    with caplog.at_level(logging.ERROR):
        found = evaluate(
            str(planted / "over"),
            DataArguments(
                test_file=str(planted / "test.csv"),
                label_map=["negative=positive", "positive=so_so", "so_so=negative"],
            ),
            DoctorArguments(),
        )
    assert "is right less often than always saying" in found.notes[-1]


def test_rows_that_are_cut_are_counted(planted):
    found = evaluate(
        str(planted / "over"), DataArguments(test_file=str(planted / "test.csv"), max_length=4), DoctorArguments()
    )
    assert "rows fill 4 tokens and may have been cut: the model takes 64: --max_length 64." in found.notes[0]


def test_splits_on_which_the_model_is_not_equally_right_are_told(planted, tmp_path):
    """Validation labels moved on by one class: what is fitted on such rows is not for the test rows."""
    rows = list(csv.reader((planted / "validation.csv").open()))
    column = rows[0].index("label")
    for row in rows[1:]:
        row[column] = CLASSES[(CLASSES.index(row[column]) + 1) % 3]
    with (tmp_path / "moved.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    test = str(planted / "test.csv")
    said = [
        evaluate(
            str(planted / "over"), DataArguments(validation_file=str(file), test_file=test), DoctorArguments()
        ).notes
        for file in (tmp_path / "moved.csv", planted / "validation.csv")
    ]
    found = [any("Validation and test disagree beyond chance: accuracy ." in note for note in notes) for notes in said]
    assert found == [True, False]
