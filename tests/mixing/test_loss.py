"""The loss of a mixed batch against hand-worked cases and torch's own cross-entropy of soft targets."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nlp_mixup.mixing.loss import mixed_cross_entropy


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
