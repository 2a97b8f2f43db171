"""The arithmetic of mixup against hand-worked cases and independent implementations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nlp_mixup.mixing.draw import STEPS_AHEAD, draw_ahead, draw_layer, draw_mix
from nlp_mixup.mixing.embeddings import interpolate
from nlp_mixup.mixing.loss import mixed_cross_entropy


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_lambda_of_another_type(dtype):
    logits, labels, partners = torch.randn(3, 4), torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1])
    lam = torch.tensor([0.25, 0.5, 1.0])
    wanted = mixed_cross_entropy(logits, labels, partners, lam)
    assert torch.equal(mixed_cross_entropy(logits, labels, partners, lam.to(dtype)), wanted)


@pytest.mark.parametrize("lam", [0.3, 0.7])
def test_a_class_ruled_out_leaves_the_gradient_of_the_mixed_labels(lam):
    """p - y by hand, with logits of -inf at the first row's own label and at the second row's partner label."""
    logits = torch.tensor([[-torch.inf, 0.0, 1.0], [0.0, 2.0, -torch.inf]], requires_grad=True)
    share = torch.full((2,), lam)
    mixed_cross_entropy(logits, torch.tensor([0, 1]), torch.tensor([1, 2]), share, num_items=1).backward()
    targets = torch.tensor([[lam, 1 - lam, 0.0], [0.0, lam, 1 - lam]])
    torch.testing.assert_close(logits.grad, logits.detach().softmax(1) - targets)


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


def test_interpolation_by_hand():
    first, second = torch.tensor([[[1.0, 2.0]], [[10.0, 20.0]]]), torch.tensor([[[3.0, 6.0]], [[20.0, 40.0]]])
    mixed = interpolate(first, second, torch.tensor([0.25, 0.9]))
    torch.testing.assert_close(mixed, torch.tensor([[[2.5, 5.0]], [[11.0, 22.0]]]))


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1, width=32), st.integers(0, 10_000))
def test_interpolation_is_symmetric_and_exact_at_both_ends(lam, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(1, 4, generator=generator) for _ in range(2))
    share = torch.tensor([lam])
    torch.testing.assert_close(interpolate(a, b, share), interpolate(b, a, 1 - share), atol=2e-7, rtol=1e-6)
    assert torch.equal(interpolate(a, b, torch.ones(1)), a)
    assert torch.equal(interpolate(a, b, torch.zeros(1)), b)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_equals_soft_target_cross_entropy_with_its_gradient(smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(6, 4, generator=generator)).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    partners, lam = torch.tensor([3, 5, 0, 1, 2, 4]), torch.rand(6, generator=generator)
    loss = mixed_cross_entropy(logits, labels, labels[partners], lam, label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(loss, logits)

    hard = F.one_hot(labels, 4).float()
    target = lam[:, None] * hard + (1 - lam[:, None]) * hard[partners]
    target = (1 - smoothing) * target + smoothing / 4
    reference = -(target * F.log_softmax(logits, 1)).sum(1).mean()
    (reference_gradient,) = torch.autograd.grad(reference, logits)
    torch.testing.assert_close(loss, reference, atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient, reference_gradient, atol=1e-7, rtol=0)


def test_loss_by_hand():
    # p = (3/4, 1/4): CE(0) = ln 4/3, CE(1) = ln 4.
    logits = torch.log(torch.tensor([[3.0, 1.0], [3.0, 1.0]]))
    labels, lam = torch.tensor([0, 1]), torch.tensor([0.8, 0.8])
    near, far = np.log(4 / 3), np.log(4)
    by_hand = ((0.8 * near + 0.2 * far) + (0.8 * far + 0.2 * near)) / 2
    assert mixed_cross_entropy(logits, labels, labels.flip(0), lam).item() == pytest.approx(by_hand, abs=1e-6)
    assert mixed_cross_entropy(logits, torch.tensor([0, 0]), num_items=8).item() == pytest.approx(
        2 * near / 8, abs=1e-6
    )


def test_rows_without_label_add_nothing():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    with_gap = mixed_cross_entropy(logits, torch.tensor([1, -100, 2]))
    torch.testing.assert_close(with_gap, F.cross_entropy(logits[[0, 2]], torch.tensor([1, 2])))


def test_half_precision_logits_are_raised_to_float32():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    loss = mixed_cross_entropy(logits, torch.tensor([0, 1, 2, 3]))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), torch.tensor([0, 1, 2, 3])))


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


def test_confidence_penalty_takes_the_entropy_of_the_prediction_off():
    """Loss and gradient of CE - kappa H(p), rows without label apart."""
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 2, 1, -100, 1])
    loss = mixed_cross_entropy(logits, labels, confidence_penalty=0.3)
    kept = labels != -100
    entropy = torch.distributions.Categorical(logits=logits[kept]).entropy()
    expected = F.cross_entropy(logits, labels) - 0.3 * entropy.mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits, retain_graph=True)[0], torch.autograd.grad(expected, logits)[0]
    )
