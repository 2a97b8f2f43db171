"""A run from the command line to its folder: complete, resumable, the same again."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import load_dataset
from filelock import FileLock
from text_files import write_csv
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from nlp_mixup import cli
from nlp_mixup.calibration import expected_calibration_error, overconfidence_error, softmax
from nlp_mixup.runs.checkpoints import last_complete_checkpoint


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe file on generated texts; data and runs live in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for split, n, seed in (("train", 120, 0), ("validation", 60, 1), ("test", 80, 2)):
        write_csv(tmp_path / f"{split}.csv", n, seed)
    settings = {
        "train_file": "train.csv", "validation_file": "validation.csv", "test_file": "test.csv",
        "num_train_epochs": 3, "per_device_train_batch_size": 16, "learning_rate": "1e-3", "mixup_alpha": 0.4,
        "output_dir": "out", "seeds": [0, 1], "arms": {"no_mixup": {"mixup_alpha": 0}, "mixup": {}},
    }  # fmt: skip
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def test_workers_that_stay_score_the_validation_rows(recipe, tmp_path):
    """The epochs' scores, by which one is chosen: the last epoch's are those of the stored validation logits."""
    workers = ["--dataloader_num_workers", "1", "--dataloader_persistent_workers", "true"]
    cli.main(["train", str(recipe), "--noise_samples", "0", *workers])
    run = tmp_path / "out" / "mixup" / "seed-0"
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    (scored,) = (row for row in rows if row["split"] == "validation" and row["calibration"] == "raw")
    assert len(history) == 3
    assert history[-1]["loss"] == pytest.approx(scored["nll"], abs=1e-5)
    for score in ("accuracy", "nll", "ece", "confidence"):
        assert history[-1][score] == pytest.approx(scored[score], abs=1e-5)


def test_train_leaves_the_whole_results_folder(recipe, tmp_path, capsys):
    cli.main(["train", str(recipe)])
    run = tmp_path / "out" / "mixup" / "seed-0"
    printed = capsys.readouterr().out
    files = {path.name for path in run.iterdir()}
    assert files == {
        "arguments.yaml", "model", "logits-validation.npz", "logits-test.npz", "logits-ood-noise.npz", "resamples.npz",
        "confidence.npz",
        "epochs.npz", "history.jsonl", "metrics.json", "probe.npz", "reliability.png", "trained-rows.npy",
    }  # fmt: skip

    rows = json.loads((run / "metrics.json").read_text())["rows"]
    assert [row["calibration"] for row in rows] == ["raw", "temperature"] * 2
    rows = {row["split"]: row for row in rows if row["calibration"] == "raw"}
    for split, n in (("validation", 60), ("test", 80)):
        stored = np.load(run / f"logits-{split}.npz")
        probs = softmax(stored["logits"])
        assert rows[split]["n"] == n == len(probs)
        assert rows[split]["accuracy"] == pytest.approx((probs.argmax(1) == stored["labels"]).mean())
        assert rows[split]["ece"] == pytest.approx(expected_calibration_error(probs, stored["labels"]))
        assert rows[split]["oe"] == pytest.approx(overconfidence_error(probs, stored["labels"]))
        assert f"{split} (n = {n})" in printed
        for score in ("accuracy", "nll", "ece", "ece_floor", "oe"):
            assert f"{rows[split][score]:.3f}".removeprefix("0") in printed

    stored = json.loads((run / "metrics.json").read_text())
    for split in ("validation", "test"):
        for score, (value, low, high) in stored["intervals"][split]["raw"].items():
            assert low <= high, score
            if score in rows[split] and score not in ("ece", "oe"):  # whose intervals are corrected for their bias
                assert value == pytest.approx(rows[split][score])
                assert low <= value <= high
        assert f"{split}: {stored['verdicts'][split]['raw']}" in printed
        assert re.search("a perfect(ly calibrated)? model", stored["verdicts"][split]["raw"])

    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert {row["epoch"] for row in rows.values()} == {3}
    assert history[-1]["ece"] == pytest.approx(rows["validation"]["ece"])
    epochs = np.load(run / "epochs.npz")
    assert epochs["confidence"].shape == epochs["correct"].shape == (3, 60)
    assert epochs["correct"][-1].mean() == pytest.approx(rows["validation"]["accuracy"])

    # The model is an ordinary one: label names, tokenizer, the stored logits.
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    assert model.config.id2label == {0: "bad", 1: "good"}
    texts = load_dataset("csv", data_files=str(tmp_path / "test.csv"), cache_dir=str(tmp_path / "hf"))["train"]["text"]
    logits = model(**tokenizer(list(texts), padding=True, return_tensors="pt")).logits.detach().numpy()
    np.testing.assert_allclose(logits, np.load(run / "logits-test.npz")["logits"], atol=1e-5)
    assert not (run / "model" / "training_args.bin").exists()


def test_the_epoch_whose_weights_are_scored_is_named(recipe, tmp_path):
    """With a learning rate that overfits at once, the best validation NLL is not the last epoch's."""
    flags = ["--load_best_model_at_end", "true", "--metric_for_best_model", "nll", "--learning_rate", "0.1"]
    cli.main(["train", str(recipe), "--arm", "no_mixup", *flags])
    run = tmp_path / "out" / "no_mixup" / "seed-0"
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    best = min(history, key=lambda record: record["nll"])
    row = json.loads((run / "metrics.json").read_text())["rows"][0]
    assert best["epoch"] < 3
    assert (row["epoch"], row["nll"]) == (best["epoch"], pytest.approx(best["nll"]))


def test_a_run_starts_again_from_its_own_arguments(recipe, tmp_path):
    cli.main(["train", str(recipe), "--arm", "no_mixup", "--num_train_epochs", "1", "--seed", "5"])
    first = tmp_path / "out" / "no_mixup" / "seed-5"
    cli.main(["train", str(first / "arguments.yaml"), "--output_dir", "again"])
    second = tmp_path / "again" / "no_mixup" / "seed-5"
    for split in ("validation", "test"):
        one, two = np.load(first / f"logits-{split}.npz"), np.load(second / f"logits-{split}.npz")
        np.testing.assert_allclose(one["logits"], two["logits"], atol=1e-6)


def test_compare_runs_all_arms_and_seeds_and_skips_what_is_done(recipe, tmp_path, capsys):
    cli.main(["compare", str(recipe)])
    first = (tmp_path / "out" / "results.csv").read_bytes()
    assert first.decode().count("\n") == 1 + 2 * 2 * 2 * 2
    assert (tmp_path / "out" / "figures" / "reliability.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "seeds 0, 1" in printed
    table = printed[printed.index("test, n = 80") :].splitlines()
    arms = [line.split("  ")[1] for line in table if "±" in line]
    assert arms == ["no_mixup", "no_mixup + temperature", "mixup", "mixup + temperature"]
    assert not list(tmp_path.glob("out/*/*/model"))

    shutil.rmtree(tmp_path / "out" / "mixup" / "seed-1")
    cli.main(["compare", str(recipe)])
    assert (tmp_path / "out" / "results.csv").read_bytes() == first
    assert "4 runs: 3 done, 1 to train." in capsys.readouterr().out


def test_a_killed_run_resumes_to_the_same_numbers(recipe, tmp_path):
    """kill -9 when checkpoints exist, the newest half-written; then the same command again."""
    command = ["train", str(recipe), "--num_train_epochs", "15"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nlp_mixup", *command, "--output_dir", "cut"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run = tmp_path / "cut" / "mixup" / "seed-0"
    while last_complete_checkpoint(run) is None:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "metrics.json").exists()
    complete = Path(last_complete_checkpoint(run))
    # What a kill in the middle of the next save leaves behind: weights cut short, no state.
    half = run / f"checkpoint-{int(complete.name.split('-')[1]) + 8}"
    half.mkdir(exist_ok=True)
    (half / "trainer_state.json").unlink(missing_ok=True)
    (half / "model.safetensors").write_bytes((complete / "model.safetensors").read_bytes()[:1000])

    for folder in ("cut", "whole"):
        cli.main([*command, "--output_dir", folder])
    whole = tmp_path / "whole" / "mixup" / "seed-0"
    np.testing.assert_allclose(
        np.load(run / "logits-test.npz")["logits"], np.load(whole / "logits-test.npz")["logits"], atol=1e-6
    )
    assert len((run / "history.jsonl").read_text().splitlines()) == 15
    np.testing.assert_allclose(
        np.load(run / "epochs.npz")["confidence"], np.load(whole / "epochs.npz")["confidence"], atol=1e-6
    )
    assert not list(run.glob("checkpoint-*"))


def test_a_run_stopped_half_way_does_not_go_on_with_other_rows(recipe, tmp_path, capsys):
    command = ["train", str(recipe), "--keep_models", "all"]
    cli.main(command)
    run = tmp_path / "out" / "mixup" / "seed-0"
    (run / "metrics.json").unlink()  # as a kill before the end leaves it
    rows = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(rows.replace("good", "bad", 1))
    assert "stopped half-way, and the rows of train have changed since" in fails(command, capsys)
    (tmp_path / "train.csv").write_text(rows)
    cli.main(command)
    assert (run / "metrics.json").is_file()


def test_a_done_run_is_not_trained_again(recipe, tmp_path, capsys):
    cli.main(["train", str(recipe), "--num_train_epochs", "1"])
    before = (tmp_path / "out/mixup/seed-0/metrics.json").stat().st_mtime_ns
    capsys.readouterr()
    cli.main(["train", str(recipe), "--num_train_epochs", "1"])
    assert "This run is done already" in capsys.readouterr().out
    assert (tmp_path / "out/mixup/seed-0/metrics.json").stat().st_mtime_ns == before


def fails(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_two_commands_do_not_train_one_run(recipe, tmp_path, capsys):
    folder = tmp_path / "out" / "mixup"
    folder.mkdir(parents=True)
    with FileLock(folder / ".seed-0.lock"):
        assert "Another process is training in out/mixup/seed-0" in fails(["train", str(recipe)], capsys)


def test_train_after_compare_says_that_the_weights_are_gone(recipe, capsys):
    cli.main(["compare", str(recipe), "--arms", "mixup", "--seeds", "0", "--num_train_epochs", "1"])
    capsys.readouterr()
    cli.main(["train", str(recipe), "--num_train_epochs", "1"])
    assert "Its weights were not kept. To have them, train it elsewhere" in capsys.readouterr().out


def test_a_checkpoint_with_other_classes_gives_its_encoder(recipe, tmp_path):
    cli.main(["train", str(recipe), "--num_train_epochs", "1"])
    model = tmp_path / "out/mixup/seed-0/model"
    lines = (tmp_path / "train.csv").read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join([*lines, "so so,medium", "so so film,medium"]) + "\n")
    cli.main(
        ["train", str(recipe), "--model_name_or_path", str(model), "--num_train_epochs", "1", "--output_dir", "new"]
    )
    assert np.load(tmp_path / "new/mixup/seed-0/logits-test.npz")["logits"].shape == (80, 3)


def test_a_run_on_files_of_ones_own_does_not_name_its_recipes_data_set(recipe, tmp_path, capsys):
    """The recipe's data set is never looked at; that a finished run of before names it still does not stop anybody."""
    recipe.write_text(recipe.read_text() + "dataset_name: org/never-loaded\ndataset_revision: v1\n")
    cli.main(["train", str(recipe), "--num_train_epochs", "1"])
    stored = tmp_path / "out" / "mixup" / "seed-0" / "arguments.yaml"
    assert "never-loaded" not in stored.read_text()
    stored.write_text(stored.read_text() + "dataset_name: org/never-loaded\ndataset_revision: v1\n")
    capsys.readouterr()
    cli.main(["train", str(recipe), "--num_train_epochs", "1"])
    assert "This run is done already" in capsys.readouterr().out


def test_other_settings_in_the_same_folder_are_refused(recipe, capsys):
    cli.main(["train", str(recipe), "--num_train_epochs", "1"])
    message = fails(["train", str(recipe), "--num_train_epochs", "1", "--mixup_alpha", "0.2"], capsys)
    assert "holds a run with other settings: mixup_alpha is 0.4 there and 0.2 now" in message
    assert "Choose another --output_dir, or delete that folder" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--test_file", "tset.csv"], "there is no file tset.csv. . holds: "),
        (["--text_column", "txt"], "has no column 'txt' for the text; its columns are: text, label"),
        (["--mixup_alhpa", "1"], "Unknown argument '--mixup_alhpa'. Did you mean '--mixup_alpha'?"),
        (["--mixup_alpha", "-1"], "mixup_alpha must be a finite number >= 0"),
        (["--arm", "mixap"], "has no arm 'mixap', only 'no_mixup', 'mixup'"),
        (["--per_device_train_batch_size", "1"], "leaves no partner to mix with"),
    ],
)
def test_wrong_input_ends_in_one_line_before_training(recipe, tmp_path, capsys, arguments, message):
    stderr = fails(["train", str(recipe), *arguments], capsys)
    assert message in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_the_front_door(capsys):
    cli.main(["recipes"])
    printed = capsys.readouterr().out
    assert "quickstart" in printed
    assert "mr-text-cnn" in printed
    assert "RECIPE comes first: nlp-mixup train RECIPE --arm mixup" in fails(
        ["train", "--arm", "mixup", "x.yaml"], capsys
    )
    assert "invalid choice: 'trian'" in fails(["trian"], capsys)
    assert "usage" in fails([], capsys)
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "--mixup_alpha" in printed
    assert "Beta(alpha, alpha)" in printed
    assert "--learning_rate" in printed


def test_a_diverged_arm_does_not_stop_the_others(recipe, tmp_path, capsys):
    settings = yaml.safe_load(recipe.read_text())
    settings["arms"]["broken"] = {"learning_rate": 1e37}
    recipe.write_text(yaml.safe_dump(settings, sort_keys=False))
    with pytest.raises(SystemExit) as caught:
        cli.main(["compare", str(recipe), "--seeds", "0", "--num_train_epochs", "1", "--disable_tqdm", "true"])
    assert caught.value.code == 1
    output = capsys.readouterr()
    assert "broken, seed 0: " in output.err
    assert "is not finite" in output.err
    assert "The comparison goes on without it" in output.err
    text = (tmp_path / "out" / "results.csv").read_text()
    assert "mixup,0,test" in text
    assert "broken" not in text


def test_one_arm_of_an_array_job_ends_well(recipe, tmp_path, capsys):
    flags = ["--seeds", "0", "--num_train_epochs", "1", "--eval_strategy", "no", "--save_strategy", "no"]
    cli.main(["compare", str(recipe), "--arms", "mixup", *flags])
    assert "The report needs no_mixup" in capsys.readouterr().out
    cli.main(["compare", str(recipe), "--arms", "no_mixup", *flags])  # and without any evaluation on the way
    assert (tmp_path / "out" / "report.html").is_file()


def test_compare_leaves_the_checkpoints_that_train_was_to_keep(recipe, tmp_path, capsys):
    flags = ["--num_train_epochs", "1"]
    cli.main(["train", str(recipe), "--arm", "mixup", "--keep_models", "all", *flags])
    cli.main(["compare", str(recipe), "--arms", "mixup", "--seeds", "0", *flags])
    assert list((tmp_path / "out" / "mixup" / "seed-0").glob("checkpoint-*"))
