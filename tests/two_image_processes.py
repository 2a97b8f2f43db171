"""Runs under a 2-process launch; writes what vision/training/test_two_processes.py compares with one process.

python -m torch.distributed.run --nproc_per_node 2 tests/two_image_processes.py FOLDER
"""

import gc
import sys
from pathlib import Path

import torch
from conftest import training_arguments
from recorded_training import Recorder
from tiny_image_models import image_rows, tiny_image_classifier, tiny_images

from nlp_mixup import cli
from nlp_mixup.vision import ImageMixupTrainer
from nlp_mixup.vision.mixing.pixels import pool_images

# name -> model type and arguments: 8 rows are two processes' two micro-batches of 2.
CASES = {
    **{name: (name, {}) for name in ("vit", "swin", "convnext", "resnet", "vgg")},
    "cutmix": ("resnet", {"mixup_pixels": "cutmix"}),
    "alpha0": ("vit", {"mixup_alpha": 0.0}),
}


def train_cases(folder: Path) -> None:
    for name, (model_type, settings) in CASES.items():
        model, recorder, steps = tiny_image_classifier(model_type), Recorder(), []
        args = training_arguments(
            folder / name, max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=2,
            **{"mixup_alpha": 1.0, "mixup_lambda_per": "example", **settings},
        )  # fmt: skip
        trainer = ImageMixupTrainer(
            model=model, args=args, train_dataset=image_rows(tiny_images(model, n=8)), callbacks=[recorder]
        )
        pair = trainer.pair

        def recording_pair(batches, pair=pair, steps=steps):
            pairings = pair(batches)
            steps.append((pool_images(batches), pairings[0] and vars(pairings[0].mix)))
            return pairings

        trainer.pair = recording_pair
        trainer.train()
        ((batch, mix),) = steps
        record = {"gradient": recorder.gradients[0], "batch": batch, "mix": mix}
        torch.save(record, folder / f"{name}-{args.process_index}.pt")


def main(folder: Path) -> None:
    train_cases(folder)
    cli.main(
        ["train", "imagenet-resnet50", "--arm", "mixup", "--dataset_name", str(folder / "images"), "--max_steps", "2",
         "--model_name_or_path", "resnet-small", "--image_size", "16", "--per_device_train_batch_size", "2", "--use_cpu",
         "--eval_strategy", "no", "--save_strategy", "no", "--dataloader_num_workers", "0",
         "--noise_samples", "4", "--warmup_steps", "0", "--output_dir", str(folder / "run"), "--disable_tqdm", "true"]
    )  # fmt: skip


if __name__ == "__main__":
    gc.freeze()  # each training collects garbage, and need not walk through the imported modules
    main(Path(sys.argv[1]))
    assert not torch.distributed.is_initialized()  # the command has closed what connects the processes
