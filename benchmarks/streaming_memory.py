"""Memory of training on a stream: one million generated rows, which are never all in memory or on disk.

python benchmarks/streaming_memory.py [--steps 2000] [--rows 1000000]

Prints the growth of the process's peak memory between step 50 and the last step. Target: at most 20 MiB, whatever --steps.
"""

import argparse
import resource
import sys
import tempfile
import time

import torch
from datasets import IterableDataset
from transformers import BertConfig, BertForSequenceClassification, TrainerCallback

from nlp_mixup import MixupTrainer, MixupTrainingArguments

LENGTH, N_WORDS, N_LABELS, WARM_UP = 32, 1000, 3, 50


def generate_rows(n: int):
    """Rows of random tokens, each made when it is asked for, from its own number."""
    for row in range(n):
        generator = torch.Generator().manual_seed(row)
        ids = torch.randint(3, N_WORDS, (LENGTH,), generator=generator).tolist()
        yield {"input_ids": ids, "attention_mask": [1] * LENGTH, "label": ids[0] % N_LABELS}


def peak_mebibytes() -> float:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


class PeakMemory(TrainerCallback):
    """Peak memory at WARM_UP, and at ten later steps."""

    def __init__(self, n_steps: int):
        self.every = max(1, n_steps // 10)
        self.peaks: dict[int, float] = {}

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == WARM_UP or (state.global_step > WARM_UP and state.global_step % self.every == 0):
            self.peaks[state.global_step] = peak_mebibytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch_size", type=int, default=32)
    args = parser.parse_args()
    if args.steps <= WARM_UP:
        parser.error(f"--steps must be more than {WARM_UP}, where the measurement starts")

    config = BertConfig(
        vocab_size=N_WORDS, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        num_labels=N_LABELS,
    )  # fmt: skip
    memory = PeakMemory(args.steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer = MixupTrainer(
            model=BertForSequenceClassification(config),
            args=MixupTrainingArguments(
                output_dir=folder, max_steps=args.steps, per_device_train_batch_size=args.batch_size, mixup_alpha=0.4,
                save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, logging_strategy="no",
            ),
            train_dataset=IterableDataset.from_generator(generate_rows, gen_kwargs={"n": args.rows}),
            callbacks=[memory],
        )  # fmt: skip
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    for step, peak in memory.peaks.items():
        print(f"step {step:6d}: peak {peak:8.1f} MiB")
    first, *_, last = memory.peaks.values()
    print(
        f"{args.steps} steps of {args.batch_size} rows from a stream of {args.rows:,} in {seconds:.0f} s; peak memory grew by "
        f"{last - first:.1f} MiB since step {WARM_UP}"
    )


if __name__ == "__main__":
    main()
