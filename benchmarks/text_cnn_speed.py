"""Time a training step of the sentence CNN: ours against plain Conv1d, and where the rest of the step goes.

    OMP_NUM_THREADS=2 python benchmarks/text_cnn_speed.py [--pairs 40]

Batches are generated: 50 rows of MR's lengths (mean 23 words, batches padded to about 48), 16,660 words, 300
dimensions. Each pair runs both versions on one batch, in alternating order; printed are medians, and the
ratio with its 95% interval (bootstrap over pairs).
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch import nn

from nlp_mixup.models import TextCNNConfig, TextCNNForSequenceClassification

VOCABULARY, ROWS = 16_660, 50


class Conv1dEncoder(nn.Module):
    """The textbook form: three convolutions over the whole padded batch."""

    def __init__(self, config: TextCNNConfig):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.hidden_size, config.num_filters, width, padding=max(config.filter_widths))
            for width in config.filter_widths
        )

    def forward(self, vectors: torch.Tensor, occupied: torch.Tensor) -> torch.Tensor:
        vectors = vectors.transpose(1, 2)
        return torch.cat([conv(vectors).relu().amax(-1) for conv in self.convolutions], dim=1)


def make_batch(generator: np.random.Generator) -> dict[str, torch.Tensor]:
    lengths = np.clip(generator.gamma(5.6, 4.1, size=ROWS).round().astype(int), 1, 68)
    ids = np.zeros((ROWS, lengths.max()), dtype=np.int64)
    for row, length in enumerate(lengths):
        # Zipf-like: a few words make up most of the text, so most gradient rows are zero, as in real text.
        ids[row, :length] = 1 + (VOCABULARY - 1) * generator.random(length) ** 4
    return {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(generator.integers(0, 2, ROWS))}


def step(model: nn.Module, batch: dict[str, torch.Tensor]) -> float:
    model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    model(**batch).loss.backward()
    return 1000 * (time.perf_counter() - start)


def milliseconds(function, repeats: int = 15) -> float:
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40, help="Interleaved pairs of steps.")
    pairs = parser.parse_args().pairs

    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    config = TextCNNConfig(vocab_size=VOCABULARY)
    ours, plain = TextCNNForSequenceClassification(config), TextCNNForSequenceClassification(config)
    plain.encoder = Conv1dEncoder(config)

    times = []
    for pair in range(-3, pairs):
        batch = make_batch(generator)
        first, second = (ours, plain) if pair % 2 else (plain, ours)
        measured = {first: step(first, batch), second: step(second, batch)}
        if pair >= 0:
            times.append((measured[ours], measured[plain]))
    times = np.array(times)
    ratios = times[:, 0] / times[:, 1]
    samples = np.median(generator.choice(ratios, size=(2000, pairs)), axis=1)
    low, high = np.quantile(samples, [0.025, 0.975])
    print(f"forward + backward, {ROWS} rows, {torch.get_num_threads()} threads, median of {pairs} pairs")
    print(f"  one product, rows packed   {np.median(times[:, 0]):7.1f} ms")
    print(f"  three Conv1d, rows padded  {np.median(times[:, 1]):7.1f} ms")
    print(f"  ratio                      {np.median(ratios):7.2f}    95% {low:.2f} to {high:.2f}")

    print("the rest of a step, over the same parameters")
    step(ours, make_batch(generator))
    clip = milliseconds(lambda: nn.utils.clip_grad_norm_(ours.parameters(), 1.0))
    print(f"  clip the gradient          {clip:7.1f} ms")
    for name, options in {"adamw_torch_fused": {"fused": True}, "adamw_torch": {"foreach": False}}.items():
        optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-3, **options)
        print(f"  {name:26s} {milliseconds(optimizer.step):7.1f} ms")


if __name__ == "__main__":
    main()
