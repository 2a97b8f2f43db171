"""Two gloo processes give the gradient, the loss and the scores of one. One launch serves all tests here."""

import os
import sys
from pathlib import Path

import pytest
import torch
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from launches import run_launch
from recorded_training import gradient_of, replay, train
from two_processes import CASES, partly_labelled

from nlp_mixup import MixupTrainer, calibration_metrics
from nlp_mixup.mixing.draw import Mix


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Runs all cases on two processes; gives name -> what each rank recorded."""
    folder = tmp_path_factory.mktemp("two_processes")
    script = Path(__file__).parents[1].joinpath("two_processes.py")
    done = run_launch(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv_backend=c10d",
         "--rdzv_endpoint=localhost:0", str(script), str(folder)],
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return lambda name: [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(2)]


# Rows of both processes together, step by step, where they are not all rows in one step.
ROWS = {"uneven_filled": [8], "uneven": [7], "last_batch_kept": [8, 4], "last_batch_dropped": [8]}


def reference(name, batch, mix):
    """The mean gradient over one process's rows of a step, in one plain forward pass with the Mix it drew."""
    _, model_type, settings = CASES.get(name, (8, "bert", {}))
    model, mix = tiny_model(model_type), None if mix is None else Mix(*mix)
    if name == "hidden":
        return hidden_replay(model, batch, mix, settings["mixup_layer"][0])
    weight = settings.get("mixup_clean_weight", 0.0)
    gradient = replay(model, batch, mix)
    return (gradient + weight * replay(model, batch, None)) / (1 + weight) if weight else gradient


def hidden_replay(model, batch, mix, layer):
    """BERT layer by layer on hidden states under both masks, mixed after `layer`."""
    model.train()
    mask = torch.maximum(batch["attention_mask"], batch["attention_mask"][mix.partners])
    extended = torch.zeros(mask.shape).masked_fill(mask == 0, torch.finfo(torch.float32).min)[:, None, None, :]
    hidden = model.bert.embeddings(batch["input_ids"])
    for number, module in enumerate(model.bert.encoder.layer, start=1):
        hidden = module(hidden, extended)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        if number == layer:
            lam = mix.lam[:, None, None]
            hidden = lam * hidden + (1 - lam) * hidden[mix.partners]
    log_probs = model.classifier(model.bert.pooler(hidden)).log_softmax(1)
    hard = torch.nn.functional.one_hot(batch["labels"], 3).float()
    targets = mix.label_lam[:, None] * hard + (1 - mix.label_lam[:, None]) * hard[mix.partners]
    (-(targets * log_probs).sum(1).mean()).backward()
    return gradient_of(model)


def check_steps(name, ranks, n_rows):
    """Every step's gradient is the mean over all rows of both processes and their micro-batches."""
    assert [len(rank["steps"]) for rank in ranks] == [len(n_rows)] * 2
    for first, second, n in zip(ranks[0]["steps"], ranks[1]["steps"], n_rows, strict=True):
        torch.testing.assert_close(first["gradient"], second["gradient"], atol=0, rtol=0)
        sizes = [len(step["batch"]["labels"]) for step in (first, second)]
        assert sum(sizes) == n
        total = sum(
            size * reference(name, step["batch"], step["mix"])
            for size, step in zip(sizes, (first, second), strict=True)
        )
        torch.testing.assert_close(first["gradient"], total / n, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_the_replayed_reference(launch, name):
    check_steps(name, launch(name), ROWS.get(name, [CASES[name][0]]))


@pytest.mark.parametrize("name", ["fsdp2_root", "fsdp2_units"])
def test_fsdp2_gives_the_gradient_of_the_whole_model(launch, name):
    pytest.importorskip("torch", minversion="2.7", reason="torch 2.6 has no FSDP2 on the CPU")
    ranks = launch(name)
    check_steps(name, ranks, [8])
    # Sharded in truth: each process keeps its part of the numbers, and the parts make up the whole.
    shares = [rank["local_numbers"] for rank in ranks]
    whole = len(ranks[0]["steps"][0]["gradient"])
    assert sum(shares) == whole
    assert max(shares) < 0.6 * whole


def test_accelerate_loop_gives_the_gradient_of_the_big_batch(launch):
    """4 rows on one process and 3 on the other, in two micro-batches each."""
    ranks = launch("accelerate_loop")
    check_steps("accelerate_loop", ranks, [7])
    assert ranks[0]["loss"] == ranks[1]["loss"]
    assert ranks[0]["steps"][0]["mix"][1][0] != ranks[1]["steps"][0]["mix"][1][0]


def test_last_batch_is_filled_up_with_the_first_row(launch):
    """accelerate's doing, not ours: processes must have equally many batches. even_batches=False leaves it short."""
    first, second = (rank["steps"][0]["batch"]["input_ids"] for rank in launch("uneven_filled"))
    length = int((first[0] != 1).sum())
    assert torch.equal(second[3, :length], first[0, :length])
    assert [len(rank["steps"][0]["batch"]["labels"]) for rank in launch("uneven")] == [4, 3]


@pytest.mark.parametrize("name", ["alpha0", "alpha0_accumulated"])
def test_alpha_zero_equals_one_process_with_the_big_batch(launch, tmp_path, name):
    n, model_type, _ = CASES[name]
    whole = train(tmp_path, tiny_model(model_type), tiny_dataset(n), per_device_train_batch_size=n, max_steps=1)
    torch.testing.assert_close(launch(name)[0]["steps"][0]["gradient"], whole.gradients[0], atol=1e-5, rtol=1e-5)


def test_stock_trainer_multiplies_the_gradient_by_the_processes(launch, tmp_path):
    whole = train(tmp_path, tiny_model(), tiny_dataset(8), per_device_train_batch_size=8, max_steps=1)
    (stock, _) = launch("stock")
    assert (stock.norm() / whole.gradients[0].norm()).item() == pytest.approx(2, rel=1e-3)


def test_ranks_draw_different_lambdas(launch):
    first, second = launch("mixup_accumulated")
    assert first["steps"][0]["mix"][1][0] != second["steps"][0]["mix"][1][0]


def test_evaluation_equals_one_process(launch, tmp_path):
    trainer = MixupTrainer(
        model=tiny_model("bert"), args=training_arguments(tmp_path), eval_dataset=tiny_dataset(6, seed=5),
        data_collator=PadCollator(), compute_metrics=calibration_metrics(),
    )  # fmt: skip
    alone = trainer.evaluate()
    for rank in launch("alpha0"):
        for key in ("eval_loss", "eval_nll", "eval_ece"):
            assert rank["evaluation"][key] == pytest.approx(alone[key], abs=1e-6)


def test_the_evaluation_loss_is_the_mean_over_rows_with_a_label(launch):
    """9 rows on two processes: those that fill up the last batch count once, and those without a label not at all."""
    rows = [row for row in partly_labelled() if row["label"] != -100]
    batch = PadCollator()(rows)
    labels = batch.pop("labels")
    with torch.no_grad():
        exact = torch.nn.functional.cross_entropy(tiny_model("bert")(**batch).logits, labels).item()
    for rank in launch("alpha0"):
        assert rank["losses"] == pytest.approx(
            {"labelled": exact, "small_batches": exact, "own_loss": 2 * exact}, abs=1e-6
        )
