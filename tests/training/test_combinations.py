"""Mixup beside what else a run can ask of the Trainer, each against a plain reference."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from altered_models import adapted
from conftest import PadCollator, tiny_batch, tiny_dataset, tiny_model, training_arguments
from datasets import Dataset
from recorded_training import batches, build, gradient_of, replay, train
from transformers import EarlyStoppingCallback, TrainerCallback

from nlp_mixup import MixupTrainer, calibration_metrics
from nlp_mixup.calibration import Temperature
from nlp_mixup.mixing.architectures import encoder_layers
from nlp_mixup.mixing.draw import Mix
from nlp_mixup.mixing.embeddings import EmbeddingMixer, choose_carriers
from nlp_mixup.mixing.hidden import HiddenMixer
from nlp_mixup.models.adapters import merge_adapters
from nlp_mixup.models.fold import fold_temperature
from nlp_mixup.training.refusals import check_split_model

LEVELS = [{"mixup_level": "embedding"}, {"mixup_level": "hidden", "mixup_layer": [1]}]
LEVEL_NAMES = ["embedding", "hidden"]


def fixed_width_dataset(n, width=8):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 60, (n, width), generator=generator).tolist()
    return Dataset.from_dict(
        {"input_ids": ids, "attention_mask": [[1] * width] * n, "label": [i % 3 for i in range(n)]}
    )


def written_out(model, batch, mix, noise=0.0):
    """The gradient of an embedding-mixed step by plain calls: embed both rows, interpolate, classify, two losses."""
    batch = dict(batch)
    labels, ids, mask = batch.pop("labels"), batch["input_ids"], batch["attention_mask"]
    carriers, others, share = choose_carriers(mix, mask.sum(1))
    embed = model.get_input_embeddings()
    first, second = embed(ids[carriers]), embed(ids[others])
    mixed = torch.lerp(second, first, share.to(first.dtype)[:, None, None]) + noise
    logits = model(inputs_embeds=mixed, attention_mask=mask[carriers]).logits.float()
    own = F.cross_entropy(logits, labels, reduction="none")
    partner = F.cross_entropy(logits, labels[mix.partners], reduction="none")
    (mix.label_lam * own + (1 - mix.label_lam) * partner).mean().backward()
    return gradient_of(model)


# ---- torch.compile, checkpointing, precision -------------------------------------------------------------------------


@pytest.fixture
def graphs():
    """Counts what dynamo compiles; a fresh dynamo before and after."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch._dynamo.reset()


@pytest.mark.parametrize("level", LEVELS, ids=LEVEL_NAMES)
def test_compiled_steps_share_one_graph(tmp_path, graphs, level):
    """Six steps of one shape; a partly mixed run has one graph for the mixed and one for the clean batches."""
    pytest.importorskip("torch", minversion="2.7", reason="torch 2.6 compiles no step of the stock Trainer either")
    compiled = {"torch_compile": True, "torch_compile_backend": "eager", "mixup_alpha": 0.4, "num_train_epochs": 1}
    data = fixed_width_dataset(24)
    train(tmp_path, data=data, **compiled, **level)
    assert graphs() == 1
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    some = train(tmp_path, data=data, **compiled, **level, mixup_probability=0.5, seed=1)
    assert {step[0] is None for step in some.pairings} == {True, False}
    assert graphs() == 2
    assert not torch._dynamo.utils.counters["graph_break"]


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("level", LEVELS, ids=LEVEL_NAMES)
def test_gradient_checkpointing_changes_no_gradient(tmp_path, level, use_reentrant):
    """With dropout: the recomputation must repeat its masks, and must not mix a second time."""
    model = tiny_model(hidden_dropout_prob=0.1)
    settings = {"mixup_alpha": 0.4, "num_train_epochs": 1, **level}
    plain = train(tmp_path, model, **settings)
    checkpointed = train(
        tmp_path, model, gradient_checkpointing=True, gradient_checkpointing_kwargs={"use_reentrant": use_reentrant},
        **settings,
    )  # fmt: skip
    assert checkpointed.model.is_gradient_checkpointing
    for one, other in zip(checkpointed.gradients, plain.gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_bf16_autocast_equals_the_step_written_out(tmp_path):
    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(tmp_path, model, data, mixup_alpha=0.4, bf16=True, num_train_epochs=1)
    (batch,) = batches(data, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reference = written_out(copy.deepcopy(model).train(), batch, trainer.pairings[0][0].mix)
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_equal_the_step_written_out(tmp_path, dtype):
    model, data = tiny_model().to(dtype), tiny_dataset(4)
    trainer = train(tmp_path, model, data, mixup_alpha=0.4, num_train_epochs=1)
    (batch,) = batches(data, 4)
    reference = written_out(copy.deepcopy(model).train(), batch, trainer.pairings[0][0].mix)
    assert trainer.gradients[0].dtype == dtype
    # Both embed the same rows, in one call and in two: the sums of gradients round once or twice.
    torch.testing.assert_close(
        trainer.gradients[0], reference, atol=torch.finfo(dtype).eps, rtol=torch.finfo(dtype).eps
    )


def test_fp16_autocast_on_a_cpu_is_float32(tmp_path):
    """Accelerate has no fp16 autocast for a CPU and says nothing: the numbers are those of float32."""
    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(tmp_path, model, data, mixup_alpha=0.4, fp16=True, num_train_epochs=1)
    (batch,) = batches(data, 4)
    reference = written_out(copy.deepcopy(model).train(), batch, trainer.pairings[0][0].mix)
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-6, rtol=1e-5)


# ---- noise, sampling, uneven batches ---------------------------------------------------------------------------------


def test_neftune_adds_its_noise_to_the_mixed_embeddings(tmp_path):
    """One noise tensor of the mixed batch's shape; noise before mixing would be interpolated too, and smaller."""
    states = []

    class RandomState(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            states.append(torch.random.get_rng_state())

    model, data = tiny_model(), fixed_width_dataset(4)
    args = {"mixup_alpha": 1.0, "neftune_noise_alpha": 5.0, "num_train_epochs": 1}
    trainer = train(tmp_path, model, data, callbacks=[RandomState()], **args)
    (batch,) = batches(data, 4)
    torch.random.set_rng_state(states[0])
    width = batch["input_ids"].shape[1]
    noise = torch.zeros(4, width, 16).uniform_(-1, 1) * 5.0 / math.sqrt(width * 16)
    reference = written_out(copy.deepcopy(model).train(), batch, trainer.pairings[0][0].mix, noise)
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-6, rtol=1e-5)
    plain = written_out(copy.deepcopy(model).train(), batch, trainer.pairings[0][0].mix)
    assert (trainer.gradients[0] - plain).norm() > 0.1 * plain.norm()


def test_group_by_length_mixes_the_batches_that_were_sampled(tmp_path):
    model, data = tiny_model(), tiny_dataset(16)
    data = data.add_column("length", [len(ids) for ids in data["input_ids"]])
    trainer = train(
        tmp_path, model, data, mixup_alpha=0.4, train_sampling_strategy="group_by_length", num_train_epochs=1,
        learning_rate=0.0,
    )  # fmt: skip
    widths = [step[0].inputs["input_ids"].shape[1] for step in trainer.pairings]
    assert sum(widths) < sum(batch["input_ids"].shape[1] for batch in batches(data, 4))  # rows of like length
    for (pairing,), gradient in zip(trainer.pairings, trainer.gradients, strict=True):
        torch.testing.assert_close(gradient, replay(model, pairing.inputs, pairing.mix), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_the_last_uneven_batch_is_mixed_or_dropped(tmp_path, drop_last, sizes):
    model, data = tiny_model(), tiny_dataset(10)
    trainer = train(
        tmp_path, model, data, mixup_alpha=0.4, dataloader_drop_last=drop_last, num_train_epochs=1, learning_rate=0.0
    )
    assert [len(step[0].mix.lam) for step in trainer.pairings] == sizes
    for (pairing,), batch, gradient in zip(trainer.pairings, batches(data, 4), trainer.gradients, strict=not drop_last):
        torch.testing.assert_close(gradient, replay(model, batch, pairing.mix), atol=1e-6, rtol=1e-5)


def test_a_last_batch_of_one_row_is_trained_clean(tmp_path):
    model, data = tiny_model(), tiny_dataset(5)
    trainer = train(tmp_path, model, data, mixup_alpha=0.4, num_train_epochs=1, learning_rate=0.0)
    assert trainer.pairings[1] == [None]
    torch.testing.assert_close(trainer.gradients[1], replay(model, batches(data, 4)[1], None), atol=1e-6, rtol=1e-5)


# ---- choosing a checkpoint, searching --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["eval_ece", "eval_nll"])
def test_the_best_checkpoint_by_calibration_is_loaded(tmp_path, metric):
    trainer = train(
        tmp_path, data=tiny_dataset(12), eval_dataset=tiny_dataset(12, seed=3), compute_metrics=calibration_metrics(),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2)], mixup_alpha=0.4, num_train_epochs=30,
        eval_strategy="epoch", save_strategy="epoch", save_total_limit=2, load_best_model_at_end=True,
        metric_for_best_model=metric, greater_is_better=False,
    )  # fmt: skip
    scores = [entry[metric] for entry in trainer.state.log_history if metric in entry]
    best = min(scores)
    assert trainer.state.best_metric == best
    assert scores.index(best) == len(scores) - 3  # stopped after two epochs without a better one
    assert len(scores) < 30
    assert trainer.evaluate()[metric] == pytest.approx(best, abs=1e-7)


def search(tmp_path, space, n_trials=2, **settings):
    trainer = MixupTrainer(
        model_init=lambda: tiny_model(),
        args=training_arguments(tmp_path, num_train_epochs=1, **settings),
        train_dataset=tiny_dataset(),
        eval_dataset=tiny_dataset(6, seed=5),
        data_collator=PadCollator(),
        compute_metrics=calibration_metrics(),
    )
    seen, problem_types, pair = [], set(), trainer.pair

    def recording_pair(batches):
        seen.append((trainer.args.mixup_alpha, pair(batches)))
        problem_types.add(trainer.model.config.problem_type)
        return seen[-1][1]

    trainer.pair = recording_pair
    best = trainer.hyperparameter_search(
        hp_space=space, n_trials=n_trials, direction="minimize", compute_objective=lambda metrics: metrics["eval_nll"],
        backend="optuna",
    )  # fmt: skip
    return best, seen, problem_types


def test_search_over_alpha_through_the_trainers_own_api(tmp_path):
    """Starting from alpha 0 as an int, to whose type the Trainer casts each trial's value."""
    pytest.importorskip("optuna")
    best, seen, problem_types = search(
        tmp_path, lambda trial: {"mixup_alpha": trial.suggest_float("mixup_alpha", 0.2, 0.8)}, mixup_alpha=0
    )
    tried = [alpha for alpha, _ in seen]
    assert len(set(tried)) == 2
    assert all(0.2 <= alpha <= 0.8 for alpha in tried)
    assert all(pairing is not None for _, step in seen for pairing in step)
    assert best.hyperparameters["mixup_alpha"] in tried
    assert problem_types == {"single_label_classification"}  # each trial has a model of its own


def test_a_search_outside_the_range_stops_with_the_settings_message(tmp_path):
    pytest.importorskip("optuna")
    with pytest.raises(ValueError, match=r"mixup_alpha must be a finite number >= 0 .*, got -0.5"):
        search(tmp_path, lambda trial: {"mixup_alpha": trial.suggest_categorical("mixup_alpha", [-0.5])})


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("mixup_alpha", -0.5, r"mixup_alpha must be a finite number >= 0 .*, got -0.5"),
        ("per_device_train_batch_size", 1, r"per_device_train_batch_size=1 leaves no partner to mix with"),
    ],
)
def test_settings_that_a_search_makes_are_checked_before_training(tmp_path, setting, value, message):
    trainer = build(tmp_path, max_steps=1)
    setattr(trainer.args, setting, value)
    with pytest.raises(ValueError, match=message):
        trainer.train()
    assert trainer.state.global_step == 0


def test_a_level_set_after_training_is_the_one_that_mixes(tmp_path):
    model, data = tiny_model(), tiny_dataset(4)
    trainer = train(tmp_path, model, data, mixup_alpha=0.4, num_train_epochs=1, learning_rate=0.0)
    trainer.args.mixup_level, trainer.args.mixup_layer = "hidden", [1]
    trainer.train()
    fresh = train(
        tmp_path, model, data, mixup_alpha=0.4, mixup_level="hidden", mixup_layer=[1], num_train_epochs=1,
        learning_rate=0.0,
    )  # fmt: skip
    torch.testing.assert_close(trainer.gradients[1], fresh.gradients[0], atol=1e-6, rtol=1e-5)


# ---- what the log says -----------------------------------------------------------------------------------------------


def test_the_log_holds_lambda_share_and_clean_loss(tmp_path):
    """Weights stand still, so that each epoch's clean loss is the cross-entropy of the model at hand."""
    model, data = tiny_model(hidden_dropout_prob=0.1), tiny_dataset(20)
    calls = []
    trainer = train(
        tmp_path, model, data, mixup_alpha=0.4, mixup_probability=0.5, num_train_epochs=2, learning_rate=0.0,
        logging_strategy="epoch", compute_metrics=lambda prediction: calls.append(1) or {},
    )  # fmt: skip
    losses = [entry for entry in trainer.state.log_history if "loss" in entry]
    cleans = [entry["clean_loss"] for entry in trainer.state.log_history if "clean_loss" in entry]
    for entry, steps in zip(losses, (trainer.pairings[:5], trainer.pairings[5:]), strict=True):
        mixed = [step[0].mix.lam[0].item() for step in steps if step[0] is not None]
        assert entry["mixup_share"] == len(mixed) / 5
        assert entry["mixup_lambda"] == pytest.approx(sum(mixed) / len(mixed), abs=1e-6)
    (batch,) = batches(data, 20)
    labels = batch.pop("labels")
    with torch.no_grad():
        plain = F.cross_entropy(model.eval()(**batch).logits, labels).item()
    assert cleans == [pytest.approx(plain, abs=1e-6)] * 2
    # No accuracy of mixed rows: metrics are computed in evaluations only, of which there was none.
    assert calls == []
    assert not [key for entry in trainer.state.log_history for key in entry if "accuracy" in key]


def test_logging_changes_no_gradient(tmp_path):
    """The clean loss passes through a model with dropout between two epochs of shuffled rows."""
    model, data = tiny_model(hidden_dropout_prob=0.2), tiny_dataset(16)
    settings = {"mixup_alpha": 0.4, "num_train_epochs": 3, "train_sampling_strategy": "random"}
    silent = train(tmp_path, model, data, **settings)
    logged = train(tmp_path, model, data, logging_strategy="epoch", **settings)
    assert sum("clean_loss" in entry for entry in logged.state.log_history) == 3
    assert not any("clean_loss" in entry for entry in silent.state.log_history)
    for one, other in zip(logged.gradients, silent.gradients, strict=True):
        assert torch.equal(one, other)


def test_plain_training_logs_no_lambda(tmp_path):
    trainer = train(tmp_path, num_train_epochs=1, logging_strategy="epoch")
    keys = {key for entry in trainer.state.log_history for key in entry}
    assert "clean_loss" in keys
    assert not [key for key in keys if key.startswith("mixup")]


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tp_size", "cp_size", "sp_size"])
def test_a_split_batch_is_refused(tmp_path, name):
    parallelism = pytest.importorskip("accelerate.parallelism_config", reason="accelerate has it from 1.10")
    config = parallelism.ParallelismConfig()  # its own check would ask for two processes first
    setattr(config, name, 2)
    with pytest.raises(ValueError, match=rf"{name}=2 gives several processes one batch.*mixup_alpha=0"):
        training_arguments(tmp_path, mixup_alpha=0.4, parallelism_config=config)
    assert training_arguments(tmp_path, mixup_alpha=0.0, parallelism_config=config).parallelism_config is config


@pytest.mark.parametrize("name", ["tp", "cp", "sp"])
def test_a_batch_that_the_launcher_splits_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(MixupTrainer, f"get_{name}_size", lambda self: 2)
    with pytest.raises(ValueError, match=rf"{name}_size=2 gives several processes one batch"):
        build(tmp_path)


def test_zero_3_is_refused_and_zero_2_is_not(tmp_path, monkeypatch):
    """DeepSpeed is not installed: its plugin is stood in for where the trainer looks."""
    trainer = build(tmp_path)
    trainer.is_deepspeed_enabled = True
    state = type(trainer.accelerator.state)
    for stage in (2, 3):
        plugin = type("Plugin", (), {"zero_stage": stage})()
        monkeypatch.setattr(state, "deepspeed_plugin", property(lambda self, plugin=plugin: plugin))
        if stage == 2:
            check_split_model(trainer)
    with pytest.raises(ValueError, match=r"DeepSpeed ZeRO-3 \(stage 3\) has not been shown to mix.*mixup_alpha=0"):
        check_split_model(trainer)


# ---- PEFT ------------------------------------------------------------------------------------------------------------


PEFT_KINDS = ["lora", "lora_embedding", "modules_to_save", "prompt_tuning"]


@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("kind", PEFT_KINDS)
def test_adapters_mix_in_the_embedding(tmp_path, kind, model_type):
    """Gradients of the adapter, and of the embedding where it is trained, as by plain calls."""
    # A decoder given vectors cannot see padding, and neither can the plain calls: rows of one width.
    model, data = adapted(kind, model_type), fixed_width_dataset(4)
    trainer = train(tmp_path, model, data, mixup_alpha=0.4, num_train_epochs=1)
    (batch,) = batches(data, 4)
    reference = written_out(copy.deepcopy(model).train(), batch, trainer.pairings[0][0].mix)
    assert reference.norm() > 1e-3
    torch.testing.assert_close(trainer.gradients[0], reference, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("kind", "model_type"), [*((kind, "bert") for kind in PEFT_KINDS), ("lora", "albert")])
def test_adapters_mix_in_a_layer_like_the_model_below_them(kind, model_type):
    """Lambda 1 is each row's plain pass, lambda 0 its partner's; one half is neither."""
    model = adapted(kind, model_type)
    batch, partners = tiny_batch((9, 9, 9, 9)), torch.tensor([1, 2, 3, 0])
    mixer, outputs = HiddenMixer(model, encoder_layers(model)), []
    assert mixer.n_layers == 2
    with torch.no_grad():
        for lam in (1.0, 0.0, 0.5):
            lams = torch.full((4,), lam)
            with mixer.armed(batch, Mix(partners, lams, lams), 1) as carried:
                outputs.append(model(**carried).logits)
        plain = model(**batch).logits
    torch.testing.assert_close(outputs[0], plain, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(outputs[1], plain[partners], atol=1e-6, rtol=1e-5)
    assert (outputs[2] - plain).abs().max() > 1e-3


def test_the_adapters_of_a_mixer_leave_no_hook_behind():
    model = adapted("modules_to_save")
    before = sum(len(module._forward_hooks) for module in model.modules())
    mixer = EmbeddingMixer(model)
    mixer.attach()
    assert sum(len(module._forward_hooks) for module in model.modules()) == before + 1
    mixer.detach()
    assert sum(len(module._forward_hooks) for module in model.modules()) == before


@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("kind", ["lora", "lora_embedding", "modules_to_save"])
def test_a_temperature_is_folded_behind_merged_adapters(kind, model_type):
    model, batch = adapted(kind, model_type), tiny_batch()
    with torch.no_grad():
        before = model(**batch).logits
    temperature = Temperature(1.7, 1.5, 1.9, n=400, nll_before=1.0, nll_after=0.9, ece_before=0.1, ece_after=0.02)
    merged = merge_adapters(model)
    folding = fold_temperature(merged, temperature, batch)
    assert folding.head == ("classifier" if model_type == "bert" else "score")
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]
    with torch.no_grad():
        torch.testing.assert_close(merged(**batch).logits, before / 1.7, atol=1e-5, rtol=1e-5)


def test_adapters_that_do_not_merge_are_refused():
    with pytest.raises(ValueError, match="PROMPT_TUNING adapters are no change of the model's weights"):
        merge_adapters(adapted("prompt_tuning"))
