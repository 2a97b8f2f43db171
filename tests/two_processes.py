"""Runs under a 2-process launch; writes what the tests in test_two_processes.py compare with one process.

python -m torch.distributed.run --nproc_per_node 2 tests/two_processes.py FOLDER
"""

import gc
import sys
from pathlib import Path

import torch
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from test_trainer import Recorder
from transformers import Trainer

from nlp_mixup import MixupTrainer, calibration_metrics
from nlp_mixup.pairing import pool_batches

# name -> (rows, model type, arguments). Two processes, so 8 rows are 2 x 4, or 2 x 2 micro-batches of 2.
CASES = {
    "alpha0": (8, "bert", {"per_device_train_batch_size": 4}),
    "alpha0_accumulated": (8, "llama", {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
    "mixup_accumulated": (
        8,
        "bert",
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "mixup_alpha": 0.4},
    ),
    "mixup_per_example": (
        8,
        "llama",
        {
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "mixup_alpha": 0.4,
            "mixup_lambda_per": "example",
        },
    ),
}


def main(folder: Path) -> None:
    for name, (n, model_type, settings) in CASES.items():
        recorder = Recorder()
        args = training_arguments(folder / name, num_train_epochs=1, **settings)
        data = tiny_dataset(n)
        trainer = MixupTrainer(
            model=tiny_model(model_type), args=args, train_dataset=data, eval_dataset=tiny_dataset(6, seed=5),
            data_collator=PadCollator(), callbacks=[recorder], compute_metrics=calibration_metrics(),
        )  # fmt: skip
        # Evaluated before training, so that one process can repeat it.
        evaluation = trainer.evaluate()
        steps = []
        pair = trainer.pair

        def recording_pair(batches, pair=pair, steps=steps):
            pairings = pair(batches)
            steps.append((batches, pairings))
            return pairings

        trainer.pair = recording_pair
        trainer.train()
        ((batches, (first, *_)),) = steps
        torch.save(
            {
                "gradient": recorder.gradients[0],
                "batch": pool_batches(batches, pad_token_id=1),
                "mix": None if first is None else (first.mix.partners, first.mix.lam, first.mix.label_lam),
                "evaluation": {key: evaluation[key] for key in ("eval_loss", "eval_nll", "eval_ece")},
            },
            folder / f"{name}-{args.process_index}.pt",
        )
    args = training_arguments(folder / "stock", num_train_epochs=1)
    settings = {key: value for key, value in args.to_dict().items() if not key.startswith("mixup")}
    recorder = Recorder()
    stock = Trainer(
        model=tiny_model("bert"),
        args=type(args).__mro__[1](**settings | {"accelerator_config": None}),
        train_dataset=tiny_dataset(8),
        data_collator=PadCollator(),
        callbacks=[recorder],
    )
    stock.train()
    torch.save(recorder.gradients[0], folder / f"stock-{args.process_index}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    gc.collect()  # the wrapped models must be gone before their process group, or its threads can wait for ever
    torch.distributed.destroy_process_group()
