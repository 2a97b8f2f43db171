"""What users of the stock Trainer rely on, run with ours beside it: at mixup_alpha=0 the same numbers."""

import copy
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import PadCollator, stock_arguments, tiny_dataset, tiny_model, training_arguments
from recorded_training import Stop, batches, train
from transformers import Trainer, TrainerCallback

from nlp_mixup import MixupTrainer, calibration_metrics

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
    """The stock Trainer leaves out the last evaluation rows too: of 12 rows in batches of 8 it scores 8, in batches of 16 none."""
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


# ---- what predict gives back -----------------------------------------------------------------------------------------


def predictions_of(cls, folder, model, **settings):
    args = training_arguments(folder, **settings)
    args = stock_arguments(args) if cls is Trainer else args
    trainer = cls(model=copy.deepcopy(model), args=args, data_collator=WithEnd())
    return trainer.predict(tiny_dataset(6, seed=3)).predictions


def check_equal(ours, stock):
    assert type(ours) is type(stock)
    if isinstance(stock, tuple):
        assert len(ours) == len(stock)
        for mine, theirs in zip(ours, stock, strict=True):
            check_equal(mine, theirs)
    else:
        np.testing.assert_allclose(ours, stock, atol=1e-6)


@pytest.mark.parametrize("model_type", ["bert", "llama", "t5", "bart"])
@pytest.mark.parametrize(
    "asked",
    [{"output_hidden_states": True}, {"output_attentions": True}, {}],
    ids=["hidden states", "attentions", "nothing more"],
)
def test_predict_gives_back_what_the_stock_trainer_does(tmp_path, model_type, asked):
    """But for the encoder's states, which T5 and BART return unasked and which would fill the memory."""
    model = encoder_decoder(model_type) if model_type in ("t5", "bart") else tiny_model(model_type)
    model.set_attn_implementation("eager")
    for name, value in asked.items():
        setattr(model.config, name, value)
    size = 8 if "output_attentions" in asked else 4  # the Trainer pads one width of two
    ours, stock = (
        predictions_of(cls, tmp_path, model, per_device_eval_batch_size=size) for cls in (MixupTrainer, Trainer)
    )
    if model_type in ("t5", "bart") and "output_hidden_states" not in asked:
        states = [array.shape == (6, array.shape[1], 16) for array in stock if isinstance(array, np.ndarray)]
        assert states.count(True) == 1
        stock = tuple(array for array in stock if not (isinstance(array, np.ndarray) and array.ndim == 3))
        stock = stock if len(stock) > 1 else stock[0]
    if not asked:
        assert ours.shape == (6, 3)
    else:
        assert len(ours) > 1
    check_equal(ours, stock)


def encoder_decoder(model_type):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    shared = {"vocab_size": 60, "num_labels": 3, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 0}
    sizes = {
        "t5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0},
        "bart": {
            "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "dropout": 0.0,
            "max_position_embeddings": 32,
        },
    }  # fmt: skip
    config = AutoConfig.for_model(model_type, **shared, **sizes[model_type])
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


class WithEnd(PadCollator):
    """Each row ends with the end token, as BART and T5 ask for."""

    def __call__(self, rows):
        return super().__call__([row | {"input_ids": [*row["input_ids"][:-1], 2]} for row in rows])


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_a_model_that_returns_tuples_is_trained_and_judged_as_one_that_returns_names(tmp_path, alpha):
    settings = {"mixup_alpha": alpha, "num_train_epochs": 2, "eval_dataset": tiny_dataset(7, seed=3)}
    settings |= {"compute_metrics": calibration_metrics(), "logging_strategy": "epoch", "eval_strategy": "epoch"}
    named, tuples = tiny_model(), tiny_model(return_dict=False)
    assert isinstance(tuples(input_ids=torch.tensor([[5, 6]])), tuple)
    one, other = (train(tmp_path, model, **settings) for model in (named, tuples))
    for name in ("eval_loss", "eval_ece", "eval_accuracy", "clean_loss"):
        assert len(logged(one, name)) == 2
        assert logged(one, name) == pytest.approx(logged(other, name), abs=1e-6)
    rows = tiny_dataset(6, seed=3)
    check_equal(other.predict(rows).predictions, one.predict(rows).predictions)
    unlabelled = rows.remove_columns("label")
    other.data_collator = one.data_collator = lambda rows: {
        name: value for name, value in PadCollator()([row | {"label": 0} for row in rows]).items() if name != "labels"
    }
    check_equal(other.predict(unlabelled).predictions, one.predict(unlabelled).predictions)


# ---- resuming, choosing, callbacks, schedules ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "alpha"), [(Trainer, 0.0), (MixupTrainer, 0.0), (MixupTrainer, 0.4)], ids=["stock", "plain", "mixed"]
)
def test_resumed_at_each_step_equals_uninterrupted(tmp_path, cls, alpha):
    """6 steps of 2 epochs, stopped behind each of them: the same gradients, weights and log as without a stop."""
    model, data = tiny_model(hidden_dropout_prob=0.1), tiny_dataset(10)
    settings = {
        "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 1, "optim": "adamw_torch", "learning_rate": 1e-2,
        "lr_scheduler_type": "linear", "train_sampling_strategy": "random", "logging_strategy": "steps", "logging_steps": 1,
        "dataloader_num_workers": 1, "mixup_alpha": alpha,
    }  # fmt: skip
    whole = train(tmp_path / "whole", model, data, cls=cls, **settings)
    losses = logged(whole, "loss")
    assert len(losses) == 6
    for step in range(1, 6):
        args = training_arguments(tmp_path / "whole", **settings)
        resumed = cls(
            model=copy.deepcopy(model), args=stock_arguments(args) if cls is Trainer else args, train_dataset=data,
            data_collator=PadCollator(), callbacks=[],
        )  # fmt: skip
        resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
        assert logged(resumed, "loss") == pytest.approx(losses, abs=1e-6)
        for mine, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


class Events(TrainerCallback):
    """The order in which the Trainer calls its callbacks, and what it logs."""

    def __init__(self):
        self.seen = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda args, state, control, **kwargs: self.seen.append((name, state.global_step))
        return super().__getattribute__(name)


def test_callbacks_are_called_in_the_stock_order(tmp_path):
    """One entry more for each epoch's clean loss, and nothing else."""
    seen = {}
    for cls in (Trainer, MixupTrainer):
        events = Events()
        train(
            tmp_path, cls=cls, callbacks=[events], eval_dataset=tiny_dataset(5), num_train_epochs=2, eval_strategy="epoch",
            save_strategy="steps", save_steps=1, logging_strategy="epoch", gradient_accumulation_steps=2,
            per_device_train_batch_size=2,
        )  # fmt: skip
        seen[cls] = events.seen
    stock = seen[Trainer]
    for step in (2, 4):
        stock.insert(stock.index(("on_epoch_end", step)) + 1, ("on_log", step))
    assert seen[MixupTrainer] == stock


@pytest.mark.parametrize("metric", ["nll", "accuracy"])
def test_the_best_model_is_the_stock_trainers(tmp_path, metric):
    settings = {
        "eval_dataset": tiny_dataset(12, seed=3), "compute_metrics": calibration_metrics(), "num_train_epochs": 6,
        "eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 1,
        "metric_for_best_model": metric, "per_device_eval_batch_size": 5,
    }  # fmt: skip
    ours, stock = (train(tmp_path / cls.__name__, cls=cls, **settings) for cls in (MixupTrainer, Trainer))
    assert ours.state.best_global_step == stock.state.best_global_step
    assert ours.state.best_metric == pytest.approx(stock.state.best_metric, abs=1e-6)
    for mine, theirs in zip(ours.model.parameters(), stock.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)
    assert ours.evaluate()[f"eval_{metric}"] == pytest.approx(ours.state.best_metric, abs=1e-6)


@pytest.mark.parametrize("scheduler", ["reduce_lr_on_plateau", "greedy"])
def test_a_schedule_that_reads_the_evaluation_is_the_stock_trainers(tmp_path, scheduler):
    settings = {
        "eval_dataset": tiny_dataset(12, seed=3), "compute_metrics": calibration_metrics(), "num_train_epochs": 8,
        "eval_strategy": "epoch", "logging_strategy": "epoch", "lr_scheduler_type": scheduler, "learning_rate": 0.5,
        "metric_for_best_model": "eval_nll", "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5},
    }  # fmt: skip
    ours, stock = (train(tmp_path, cls=cls, **settings) for cls in (MixupTrainer, Trainer))
    rates = logged(ours, "learning_rate")
    assert rates == pytest.approx(logged(stock, "learning_rate"), rel=1e-6)
    assert len(set(rates)) > 1
    mixed = train(tmp_path, mixup_alpha=0.4, **settings)
    assert len(set(logged(mixed, "learning_rate"))) > 1


def test_early_stops_and_kept_checkpoints_are_the_stock_trainers(tmp_path):
    """Stopped in mid-epoch by a callback, with checkpoints of which two are kept."""
    found = []
    for cls in (MixupTrainer, Trainer):
        folder = tmp_path / cls.__name__
        with pytest.raises(KeyboardInterrupt):
            train(
                folder, data=tiny_dataset(20), cls=cls, callbacks=[Stop(7)], num_train_epochs=3, save_strategy="steps",
                save_steps=2, save_total_limit=2,
            )  # fmt: skip
        found.append(sorted(path.name for path in folder.glob("checkpoint-*")))
    assert found == [["checkpoint-4", "checkpoint-6"]] * 2
