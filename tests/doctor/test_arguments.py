"""A run's folder stands for its model, and says how its rows are read."""

import json
import shutil

import pytest
from image_folders import write_images
from planted_models import both, fails, record_of

from nlp_mixup import cli


def test_a_run_folder_stands_for_its_model(planted, tmp_path, capsys):
    run = tmp_path / "mixup" / "seed-0"
    shutil.copytree(planted / "over", run / "model")
    assert record_of(capsys, run, *both(planted))["verdict"] == "over-confident"
    shutil.rmtree(run / "model")
    (run / "metrics.json").write_text("{}")
    assert "did not keep its weights. Train it again elsewhere" in fails(capsys, run, *both(planted))


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
