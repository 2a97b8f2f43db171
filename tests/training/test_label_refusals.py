"""Labels that are no classes of the model are refused before anything slow; what is near to them passes."""

import functools

import pytest
import recorded_training
import torch
from conftest import tiny_dataset, tiny_model
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from recorded_training import Rows

build = functools.partial(recorded_training.build, max_steps=1)


def relabelled(labels, feature=None, name="label"):
    """Rows with these labels; a declared type where one is given."""
    rows = tiny_dataset(len(labels)).remove_columns("label").to_dict() | {name: labels}
    ids = Sequence(Value("int64"))
    features = Features({"input_ids": ids, "attention_mask": ids, name: feature}) if feature else None
    return Dataset.from_dict(rows, features=features)


@pytest.mark.parametrize("kind", ["table", "several", "list", "subset"])
def test_a_label_out_of_range_in_the_evaluation_rows_alone(tmp_path, kind):
    wrong = relabelled([0, 1, 2, 0, 3, 1])
    sets = {
        "table": wrong,
        "several": {"short": tiny_dataset(4), "long": wrong},
        "list": list(wrong),
        "subset": torch.utils.data.Subset(wrong, [0, 1, 2, 3, 4]),
    }
    where = r"eval_dataset\['long'\]" if kind == "several" else "eval_dataset"
    with pytest.raises(
        ValueError, match=rf"Label 3 is outside the model's classes 0 to 2 \(row 4 of {where}\).*num_labels=K"
    ):
        build(tmp_path, eval_dataset=sets[kind])


def test_a_label_out_of_range_in_rows_that_only_reading_shows(tmp_path):
    """The first batch of the evaluation rows is looked at before the first step; a later one is told by the same line."""
    message = "Label 3 is outside the model's classes 0 to 2"
    trainer = build(tmp_path, eval_dataset=Rows(relabelled([3, 1, 2])), eval_strategy="epoch")
    with pytest.raises(ValueError, match=message):
        trainer.train()
    assert trainer.state.global_step == 0
    late = Rows(relabelled([0] * 9 + [3]))
    with pytest.raises(ValueError, match=message):
        build(tmp_path, eval_dataset=late, per_device_eval_batch_size=8).evaluate()
    with pytest.raises(ValueError, match=message):
        build(tmp_path, data=late, max_steps=-1, num_train_epochs=1).train()


def test_labels_of_rows_that_were_taken_out_are_not_refused(tmp_path):
    """A selection keeps the whole table below it."""
    whole = relabelled([0, 7, 1, 2, -5, 1])
    kept = whole.filter(lambda row: 0 <= row["label"] <= 2)
    assert build(tmp_path, data=kept, eval_dataset=whole.select([0, 2, 3])).train().global_step == 1


@pytest.mark.parametrize("place", ["data", "eval_dataset"])
def test_missing_labels_are_counted_and_a_row_is_named(tmp_path, place):
    rows = relabelled(["pos", None, "neg", None, "pos"], Value("string"))
    message = r"column 'label' of {} has no label in 2 of 5 rows, first in row 1\..*None, NA or null.*-100"
    message = message.format("train_dataset" if place == "data" else "eval_dataset")
    with pytest.raises(ValueError, match=message):
        build(tmp_path, **{place: rows})
    with pytest.raises(ValueError, match=message):
        build(tmp_path, **{place: list(relabelled([0, None, 1, None, 2]))})


def test_an_integer_column_with_missing_labels(tmp_path):
    with pytest.raises(ValueError, match=r"no label in 1 of 3 rows, first in row 2"):
        build(tmp_path, data=relabelled([0, 1, None], ClassLabel(names=["a", "b", "c"])))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["pos", "neg", "pos"], r"The labels are strings; .*class_encode_column\('label'\)"),
        ([True, False, True], r"The labels are booleans; .*cast_column\('label', datasets.Value\('int64'\)\)"),
        ([0.0, 1.0, 2.0], r"The labels are floats; .*cast_column\('label'"),
        ([[0, 1], [1, 0], [1, 1]], r"The labels are lists; .*Multi-label targets are not supported"),
    ],
)
def test_labels_that_are_no_integers(tmp_path, labels, message):
    for rows in (relabelled(labels), list(relabelled(labels))):
        with pytest.raises(ValueError, match=message):
            build(tmp_path, data=rows)
        with pytest.raises(ValueError, match=message):
            build(tmp_path, eval_dataset=rows)


def test_a_batch_of_booleans(tmp_path):
    with pytest.raises(ValueError, match="The labels are booleans; mixup needs one integer class id per example"):
        build(tmp_path, data=Rows(relabelled([True, False, True]))).train()


def test_labels_made_on_the_fly_are_not_judged_by_their_column(tmp_path):
    rows = relabelled(["pos", "neg", "pos", "neg"])

    def numbered(batch):
        return batch | {"label": [int(name == "pos") for name in batch["label"]]}

    assert build(tmp_path, data=rows.with_transform(numbered)).train().global_step == 1


def named(names, n=6):
    return relabelled([row % len(names) for row in range(n)], ClassLabel(names=names))


def test_swapped_names_of_classes_are_refused(tmp_path):
    def model(*names):
        return tiny_model(num_labels=len(names), id2label=dict(enumerate(names)))

    message = (
        r"{} numbers the class 'negative' 0, and model.config.id2label 1\. .*align_labels_with_mapping\(.*\['positive', "
        r"'negative'\].*id2label = dict\(enumerate\(\['negative', 'positive'\]"
    )
    swapped = named(["negative", "positive"])
    with pytest.raises(ValueError, match=message.format("train_dataset")):
        build(tmp_path, model=model("positive", "negative"), data=swapped)
    right = named(["positive", "negative"])
    with pytest.raises(ValueError, match=message.format("eval_dataset")):
        build(tmp_path, model=model("positive", "negative"), data=right, eval_dataset=swapped)
    with pytest.raises(ValueError, match=r"'negative' 0, and model.config.id2label 1"):  # however they are spelt
        build(tmp_path, model=model("POSITIVE ", "Negative"), data=swapped)
    with pytest.raises(ValueError, match=r"'neutral' 0, and model.config.id2label 1"):  # one name is enough
        build(tmp_path, model=model("bad", "neutral", "good"), data=named(["neutral", "x", "y"]))
    # A model without names of its own: the sets must agree with each other.
    with pytest.raises(ValueError, match=r"eval_dataset numbers the class 'positive' 0, and the data sets before it 1"):
        build(tmp_path, model=tiny_model(num_labels=2), data=swapped, eval_dataset=right)
    fixed = swapped.align_labels_with_mapping({"positive": 0, "negative": 1}, "label")
    assert build(tmp_path, model=model("positive", "negative"), data=fixed).train().global_step == 1


def test_names_are_read_through_subsets_and_concatenations_and_in_sets_given_later(tmp_path):
    model = tiny_model(num_labels=2, id2label={0: "positive", 1: "negative"})
    right, swapped = named(["positive", "negative"]), named(["negative", "positive"])
    message = "{} numbers the class 'negative' 0, and model.config.id2label 1"
    wrapped = [
        torch.utils.data.Subset(swapped, range(4)),
        torch.utils.data.ConcatDataset([right, swapped]),
        torch.utils.data.Subset(torch.utils.data.ConcatDataset([swapped, swapped]), range(4)),
    ]
    for data in wrapped:
        with pytest.raises(ValueError, match=message.format("train_dataset")):
            build(tmp_path, model=model, data=data)
    trainer = build(tmp_path, model=model, data=torch.utils.data.ConcatDataset([right, right]))
    for data in (swapped, *wrapped):
        with pytest.raises(ValueError, match=message.format("eval_dataset")):
            trainer.evaluate(data)
        with pytest.raises(ValueError, match=message.format("test_dataset")):
            trainer.predict(data)
    assert trainer.evaluate(right)["eval_loss"] > 0
    assert trainer.train().global_step == 1


def test_labels_are_read_through_concatenations(tmp_path):
    both = torch.utils.data.ConcatDataset([relabelled([0, 1]), relabelled([2, 3])])
    with pytest.raises(ValueError, match=r"Label 3 is outside the model's classes 0 to 2 \(row 3 of train_dataset\)"):
        build(tmp_path, data=both)


def test_a_stream_is_judged_by_what_it_declares(tmp_path):
    model = tiny_model(num_labels=2, id2label={0: "positive", 1: "negative"})
    with pytest.raises(ValueError, match="train_dataset numbers the class 'negative' 0"):
        build(tmp_path, model=model, data=named(["negative", "positive"]).to_iterable_dataset())
    rows = named(["positive", "negative"]).to_iterable_dataset()
    assert build(tmp_path, model=model, data=rows, eval_dataset=rows, eval_strategy="steps", eval_steps=1).train()


def test_names_that_do_not_contradict_pass(tmp_path, caplog):
    def warnings_of(data, *names):
        caplog.clear()
        config = dict(enumerate(names)) if names else None
        model = tiny_model(num_labels=2, **({"id2label": config} if config else {}))
        build(tmp_path, model=model, data=data)
        assert model.config.id2label == (config or {0: "LABEL_0", 1: "LABEL_1"})
        return caplog.text

    assert "calls its classes" not in warnings_of(named(["negative", "positive"]), "Negative", "positive")
    assert "calls its classes" not in warnings_of(named(["negative", "positive"]))
    assert "calls its classes" not in warnings_of(named(["0", "1"]), "no", "yes")
    found = warnings_of(named(["neg", "pos"]), "NEGATIVE", "POSITIVE")
    assert "train_dataset calls its classes neg, pos; model.config.id2label calls them NEGATIVE, POSITIVE" in found
