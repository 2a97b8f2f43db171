"""The loss of a mixed batch: cross-entropy against both labels of each pair, weighted by lambda.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, as used by Thulasidasan et al., NeurIPS 2019.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def mixed_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    partner_labels: Tensor | None = None,
    lam: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    confidence_penalty: float = 0.0,
    num_items: Tensor | int | None = None,
) -> Tensor:
    """lambda * CE(logits, y_a) + (1 - lambda) * CE(logits, y_b), equal to cross-entropy against the mixed labels.

    Computed in float32. Label smoothing is linear in the labels, so it applies to each of the two. Where a logit of -inf
    rules out a row's label, the loss is inf or NaN, and its gradient that of the mixed labels all the same.

    Args:
        logits: (n, k) real.
        labels: (n,) integer classes in [0, k); -100 marks a row without label, which adds nothing.
        partner_labels: (n,) labels of the partners; None for plain cross-entropy.
        lam: (n,) in [0, 1], the share of each row's own label.
        label_smoothing: mass in [0, 1) spread evenly over the classes.
        confidence_penalty: kappa >= 0; kappa H(p) is taken off each row's loss, where H is the entropy in nats of the
            prediction p (Pereyra et al. 2017, arXiv 1701.06548). The loss can then be negative.
        num_items: divides the sum of the rows' losses; None takes the mean over rows with a label. Under gradient
            accumulation, the number of labels in all micro-batches of the step gives the big batch's gradient.

    Returns:
        A scalar; lower is better.

    Example:
        >>> logits, lam = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0.7, 0.7])
        >>> round(mixed_cross_entropy(logits, torch.tensor([0, 1]), torch.tensor([1, 0]), lam).item(), 4)
        0.6931
    """
    # Once for both labels: computed twice, it would be kept twice for backward.
    log_probs = logits.float().log_softmax(-1)

    def row_losses(targets: Tensor) -> Tensor:
        losses = F.nll_loss(log_probs, targets, reduction="none")
        if label_smoothing == 0:
            return losses
        spread = log_probs.mean(-1).masked_fill(targets.eq(-100), 0)
        return (1 - label_smoothing) * losses - label_smoothing * spread

    losses = row_losses(labels)
    if partner_labels is not None and lam is not None:
        losses = torch.lerp(row_losses(partner_labels), losses, lam.float())
    if confidence_penalty > 0:
        losses = losses + confidence_penalty * (log_probs.exp() * log_probs).sum(-1) * labels.ne(-100)
    return losses.sum() / (labels.ne(-100).sum() if num_items is None else num_items)
