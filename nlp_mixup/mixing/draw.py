"""Draws who is mixed with whom, and lambda ~ Beta(alpha, alpha), from (seed, process, step) alone.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, as used by Thulasidasan et al., NeurIPS 2019.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Mode = Literal["full", "inputs_only", "labels_only"]
STEPS_AHEAD = 16  # steps whose draws are made at once


@dataclass(frozen=True)
class Mix:
    """Which example each row is mixed with, and how much of the row itself remains.

    Attributes:
        partners: (n,) int64, a permutation of the rows.
        lam: (n,) float32 in [0, 1], lambda, the share of the row in the mixed input; its partner has 1 - lambda.
        label_lam: (n,) float32 in [0, 1], the share of the row's label in the mixed label: lambda, but where only
            inputs or only labels are mixed.
    """

    partners: Tensor
    lam: Tensor
    label_lam: Tensor

    def to(self, device: torch.device | str) -> "Mix":
        return Mix(self.partners.to(device), self.lam.to(device), self.label_lam.to(device))


def draw_mix(
    n: int,
    alpha: float,
    *,
    seed: int,
    rank: int = 0,
    step: int = 0,
    micro_step: int = 0,
    lambda_per: Literal["batch", "example"] = "batch",
    mode: Mode = "full",
    probability: float = 1.0,
) -> Mix | None:
    """Draws partners by a random permutation and lambda from Beta(alpha, alpha).

    The draw depends on its arguments alone: processes differ by ``rank``, a resumed run repeats the draws of the
    uninterrupted one, and torch's global generator (dropout) is never touched.

    Args:
        n: rows of the batch.
        alpha: concentration of the Beta distribution, > 0.
        seed, rank, step, micro_step: integers in [0, 2**32) that name the draw.
        lambda_per: one lambda for the ``batch``, as in the paper, or one for each ``example``.
        mode: ``full`` is mixup. ``inputs_only`` keeps the hard label of the nearer example (lambda >= 0.5: the row's own),
            the paper's features-only ablation. ``labels_only`` keeps the nearer example's clean input and mixes the
            labels by max(lambda, 1 - lambda) : min(lambda, 1 - lambda).
        probability: of mixing at all.

    Returns:
        A `Mix` on the CPU, or None where the batch is not mixed.

    Raises:
        ValueError: alpha is not positive.
        OverflowError: seed, rank, step or micro_step is out of range.

    Example:
        >>> first, second = draw_mix(4, 0.4, seed=0), draw_mix(4, 0.4, seed=0)
        >>> torch.equal(first.partners, second.partners) and torch.equal(first.lam, second.lam)
        True
        >>> sorted(first.partners.tolist())
        [0, 1, 2, 3]
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be > 0, got {alpha}; without mixup there is nothing to draw.")
    # From an array, numpy makes the generator that it makes from the list of these numbers, in less time.
    generator = np.random.default_rng(np.array([seed, rank, step, micro_step], np.uint32))
    partners = torch.from_numpy(generator.permutation(n))
    drawn = generator.beta(alpha, alpha, size=n if lambda_per == "example" else None)
    if probability < 1 and generator.random() >= probability:
        return None
    return mix_in_mode(partners, torch.from_numpy(np.full(n, drawn, np.float32)), mode)


@lru_cache(maxsize=64)  # above the embedding level, each micro-batch of a step has draws of its own
def draw_ahead(draw: Callable[..., Mix | None], block: int, **arguments: Any) -> list[Mix | None]:
    """The draws of the `STEPS_AHEAD` steps from ``STEPS_AHEAD * block`` on: shared by all who ask, so not to be written into.

    Right after a training step, which fills the processor's caches with the model, a generator costs several times what it
    costs in a loop.

    Args:
        draw: `draw_mix`, or what has its arguments.
        arguments: of `draw`, but for the step.

    Example:
        >>> ahead, one = draw_ahead(draw_mix, 0, n=4, alpha=0.4, seed=0)[3], draw_mix(4, 0.4, seed=0, step=3)
        >>> torch.equal(ahead.partners, one.partners) and torch.equal(ahead.lam, one.lam)
        True
    """
    first = STEPS_AHEAD * block
    return [draw(step=step, **arguments) for step in range(first, first + STEPS_AHEAD)]


def mix_in_mode(partners: Tensor, lam: Tensor, mode: Mode) -> Mix:
    """The `Mix` of a mode of `draw_mix`, from the (n,) partners and shares.

    Raises:
        ValueError: there is no such mode.

    Example:
        >>> mix_in_mode(torch.tensor([1, 0]), torch.tensor([0.7, 0.3]), "inputs_only").label_lam
        tensor([1., 0.])
    """
    if mode == "full":
        return Mix(partners, lam, lam)
    nearer = (lam >= 0.5).float()
    if mode == "inputs_only":
        return Mix(partners, lam, nearer)
    if mode == "labels_only":
        return Mix(partners, nearer, lam)
    raise ValueError(f"mode must be 'full', 'inputs_only' or 'labels_only', got {mode!r}.")


def draw_layer(layers: list[int], *, seed: int, rank: int = 0, step: int = 0, micro_step: int = 0) -> int:
    """One of `layers`, each as likely, from the arguments alone; see `draw_mix`.

    Example:
        >>> draw_layer([3], seed=0)
        3
    """
    return int(np.random.default_rng([seed, rank, step, micro_step, 1]).choice(layers))
