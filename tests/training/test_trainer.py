"""The trainer against plain references: the stock Trainer, one big batch, and the recorded Mixes replayed."""

import copy

import pytest
import torch
import torch.nn.functional as F
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from datasets import Dataset, Features, Sequence, Value
from recorded_training import Recorder, Stop, batches, build, gradient_of, replay, train
from transformers import Trainer, TrainerCallback, TrainingArguments

from nlp_mixup import MixupMixin, MixupTrainer, MixupTrainingArguments
from nlp_mixup.mixing.embeddings import EmbeddingMixer


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


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_a_trainer_that_divides_the_loss_once_more_is_refused(tmp_path, alpha):
    """As transformers 5.2 to 5.5.3 do, which hand the accumulation steps to accelerate; nothing has been trained then."""

    class Divides(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            trainer.accelerator.gradient_accumulation_steps = args.gradient_accumulation_steps

    args = training_arguments(
        tmp_path, mixup_alpha=alpha, per_device_train_batch_size=2, gradient_accumulation_steps=4, max_steps=1
    )
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    trainer = MixupTrainer(
        model=model, args=args, train_dataset=tiny_dataset(), data_collator=PadCollator(), callbacks=[Divides()]
    )
    with pytest.raises(RuntimeError, match=r"scales the loss of a step by 0\.25, expected 1"):
        trainer.train()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_stock_trainer_multiplies_the_gradient_by_the_accumulation_steps(tmp_path):
    """In transformers 5.5.4 to 5.24: why the no-mixup arm goes through this class too. When this fails, README is to say so."""
    settings = {"cls": Trainer, "max_steps": 1}
    big = train(tmp_path, per_device_train_batch_size=8, **settings)
    small = train(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4, **settings)
    assert (small.gradients[0].norm() / big.gradients[0].norm()).item() == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize("lambda_per", ["batch", "example"])
@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_mixed_accumulated_gradient_equals_the_replayed_reference(tmp_path, model_type, lambda_per):
    """Partners come from all micro-batches, whose widths differ; the last micro-batch has one row."""
    model, data = tiny_model(model_type), tiny_dataset(7)
    trainer = train(
        tmp_path, model, data, mixup_alpha=0.4, mixup_lambda_per=lambda_per,
        per_device_train_batch_size=2, gradient_accumulation_steps=4, num_train_epochs=1,
    )  # fmt: skip
    ((first, *_),) = trainer.pairings
    assert (first.mix.partners[:2] > 1).any()
    (whole,) = batches(data, 7)
    torch.testing.assert_close(trainer.gradients[0], replay(model, whole, first.mix), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_batches_of_one_row_mix_across_the_step_like_the_big_batch(tmp_path, model_type):
    model, settings = tiny_model(model_type), {"mixup_alpha": 1.0, "num_train_epochs": 2}
    big = train(tmp_path, model, per_device_train_batch_size=4, **settings)
    small = train(tmp_path, model, per_device_train_batch_size=1, gradient_accumulation_steps=4, **settings)
    for one, other in zip(small.gradients, big.gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_each_step_draws_anew_and_repeats_with_the_seed(tmp_path):
    settings = {
        "mixup_alpha": 0.4,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "num_train_epochs": 3,
    }
    lams = [step[0].mix.lam[0].item() for step in train(tmp_path, **settings).pairings]
    assert len(lams) == len(set(lams)) == 6
    assert [step[0].mix.lam[0].item() for step in train(tmp_path, **settings).pairings] == lams
    other = train(tmp_path, seed=1, **settings)
    assert {step[0].mix.lam[0].item() for step in other.pairings}.isdisjoint(lams)


@pytest.mark.parametrize("mode", ["inputs_only", "labels_only"])
def test_modes_equal_the_replayed_reference(tmp_path, mode):
    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(
        tmp_path, model, data, mixup_alpha=1.0, mixup_mode=mode, mixup_lambda_per="example", num_train_epochs=1, seed=3
    )
    mix = trainer.pairings[0][0].mix
    one_hot = mix.label_lam if mode == "inputs_only" else mix.lam
    assert set(one_hot.tolist()) == {0.0, 1.0}
    (batch,) = batches(data, 4)
    torch.testing.assert_close(trainer.gradients[0], replay(model, batch, mix), atol=1e-6, rtol=1e-5)


def test_clean_weight_adds_the_clean_loss(tmp_path):
    """RegMixup: the mean of the mixed and the clean loss at weight 1; 3 to 1 for the clean one at weight 3."""
    model, data = tiny_model(), tiny_dataset(4)
    (batch,) = batches(data, 4)
    clean = replay(model, batch, None)
    for weight in (1.0, 3.0):
        trainer = train(tmp_path, model, data, mixup_alpha=1.0, mixup_clean_weight=weight, num_train_epochs=1)
        mixed = replay(model, batch, trainer.pairings[0][0].mix)
        torch.testing.assert_close(trainer.gradients[0], (mixed + weight * clean) / (1 + weight), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
def test_sentence_level_is_interpolation_of_logits(tmp_path, clean_weight):
    model, data = tiny_model("llama"), tiny_dataset(4)
    trainer = train(
        tmp_path,
        model,
        data,
        mixup_alpha=1.0,
        mixup_level="sentence",
        mixup_clean_weight=clean_weight,
        num_train_epochs=1,
    )
    mix, (batch,) = trainer.pairings[0][0].mix, batches(data, 4)
    labels = batch.pop("labels")
    model = copy.deepcopy(model).train()
    logits = model(**batch).logits
    lam, hard = mix.lam[:, None], F.one_hot(labels, 3).float()
    mixed = lam * logits + (1 - lam) * logits[mix.partners]
    targets = lam * hard + (1 - lam) * hard[mix.partners]
    loss = -(targets * F.log_softmax(mixed, 1)).sum(1).mean()
    ((loss + clean_weight * F.cross_entropy(logits, labels)) / (1 + clean_weight)).backward()
    torch.testing.assert_close(trainer.gradients[0], gradient_of(model), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
def test_hidden_level_equals_a_forward_pass_written_out(tmp_path, clean_weight):
    """BERT layer by layer: the output of layer 1 mixed under both masks, then layer 2, pooler and head."""
    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(
        tmp_path, model, data, mixup_alpha=1.0, mixup_level="hidden", mixup_layer=[1], mixup_clean_weight=clean_weight,
        num_train_epochs=1,
    )  # fmt: skip
    mix, (batch,) = trainer.pairings[0][0].mix, batches(data, 4)
    labels, mask = batch.pop("labels"), batch["attention_mask"]
    model = copy.deepcopy(model).train()

    def mixed_forward():
        both = torch.maximum(mask, mask[mix.partners])[:, None, None, :].bool()
        hidden = model.bert.embeddings(batch["input_ids"])
        for index, layer in enumerate(model.bert.encoder.layer):
            hidden = layer(hidden, both.expand(-1, -1, hidden.shape[1], -1))
            if index == 0:
                hidden = mix.lam[:, None, None] * hidden + (1 - mix.lam[:, None, None]) * hidden[mix.partners]
        return model.classifier(model.bert.pooler(hidden))

    hard = F.one_hot(labels, 3).float()
    targets = mix.lam[:, None] * hard + (1 - mix.lam[:, None]) * hard[mix.partners]
    loss = -(targets * F.log_softmax(mixed_forward(), 1)).sum(1).mean()
    ((loss + clean_weight * F.cross_entropy(model(**batch).logits, labels)) / (1 + clean_weight)).backward()
    torch.testing.assert_close(trainer.gradients[0], gradient_of(model), atol=1e-5, rtol=1e-5)


def test_hidden_level_draws_among_its_layers(tmp_path):
    trainer = train(tmp_path, mixup_alpha=0.4, mixup_level="hidden", mixup_layer=[1, 2], num_train_epochs=6)
    assert len(trainer.gradients) == 12


def test_off_epoch_and_probability_leave_batches_clean(tmp_path):
    late = train(tmp_path, mixup_alpha=0.4, mixup_off_epoch=1, num_train_epochs=3)
    assert [step[0] is None for step in late.pairings] == [False] * 2 + [True] * 4
    some = train(tmp_path, mixup_alpha=0.4, mixup_probability=0.5, num_train_epochs=20)
    clean = sum(step[0] is None for step in some.pairings)
    assert 10 <= clean <= 30


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


@pytest.mark.parametrize("own_loss", [False, True])
def test_eval_loss_is_the_mean_over_rows_with_a_label(tmp_path, own_loss):
    """-100 marks a row without label; the stock Trainer's is a mean of the batches' means."""
    data = tiny_dataset(7, seed=4)
    labels = [-100 if row in (0, 1, 6) else label for row, label in enumerate(data["label"])]
    data = data.remove_columns("label").add_column("label", labels)

    def doubled(outputs, labels, num_items_in_batch=None):
        return 2 * F.cross_entropy(outputs["logits"], labels, reduction="sum") / num_items_in_batch

    model = tiny_model()
    settings = {"compute_loss_func": doubled} if own_loss else {}
    trainer = train(
        tmp_path, model, max_steps=1, learning_rate=0.0, eval_dataset=data, per_device_eval_batch_size=3, **settings
    )
    (batch,) = batches(data, 7)
    labels = batch.pop("labels")
    with torch.no_grad():
        exact = F.cross_entropy(model(**batch).logits, labels).item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx((1 + own_loss) * exact, abs=1e-6)
    assert trainer.predict(data).metrics["test_loss"] == pytest.approx((1 + own_loss) * exact, abs=1e-6)


@pytest.mark.parametrize(
    "settings", [{}, {"confidence_penalty": 0.1, "label_smoothing_factor": 0.1}, {"mixup_alpha": 0.4}]
)
def test_rows_without_any_label_are_no_evaluation_and_change_no_weight(tmp_path, settings):
    data = tiny_dataset(4)
    data = data.remove_columns("label").add_column("label", [-100] * 4)
    model = tiny_model()
    trainer = train(tmp_path, model, data, eval_dataset=data, max_steps=1, **settings)
    for before, after in zip(model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(before, after)
    with pytest.raises(ValueError, match=r"None of the rows to evaluate has a label: all are -100.*trainer.predict"):
        trainer.evaluate()
    assert trainer.predict(data).predictions.shape == (4, 3)


def test_label_smoothing_in_training_equals_torch(tmp_path):
    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(tmp_path, model, data, label_smoothing_factor=0.2, num_train_epochs=1)
    model = copy.deepcopy(model).train()
    (batch,) = batches(data, 4)
    labels = batch.pop("labels")
    F.cross_entropy(model(**batch).logits, labels, label_smoothing=0.2).backward()
    reference = gradient_of(model)
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
    mix, (batch,) = trainer.pairings[0][0].mix, batches(data, 4)
    labels = batch.pop("labels")
    model = copy.deepcopy(model).train()
    with EmbeddingMixer(model).armed(batch, mix) as carried:
        outputs = model(**carried)
    lam = mix.lam[0]
    (lam * weighted(outputs, labels, 4) + (1 - lam) * weighted(outputs, labels[mix.partners], 4)).backward()
    reference = gradient_of(model)
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-6, rtol=1e-5)


def test_a_loss_that_would_not_mix_the_labels_is_an_error(tmp_path):
    """Where the code does not show it at construction, the first step does."""
    trainer = build(tmp_path, max_steps=1)
    trainer.compute_loss_func = own_loss
    with pytest.raises(RuntimeError, match=r"MixupTrainer mixed the inputs, but its loss did not mix the labels"):
        trainer.train()


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
    lam = trainer.pairings[0][0].mix.lam
    assert lam.dtype == torch.float32
    assert torch.equal(lam, lam.bfloat16().float())


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
        ({"mixup_level": "layer"}, r"mixup_level must be one of 'embedding', 'hidden', 'sentence', got 'layer'"),
        ({"mixup_level": "hidden"}, r"mixup_layer and mixup_level='hidden' belong together.*mixup_layer=None"),
        ({"mixup_layer": [1]}, r"belong together.*Got mixup_level='embedding', mixup_layer=\[1\]"),
        ({"mixup_level": "hidden", "mixup_layer": [0]}, r"mixup_layer counts from 1, got \[0\]"),
        ({"mixup_mode": "both"}, r"mixup_mode must be one of 'full', 'inputs_only', 'labels_only', got 'both'"),
        ({"mixup_probability": 1.5}, r"mixup_probability must lie between 0 and 1, got 1.5"),
        ({"mixup_clean_weight": -1}, r"mixup_clean_weight must be a finite number >= 0, got -1"),
        ({"mixup_off_epoch": -1}, r"mixup_off_epoch must be >= 0, got -1"),
    ],
)
def test_arguments_out_of_range(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        training_arguments(tmp_path, **settings)


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


def test_hidden_level_is_refused_for_decoders_at_construction(tmp_path):
    with pytest.raises(
        ValueError, match=r"'llama' cannot be mixed at mixup_level='hidden', which is proven for albert, bert"
    ):
        build(tmp_path, tiny_model("llama"), mixup_level="hidden", mixup_layer=[1])
    with pytest.raises(ValueError, match=r"mixup_layer 3 does not exist; the model has the layers 1 to 2"):
        build(tmp_path, tiny_model(), mixup_level="hidden", mixup_layer=[3]).train()


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
    data = tiny_dataset(8, n_labels=4)
    with pytest.raises(ValueError, match=r"Label 3 is outside the model's classes 0 to 2"):
        build(tmp_path, data=data)
    with pytest.raises(ValueError, match=r"Label 3 is outside the model's classes 0 to 2"):
        build(tmp_path, data=list(data)).train()


def test_the_mixin_behind_a_trainer_is_refused():
    with pytest.raises(TypeError, match=r"Write class Wrong\(MixupMixin, Trainer\)"):

        class Wrong(Trainer, MixupMixin):
            pass


def test_a_model_without_config_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Linear has no config"):
        build(tmp_path, torch.nn.Linear(2, 3))


def test_compiled_arms_of_one_process_do_not_share_a_graph(tmp_path):
    """Dynamo takes hooks for constant by default: the mixup arm would run the plain arm's graph."""
    pytest.importorskip("torch", minversion="2.7", reason="torch 2.6 compiles no step of the stock Trainer either")
    compiled = {"torch_compile": True, "torch_compile_backend": "eager", "num_train_epochs": 2}
    for alpha in (0.0, 0.4):
        plain = train(tmp_path, mixup_alpha=alpha, num_train_epochs=2)
        traced = train(tmp_path, mixup_alpha=alpha, **compiled)
        for one, other in zip(traced.gradients, plain.gradients, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_batch_without_labels(tmp_path):
    trainer = build(tmp_path)
    trainer.data_collator = lambda rows: {k: v for k, v in PadCollator()(rows).items() if k != "labels"}
    with pytest.raises(ValueError, match=r"The training batch has no labels, only attention_mask, input_ids"):
        trainer.train()
