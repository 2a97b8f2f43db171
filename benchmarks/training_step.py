"""Cost of embedding mixup: a training step (forward and backward) against the stock Trainer's on the same batches.

python benchmarks/training_step.py [--pairs 40] [--threads 2]

Prints, for interleaved pairs in one run, the median ratio of step times with its 95% interval, and the ratio of the bytes
that autograd keeps for backward. Targets: upper end at most 1.05, bytes at most 1.05x.
"""

import argparse
import random
import tempfile
import time

import numpy as np
import torch
from scipy.stats import bootstrap
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from nlp_mixup import MixupTrainer, MixupTrainingArguments


def batch(rows: int, length: int, vocabulary: int) -> dict[str, torch.Tensor]:
    lengths = torch.randint(length // 2, length + 1, (rows,))
    mask = (torch.arange(length) < lengths[:, None]).long()
    return {
        "input_ids": torch.randint(5, vocabulary, (rows, length)) * mask,
        "attention_mask": mask,
        "labels": torch.randint(0, 3, (rows,)),
    }


def saved_bytes(step) -> int:
    """Bytes of the distinct tensors that autograd saves for backward during `step`."""
    saved: dict[tuple, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(saved.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    random.seed(0)

    config = BertConfig(
        vocab_size=30522,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        num_labels=3,
    )
    common = {"output_dir": tempfile.mkdtemp(), "use_cpu": True, "per_device_train_batch_size": 32}
    stock = Trainer(model=BertForSequenceClassification(config), args=TrainingArguments(**common))
    mixed = MixupTrainer(
        model=BertForSequenceClassification(config),
        args=MixupTrainingArguments(**common, mixup_alpha=0.4, mixup_lambda_per="example"),
    )
    items = torch.tensor(32)
    for trainer in (stock, mixed):
        trainer.create_optimizer()
        trainer.current_gradient_accumulation_steps = 1

    def step(trainer, inputs) -> float:
        trainer.model.zero_grad()
        start = time.perf_counter()
        trainer.training_step(trainer.model, dict(inputs), items)
        return time.perf_counter() - start

    for trainer in (stock, mixed):
        for _ in range(3):
            step(trainer, batch(32, 96, config.vocab_size))
    times = {"stock": [], "mixup": []}
    for _ in range(options.pairs):
        inputs = batch(32, 96, config.vocab_size)
        order = [("stock", stock), ("mixup", mixed)]
        random.shuffle(order)
        for name, trainer in order:
            times[name].append(step(trainer, inputs))
    ratios = np.array(times["mixup"]) / np.array(times["stock"])
    interval = bootstrap((ratios,), np.median, n_resamples=5000, method="percentile", rng=0).confidence_interval
    inputs = batch(32, 96, config.vocab_size)
    kept = {
        name: saved_bytes(lambda t=trainer: step(t, inputs)) for name, trainer in (("stock", stock), ("mixup", mixed))
    }

    print(
        f"BERT 4 x 256, batch 32 x 96, {options.threads} threads, {options.pairs} interleaved pairs, torch {torch.__version__}"
    )
    print(f"stock step, median: {1000 * np.median(times['stock']):.0f} ms")
    print(f"mixup / stock, median ratio: {np.median(ratios):.3f} (95% {interval.low:.3f} to {interval.high:.3f})")
    print(
        f"bytes kept for backward, mixup / stock: {kept['mixup'] / kept['stock']:.4f} ({kept['stock'] / 2**20:.0f} MiB)"
    )


if __name__ == "__main__":
    main()
