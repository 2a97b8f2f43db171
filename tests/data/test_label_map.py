"""Labels of the data are matched with a model's classes, or it is said what to type."""

import shlex

import pytest

from nlp_mixup.data.label_map import match_labels


@pytest.mark.parametrize(
    ("labels", "names", "classes", "label_map", "expected"),
    [
        ([0, 1], {}, ["LABEL_0", "LABEL_1"], [], {0: 0, 1: 1}),
        (["LABEL_1"], {}, ["LABEL_0", "LABEL_1"], [], {"LABEL_1": 1}),
        ([0, 1], {}, ["1", "0"], [], {0: 1, 1: 0}),
        (["a", "b"], {}, ["LABEL_0", "LABEL_1"], ["a=1", "b=0"], {"a": 1, "b": 0}),
        (["x", "good"], {}, ["bad", "good"], ["x=bad"], {"x": 0, "good": 1}),
        (["a=b"], {}, ["bad", "good"], ["a=b=good"], {"a=b": 1}),
        (["1"], {}, ["1", "0"], ["1=1"], {"1": 0}),  # a class of that name comes before the id
        ([0, 1], {0: "down", 1: "up"}, ["LABEL_0", "LABEL_1"], ["identity"], {0: 0, 1: 1}),
        (["up"], {0: "down", 1: "up"}, ["LABEL_0", "LABEL_1"], ["identity"], {"up": 1}),
        (["Pos", "pos"], {}, ["pos", "Pos"], [], {"Pos": 1, "pos": 0}),
        (["Pos", "pos"], {}, ["pos", "neg"], ["Pos==pos"], {"Pos": 0, "pos": 0}),
        (["b="], {}, ["bad", "good"], ["b==good"], {"b=": 1}),  # the label itself ends in =
        ([-1, 1], {}, ["bad", "good"], ["-1=bad", "1=good"], {-1: 0, 1: 1}),
        ([1, 2, 3], {}, ["LABEL_0", "LABEL_1"], ["1=0", "2=1", "3==LABEL_1"], {1: 0, 2: 1, 3: 1}),
        (["caf\u00e9"], {}, ["bad", "cafe\u0301"], [], {"caf\u00e9": 1}),
    ],
)
def test_label_maps(labels, names, classes, label_map, expected):
    assert match_labels(dict.fromkeys(labels, 1), names, classes, label_map, "rows.csv") == expected


@pytest.mark.parametrize(
    ("labels", "names", "classes", "label_map", "message"),
    [
        (["bad", "good"], {}, ["LABEL_0", "LABEL_1"], [], "rows.csv has named labels (bad, good), but the model's classes "
         "have no names, and which is which cannot be known. The model's classes: 0 LABEL_0, 1 LABEL_1. If they are the "
         "same classes, say which class each one is, for instance, if these are right: --label_map bad=LABEL_0 good=LABEL_1"),
        ([0, 1], {0: "bad", 1: "good"}, ["0", "1"], [], "has named labels (bad, good), but the model's classes have no"),
        ([0, 1], {}, ["bad", "good"], [], "rows.csv has labels without names (0, 1), but the model's classes are named"),
        (["bad", "meh", "meh 2"], {}, ["bad", "good"], [], "labels that are no class of the model: 'meh' (3 rows), 'meh 2'"
         " (3 rows). The model's classes: 0 bad, 1 good. Remove these rows, or say which class they are, for "
         "instance, if these are right: --label_map meh=good 'meh 2==bad'"),
        ([0, 5], {}, ["LABEL_0", "LABEL_1"], [], "are not the model's ids, and which is which cannot be known: '0' (3 rows), '5' (3 "
         "rows). The model's classes: 0 LABEL_0, 1 LABEL_1. If they are the same classes, say which class each one is, for "
         "instance, if these are right: --label_map 0=LABEL_0 5=LABEL_1"),
        ([1, 2, 3], {}, ["LABEL_0", "LABEL_1", "LABEL_2"], ["3=2"], "'1' (3 rows), '2' (3 rows). The model's classes: 0 LABEL_0, "
         "1 LABEL_1, 2 LABEL_2. If they are the same classes, say which class each one is, for instance, if these are right: "
         "--label_map 3=2 1=LABEL_0 2=LABEL_1"),
        ([0, 1], {}, ["LABEL_0", "LABEL_1"], ["0=0", "1=0"], "several labels on one class: '0', '1' would all be 'LABEL_0'"),
        (["pos", "Pos"], {}, ["pos", "neg"], [], "If that is meant, say it with '==': --label_map Pos==pos"),
        (["POS"], {}, ["pos", "Pos"], [], "no class of the model: 'POS'"),
        ([0, 5], {}, ["bad", "good"], ["identity"], "are 0 to 1, but rows.csv has: 5"),
        (["bad"], {}, ["bad", "good"], ["identity"], "takes the labels for the model's ids"),
        (["x"], {}, ["bad", "good"], ["x"], "'x' is neither LABEL=CLASS (LABEL==CLASS where several labels are one class) nor 'identity' alone"),
        (["x"], {}, ["bad", "good"], ["x=fine"], "'x=fine' names no class of the model, which has: 0 bad, 1 good"),
        (["x"], {}, ["bad", "good"], ["x=2"], "'x=2' names no class of the model"),
        (["x"], {}, ["bad", "good"], ["x=0", "x=1"], "gives 'x' two classes"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_known_are_refused(labels, names, classes, label_map, message):
    with pytest.raises(ValueError) as raised:
        match_labels(dict.fromkeys(labels, 3), names, classes, label_map, "rows.csv")
    assert message in str(raised.value)
    if "--label_map" in str(raised.value):  # what it says to type works
        typed = shlex.split(str(raised.value).split("--label_map ")[1].split("; ")[0])
        assert match_labels(dict.fromkeys(labels, 3), names, classes, typed, "rows.csv").keys() == set(labels)
    if "--label_map identity" in str(raised.value):
        assert match_labels(dict.fromkeys(labels, 3), names, classes, ["identity"], "rows.csv").keys() == set(labels)
