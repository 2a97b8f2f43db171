"""Two gloo processes give the gradient of one plain step over all rows. One launch serves all tests here."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import write_images
from launches import run_launch
from tiny_image_models import replay_images, tiny_image_classifier
from two_image_processes import CASES

from nlp_mixup.mixing.draw import Mix
from nlp_mixup.vision.mixing.draw import CutMix


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Runs all cases, and a streamed recipe, on two processes; gives the folder of what each rank recorded."""
    folder = tmp_path_factory.mktemp("two_image_processes")
    write_images(folder / "images")
    script = Path(__file__).parents[2].joinpath("two_image_processes.py")
    done = run_launch(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv_backend=c10d",
         "--rdzv_endpoint=localhost:0", str(script), str(folder)],
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "cache"),
           "PYTHONPATH": os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, done.stdout


def record_of(folder, name):
    return [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_the_replayed_reference(launch, name):
    """Statistics of BatchNorm frozen, as nothing else in these models lets rows see each other."""
    first, second = record_of(launch[0], name)
    assert torch.equal(first["gradient"], second["gradient"])
    assert not torch.equal(first["batch"]["pixel_values"], second["batch"]["pixel_values"])
    model, total = tiny_image_classifier(CASES[name][0]), 0
    for record in (first, second):
        assert len(record["batch"]["labels"]) == 4
        mix = record["mix"] and (CutMix if "boxes" in record["mix"] else Mix)(**record["mix"])
        total = total + replay_images(model, record["batch"], mix) / 2
    torch.testing.assert_close(first["gradient"] / total.norm(), total / total.norm(), atol=1e-5, rtol=1e-5)


def test_ranks_draw_different_lambdas(launch):
    first, second = record_of(launch[0], "vit")
    assert first["mix"]["lam"][0] != second["mix"]["lam"][0]


def test_a_streamed_recipe_trains_and_is_scored_once(launch):
    """Two steps of the ImageNet recipe on 8 generated images."""
    folder, printed = launch
    run = folder / "run" / "mixup" / "seed-0"
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    assert {row["split"]: row["n"] for row in rows} == {"validation": 8, "test": 8}
    assert np.load(run / "logits-test.npz")["logits"].shape == (8, 2)
    assert printed.count("mixup, seed 0") == 1
