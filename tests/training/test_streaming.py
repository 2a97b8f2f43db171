"""A streamed data set (no length, no index) trains with mixup, and draws the same pairs when it is read again."""

import pytest
import torch
from conftest import PadCollator, tiny_dataset, tiny_model
from datasets import IterableDataset
from recorded_training import replay, train
from transformers import Trainer


def stream(n, n_shards=1):
    """The rows of `tiny_dataset(n)` one by one."""

    def generate(shards):
        data = tiny_dataset(n)
        for shard in shards:
            for row in range(shard, n, n_shards):
                yield data[row]

    return IterableDataset.from_generator(generate, gen_kwargs={"shards": list(range(n_shards))})


SETTINGS = {
    "mixup_alpha": 0.4,
    "max_steps": 3,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "learning_rate": 0.0,  # the weights stay, so that every step can be replayed on the first ones
}


def test_stream_trains_and_every_step_equals_the_replayed_reference(tmp_path):
    model, rows = tiny_model(), tiny_dataset(12)
    trainer = train(tmp_path, model, stream(12), **SETTINGS)
    assert trainer.state.global_step == len(trainer.gradients) == 3
    for step, (gradient, (first, _)) in enumerate(zip(trainer.gradients, trainer.pairings, strict=True)):
        batch = PadCollator()([rows[4 * step + row] for row in range(4)])
        torch.testing.assert_close(gradient, replay(model, batch, first.mix), atol=1e-5, rtol=1e-5)


def test_stream_gives_the_mixes_and_gradients_of_the_data_set_in_memory(tmp_path):
    streamed = train(tmp_path, data=stream(12), **SETTINGS)
    again = train(tmp_path, data=stream(12), **SETTINGS)
    in_memory = train(tmp_path, data=tiny_dataset(12), **SETTINGS)
    for other in (again, in_memory):
        for mine, theirs in zip(streamed.pairings, other.pairings, strict=True):
            assert torch.equal(mine[0].mix.partners, theirs[0].mix.partners)
            assert torch.equal(mine[0].mix.lam, theirs[0].mix.lam)
        for mine, theirs in zip(streamed.gradients, other.gradients, strict=True):
            torch.testing.assert_close(mine, theirs, atol=0, rtol=0)


def test_stream_that_ends_within_a_step_starts_again(tmp_path):
    """6 rows a pass are a step of 4 and half a step, which the stock Trainer would add to the next pass's gradient."""
    model, rows = tiny_model(), tiny_dataset(6)
    trainer = train(tmp_path, model, stream(6), **SETTINGS)
    mixes = [pairings[0].mix for pairings in trainer.pairings if pairings]
    assert len(mixes) == len(trainer.gradients) == len({mix.lam[0].item() for mix in mixes}) == 3
    batch = PadCollator()([rows[row] for row in range(4)])
    for gradient, mix in zip(trainer.gradients, mixes, strict=True):
        torch.testing.assert_close(gradient, replay(model, batch, mix), atol=1e-5, rtol=1e-5)


def test_stock_trainer_adds_the_end_of_a_stream_to_the_next_step(tmp_path):
    """Why the end is left out; when this fails, upstream is repaired: say so, and take the end as a step again."""
    model, rows = tiny_model(), tiny_dataset(6)
    stock = train(tmp_path, model, stream(6), cls=Trainer, **SETTINGS | {"mixup_alpha": 0.0, "max_steps": 2})
    end = replay(model, PadCollator()([rows[4], rows[5]]), None)
    torch.testing.assert_close(stock.gradients[1] - stock.gradients[0], end, atol=1e-5, rtol=1e-5)


def test_stream_without_max_steps_says_what_to_set(tmp_path):
    with pytest.raises(ValueError, match="max_steps"):
        train(tmp_path, data=stream(6), num_train_epochs=1)
