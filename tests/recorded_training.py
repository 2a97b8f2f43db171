"""Tiny trainings whose gradients and Mixes are recorded, and one step of them written out."""

import copy

import torch
import torch.nn.functional as F
from conftest import PadCollator, stock_arguments, tiny_dataset, tiny_model, training_arguments
from transformers import Trainer, TrainerCallback

from nlp_mixup import MixupTrainer
from nlp_mixup.mixing.embeddings import EmbeddingMixer


class Recorder(TrainerCallback):
    """The gradient that each optimiser step gets."""

    def __init__(self):
        self.gradients = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).clone())


class Stop(TrainerCallback):
    """Interrupts like a crash: an exception in the middle of training, between saves."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def train(folder, model=None, data=None, cls=MixupTrainer, **settings):
    """Trains a copy of the model; returns the trainer with `.gradients` and `.mixes`."""
    recorder = Recorder()
    model = copy.deepcopy(model or tiny_model())
    extra = {
        name: settings.pop(name)
        for name in ("compute_loss_func", "eval_dataset", "compute_metrics")
        if name in settings
    }
    callbacks = [recorder, *settings.pop("callbacks", ())]
    args = training_arguments(folder, **settings)
    if cls is Trainer:
        args = stock_arguments(args)
    trainer = cls(
        model=model,
        args=args,
        train_dataset=data or tiny_dataset(),
        data_collator=PadCollator(),
        callbacks=callbacks,
        **extra,
    )
    trainer.pairings = []
    if cls is not Trainer:
        pair = trainer.pair
        trainer.pair = lambda batches: trainer.pairings.append(pair(batches)) or trainer.pairings[-1]
    trainer.train()
    trainer.gradients = recorder.gradients
    return trainer


def gradient_of(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def batches(data, size):
    rows = [data[i] for i in range(len(data))]
    return [PadCollator()(rows[i : i + size]) for i in range(0, len(rows), size)]


def replay(model, batch, mix):
    """The gradient of one step, written out: all its rows in one batch, cross-entropy against the mixed labels."""
    model = copy.deepcopy(model).train()
    batch = dict(batch)
    labels = batch.pop("labels")
    hard = F.one_hot(labels, 3).float()
    if mix is None:
        logits, targets = model(**batch).logits, hard
    else:
        with EmbeddingMixer(model).armed(batch, mix) as carried:
            logits = model(**carried).logits
        targets = mix.label_lam[:, None] * hard + (1 - mix.label_lam[:, None]) * hard[mix.partners]
    (-(targets * F.log_softmax(logits, 1)).sum(1).mean()).backward()
    return gradient_of(model)


def build(tmp_path, model=None, data=None, cls=MixupTrainer, **settings):
    """A trainer that has not trained yet."""
    extra = {
        name: settings.pop(name)
        for name in ("compute_loss_func", "eval_dataset", "compute_metrics")
        if name in settings
    }
    args = training_arguments(tmp_path, **({"mixup_alpha": 0.4} | settings))
    return cls(
        model=model or tiny_model(),
        args=args,
        train_dataset=data or tiny_dataset(),
        data_collator=PadCollator(),
        **extra,
    )


class Rows(torch.utils.data.Dataset):
    """Rows of which nothing is known before they are read."""

    def __init__(self, rows):
        self.rows = list(rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]
