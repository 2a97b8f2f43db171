"""Memory of folding a temperature into a classifier and verifying it: no second copy of the model.

python benchmarks/folding_memory.py [--layers 12] [--hidden 768]

Prints the model's size, and how much further than one ordinary forward pass folding and verifying raise the process's
peak memory. Target: below 5 % of the model; a second copy would be 100 %.
"""

import argparse
import resource
import sys
import time

import torch
from transformers import BertConfig, BertForSequenceClassification

from nlp_mixup.calibration import Temperature
from nlp_mixup.models import fold_temperature


def peak_mebibytes() -> float:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    args = parser.parse_args()

    config = BertConfig(
        hidden_size=args.hidden, num_hidden_layers=args.layers, num_attention_heads=args.hidden // 64,
        intermediate_size=4 * args.hidden, num_labels=3,
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    model_size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()) / 2**20
    probe = {"input_ids": torch.randint(1000, 30000, (8, 24))}
    temperature = Temperature(1.7, 1.5, 1.9, n=400, nll_before=1.0, nll_after=0.9, ece_before=0.1, ece_after=0.02)
    with torch.no_grad():
        model(**probe)
    before = peak_mebibytes()
    start = time.perf_counter()
    folding = fold_temperature(model, temperature, probe)
    seconds = time.perf_counter() - start
    growth = peak_mebibytes() - before
    print(f"model {model_size:.0f} MiB; peak memory after one forward pass {before:.0f} MiB")
    print(
        f"folded into {folding.head} and verified on {folding.n_probe} rows in {seconds:.2f} s, largest error "
        f"{folding.max_error:.1e}; peak memory grew by {growth:.1f} MiB, {growth / model_size:.1%} of the model"
    )


if __name__ == "__main__":
    main()
