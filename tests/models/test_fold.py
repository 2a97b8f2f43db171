"""Folding a temperature into the last linear layer: exact where it is done, refused with a reason elsewhere."""

import numpy as np
import pytest
import torch
from altered_models import altered
from conftest import PadCollator, tiny_batch, tiny_dataset, tiny_model, training_arguments
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from nlp_mixup import MixupTrainer
from nlp_mixup.calibration import Temperature, fit_temperature
from nlp_mixup.calibration.intervals import nll_gain
from nlp_mixup.models import TextCNNConfig, TextCNNForSequenceClassification, build_word_tokenizer
from nlp_mixup.models.fold import fold_temperature, folded
from nlp_mixup.models.head import find_head
from nlp_mixup.models.made_up import probe_batch
from nlp_mixup.training.refusals import logger as refusals_logger

T = Temperature(1.7, 1.5, 1.9, n=400, nll_before=1.0, nll_after=0.9, ece_before=0.1, ece_after=0.02)
HEADS = {
    "bert": "classifier", "roberta": "classifier.out_proj", "distilbert": "classifier", "albert": "classifier",
    "electra": "classifier.out_proj", "mpnet": "classifier.out_proj", "deberta-v2": "classifier",
    "modernbert": "classifier", "longformer": "classifier.out_proj", "gpt2": "score", "llama": "score",
    "qwen3": "score", "gemma": "score",
}  # fmt: skip


def logits_of(model, batch):
    with torch.no_grad():
        return model(**batch).logits


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("model_type", HEADS)
def test_folded_logits_are_logits_over_t_and_the_file_keeps_them(model_type, side, tmp_path):
    model, batch = tiny_model(model_type), tiny_batch(side=side)
    before = logits_of(model, batch)
    folding = fold_temperature(model, T, batch)
    after = logits_of(model, batch)
    assert folding.head == HEADS[model_type]
    assert folding.n_probe == 4
    assert folding.max_error < 1e-6
    torch.testing.assert_close(after, before / 1.7, rtol=1e-5, atol=1e-6)
    assert torch.equal(after.argmax(1), before.argmax(1))

    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert torch.equal(logits_of(again.eval(), batch), after)
    assert again.config.calibration == {
        "method": "temperature", "temperature": 1.7, "interval": [1.5, 1.9], "level": 0.95, "n": 400,
        "split": "validation", "folded_into": HEADS[model_type], "max_error": folding.max_error,
    }  # fmt: skip
    with pytest.raises(
        ValueError, match=r"carries a temperature already .* Folding twice would divide the logits twice"
    ):
        fold_temperature(again, T, batch)


@pytest.mark.parametrize(
    ("model", "head"),
    [
        (
            ViTForImageClassification(
                ViTConfig(
                    hidden_size=16,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=16,
                    image_size=32,
                    num_labels=3,
                )
            ),
            "classifier",
        ),
        (
            ResNetForImageClassification(
                ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=3)
            ),
            "classifier.1",
        ),
    ],
    ids=["vit", "resnet"],
)
def test_image_models_fold(model, head):
    probe = probe_batch(model.eval(), ViTImageProcessor(size={"height": 32, "width": 32}))
    before = logits_of(model, probe)
    assert fold_temperature(model, T, probe).head == head
    torch.testing.assert_close(logits_of(model, probe), before / 1.7, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_are_divided_in_float32_and_verified(dtype):
    model, batch = tiny_model("bert").to(dtype), tiny_batch()
    before, weight = logits_of(model, batch).double(), model.classifier.weight.clone()
    folding = fold_temperature(model, T, batch)
    assert model.classifier.weight.dtype == dtype
    wide = torch.promote_types(dtype, torch.float32)
    assert torch.equal(model.classifier.weight, (weight.to(wide) * (1 / 1.7)).to(dtype))
    error = (logits_of(model, batch).double() - before / 1.7).abs().max().item()
    assert error == folding.max_error <= 8 * torch.finfo(dtype).eps * (before.abs().max().item() / 1.7)


def test_the_context_gives_back_every_bit_and_the_mode():
    model, batch = tiny_model("bert").train(), tiny_batch()
    before = weights_of(model)
    with pytest.raises(KeyError, match="inside"), folded(model, T, batch):
        assert not torch.equal(model.classifier.weight, before["classifier.weight"])
        assert model.config.calibration["temperature"] == 1.7
        raise KeyError("inside")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not hasattr(model.config, "calibration")
    assert model.training


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        ("cap", "do not follow 'classifier'.*a cap, a normalisation"),
        ("norm", "do not follow 'classifier'"),
        ("prior", "do not follow 'classifier'.*an added term"),
        ("two heads", "do not follow 'second'"),
        ("noise", "two runs on the same batch give different logits"),
        ("zero", "all zero, or not finite"),
        ("own class", "'classifier', which makes the class scores, is a OwnLinear, not a plain nn.Linear"),
        ("weight norm", "the weight of 'classifier' is computed from other parameters"),
        ("tied", "the weight of 'classifier' is tied to 'spare.weight'"),
        ("registered twice", "the weight of 'classifier' is tied to 'spare.weight'"),
        ("convolution", "'classifier.1', which makes the class scores, is a Conv1d"),
    ],
)
def test_what_cannot_be_folded_is_refused_with_its_reason_and_left_as_it_was(alter, reason):
    model = altered(alter)
    before = weights_of(model)
    with pytest.raises(ValueError, match=reason) as refusal:
        fold_temperature(model, T, tiny_batch())
    assert "\n" not in str(refusal.value)
    assert "Release it without folding" in str(refusal.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not getattr(model.config, "calibration", None)


def test_a_hidden_layer_as_wide_as_the_classes_is_not_taken_for_the_head():
    model = tiny_model("bert", num_labels=16)
    assert model.bert.pooler.dense.out_features == 16
    assert find_head(model, tiny_batch()) == "classifier"


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="expected a positive finite number"):
        fold_temperature(tiny_model("bert"), Temperature(value, 0, 1, 1, 0, 0, 0, 0), tiny_batch())


def test_the_probe_is_made_of_the_tokenizer_alone():
    texts = ["a fine film with a dull plot", "no plot at all", "nice and superb"]
    tokenizer = build_word_tokenizer(texts)
    model = TextCNNForSequenceClassification(TextCNNConfig(vocab_size=len(tokenizer), num_labels=3)).eval()
    probe = probe_batch(model, tokenizer)
    assert set(probe) == {"input_ids"}
    assert probe["input_ids"].shape[0] == 8
    assert fold_temperature(model, T, probe).head == "classifier"


def test_the_gain_is_told_from_chance():
    random = np.random.default_rng(0)
    logits = random.normal(size=(600, 3)) * 2
    honest = np.array([random.choice(3, p=p) for p in np.exp(logits) / np.exp(logits).sum(1, keepdims=True)])
    assert nll_gain(3 * logits, honest, fit_temperature(3 * logits, honest)).high < 0
    gain = nll_gain(logits, honest, fit_temperature(logits, honest))
    assert gain.value <= 0 <= gain.high


def test_training_on_from_folded_weights_warns_and_forgets_the_temperature(tmp_path, monkeypatch):
    model = tiny_model("bert")
    fold_temperature(model, T, tiny_batch())
    said = []
    monkeypatch.setattr(refusals_logger, "warning_once", said.append)
    trainer = MixupTrainer(
        model=model, args=training_arguments(tmp_path, max_steps=1), train_dataset=tiny_dataset(),
        data_collator=PadCollator(),
    )  # fmt: skip
    assert model.config.calibration["temperature"] == 1.7
    trainer.train()
    assert "A temperature was folded into this model" in said[0]
    assert not hasattr(model.config, "calibration")


def test_after_training_with_autocast_the_float32_weights_are_folded_as_exactly(tmp_path):
    trainer = MixupTrainer(
        model=tiny_model("bert"), args=training_arguments(tmp_path, max_steps=1, bf16=True),
        train_dataset=tiny_dataset(), data_collator=PadCollator(),
    )  # fmt: skip
    trainer.train()
    assert fold_temperature(trainer.model, T, tiny_batch()).max_error < 1e-6
