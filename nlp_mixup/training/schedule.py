"""A learning rate that falls in steps at shares of the training run, ``lr_milestones``, which the stock Trainer lacks."""

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def milestone_schedule(
    optimizer: Optimizer, n_steps: int, milestones: Sequence[float], factor: float, warmup: int = 0
) -> LambdaLR:
    """Multiplies the learning rate by `factor` at each milestone, after a linear warm-up.

    Args:
        optimizer: whose learning rate follows the schedule.
        n_steps: of the training run.
        milestones: shares of the run, between 0 and 1.
        factor: > 0.
        warmup: steps at the beginning.

    Example:
        >>> import torch
        >>> schedule = milestone_schedule(torch.optim.SGD([torch.zeros(1)], lr=1.0), 10, [0.5, 0.8], factor=0.2)
        >>> [round(schedule.lr_lambdas[0](step), 2) for step in (0, 4, 5, 7, 8)]
        [1.0, 1.0, 0.2, 0.2, 0.04]
    """

    def share_of_learning_rate(step: int) -> float:
        passed = sum(step >= round(share * n_steps) for share in milestones)
        return min(1.0, (step + 1) / (warmup + 1)) * factor**passed

    return LambdaLR(optimizer, share_of_learning_rate)
