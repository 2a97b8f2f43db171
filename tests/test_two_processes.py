"""Two gloo processes give the gradient, the loss and the scores of one. One launch serves all tests here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from test_trainer import replay, train
from two_processes import CASES

from nlp_mixup import MixupTrainer, calibration_metrics
from nlp_mixup.mixing import Mix


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Runs all cases on two processes; gives name -> what each rank recorded."""
    folder = tmp_path_factory.mktemp("two_processes")
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv_backend=c10d",
         "--rdzv_endpoint=localhost:0", str(script), str(folder)],
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return lambda name: [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_the_replayed_reference(launch, name):
    """All rows of both processes and their micro-batches in one plain mean, with the Mixes they drew."""
    ranks = launch(name)
    torch.testing.assert_close(ranks[0]["gradient"], ranks[1]["gradient"], atol=0, rtol=0)
    n, model_type, _ = CASES[name]
    assert sum(len(rank["batch"]["labels"]) for rank in ranks) == n
    # Both ranks hold as many rows, so the mean over all is the mean of their means.
    references = [
        replay(tiny_model(model_type), rank["batch"], None if rank["mix"] is None else Mix(*rank["mix"]))
        for rank in ranks
    ]
    torch.testing.assert_close(ranks[0]["gradient"], sum(references) / 2, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["alpha0", "alpha0_accumulated"])
def test_alpha_zero_equals_one_process_with_the_big_batch(launch, tmp_path, name):
    n, model_type, _ = CASES[name]
    whole = train(tmp_path, tiny_model(model_type), tiny_dataset(n), per_device_train_batch_size=n, max_steps=1)
    torch.testing.assert_close(launch(name)[0]["gradient"], whole.gradients[0], atol=1e-5, rtol=1e-5)


def test_stock_trainer_multiplies_the_gradient_by_the_processes(launch, tmp_path):
    whole = train(tmp_path, tiny_model(), tiny_dataset(8), per_device_train_batch_size=8, max_steps=1)
    (stock, _) = launch("stock")
    assert (stock.norm() / whole.gradients[0].norm()).item() == pytest.approx(2, rel=1e-3)


def test_ranks_draw_different_lambdas(launch):
    first, second = launch("mixup_accumulated")
    assert first["mix"][1][0] != second["mix"][1][0]


def test_evaluation_equals_one_process(launch, tmp_path):
    trainer = MixupTrainer(
        model=tiny_model("bert"), args=training_arguments(tmp_path), eval_dataset=tiny_dataset(6, seed=5),
        data_collator=PadCollator(), compute_metrics=calibration_metrics(),
    )  # fmt: skip
    alone = trainer.evaluate()
    for rank in launch("alpha0"):
        for key in ("eval_loss", "eval_nll", "eval_ece"):
            assert rank["evaluation"][key] == pytest.approx(alone[key], abs=1e-6)
