"""Cost of pixel mixup: a training step against the stock Trainer's, and mixing alone against other packages' transforms.

python benchmarks/pixel_step.py [--pairs 30] [--threads 2] [--only steps|mixing]

Prints, for interleaved runs in one process, median ratios of times with their 95% intervals, and the ratio of the bytes that
autograd keeps for backward. Targets: a step's upper end at most 1.05, bytes at most 1.01x, mixing not slower than
torchvision's v2.MixUp and timm's Mixup. Those two are compared where they are installed.
"""

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import bootstrap
from torch import Tensor
from training_step import saved_bytes, step
from transformers import PreTrainedModel, Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from nlp_mixup import MixupTrainingArguments
from nlp_mixup.arguments import ModelArguments
from nlp_mixup.mixing import STEPS_AHEAD, draw_ahead, draw_mix, mixed_cross_entropy
from nlp_mixup.vision import ImageMixupTrainer
from nlp_mixup.vision.mixing import draw_cut_mix, mix_pixels
from nlp_mixup.vision.models import load_image_model

CLASSES = 10


def built_in(name: str) -> PreTrainedModel:
    return load_image_model(ModelArguments(model_name_or_path=name), [str(label) for label in range(CLASSES)])


def small_vit() -> PreTrainedModel:
    sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    return ViTForImageClassification(ViTConfig(image_size=32, patch_size=4, num_labels=CLASSES, **sizes))


# name -> model, rows
MODELS: dict[str, tuple[Callable[[], PreTrainedModel], int]] = {
    "ResNet-small": (lambda: built_in("resnet-small"), 128),
    "ResNet-18": (lambda: built_in("resnet18-32"), 16),
    "VGG-16": (lambda: built_in("vgg16-bn"), 32),
    "ViT, 4 layers x 256": (small_vit, 32),
}


def batch(rows: int, size: int = 32) -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(rows, 3, size, size), "labels": torch.randint(CLASSES, (rows,))}


def interval(times: list[float], reference: list[float]) -> str:
    ratios = np.array(times) / np.array(reference)
    low, high = bootstrap(
        (ratios,), np.median, n_resamples=5000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return f"{np.median(ratios):.3f} (95% {low:.3f} to {high:.3f})"


def compare_steps(pairs: int) -> None:
    for name, (make, rows) in MODELS.items():
        torch.manual_seed(0)
        common = {"output_dir": tempfile.mkdtemp(), "use_cpu": True, "per_device_train_batch_size": rows}
        model = make()  # one model: the same weights, caches and memory for all
        trainers = {"stock": Trainer(model=model, args=TrainingArguments(**common))} | {
            way: ImageMixupTrainer(
                model=model, args=MixupTrainingArguments(**common, mixup_alpha=0.4, mixup_pixels=way)
            )
            for way in ("mixup", "cutmix")
        }
        for trainer in trainers.values():
            trainer.create_optimizer()
            trainer.current_gradient_accumulation_steps = 1
            for _ in range(3):
                step(trainer, batch(rows))
        times: dict[str, list[float]] = {way: [] for way in trainers}
        for _ in range(pairs):
            inputs = batch(rows)
            for way in random.sample(list(trainers), len(trainers)):
                times[way].append(step(trainers[way], inputs))
        print(f"{name}, {rows} x 3 x 32 x 32, stock step {1000 * np.median(times['stock']):.0f} ms")
        kept = {way: saved_bytes(trainer, inputs) for way, trainer in trainers.items()}
        for way in ("mixup", "cutmix"):
            print(
                f"    {way}: time x {interval(times[way], times['stock'])}, "
                f"of all steps together x {sum(times[way]) / sum(times['stock']):.3f}, "  # one in 16 pays for the draws
                f"bytes for backward x {kept[way] / kept['stock']:.6f}"
            )


STEPS_OF = {draw_mix: itertools.count(), draw_cut_mix: itertools.count()}


def loss_of(draw: Callable, images: Tensor, labels: Tensor, logits: Tensor, **arguments) -> Tensor:
    """The trainer's operations without its checks: a step's draw, its mixed pixels, and the loss of given logits."""
    block, step = divmod(next(STEPS_OF[draw]), STEPS_AHEAD)
    mix = draw_ahead(draw, block, n=len(labels), seed=0, **arguments)[step]
    mix_pixels(images, mix)
    partner_labels = labels.index_select(0, mix.partners)
    return mixed_cross_entropy(logits, labels, partner_labels, mix.label_lam, num_items=len(labels))


def our_mixup(images: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
    return loss_of(draw_mix, images, labels, logits, alpha=0.4)


def our_cutmix(images: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
    return loss_of(draw_cut_mix, images, labels, logits, alpha=1.0, size=tuple(images.shape[-2:]))


def other_ways() -> dict[str, tuple[str, Callable]]:
    """name -> which of ours it is compared with, and the way."""
    ways: dict[str, tuple[str, Callable]] = {}

    def with_soft_labels(mix: Callable) -> Callable:
        def way(images: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
            _, targets = mix(images, labels)
            return F.cross_entropy(logits, targets)

        return way

    try:
        from torchvision.transforms import v2

        ways["torchvision v2.MixUp"] = "mixup", with_soft_labels(v2.MixUp(alpha=0.4, num_classes=CLASSES))
        ways["torchvision v2.CutMix"] = "cutmix", with_soft_labels(v2.CutMix(alpha=1.0, num_classes=CLASSES))
    except ImportError:
        print("torchvision is not installed")
    try:
        from timm.data import Mixup

        shared = {"label_smoothing": 0.0, "num_classes": CLASSES}
        ways["timm Mixup"] = "mixup", with_soft_labels(Mixup(mixup_alpha=0.4, **shared))
        ways["timm Mixup, cutmix"] = (
            "cutmix",
            with_soft_labels(Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, correct_lam=True, **shared)),
        )
    except ImportError:
        print("timm is not installed")
    return ways


def compare_mixing(pairs: int) -> None:
    """Mixing pixels and taking the loss of given logits, on batches of CIFAR's and ImageNet's size.

    As in training, a model runs before each call. Times are of `STEPS_AHEAD` calls, since we draw for as many at once.
    """
    others = other_ways()
    mine = {"mixup": our_mixup, "cutmix": our_cutmix}
    ways = mine | {name: way for name, (_, way) in others.items()}
    model, images = built_in("resnet-small"), batch(16)["pixel_values"]
    for rows, size in ((128, 32), (32, 224)):
        times: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(pairs + 1):
            spent = dict.fromkeys(ways, 0.0)
            for _ in range(STEPS_AHEAD):
                inputs, logits = batch(rows, size), torch.randn(rows, CLASSES)
                for name in random.sample(list(ways), len(ways)):
                    model(pixel_values=images).logits.square().mean().backward()
                    given = inputs["pixel_values"].clone()  # timm mixes in place
                    start = time.perf_counter()
                    ways[name](given, inputs["labels"], logits)
                    spent[name] += time.perf_counter() - start
            if repeat >= 1:
                for name in ways:
                    times[name].append(spent[name] / STEPS_AHEAD)
        print(f"mixing {rows} x 3 x {size} x {size} alone: " + ", ".join(
            f"{name} {1e6 * np.median(times[name]):.0f} us" for name in mine
        ))  # fmt: skip
        for name, (counterpart, _) in others.items():
            print(f"    ours against {name}: time x {interval(times[counterpart], times[name])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["steps", "mixing"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    random.seed(0)
    print(f"{options.threads} threads, {options.pairs} interleaved pairs, torch {torch.__version__}")
    if options.only != "mixing":
        compare_steps(options.pairs)
    if options.only != "steps":
        compare_mixing(options.pairs)


if __name__ == "__main__":
    main()
