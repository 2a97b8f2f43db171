"""Mixup in a training loop of your own on accelerate, without the Trainer; offline, on tweets, in under a minute.

python examples/accelerate_loop.py
accelerate launch --config_file examples/accelerate_configs/cpu_2_processes.yaml examples/accelerate_loop.py --cpu

Needs the extra ``demo``. The gradient is that of one batch, however many micro-batches and processes share its rows.
"""

import argparse
from contextlib import nullcontext
from itertools import accumulate, islice

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding

from nlp_mixup.arguments import DataArguments, ModelArguments
from nlp_mixup.data import load_text_data, tokenize
from nlp_mixup.mixing import EmbeddingMixer, draw_mix, mixed_cross_entropy, pool_batches
from nlp_mixup.models import load_model, load_tokenizer


def backward_mixed(accelerator, model, mixer, batches, *, alpha, seed, step, pad_token_id) -> float:
    """Forward and backward of one optimiser step: its micro-batches on this process, each with ``labels``.

    Returns:
        The mixed loss, a mean over all rows of the step.
    """
    sizes = [len(batch["labels"]) for batch in batches]
    n_rows = accelerator.reduce(torch.tensor(sum(sizes), device=accelerator.device))
    # Partners come from all rows of the step on this process; the rank makes the processes' draws differ.
    mix = draw_mix(sum(sizes), alpha, seed=seed, rank=accelerator.process_index, step=step).to(accelerator.device)
    pool = pool_batches(batches, pad_token_id)
    partner_labels = pool["labels"][mix.partners]
    # Undone here: accelerate divides by the accumulation steps, DDP takes the mean over the processes.
    scale = accelerator.gradient_accumulation_steps * accelerator.num_processes

    total = torch.zeros((), device=accelerator.device)
    for size, end in zip(sizes, accumulate(sizes), strict=True):
        rows = slice(end - size, end)
        # Processes share gradients once per step. The forward pass belongs inside, and the mixer stays armed to backward.
        sync = nullcontext() if end == sum(sizes) else accelerator.no_sync(model)
        with sync, mixer.armed(pool, mix, rows=rows) as carried:
            labels = carried.pop("labels")
            loss = mixed_cross_entropy(
                model(**carried).logits, labels, partner_labels[rows], mix.label_lam[rows], num_items=n_rows
            )
            accelerator.backward(loss * scale)
        total += loss.detach()
    return accelerator.reduce(total).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000, help="training rows")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=16, help="rows of a micro-batch on one process")
    parser.add_argument("--gradient_accumulation_steps", type=int, default=2)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--alpha", type=float, default=0.4, help="lambda ~ Beta(alpha, alpha)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="stay on the CPU")
    args = parser.parse_args()

    accelerator = Accelerator(gradient_accumulation_steps=args.gradient_accumulation_steps, cpu=args.cpu)
    set_seed(args.seed)
    with accelerator.main_process_first():
        data = load_text_data(DataArguments(dataset_name="demo-tweets", max_train_samples=args.rows))
        tokenizer = load_tokenizer(ModelArguments(), data)
        splits = tokenize(data, tokenizer, max_length=64)
    model = load_model(ModelArguments(), data, tokenizer)
    mixer = EmbeddingMixer(model)  # takes the model before it is wrapped
    collate = DataCollatorWithPadding(tokenizer)
    model, optimizer, train, validation = accelerator.prepare(
        model, torch.optim.AdamW(model.parameters(), lr=args.learning_rate),
        DataLoader(splits["train"], args.batch_size, shuffle=True, collate_fn=collate),
        DataLoader(splits["validation"], 128, collate_fn=collate),
    )  # fmt: skip

    step = 0
    for epoch in range(args.epochs):
        model.train()
        batches, losses = iter(train), []
        while group := list(islice(batches, args.gradient_accumulation_steps)):
            losses.append(
                backward_mixed(
                    accelerator, model, mixer, [dict(batch) for batch in group],
                    alpha=args.alpha, seed=args.seed, step=step, pad_token_id=tokenizer.pad_token_id,
                )
            )  # fmt: skip
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        model.eval()
        right = []
        for batch in validation:
            labels = batch.pop("labels")
            with torch.no_grad():
                right.append(accelerator.gather_for_metrics(model(**batch).logits.argmax(1) == labels))
        right = torch.cat(right).float()
        accelerator.print(
            f"epoch {epoch + 1}: mixed loss {sum(losses) / len(losses):.3f}, validation accuracy {right.mean():.3f} "
            f"({len(right)} rows)"
        )


if __name__ == "__main__":
    main()
