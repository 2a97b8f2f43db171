"""The sentence CNN against a plain Conv1d reference, and its padding semantics."""

import doctest
import json

import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    dynamic_module_utils,
    set_seed,
)

from nlp_mixup.models import (
    TextCNNConfig,
    TextCNNForSequenceClassification,
    build_word_tokenizer,
    text_cnn,
    word_tokenizer,
)


def make_model(seed=0, **sizes) -> TextCNNForSequenceClassification:
    set_seed(seed)
    sizes = {"vocab_size": 50, "hidden_size": 12, "num_filters": 7, "num_labels": 3} | sizes
    model = TextCNNForSequenceClassification(TextCNNConfig(**sizes))
    nn.init.normal_(model.encoder.bias, std=0.3)  # zero biases would hide a mistake in where they are added
    return model.eval()


def plain_conv1d_logits(model, ids: list[int]) -> torch.Tensor:
    """One row through nn.Conv1d, far more zeros on both sides than any window needs."""
    config, margin = model.config, 20
    vectors = model.embedding.weight[torch.tensor(ids, dtype=torch.long)].T
    row = nn.functional.pad(vectors, (margin, margin)).unsqueeze(0)
    slices = iter(model.encoder.projection.weight.split(config.num_filters))
    biases = iter(model.encoder.bias.split(config.num_filters))
    pooled = []
    for width in config.filter_widths:
        conv = nn.Conv1d(config.hidden_size, config.num_filters, width)
        conv.weight.data = torch.stack([next(slices) for _ in range(width)], dim=-1).data
        conv.bias.data = next(biases).data
        pooled.append(conv(row).relu().max(dim=-1).values)
    return model.classifier(torch.cat(pooled, dim=1))[0]


# --- the forward pass -------------------------------------------------------------------------------------------


def test_forward_worked_by_hand():
    # Words embed to 1, 2 and -3; filters (1, 10) and (-1, 0); windows of "1 2 -3" padded: 01 12 2-3 -30 00.
    # Filter 1: 10, 21, -28, -3, 0 -> 21.  Filter 2: 0, -1, -2, 3, 0 -> 3, plus its bias 0.5 -> 3.5.
    model = make_model(vocab_size=4, hidden_size=1, filter_widths=(2,), num_filters=2, num_labels=2)
    with torch.no_grad():
        model.embedding.weight.copy_(torch.tensor([[0.0], [1.0], [2.0], [-3.0]]))
        model.encoder.projection.weight.copy_(torch.tensor([[1.0], [-1.0], [10.0], [0.0]]))
        model.encoder.bias.copy_(torch.tensor([0.0, 0.5]))
        model.classifier.weight.copy_(torch.eye(2))
        model.classifier.bias.copy_(torch.tensor([0.0, 100.0]))
    assert model(torch.tensor([[1, 2, 3]])).logits.tolist() == [[21.0, 103.5]]


@pytest.mark.parametrize("widths", [(3, 4, 5), (1,), (2, 7), (5, 1)])
@pytest.mark.parametrize("ids", [[], [4], [7, 3], [9, 0, 0, 8], list(range(1, 31))], ids=str)
def test_forward_equals_plain_conv1d(widths, ids):
    model = make_model(filter_widths=widths)
    row = torch.tensor([ids], dtype=torch.long)
    torch.testing.assert_close(model(row).logits[0], plain_conv1d_logits(model, ids), atol=1e-6, rtol=0)


def test_gradients_equal_plain_conv1d():
    model = make_model()
    rows = [[5, 6, 7, 8, 9, 10, 11], [12, 13], [14]]
    batch = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    parameters = [model.embedding.weight, model.classifier.weight]
    ours = torch.autograd.grad(model(batch).logits.square().sum(), parameters)
    reference_logits = torch.stack([plain_conv1d_logits(model, row) for row in rows])
    # plain_conv1d_logits copies the filters, so it is compared on the two ends of the network.
    reference = torch.autograd.grad(reference_logits.square().sum(), parameters)
    torch.testing.assert_close(ours, reference, atol=1e-6, rtol=1e-5)


def test_filter_gradients_equal_finite_differences():
    model = make_model(hidden_size=3, num_filters=2).double()
    ids = torch.tensor([[5, 6, 7, 8, 0, 0], [9, 10, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]])

    def logits(weight, bias):
        replaced = {"encoder.projection.weight": weight, "encoder.bias": bias}
        return torch.func.functional_call(model, replaced, (ids,)).logits

    torch.autograd.gradcheck(logits, (model.encoder.projection.weight, model.encoder.bias))


@pytest.mark.parametrize("side", ["right", "left", "both"])
def test_a_row_means_the_same_in_any_padded_batch(side):
    model = make_model(hidden_size=300, num_filters=100)
    generator = torch.Generator().manual_seed(3)
    lengths = [0, 1, 2, 3, 4, 5, 17, 40]
    rows = [torch.randint(1, 50, (length,), generator=generator) for length in lengths]
    batch = torch.zeros(len(rows), 52, dtype=torch.long)
    for place, row in enumerate(rows):
        start = {"right": 0, "left": 52 - len(row), "both": 6}[side]
        batch[place, start : start + len(row)] = row
    together = model(batch).logits
    alone = torch.cat([model(row.unsqueeze(0)).logits for row in rows])
    assert (together - alone).abs().max() < 1e-6


def test_a_batch_of_empty_rows():
    model = make_model()
    collate = DataCollatorWithPadding(build_word_tokenizer(["some words"]))
    batch = collate([{"input_ids": []}, {"input_ids": []}])
    expected = model.classifier(model.encoder.bias.relu()).expand(2, -1)
    torch.testing.assert_close(model(**batch).logits, expected)
    torch.testing.assert_close(model(torch.zeros(2, 9, dtype=torch.long)).logits, expected)


def test_inputs_embeds_equal_ids_also_in_their_gradient():
    model = make_model()
    ids = torch.tensor([[5, 6, 0, 0], [1, 2, 3, 4]])
    vectors = model.embedding(ids).detach().requires_grad_()
    torch.testing.assert_close(model(inputs_embeds=vectors).logits, model(ids).logits, atol=1e-6, rtol=0)
    # A zero vector given as such may still matter to the caller, so it is not skipped as padding.
    zeros = torch.zeros(1, 4, 12, requires_grad=True)
    nn.init.constant_(model.encoder.bias, 0.1)
    model(inputs_embeds=zeros).logits.square().sum().backward()
    assert (zeros.grad.abs().sum(-1) > 0).all()


def test_one_embedding_call_and_what_a_hook_puts_into_the_padding_is_read():
    model = make_model()
    calls = []

    def mix_with_the_other_row(module, args, output):
        calls.append(tuple(args[0].shape))
        return 0.7 * output + 0.3 * output.flip(0)

    ids = torch.tensor([[5, 6, 0, 0, 0, 0], [1, 2, 3, 4, 5, 0]])
    mixed = model.embedding(ids)
    mixed = 0.7 * mixed + 0.3 * mixed.flip(0)
    with torch.no_grad():
        handle = model.get_input_embeddings().register_forward_hook(mix_with_the_other_row)
        hooked = model(ids).logits
        handle.remove()
    assert calls == [(2, 6)]
    torch.testing.assert_close(hooked, model(inputs_embeds=mixed).logits, atol=1e-6, rtol=0)


def test_return_dict_false_gives_a_tuple():
    loss, logits = make_model()(torch.tensor([[1, 2]]), labels=torch.tensor([1]), return_dict=False)
    assert loss.shape == ()
    assert logits.shape == (1, 3)


# --- the loss ---------------------------------------------------------------------------------------------------


def test_loss_is_plain_cross_entropy_over_the_items():
    model = make_model()
    ids, labels = torch.tensor([[1, 2], [3, 4], [5, 6]]), torch.tensor([2, 0, -100])
    output = model(ids, labels=labels)
    each = -output.logits.log_softmax(-1)[[0, 1], [2, 0]]
    torch.testing.assert_close(output.loss, each.mean())
    torch.testing.assert_close(model(ids, labels=labels, num_items_in_batch=8).loss, each.sum() / 8)


@pytest.mark.parametrize("labels", [torch.tensor([[0.3, 0.7, 0.0]]), torch.tensor([1.0]), torch.tensor([[1]])])
def test_soft_or_misshapen_labels_are_refused(labels):
    with pytest.raises(ValueError, match=r"accepted are integer classes of shape \(batch,\)"):
        make_model()(torch.tensor([[1, 2]]), labels=labels)


def test_ids_and_embeddings_together_or_neither_are_refused():
    for inputs in ({}, {"input_ids": torch.tensor([[1]]), "inputs_embeds": torch.zeros(1, 1, 12)}):
        with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
            make_model()(**inputs)


class KeepGradients(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients = {name: p.grad.clone() for name, p in model.named_parameters()}


def train(model, tmp_path, rows, **arguments) -> KeepGradients:
    arguments = TrainingArguments(
        str(tmp_path), use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, **arguments
    )
    collate = DataCollatorWithPadding(build_word_tokenizer(["pads with 0"]))
    kept = KeepGradients()
    Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[kept]).train()
    return kept


def test_accumulated_steps_of_the_stock_trainer_give_the_gradient_of_one_batch(tmp_path):
    rows = [{"input_ids": list(range(1, 2 + n)), "labels": n % 3} for n in range(8)]
    gradients = [
        train(
            make_model(classifier_dropout=0.0),
            tmp_path,
            rows,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=8 // size,
            max_steps=1,
            max_grad_norm=0,
        ).gradients
        for size in (8, 2)
    ]
    assert gradients[0]["embedding.weight"].abs().max() > 1e-3
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-5)


def test_padding_stays_exactly_zero_in_training(tmp_path):
    model = make_model()
    before = model.embedding.weight.detach().clone()
    rows = [{"input_ids": list(range(1, 2 + n)), "labels": n % 3} for n in range(8)]
    train(model, tmp_path, rows, per_device_train_batch_size=4, max_steps=6, weight_decay=0.1, learning_rate=0.01)
    assert (model.embedding.weight[0] == 0).all()
    assert (model.embedding.weight[1:9] != before[1:9]).all()


# --- configuration, saving, loading -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0: must be at least 1"),
        ({"filter_widths": ()}, r"filter_widths=\(\): give one width or more"),
        ({"filter_widths": (3, 0)}, r"filter_widths=\(3, 0\): give one width or more"),
        ({"classifier_dropout": 1.0}, r"classifier_dropout=1.0: must be in \[0, 1\)"),
        ({"vocab_size": 10, "pad_token_id": 10}, "pad_token_id=10: must be an id of the vocabulary, 0 to 9"),
        ({"num_labels": 1}, r"requires `num_labels > 1`|num_labels=1: give 2 classes or more"),
        ({"problem_type": "regression"}, "problem_type='regression': the sentence CNN is for"),
    ],
)
def test_wrong_sizes_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        TextCNNConfig(**wrong)


def test_saved_and_loaded_through_the_auto_classes_bit_for_bit(tmp_path):
    names = {0: "neg", 1: "pos"}
    config = TextCNNConfig(vocab_size=30, hidden_size=8, filter_widths=(2, 3), pad_token_id=2, id2label=names)
    model = TextCNNForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), TextCNNConfig)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, TextCNNForSequenceClassification)
    assert loaded.config.id2label == names
    assert tuple(loaded.config.filter_widths) == (2, 3)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    ids = torch.tensor([[4, 5, 2], [6, 7, 8]])
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert loaded.embedding.padding_idx == 2
    assert (loaded.embedding.weight[2] == 0).all()


def test_padding_row_is_zero_from_the_start_and_in_replaced_embeddings():
    model = make_model(pad_token_id=4)
    assert (model.get_input_embeddings().weight[4] == 0).all()
    assert 0.2 < model.get_input_embeddings().weight.max() <= 0.25
    model.set_input_embeddings(nn.Embedding(60, 12))
    assert (model.get_input_embeddings().weight[4] == 0).all()
    model(torch.tensor([[1, 4, 2]])).logits.sum().backward()
    assert (model.get_input_embeddings().weight.grad[4] == 0).all()
    model.resize_token_embeddings(70, mean_resizing=False)
    assert model.embedding.weight.shape == (70, 12)
    assert (model.embedding.weight[4] == 0).all()


def test_classifier_divided_by_a_temperature_divides_the_logits():
    model, ids = make_model(), torch.tensor([[1, 2, 3]])
    before = model(ids).logits
    with torch.no_grad():
        model.classifier.weight /= 2.5
        model.classifier.bias /= 2.5
    torch.testing.assert_close(model(ids).logits, before / 2.5)


def test_the_file_works_as_remote_code_without_this_package(tmp_path, monkeypatch):
    for registered in (TextCNNConfig, TextCNNForSequenceClassification):
        monkeypatch.setattr(registered, "_auto_class", None)
    TextCNNConfig.register_for_auto_class()
    TextCNNForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
    model, folder = make_model(), tmp_path / "pushed"
    model.save_pretrained(folder)
    assert "nlp_mixup" not in (folder / "text_cnn.py").read_text()
    # Where this package is imported, its own class is used and no question asked.
    here = AutoModelForSequenceClassification.from_pretrained(folder)
    assert type(here) is TextCNNForSequenceClassification

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    reference = json.loads((folder / "config.json").read_text())["auto_map"]["AutoModelForSequenceClassification"]
    remote_class = dynamic_module_utils.get_class_from_dynamic_module(reference, str(folder))
    assert remote_class.__module__.startswith("transformers_modules.")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(remote_class.from_pretrained(folder)(ids).logits, model(ids).logits)


@pytest.mark.parametrize("module", [text_cnn, word_tokenizer], ids=lambda module: module.__name__)
def test_doctests(module):
    result = doctest.testmod(module)
    assert (result.failed, result.attempted > 0) == (0, True)
