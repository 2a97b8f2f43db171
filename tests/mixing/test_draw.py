"""Partners and lambda: from the named coordinates alone, and distributed as the paper says."""

import numpy as np
import pytest
import torch
from scipy import stats

from nlp_mixup.mixing.draw import STEPS_AHEAD, draw_ahead, draw_layer, draw_mix


def test_draw_depends_on_its_arguments_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    first = draw_mix(16, 0.4, seed=3, rank=1, step=5, micro_step=2)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    torch.manual_seed(99)
    np.random.seed(99)
    again = draw_mix(16, 0.4, seed=3, rank=1, step=5, micro_step=2)
    assert torch.equal(first.partners, again.partners)
    assert torch.equal(first.lam, again.lam)
    torch.manual_seed(0)
    np.random.seed(0)
    draw_mix(16, 0.4, seed=3)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


@pytest.mark.parametrize("change", [{"seed": 4}, {"rank": 1}, {"step": 1}, {"micro_step": 1}])
def test_each_coordinate_changes_the_draw(change):
    base = {"seed": 3, "rank": 0, "step": 0, "micro_step": 0}
    first, second = draw_mix(64, 1.0, **base), draw_mix(64, 1.0, **(base | change))
    assert not torch.equal(first.partners, second.partners)
    assert first.lam[0] != second.lam[0]


def test_coordinates_do_not_run_into_each_other():
    draws = {
        tuple(draw_mix(64, 1.0, seed=a, rank=b, step=c, micro_step=d).partners.tolist())
        for a in range(3)
        for b in range(3)
        for c in range(3)
        for d in range(3)
    }
    assert len(draws) == 81


def test_draw_is_that_of_numpys_generator_of_the_four_numbers():
    """The stream that runs of earlier versions were trained with."""
    mix = draw_mix(16, 0.4, seed=2**32 - 1, rank=1, step=5, micro_step=2)
    generator = np.random.default_rng([2**32 - 1, 1, 5, 2])
    assert mix.partners.tolist() == generator.permutation(16).tolist()
    assert mix.lam.tolist() == [np.float32(generator.beta(0.4, 0.4))] * 16


@pytest.mark.parametrize("step", [0, 1, STEPS_AHEAD - 1, STEPS_AHEAD, 5 * STEPS_AHEAD + 3])
def test_draws_made_ahead_are_those_made_one_by_one(step):
    arguments = {"n": 6, "alpha": 0.4, "seed": 3, "lambda_per": "example", "probability": 0.5}
    ahead = draw_ahead(draw_mix, step // STEPS_AHEAD, **arguments)
    assert len(ahead) == STEPS_AHEAD
    one, drawn = draw_mix(**arguments, step=step), ahead[step % STEPS_AHEAD]
    assert (one is None) == (drawn is None)
    assert one is None or (torch.equal(one.partners, drawn.partners) and torch.equal(one.lam, drawn.lam))
    assert {mix is None for mix in ahead} == {True, False}


def test_draws_are_on_the_cpu_whatever_the_default_device():
    with torch.device("meta"):
        mix = draw_mix(4, 0.4, seed=0)
    assert mix.partners.device.type == mix.lam.device.type == mix.label_lam.device.type == "cpu"


def test_many_micro_batches_above_the_embedding_level_share_their_draws():
    """16 micro-batches of a step, each with draws of its own, over the steps of one block."""
    draw_ahead.cache_clear()
    for step in range(STEPS_AHEAD):
        for micro_step in range(16):
            draw_ahead(draw_mix, step // STEPS_AHEAD, n=2, alpha=0.4, seed=0, micro_step=micro_step)
    assert draw_ahead.cache_info().misses == 16


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_lambda_follows_the_beta_distribution(alpha):
    lam = torch.cat([draw_mix(50, alpha, seed=0, step=s, lambda_per="example").lam for s in range(80)]).numpy()
    assert stats.kstest(lam, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_partners_are_uniform_permutations():
    counts = np.zeros((5, 5))
    for step in range(4000):
        partners = draw_mix(5, 0.4, seed=1, step=step).partners
        assert sorted(partners.tolist()) == [0, 1, 2, 3, 4]
        counts[np.arange(5), partners] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 0.001


def test_one_lambda_per_batch_or_per_example():
    assert len(draw_mix(8, 1.0, seed=0).lam.unique()) == 1
    assert len(draw_mix(8, 1.0, seed=0, lambda_per="example").lam.unique()) == 8


def test_modes_share_the_draw_and_differ_in_what_is_mixed():
    full, inputs_only, labels_only = (
        draw_mix(64, 1.0, seed=0, lambda_per="example", mode=mode) for mode in ("full", "inputs_only", "labels_only")
    )
    nearer = (full.lam >= 0.5).float()
    assert torch.equal(full.label_lam, full.lam)
    assert torch.equal(inputs_only.lam, full.lam)
    assert torch.equal(inputs_only.label_lam, nearer)
    assert torch.equal(labels_only.lam, nearer)
    assert torch.equal(labels_only.label_lam, full.lam)
    assert torch.equal(full.partners, labels_only.partners)
    assert 0 < nearer.mean() < 1


def test_probability_is_the_share_of_mixed_batches():
    mixed = sum(draw_mix(4, 0.4, seed=0, step=step, probability=0.3) is not None for step in range(2000))
    assert stats.binomtest(mixed, 2000, 0.3).pvalue > 0.01
    assert all(draw_mix(4, 0.4, seed=0, step=step, probability=0.0) is None for step in range(50))
    always = draw_mix(4, 0.4, seed=0, step=7)
    assert torch.equal(draw_mix(4, 0.4, seed=0, step=7, probability=1.0).lam, always.lam)


def test_layers_are_drawn_evenly():
    layers = [draw_layer([2, 5, 7], seed=0, step=step) for step in range(3000)]
    assert stats.chisquare(np.unique(layers, return_counts=True)[1]).pvalue > 0.01
