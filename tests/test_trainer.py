"""The trainer against plain references: the stock Trainer, one big batch, and the recorded Mixes replayed."""

import copy

import pytest
import torch
import torch.nn.functional as F
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from datasets import Dataset, Features, Sequence, Value
from transformers import Trainer, TrainerCallback, TrainingArguments

from nlp_mixup import MixupMixin, MixupTrainer, MixupTrainingArguments
from nlp_mixup.embeddings import EmbeddingMixer


class Recorder(TrainerCallback):
    """The gradient that each optimiser step gets."""

    def __init__(self):
        self.gradients = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).clone())


def train(folder, model=None, data=None, cls=MixupTrainer, **settings):
    """Trains a copy of the model; returns the trainer with `.gradients` and `.mixes`."""
    recorder = Recorder()
    model = copy.deepcopy(model or tiny_model())
    extra = {
        name: settings.pop(name)
        for name in ("compute_loss_func", "eval_dataset", "compute_metrics")
        if name in settings
    }
    args = training_arguments(folder, **settings)
    if cls is Trainer:
        args = TrainingArguments(
            **{k: v for k, v in args.to_dict().items() if not k.startswith("mixup")} | {"accelerator_config": None}
        )
    trainer = cls(
        model=model,
        args=args,
        train_dataset=data or tiny_dataset(),
        data_collator=PadCollator(),
        callbacks=[recorder],
        **extra,
    )
    trainer.mixes = []
    if cls is not Trainer:
        draw = trainer.draw_mix
        trainer.draw_mix = lambda inputs: trainer.mixes.append(draw(inputs)) or trainer.mixes[-1]
    trainer.train()
    trainer.gradients = recorder.gradients
    return trainer


def replay(model, batches, mixes):
    """The gradient of one step, written out: the mean over all rows of lam CE(y_a) + (1 - lam) CE(y_b)."""
    model = copy.deepcopy(model).train()
    model.zero_grad()
    n = sum(len(batch["labels"]) for batch in batches)
    for batch, mix in zip(batches, mixes, strict=True):
        batch = dict(batch)
        labels = batch.pop("labels")
        if mix is None:
            loss = F.cross_entropy(model(**batch).logits, labels, reduction="sum")
        else:
            with EmbeddingMixer(model).armed(batch, mix) as carried:
                logits = model(**carried).logits
            log_probs = F.log_softmax(logits, 1)
            targets = mix.lam[:, None] * F.one_hot(labels, 3) + (1 - mix.lam[:, None]) * F.one_hot(
                labels[mix.partners], 3
            )
            loss = -(targets * log_probs).sum()
        (loss / n).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def batches(data, size):
    rows = [data[i] for i in range(len(data))]
    return [PadCollator()(rows[i : i + size]) for i in range(0, len(rows), size)]


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_alpha_zero_is_the_stock_trainer_without_accumulation(tmp_path, model_type):
    model = tiny_model(model_type)
    ours = train(tmp_path, model, mixup_alpha=0.0, num_train_epochs=3)
    stock = train(tmp_path, model, cls=Trainer, num_train_epochs=3)
    assert len(ours.gradients) == len(stock.gradients) == 6
    for mine, theirs in zip(ours.gradients, stock.gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)
    assert ours.state.log_history[-1]["train_loss"] == pytest.approx(
        stock.state.log_history[-1]["train_loss"], abs=1e-6
    )


@pytest.mark.parametrize("model_type", ["bert", "roberta", "llama"])
def test_alpha_zero_accumulation_gives_the_gradient_of_the_big_batch(tmp_path, model_type):
    model = tiny_model(model_type)
    big = train(tmp_path, model, per_device_train_batch_size=8, max_steps=1)
    small = train(tmp_path, model, per_device_train_batch_size=2, gradient_accumulation_steps=4, max_steps=1)
    torch.testing.assert_close(small.gradients[0], big.gradients[0], atol=1e-5, rtol=1e-5)


def test_stock_trainer_multiplies_the_gradient_by_the_accumulation_steps(tmp_path):
    """The reason why the no-mixup arm goes through this class too; when this fails, upstream is repaired: say so."""
    settings = {"cls": Trainer, "max_steps": 1}
    big = train(tmp_path, per_device_train_batch_size=8, **settings)
    small = train(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4, **settings)
    assert (small.gradients[0].norm() / big.gradients[0].norm()).item() == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize("lambda_per", ["batch", "example"])
@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_mixed_accumulated_gradient_equals_the_replayed_reference(tmp_path, model_type, lambda_per):
    model, data = tiny_model(model_type), tiny_dataset(7)  # the last micro-batch has one row, with no partner
    trainer = train(
        tmp_path, model, data, mixup_alpha=0.4, mixup_lambda_per=lambda_per,
        per_device_train_batch_size=2, gradient_accumulation_steps=4, num_train_epochs=1,
    )  # fmt: skip
    assert [mix is None for mix in trainer.mixes] == [False, False, False, True]
    reference = replay(model, batches(data, 2), trainer.mixes)
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-5, rtol=1e-5)


def test_each_step_and_micro_step_draws_anew(tmp_path):
    trainer = train(
        tmp_path, mixup_alpha=0.4, per_device_train_batch_size=2, gradient_accumulation_steps=2, num_train_epochs=3
    )
    lams = [mix.lam[0].item() for mix in trainer.mixes]
    assert len(lams) == len(set(lams)) == 12
    again = train(
        tmp_path, mixup_alpha=0.4, per_device_train_batch_size=2, gradient_accumulation_steps=2, num_train_epochs=3
    )
    assert [mix.lam[0].item() for mix in again.mixes] == lams


def test_dropout_sees_the_same_random_stream_with_and_without_mixup(tmp_path):
    model = tiny_model(hidden_dropout_prob=0.2)
    states = []
    for alpha in (0.0, 0.4):
        train(tmp_path, model, mixup_alpha=alpha, num_train_epochs=1)
        states.append(torch.random.get_rng_state())
    assert torch.equal(*states)


@pytest.mark.parametrize("settings", [{"mixup_alpha": 0.4}, {"label_smoothing_factor": 0.2}])
def test_eval_loss_is_plain_cross_entropy(tmp_path, settings):
    data = tiny_dataset(6)
    trainer = train(tmp_path, eval_dataset=data, num_train_epochs=1, per_device_eval_batch_size=4, **settings)
    losses = []
    for batch in batches(data, 4):
        labels = batch.pop("labels")
        with torch.no_grad():
            losses.append(F.cross_entropy(trainer.model(**batch).logits, labels, reduction="none"))
    assert trainer.evaluate()["eval_loss"] == pytest.approx(torch.cat(losses).mean().item(), abs=1e-6)


def test_label_smoothing_in_training_equals_torch(tmp_path):
    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(tmp_path, model, data, label_smoothing_factor=0.2, num_train_epochs=1)
    model = copy.deepcopy(model).train()
    (batch,) = batches(data, 4)
    labels = batch.pop("labels")
    F.cross_entropy(model(**batch).logits, labels, label_smoothing=0.2).backward()
    reference = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-6, rtol=1e-5)


def test_labels_stay_integers_and_out_of_the_model(tmp_path):
    seen = []
    model = tiny_model()
    model.register_forward_pre_hook(lambda *call: seen.append(call[2].get("labels")), with_kwargs=True)
    trainer = train(tmp_path, model, mixup_alpha=0.4, num_train_epochs=1)
    assert seen == [None, None]
    assert trainer.model.config.problem_type == "single_label_classification"


def test_users_loss_is_called_with_each_label_set_and_mixed(tmp_path):
    weight = torch.tensor([1.0, 5.0, 0.2])

    def weighted(outputs, labels, num_items_in_batch=None):
        return F.cross_entropy(outputs["logits"], labels, weight=weight, reduction="sum") / num_items_in_batch

    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(tmp_path, model, data, mixup_alpha=0.4, num_train_epochs=1, compute_loss_func=weighted)
    (mix,), (batch,) = trainer.mixes, batches(data, 4)
    labels = batch.pop("labels")
    model = copy.deepcopy(model).train()
    with EmbeddingMixer(model).armed(batch, mix) as carried:
        outputs = model(**carried)
    lam = mix.lam[0]
    (lam * weighted(outputs, labels, 4) + (1 - lam) * weighted(outputs, labels[mix.partners], 4)).backward()
    reference = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-6, rtol=1e-5)


def test_a_loss_that_would_not_mix_the_labels_is_an_error(tmp_path):
    class Own(MixupMixin, Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            outputs = model(**inputs)
            return (outputs.loss, outputs) if return_outputs else outputs.loss

    with pytest.raises(RuntimeError, match=r"Own mixed the inputs, but its loss did not mix the labels"):
        train(tmp_path, cls=Own, mixup_alpha=0.4)
    assert len(train(tmp_path, cls=Own, max_steps=1).gradients) == 1  # alpha = 0: nothing to mix


def test_mixin_serves_a_trainer_subclass(tmp_path):
    class Base(Trainer):
        steps = 0

        def training_step(self, *args, **kwargs):
            self.steps += 1
            return super().training_step(*args, **kwargs)

    class Mine(MixupMixin, Base):
        pass

    trainer = train(tmp_path, cls=Mine, mixup_alpha=0.4, num_train_epochs=1)
    plain = train(tmp_path, mixup_alpha=0.4, num_train_epochs=1)
    assert trainer.steps == 2
    torch.testing.assert_close(trainer.gradients[1], plain.gradients[1])


def test_the_model_has_no_hooks_left_after_training(tmp_path):
    trainer = train(tmp_path, mixup_alpha=0.4, max_steps=1)
    embedding = trainer.model.get_input_embeddings()
    assert not embedding._forward_hooks
    assert not embedding._forward_pre_hooks


def test_pure_bfloat16_rounds_lambda_once(tmp_path):
    model = tiny_model().bfloat16()
    trainer = train(tmp_path, model, mixup_alpha=0.4, max_steps=1)
    lam = trainer.mixes[0].lam
    assert lam.dtype == torch.float32
    assert torch.equal(lam, lam.bfloat16().float())


class Stop(TrainerCallback):
    """Interrupts like a crash: an exception in the middle of training, between saves."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("lambda_per", ["batch", "example"])
def test_resumed_equals_uninterrupted(tmp_path, lambda_per):
    model, data = tiny_model(hidden_dropout_prob=0.1), tiny_dataset(20)
    settings = {
        "mixup_alpha": 0.4, "mixup_lambda_per": lambda_per, "num_train_epochs": 2, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2, "save_strategy": "steps", "save_steps": 3, "optim": "adamw_torch",
        "learning_rate": 1e-3, "train_sampling_strategy": "random",
    }  # fmt: skip
    whole = train(tmp_path / "whole", model, data, **settings)
    args = training_arguments(tmp_path / "cut", **settings)
    cut = MixupTrainer(
        model=copy.deepcopy(model), args=args, train_dataset=data, data_collator=PadCollator(), callbacks=[Stop(4)]
    )
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    recorder = Recorder()
    resumed = MixupTrainer(
        model=tiny_model(seed=9, hidden_dropout_prob=0.1),
        args=args,
        train_dataset=data,
        data_collator=PadCollator(),
        callbacks=[recorder],
    )
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    for mine, theirs in zip(recorder.gradients, whole.gradients[3:], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)
    for mine, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixup_alpha": -0.1}, r"mixup_alpha must be a finite number >= 0 .*, got -0.1"),
        ({"mixup_alpha": float("nan")}, r"mixup_alpha must be a finite number >= 0 .*, got nan"),
        ({"mixup_lambda_per": "row"}, r"mixup_lambda_per must be one of 'batch', 'example', got 'row'"),
        ({"mixup_carrier": "both"}, r"mixup_carrier must be one of 'auto', 'dominant', 'longer', got 'both'"),
        ({"mixup_alpha": 0.2, "per_device_train_batch_size": 1}, r"leaves no partner to mix with. Set it to 2 or more"),
    ],
)
def test_arguments_out_of_range(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        training_arguments(tmp_path, **settings)


def build(tmp_path, model=None, data=None, **settings):
    extra = {name: settings.pop(name) for name in ("compute_loss_func",) if name in settings}
    args = training_arguments(tmp_path, **({"mixup_alpha": 0.4} | settings))
    return MixupTrainer(
        model=model or tiny_model(),
        args=args,
        train_dataset=data or tiny_dataset(),
        data_collator=PadCollator(),
        **extra,
    )


def own_loss(outputs, labels, num_items_in_batch=None):
    return outputs["logits"].sum()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compute_loss_func": own_loss, "mixup_lambda_per": "example"}, r"cannot be mixed by a lambda per example"),
        (
            {"compute_loss_func": own_loss, "label_smoothing_factor": 0.1},
            r"label_smoothing_factor=0.1 would be ignored",
        ),
    ],
)
def test_settings_that_contradict_a_users_loss(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path, **settings)


def test_plain_training_arguments_are_refused(tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(ValueError, match=r"args must be MixupTrainingArguments, got TrainingArguments. Type: from"):
        MixupTrainer(model=tiny_model(), args=args)


def test_data_parallel_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(MixupTrainingArguments, "n_gpu", 2)
    with pytest.raises(ValueError, match=r"2 GPUs in one process would use nn.DataParallel.*accelerate launch"):
        build(tmp_path, max_steps=1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"num_labels": 1}, r"num_labels=1 is regression"),
        ({"problem_type": "multi_label_classification"}, r"problem_type='multi_label_classification' is not supported"),
        (
            {"model_type": "llama", "pad_token_id": None},
            r"LlamaForSequenceClassification has no pad token.*tokenizer.pad_token =",
        ),
    ],
)
def test_models_that_cannot_be_trained(tmp_path, model, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path, tiny_model(**model))


def test_encoder_decoder_is_refused_at_construction_with_mixup_only(tmp_path):
    model = tiny_model(
        "bart", d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2
    )
    with pytest.raises(ValueError, match=r"Model type 'bart' cannot be trained with mixup: .*mixup_alpha=0"):
        build(tmp_path, model)
    build(tmp_path, model, mixup_alpha=0.0)


@pytest.mark.parametrize(
    ("feature", "values", "message"),
    [
        (Value("float32"), [0.0, 1.0], r"The labels are floats; .*cast_column\('label'"),
        (Sequence(Value("int64")), [[0, 1], [1, 0]], r"The labels are lists; .*Multi-label targets are not supported"),
    ],
)
def test_targets_that_are_no_classes(tmp_path, feature, values, message):
    rows = {"input_ids": [[3, 4], [5, 6]], "attention_mask": [[1, 1], [1, 1]], "label": values}
    features = Features(
        {"input_ids": Sequence(Value("int64")), "attention_mask": Sequence(Value("int64")), "label": feature}
    )
    with pytest.raises(ValueError, match=message):
        build(tmp_path, data=Dataset.from_dict(rows, features=features))
    # A torch data set declares nothing: its first batch tells.
    untyped = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    with pytest.raises(ValueError, match=message):
        build(tmp_path, data=untyped).train()


def test_label_outside_the_models_classes(tmp_path):
    with pytest.raises(ValueError, match=r"Label 3 is outside the model's classes 0 to 2"):
        build(tmp_path, data=tiny_dataset(8, n_labels=4)).train()


def test_batch_without_labels(tmp_path):
    trainer = build(tmp_path)
    trainer.data_collator = lambda rows: {k: v for k, v in PadCollator()(rows).items() if k != "labels"}
    with pytest.raises(ValueError, match=r"The training batch has no labels, only attention_mask, input_ids"):
        trainer.train()
