"""The examples: their numbers against plain references."""

import copy

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from conftest import tiny_dataset, tiny_model
from example_scripts import load_example
from recorded_training import batches, gradient_of, replay

from nlp_mixup.mixing.draw import draw_mix


@pytest.fixture
def accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield lambda steps: Accelerator(gradient_accumulation_steps=steps, cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("configured_steps", [4, 8])
def test_accelerate_loop_gives_the_gradient_of_the_big_batch(accelerator, model_type, configured_steps):
    """7 rows in micro-batches of 2, 2, 2 and 1; also as the short last step of a loop that accumulates 8."""
    loop, accelerator, data = load_example("accelerate_loop"), accelerator(configured_steps), tiny_dataset(7)
    model = tiny_model(model_type)
    raw = copy.deepcopy(model).train()
    mixer = loop.EmbeddingMixer(raw)
    wrapped = accelerator.prepare(raw)
    loss = loop.backward_mixed(accelerator, wrapped, mixer, batches(data, 2), alpha=0.4, seed=3, step=5, pad_token_id=1)
    mix = draw_mix(7, 0.4, seed=3, rank=0, step=5)
    assert 0 < mix.lam[0] < 1
    (whole,) = batches(data, 7)
    torch.testing.assert_close(gradient_of(raw), replay(model, whole, mix), atol=1e-5, rtol=1e-5)

    with loop.EmbeddingMixer(model).armed(whole, mix) as carried:
        labels = carried.pop("labels")
        log_probs = model(**carried).logits.log_softmax(1)
    rows = torch.arange(7)
    expected = mix.lam * log_probs[rows, labels] + (1 - mix.lam) * log_probs[rows, labels[mix.partners]]
    assert loss == pytest.approx(-expected.mean().item(), abs=1e-5)


def test_accelerate_loop_runs_as_it_stands(accelerator, monkeypatch, capsys):
    """150 rows are 4 steps of 2 x 16 rows and a last one of 16 + 6; all 3,456 validation rows are scored."""
    loop = load_example("accelerate_loop")
    monkeypatch.setattr("sys.argv", ["accelerate_loop.py", "--rows", "150", "--epochs", "1", "--cpu"])
    loop.main()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch 1:")]
    assert line.endswith("(3456 rows)")
