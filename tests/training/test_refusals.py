"""What the trainer refuses before anything slow, and what stands so near to it that it must pass."""

import copy
import functools
from types import SimpleNamespace

import pytest
import recorded_training
import torch
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from recorded_training import Recorder, batches, replay, train
from tiny_architectures import tiny_classifier
from transformers import BertConfig, BertModel, PreTrainedModel, Trainer
from transformers.modeling_outputs import SequenceClassifierOutput

from nlp_mixup import MixupMixin, MixupTrainer, calibration_metrics
from nlp_mixup.arguments import IS_GREATER_BETTER

build = functools.partial(recorded_training.build, max_steps=1)


# ---- arguments and classes -------------------------------------------------------------------------------------------


def test_labels_under_another_name(tmp_path):
    rows = tiny_dataset(3).rename_column("label", "klasse")
    with pytest.raises(
        ValueError, match=r"label_names=\['klasse'\] is not supported.*rename_column\('klasse', 'label'\)"
    ):
        build(tmp_path, data=rows, label_names=["klasse"])
    assert build(tmp_path, label_names=["labels"], eval_dataset=tiny_dataset(4)).evaluate()["eval_loss"] > 0


@pytest.mark.parametrize("names", [["a", "b", "c"], ("a", "b", "c"), {"0": "a", "1": "b", "2": "c"}])
def test_names_of_classes_in_another_shape_are_followed(tmp_path, names):
    model = tiny_model()
    vars(model.config)["id2label"] = names  # some versions of huggingface_hub refuse the assignment of a list already
    assert build(tmp_path, model=model).model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}


@pytest.mark.parametrize("names", [{1: "a", 2: "b", 3: "c"}, {"x": "a", "y": "b", "z": "c"}, {0: "a", 1: "b", 3: "c"}])
def test_names_of_classes_not_numbered_from_zero(tmp_path, names):
    model = tiny_model()
    model.config.id2label = names
    with pytest.raises(
        ValueError, match=r"id2label has the keys .*numbered from 0 to 2.*dict\(enumerate\(\['a', 'b', 'c'\]"
    ):
        build(tmp_path, model=model)


@pytest.mark.parametrize("size", [2, 5])
def test_a_head_of_another_size_than_the_config(tmp_path, size):
    model = tiny_model()
    model.classifier = torch.nn.Linear(16, size)
    message = (
        rf"gives logits of shape \(\d, {size}\), and its config has 3 classes: \(rows, 3\) is needed.*num_labels=K"
    )
    with pytest.raises(ValueError, match=message):
        build(tmp_path, model=model).train()
    with pytest.raises(ValueError, match=message):
        build(tmp_path, model=model, eval_dataset=tiny_dataset(4)).evaluate()


# ---- models of one's own ---------------------------------------------------------------------------------------------


class Own(PreTrainedModel):
    """A classifier whose output is what the test asks for."""

    config_class = BertConfig
    key = "logits"

    def __init__(self, config):
        super().__init__(config)
        self.encoder = BertModel(config)
        self.head = torch.nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, attention_mask=None):
        return {self.key: self.head(self.encoder(input_ids, attention_mask).pooler_output)}

    def get_input_embeddings(self):
        return self.encoder.get_input_embeddings()


def own_model(cls):
    torch.manual_seed(0)
    return cls(
        BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=3)
    ).eval()


def test_a_model_without_a_labels_argument_is_trained_and_evaluated(tmp_path):
    trainer = build(tmp_path, model=own_model(Own), eval_dataset=tiny_dataset(6), compute_metrics=calibration_metrics())
    assert trainer.train().global_step == 1
    scores = trainer.evaluate()
    assert scores["eval_loss"] == pytest.approx(scores["eval_nll"], abs=1e-6)


def test_a_model_without_logits_in_its_output(tmp_path):
    class Scores(Own):
        key = "scores"

    trainer = build(tmp_path, model=own_model(Scores), eval_dataset=tiny_dataset(6))
    message = r"Scores returns scores, and no 'logits'. Return them under that name.*SequenceClassifierOutput"
    with pytest.raises(ValueError, match=message):
        trainer.train()
    with pytest.raises(ValueError, match=message):
        trainer.evaluate()


def test_a_model_that_requires_labels(tmp_path):
    class Strict(Own):
        def forward(self, input_ids, labels, attention_mask=None):
            logits = self.head(self.encoder(input_ids, attention_mask).pooler_output)
            return SequenceClassifierOutput(loss=torch.nn.functional.cross_entropy(logits, labels), logits=logits)

    with pytest.raises(ValueError, match=r"Strict.forward requires labels.*labels=None"):
        build(tmp_path, model=own_model(Strict))


def test_a_config_without_a_pad_token_id_is_mixed(tmp_path):
    """Perceiver's has none, where micro-batches of different widths are joined."""
    model = tiny_classifier("perceiver")
    del model.config.pad_token_id
    assert not hasattr(model.config, "pad_token_id")
    data = tiny_dataset(4)
    assert len({batch["input_ids"].shape[1] for batch in batches(data, 2)}) == 2
    args = training_arguments(
        tmp_path, mixup_alpha=0.4, per_device_train_batch_size=2, gradient_accumulation_steps=2, num_train_epochs=1
    )
    recorder = Recorder()
    trainer = MixupTrainer(
        model=copy.deepcopy(model), args=args, train_dataset=data, data_collator=PadCollator(), callbacks=[recorder],
        processing_class=SimpleNamespace(pad_token_id=1),
    )  # fmt: skip
    pair, mixes = trainer.pair, []
    trainer.pair = lambda batches: mixes.append(pair(batches)) or mixes[-1]
    trainer.train()
    (whole,) = batches(data, 4)
    wanted = replay(model, whole, mixes[0][0].mix)
    torch.testing.assert_close(recorder.gradients[0], wanted, atol=1e-5, rtol=1e-4)


# ---- the trainer's own class -----------------------------------------------------------------------------------------


class OwnLoss(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        return (outputs.loss, outputs) if return_outputs else outputs.loss


def test_a_loss_of_the_base_is_refused_at_construction(tmp_path):
    class Mine(MixupMixin, OwnLoss):
        pass

    message = (
        r"OwnLoss.compute_loss replaces the Trainer's.*call super\(\).compute_loss\(...\), or pass compute_loss_func="
    )
    with pytest.raises(ValueError, match=message):
        build(tmp_path, cls=Mine)
    plain = build(tmp_path, cls=Mine, mixup_alpha=0.0, eval_dataset=tiny_dataset(6))  # nothing to mix
    plain.train()
    assert plain.evaluate()["eval_loss"] > 0


def logged(method):
    @functools.wraps(method)
    def inner(*args, **kwargs):
        return method(*args, **kwargs)

    return inner


def test_a_loss_that_reaches_the_trainers_is_mixed(tmp_path):
    class Base(Trainer):
        @logged
        def compute_loss(self, *args, **kwargs):
            return self._passed_on(*args, **kwargs)

        def _passed_on(self, *args, **kwargs):
            return super().compute_loss(*args, **kwargs)

    class Mine(MixupMixin, Base):
        def compute_loss(self, model, inputs, **kwargs):
            outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
            loss = self.compute_loss_func(outputs, inputs["labels"], num_items_in_batch=kwargs["num_items_in_batch"])
            return (loss, outputs) if kwargs.get("return_outputs") else loss

    class Passed(MixupMixin, Base):
        pass

    plain = train(tmp_path, mixup_alpha=0.4, num_train_epochs=1)
    for cls in (Mine, Passed):
        trainer = train(tmp_path, cls=cls, mixup_alpha=0.4, num_train_epochs=1)
        torch.testing.assert_close(trainer.gradients[1], plain.gradients[1])


def test_a_training_step_that_never_mixes_is_refused(tmp_path):
    class Mine(MixupMixin, Trainer):
        def training_step(self, model, inputs, num_items_in_batch=None):
            loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
            self.accelerator.backward(loss)
            return loss.detach()

    with pytest.raises(ValueError, match=r"Mine.training_step replaces the Trainer's.*super\(\).training_step"):
        build(tmp_path, cls=Mine)


# ---- scores that choose ----------------------------------------------------------------------------------------------


def test_the_maker_of_the_metrics_in_their_place(tmp_path):
    with pytest.raises(ValueError, match=r"Write it with brackets: compute_metrics=calibration_metrics\(\)"):
        build(tmp_path, compute_metrics=calibration_metrics)


def test_every_score_of_an_evaluation_has_its_better_end():
    keys = set(calibration_metrics().keys)
    assert keys | {"loss"} == {*IS_GREATER_BETTER, "gap", "confidence"}


CHOOSING = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}


@pytest.mark.parametrize("metric", [*IS_GREATER_BETTER, "eval_brier"])
def test_every_score_that_is_logged_can_choose_in_its_direction(tmp_path, metric):
    trainer = train(
        tmp_path, data=tiny_dataset(12), eval_dataset=tiny_dataset(12, seed=3), compute_metrics=calibration_metrics(),
        num_train_epochs=4, metric_for_best_model=metric, **CHOOSING,
    )  # fmt: skip
    name = f"eval_{metric.removeprefix('eval_')}"
    scores = [entry[name] for entry in trainer.state.log_history if name in entry]
    assert len(set(scores)) > 1
    assert trainer.state.best_metric == (max if name == "eval_accuracy" else min)(scores)


@pytest.mark.parametrize("metric", ["f1", "eval_f1", "eval_clean_loss", "smooth_ece", "runtime"])
def test_a_score_that_is_not_computed_is_refused_at_once(tmp_path, metric):
    message = rf"metric_for_best_model='{metric}' is not computed.*loss, accuracy, nll, brier, ece, oe or mce\. Choose"
    with pytest.raises(ValueError, match=message):
        build(
            tmp_path, eval_dataset=tiny_dataset(6), compute_metrics=calibration_metrics(), metric_for_best_model=metric,
            **CHOOSING,
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"is not computed by the evaluations, which give loss\."):
        build(tmp_path, eval_dataset=tiny_dataset(6), metric_for_best_model=metric, **CHOOSING)
    # A function of one's own may return it.
    build(tmp_path, eval_dataset=tiny_dataset(6), compute_metrics=lambda p: {"f1": 1.0}, metric_for_best_model=metric)


def test_with_several_evaluation_sets_one_of_them_chooses(tmp_path):
    sets = {"short": tiny_dataset(6), "long": tiny_dataset(6, seed=3)}
    settings = {"eval_dataset": sets, "compute_metrics": calibration_metrics(), **CHOOSING}
    with pytest.raises(ValueError, match=r"'nll' is not computed by the evaluations, which give short_loss,"):
        build(tmp_path, metric_for_best_model="nll", **settings)
    trainer = train(tmp_path, num_train_epochs=2, metric_for_best_model="eval_long_nll", **settings)
    scores = [entry["eval_long_nll"] for entry in trainer.state.log_history if "eval_long_nll" in entry]
    assert trainer.state.best_metric == min(scores)


@pytest.mark.parametrize(
    ("metric", "greater"), [("nll", True), ("eval_brier", True), ("accuracy", False), ("loss", True)]
)
def test_a_direction_that_would_keep_the_worst_model(tmp_path, metric, greater):
    with pytest.raises(ValueError, match=rf"greater_is_better={greater} would keep the model with the worst"):
        training_arguments(tmp_path, metric_for_best_model=metric, greater_is_better=greater)


# ---- settings --------------------------------------------------------------------------------------------------------


def test_one_layer_may_be_a_number(tmp_path):
    settings = {"mixup_alpha": 0.4, "mixup_level": "hidden", "num_train_epochs": 1}
    one = train(tmp_path, mixup_layer=2, **settings)
    listed = train(tmp_path, mixup_layer=[2], **settings)
    assert one.args.mixup_layer == [2]
    torch.testing.assert_close(one.gradients[1], listed.gradients[1], atol=0, rtol=0)
    trainer = build(tmp_path, mixup_level="hidden", mixup_layer=[1])
    trainer.args.mixup_layer = 2  # as a search sets it
    assert trainer.train().global_step == 1


@pytest.mark.parametrize("layer", ["2", [1.0], ["1"], True, 2.0])
def test_a_layer_that_is_no_whole_number(tmp_path, layer):
    with pytest.raises(ValueError, match=r"mixup_layer must be a whole number such as 2, or a list"):
        training_arguments(tmp_path, mixup_alpha=0.4, mixup_level="hidden", mixup_layer=layer)
