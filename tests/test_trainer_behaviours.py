"""What users of the stock Trainer rely on, run with ours beside it: at mixup_alpha=0 the same numbers."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import tiny_dataset, tiny_model
from test_trainer import batches, train
from transformers import Trainer

WORKERS = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}


def plain_loss(model, data):
    """Cross-entropy of all rows of a data set, in one batch, in evaluation mode."""
    (batch,) = batches(data, len(data))
    labels = batch.pop("labels")
    with torch.no_grad():
        return F.cross_entropy(model.eval()(**batch).logits, labels).item()


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


# ---- loaders, workers and random streams -----------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["epoch", "steps"])
def test_persistent_workers_keep_evaluation_rows_and_training_rows_apart(tmp_path, strategy):
    """Weights stand still: every evaluation is of the evaluation rows, every clean loss of the training rows."""
    model, data, held_out = tiny_model(), tiny_dataset(8), tiny_dataset(12, seed=7)
    settings = {
        "num_train_epochs": 2, "eval_strategy": strategy, "eval_steps": 1, "logging_strategy": "epoch",
        "learning_rate": 0.0, "eval_dataset": held_out, **WORKERS,
    }  # fmt: skip
    ours = train(tmp_path, model, data, **settings)
    stock = train(tmp_path, model, data, cls=Trainer, **settings)
    evaluations = logged(ours, "eval_loss")
    assert len(evaluations) == (2 if strategy == "epoch" else 4)
    assert evaluations == pytest.approx(logged(stock, "eval_loss"), abs=1e-5)
    assert evaluations == pytest.approx([plain_loss(model, held_out)] * len(evaluations), abs=1e-5)
    assert logged(ours, "clean_loss") == pytest.approx([plain_loss(model, data)] * 2, abs=1e-5)


def test_with_persistent_workers_another_data_set_is_not_scored_as_the_first(tmp_path):
    """The stock Trainer keeps one loader, and scores its rows whatever data set it is given."""
    model, first, second = tiny_model(), tiny_dataset(12, seed=7), tiny_dataset(8, seed=9)
    trainer = train(tmp_path, model, max_steps=1, learning_rate=0.0, eval_dataset=first, **WORKERS)
    wanted = [plain_loss(model, rows) for rows in (first, second, first)]
    found = [trainer.evaluate(rows)["eval_loss"] for rows in (first, second, first)]
    assert found == pytest.approx(wanted, abs=1e-5)
    trainer.eval_dataset = second
    assert trainer.evaluate()["eval_loss"] == pytest.approx(wanted[1], abs=1e-5)


class RandomRows(torch.utils.data.Dataset):
    """Rows whose tokens are replaced at random, from the global streams of torch, NumPy and Python in turn."""

    def __init__(self, n):
        self.rows = list(tiny_dataset(n))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        draws = (int(torch.randint(3, 60, ())), int(np.random.randint(3, 60)), random.randint(3, 59))
        return row | {"input_ids": [*draws, *row["input_ids"][3:]]}


@pytest.mark.parametrize("workers", [{}, {"dataloader_num_workers": 1}, WORKERS], ids=["none", "new", "kept"])
def test_logging_moves_no_random_stream(tmp_path, workers):
    settings = {"mixup_alpha": 0.4, "num_train_epochs": 3, "train_sampling_strategy": "random", **workers}
    silent = train(tmp_path, data=RandomRows(8), **settings)
    logs = train(tmp_path, data=RandomRows(8), logging_strategy="epoch", **settings)
    assert len(logged(logs, "clean_loss")) == 3
    for one, other in zip(logs.gradients, silent.gradients, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("workers", [{}, WORKERS], ids=["none", "kept"])
def test_the_clean_loss_of_random_rows_is_of_the_same_rows_each_time(tmp_path, workers):
    trainer = train(
        tmp_path, data=RandomRows(8), num_train_epochs=3, logging_strategy="epoch", learning_rate=0.0, **workers
    )
    assert len(set(logged(trainer, "clean_loss"))) == 1


def test_dropping_the_last_training_batch_drops_no_other_row(tmp_path):
    """The stock Trainer leaves out the last evaluation rows too, and dies where no batch is full."""
    model, data, held_out = tiny_model(), tiny_dataset(10), tiny_dataset(7, seed=7)
    trainer = train(
        tmp_path, model, data, dataloader_drop_last=True, num_train_epochs=1, learning_rate=0.0, eval_dataset=held_out,
        logging_strategy="epoch", per_device_eval_batch_size=16, eval_strategy="epoch",
    )  # fmt: skip
    assert trainer.state.global_step == 2  # 10 rows in batches of 4
    assert logged(trainer, "clean_loss") == pytest.approx([plain_loss(model, data)], abs=1e-5)
    assert logged(trainer, "eval_loss") == pytest.approx([plain_loss(model, held_out)], abs=1e-5)
    assert len(trainer.predict(held_out).predictions) == 7
    assert trainer.args.dataloader_drop_last


class OwnStream(torch.utils.data.IterableDataset):
    """A stream that knows its length, and has no rows to choose from."""

    def __iter__(self):
        return iter(list(tiny_dataset(8)))

    def __len__(self):
        return 8


def test_a_stream_with_a_length_has_no_clean_loss(tmp_path):
    trainer = train(tmp_path, data=OwnStream(), num_train_epochs=2, logging_strategy="epoch")
    assert trainer.state.global_step == 4
    assert logged(trainer, "clean_loss") == []


def test_the_probe_of_a_release_leaves_no_trace(tmp_path):
    first, second = RandomRows(8), tiny_dataset(12, seed=7)
    model = tiny_model()
    trainer = train(tmp_path, model, max_steps=1, learning_rate=0.0, eval_dataset={"a": first, "b": second}, **WORKERS)
    streams = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert trainer._probe()["input_ids"].shape[0] == 8
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == streams[1:]
    assert trainer.evaluate(second)["eval_loss"] == pytest.approx(plain_loss(model, second), abs=1e-5)
