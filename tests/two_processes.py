"""Runs under a 2-process launch; writes what the tests in training/test_two_processes.py compare with one process.

python -m torch.distributed.run --nproc_per_node 2 tests/two_processes.py FOLDER
"""

import gc
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import is_torch_version
from conftest import PadCollator, stock_arguments, tiny_dataset, tiny_model, training_arguments
from example_scripts import load_example
from recorded_training import Recorder, gradient_of
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import Trainer

from nlp_mixup import MixupTrainer, calibration_metrics
from nlp_mixup.mixing.draw import draw_mix
from nlp_mixup.mixing.embeddings import EmbeddingMixer
from nlp_mixup.mixing.loss import mixed_cross_entropy
from nlp_mixup.mixing.pairing import pool_batches

# name -> (rows, model type, arguments). Two processes, so 8 rows are 2 x 4, or 2 x 2 micro-batches of 2.
# A learning rate of 0 keeps the weights, so that the gradient of every step can be replayed on the first ones.
_SHORT = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "learning_rate": 0.0, "mixup_alpha": 0.4}
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
    # 7 rows: accelerate fills the second process's batch up with the first row; or, told not to, leaves it 3 rows.
    "uneven_filled": (7, "bert", {"per_device_train_batch_size": 4, "mixup_alpha": 0.4}),
    "uneven": (
        7,
        "bert",
        {"per_device_train_batch_size": 4, "mixup_alpha": 0.4, "accelerator_config": {"even_batches": False}},
    ),
    # 9 rows are a step of 8 and one row more.
    "last_batch_kept": (9, "bert", _SHORT),
    "last_batch_dropped": (9, "bert", _SHORT | {"dataloader_drop_last": True}),
    "clean_weight": (8, "bert", _SHORT | {"mixup_clean_weight": 2.0}),
    "hidden": (
        8,
        "bert",
        {"per_device_train_batch_size": 4, "mixup_alpha": 0.4, "mixup_level": "hidden", "mixup_layer": [1]},
    ),
}


def partly_labelled():
    """9 rows, of which the second, the third and the last have no label."""
    data = tiny_dataset(9, seed=5)
    labels = [-100 if row in (1, 2, 8) else label for row, label in enumerate(data["label"])]
    return data.remove_columns("label").add_column("label", labels)


def summed_loss(outputs, labels, num_items_in_batch=None):
    """A loss function of a user's own: twice the cross-entropy."""
    return 2 * mixed_cross_entropy(outputs["logits"], labels, num_items=num_items_in_batch)


def train_cases(folder: Path) -> None:
    """Every case of CASES through the Trainer; records each step's gradient, rows and Mix."""
    for name, (n, model_type, settings) in CASES.items():
        recorder = Recorder()
        args = training_arguments(folder / name, num_train_epochs=1, **settings)
        data = tiny_dataset(n)
        trainer = MixupTrainer(
            model=tiny_model(model_type), args=args, train_dataset=data, eval_dataset=tiny_dataset(6, seed=5),
            data_collator=PadCollator(), callbacks=[recorder], compute_metrics=calibration_metrics(),
        )  # fmt: skip
        # Evaluated before training, so that one process can repeat it; once, since each evaluation takes its time.
        evaluation = trainer.evaluate() if name == "alpha0" else {}
        losses = {}
        if name == "alpha0":
            trainer.compute_metrics = None
            losses["labelled"] = trainer.evaluate(partly_labelled())["eval_loss"]
            trainer.args.per_device_eval_batch_size = 2
            losses["small_batches"] = trainer.evaluate(partly_labelled())["eval_loss"]
            trainer._user_loss_func = summed_loss
            losses["own_loss"] = trainer.evaluate(partly_labelled())["eval_loss"]
            trainer._user_loss_func = None
        steps = []
        pair = trainer.pair

        def recording_pair(batches, pair=pair, steps=steps):
            pairings = pair(batches)
            steps.append((batches, pairings))
            return pairings

        trainer.pair = recording_pair
        trainer.train()
        torch.save(
            {
                "steps": [
                    {
                        "gradient": gradient,
                        "batch": pool_batches(batches, pad_token_id=1),
                        "mix": None if first is None else (first.mix.partners, first.mix.lam, first.mix.label_lam),
                    }
                    for gradient, (batches, (first, *_)) in zip(recorder.gradients, steps, strict=True)
                ],
                "evaluation": {key: evaluation.get(key) for key in ("eval_loss", "eval_nll", "eval_ece")},
                "losses": losses,
            },
            folder / f"{name}-{args.process_index}.pt",
        )


def shard_step(folder: Path, rank: int) -> None:
    """FSDP2 in plain torch: accelerate keeps plain DDP on the CPU, whatever the Trainer's fsdp arguments say."""
    mesh = init_device_mesh("cpu", (2,))
    for name in ("fsdp2_root", "fsdp2_units"):
        model = tiny_model().train()
        mixer = EmbeddingMixer(model)
        if name == "fsdp2_units":  # the embedding's weight is then there in its own forward pass only
            for module in (model.bert.embeddings.word_embeddings, *model.bert.encoder.layer):
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh)
        data = tiny_dataset(8)
        batch = PadCollator()([data[4 * rank + row] for row in range(4)])
        mix = draw_mix(4, 0.4, seed=0, rank=rank)
        with mixer.armed(batch, mix) as carried:
            labels = carried.pop("labels")
            mixed_cross_entropy(model(**carried).logits, labels, labels[mix.partners], mix.lam).backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        step = {
            "gradient": torch.cat([gradient.full_tensor().flatten() for gradient in gradients]),
            "batch": batch,
            "mix": (mix.partners, mix.lam, mix.label_lam),
        }
        shares = [gradient.to_local().numel() for gradient in gradients]
        torch.save({"steps": [step], "local_numbers": sum(shares)}, folder / f"{name}-{rank}.pt")


def loop_step(folder: Path, rank: int) -> None:
    """One accumulated step of examples/accelerate_loop.py: 7 rows, of which this process has 4 or 3."""
    loop = load_example("accelerate_loop")
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    model = tiny_model().train()
    mixer = EmbeddingMixer(model)
    wrapped = accelerator.prepare(model)
    data = tiny_dataset(7)
    rows = [data[row] for row in range(7)][4 * rank : 4 * rank + 4]
    batches = [PadCollator()(rows[:2]), PadCollator()(rows[2:])]
    loss = loop.backward_mixed(accelerator, wrapped, mixer, batches, alpha=0.4, seed=0, step=0, pad_token_id=1)
    mix = draw_mix(len(rows), 0.4, seed=0, rank=rank)
    step = {
        "gradient": gradient_of(model).clone(), "batch": PadCollator()(rows),
        "mix": (mix.partners, mix.lam, mix.label_lam),
    }  # fmt: skip
    torch.save({"steps": [step], "loss": loss}, folder / f"accelerate_loop-{rank}.pt")


def main(folder: Path) -> None:
    train_cases(folder)
    rank = torch.distributed.get_rank()
    if is_torch_version(">=", "2.7"):  # 2.6 has no FSDP2 on the CPU
        shard_step(folder, rank)
    loop_step(folder, rank)
    args = training_arguments(folder / "stock", num_train_epochs=1)
    recorder = Recorder()
    stock = Trainer(
        model=tiny_model("bert"),
        args=stock_arguments(args),
        train_dataset=tiny_dataset(8),
        data_collator=PadCollator(),
        callbacks=[recorder],
    )
    stock.train()
    torch.save(recorder.gradients[0], folder / f"stock-{args.process_index}.pt")


if __name__ == "__main__":
    gc.freeze()  # each training collects garbage, and need not walk through the imported modules
    main(Path(sys.argv[1]))
    gc.collect()  # the wrapped models must be gone before their process group, or its threads can wait for ever
    torch.distributed.destroy_process_group()
