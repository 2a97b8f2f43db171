"""A model's logits as a file of its weights gives them: in evaluation mode, in the weights' own precision, reproducibly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel


def plain_logits(model: PreTrainedModel, batch: Mapping[str, Any]) -> Tensor:
    """Logits (n, k) in evaluation mode and in the weights' own precision, as a file of the weights gives them.

    No autocast, no TensorFloat-32, and no random stream is moved; what the model draws in evaluation is drawn from one seed.

    Args:
        model: a classifier.
        batch: its inputs, without labels.
    """
    batch = {name: value.to(model.device) for name, value in batch.items()}
    with evaluating(model), _without_tf32(), torch.autocast(model.device.type, enabled=False):
        torch.manual_seed(0)
        return forward_logits(model, batch)


def forward_logits(model: PreTrainedModel, batch: Mapping[str, Any]) -> Tensor:
    """The logits of one forward pass, whatever mode the model is in."""
    # The class's own forward: after training with autocast the instance's would round to half precision.
    outputs = type(model).forward(model, **batch)
    return outputs["logits"] if isinstance(outputs, dict) else outputs[0]


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode, without gradients, and with the random streams as they were afterwards."""
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            yield
    finally:
        model.train(was_training)


@contextmanager
def _without_tf32() -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
