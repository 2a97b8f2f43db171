"""Cost of mixup: a training step (forward and backward) against the stock Trainer's on the same batches.

python benchmarks/training_step.py [--pairs 30] [--threads 2] [--textbook]

Prints, for interleaved runs in one process, the median ratio of step times with its 95% interval, and the ratio of the
bytes that autograd keeps for backward. Targets: upper end at most 1.05, bytes at most 1.05x. ``--textbook`` adds two ways often
written by hand: mixing ``inputs_embeds`` outside the model, and a second forward pass for the partners.
"""

import argparse
import random
import tempfile
import time

import numpy as np
import torch
from scipy.stats import bootstrap
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from nlp_mixup import MixupTrainer, MixupTrainingArguments
from nlp_mixup.mixing import draw_mix, interpolate, mixed_cross_entropy

SIZES = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "num_labels": 3,
}
# name -> model class, its config, rows, length, arguments of the trainer
CASES = {
    "BERT, short rows, embedding": (BertForSequenceClassification, BertConfig(**SIZES), 64, 32, {}),
    "BERT, long rows, embedding": (BertForSequenceClassification, BertConfig(**SIZES), 8, 256, {}),
    "BERT, 120k words, embedding": (BertForSequenceClassification, BertConfig(vocab_size=120_000, **SIZES), 32, 64, {}),
    "Llama, embedding": (LlamaForSequenceClassification, LlamaConfig(pad_token_id=0, **SIZES), 32, 64, {}),
    "BERT, hidden": (
        *(BertForSequenceClassification, BertConfig(**SIZES), 32, 64),
        {"mixup_level": "hidden", "mixup_layer": [2]},
    ),
    "BERT, sentence": (BertForSequenceClassification, BertConfig(**SIZES), 32, 64, {"mixup_level": "sentence"}),
}


class EmbeddingsOutside(Trainer):
    """The textbook way that calls the embedding layer outside the model."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels, mask = inputs["labels"], inputs["attention_mask"]
        mix = draw_mix(len(labels), 0.4, seed=0, step=random.randrange(10**6))
        vectors = model.get_input_embeddings()(inputs["input_ids"])
        mixed = interpolate(vectors, vectors[mix.partners], mix.lam)
        logits = model(inputs_embeds=mixed, attention_mask=mask).logits
        return mixed_cross_entropy(logits, labels, labels[mix.partners], mix.label_lam)


class SecondForward(Trainer):
    """The textbook way that interpolates the outputs of two forward passes."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        mix = draw_mix(len(labels), 0.4, seed=0, step=random.randrange(10**6))
        partners = {name: value[mix.partners] for name, value in inputs.items()}
        logits = interpolate(model(**inputs).logits, model(**partners).logits, mix.lam)
        return mixed_cross_entropy(logits, labels, labels[mix.partners], mix.label_lam)


def batch(rows: int, length: int) -> dict[str, torch.Tensor]:
    lengths = torch.randint(length // 2, length + 1, (rows,))
    mask = (torch.arange(length) < lengths[:, None]).long()
    return {
        "input_ids": torch.randint(5, 30_000, (rows, length)) * mask,
        "attention_mask": mask,
        "labels": torch.randint(0, 3, (rows,)),
    }


def step(trainer: Trainer, inputs: dict[str, torch.Tensor]) -> float:
    trainer.model.zero_grad()
    items = torch.tensor(len(inputs["labels"]))
    start = time.perf_counter()
    trainer.training_step(trainer.model, dict(inputs), items)
    seconds = time.perf_counter() - start
    trainer.state.global_step += 1  # the next step draws anew
    return seconds


def saved_bytes(trainer: Trainer, inputs: dict[str, torch.Tensor]) -> int:
    """Bytes of the distinct tensors that autograd saves for backward during a step."""
    saved: dict[tuple, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step(trainer, inputs)
    return sum(saved.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--textbook", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads, {options.pairs} interleaved pairs, torch {torch.__version__}")
    for name, (model_class, config, rows, length, settings) in CASES.items():
        torch.manual_seed(0)
        random.seed(0)
        common = {"output_dir": tempfile.mkdtemp(), "use_cpu": True, "per_device_train_batch_size": rows}
        # One model: the same weights, caches and memory for all.
        model = model_class(config)
        stock = TrainingArguments(**common)
        trainers = {
            "stock": Trainer(model=model, args=stock),
            "mixup": MixupTrainer(model=model, args=MixupTrainingArguments(**common, mixup_alpha=0.4, **settings)),
        }
        if options.textbook:
            trainers |= {
                "inputs_embeds outside": EmbeddingsOutside(model=model, args=stock),
                "second forward pass": SecondForward(model=model, args=stock),
            }
        for trainer in trainers.values():
            trainer.create_optimizer()
            trainer.current_gradient_accumulation_steps = 1
            for _ in range(3):
                step(trainer, batch(rows, length))
        times: dict[str, list[float]] = {way: [] for way in trainers}
        for _ in range(options.pairs):
            inputs = batch(rows, length)
            for way in random.sample(list(trainers), len(trainers)):
                times[way].append(step(trainers[way], inputs))
        print(f"{name}, {rows} x {length}, stock step {1000 * np.median(times['stock']):.0f} ms")
        kept = {way: saved_bytes(trainer, inputs) for way, trainer in trainers.items()}
        for way in list(trainers)[1:]:
            ratios = np.array(times[way]) / np.array(times["stock"])
            low, high = bootstrap(
                (ratios,), np.median, n_resamples=5000, method="percentile", rng=np.random.default_rng(0)
            ).confidence_interval
            print(
                f"    {way}: time x {np.median(ratios):.3f} (95% {low:.3f} to {high:.3f}), "
                f"bytes for backward x {kept[way] / kept['stock']:.4f}"
            )


if __name__ == "__main__":
    main()
