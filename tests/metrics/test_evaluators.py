"""evaluate's own evaluators, bootstrap and suites with our metrics: probabilities reach them, class ids never do."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
import evaluate
from conftest import tiny_model
from PIL import Image
from tiny_image_models import tiny_image_classifier
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, ViTImageProcessor, pipeline

from nlp_mixup.calibration import expected_calibration_error, overconfidence_error
from nlp_mixup.metrics import metric_path
from nlp_mixup.metrics.evaluators import EvaluationSuite, evaluator

WORDS = [f"w{i}" for i in range(40)]
FORMULAS = {"ece": expected_calibration_error, "oe": overconfidence_error}
N = 60

# Right ids by name, as evaluate's own accuracy needs them; a local module, since nothing may be fetched.
ACCURACY = """
import datasets
import evaluate


class IdAccuracy(evaluate.Metric):
    def _info(self):
        features = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(description="", citation="", features=datasets.Features(features))

    def _compute(self, predictions, references):
        return {"accuracy": sum(p == r for p, r in zip(predictions, references)) / len(references)}
"""


@pytest.fixture(scope="module", params=[2, 3])
def setting(request, tmp_path_factory):
    """A model, its tokenizer, rows, and the probabilities that the model gives them."""
    k = request.param
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(
            WordLevel({"[PAD]": 0, "[UNK]": 1} | {w: i + 2 for i, w in enumerate(WORDS)}, "[UNK]")
        ),
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=12,
    )
    tokenizer.backend_tokenizer.pre_tokenizer = Whitespace()
    names = {i: name for i, name in enumerate(("pos", "neg", "neu")[:k])}
    model = tiny_model(num_labels=k, id2label=names, label2id={name: i for i, name in names.items()}).eval()
    with torch.no_grad():
        model.classifier.weight *= 10
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(3, 9))) for _ in range(N)]
    with torch.no_grad():
        logits = [model(**tokenizer([text], return_tensors="pt")).logits[0] for text in texts]
    probs = torch.softmax(torch.stack(logits).double(), 1).numpy()
    labels = np.where(rng.random(N) < 0.6, probs.argmax(1), rng.integers(0, k, N))
    assert 0.5 < probs.max(1).mean() < 0.95
    rows = datasets.Dataset.from_dict({"text": texts, "label": labels})
    return model, tokenizer, rows, probs, labels


@pytest.fixture
def accuracy(tmp_path):
    (tmp_path / "id_accuracy.py").write_text(ACCURACY)
    return str(tmp_path / "id_accuracy.py")


def test_the_stock_evaluators_class_ids_are_refused(setting):
    model, tokenizer, rows, _, _ = setting
    mapping = model.config.label2id
    for name in FORMULAS:
        with pytest.raises(ValueError, match="predictions: one column of int64 is class ids, not probabilities"):
            evaluate.evaluator("text-classification").compute(
                model_or_pipeline=model,
                tokenizer=tokenizer,
                data=rows,
                metric=evaluate.load(metric_path(name)),
                label_mapping=mapping,
            )
    if len(mapping) == 2:  # as in evaluate's own example, where ids are floats: only the values tell
        with pytest.warns(UserWarning, match="exactly 0 or 1 in all 60 rows; if these are class ids"):
            evaluate.evaluator("text-classification").compute(
                model_or_pipeline=model,
                tokenizer=tokenizer,
                data=rows,
                metric=evaluate.load(metric_path("ece")),
                label_mapping={"pos": 0.0, "neg": 1.0},
            )


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("given", ["model", "pipeline", "folder"])
def test_the_evaluator_gives_the_scores_of_the_probabilities(setting, name, given, tmp_path):
    model, tokenizer, rows, probs, labels = setting
    if given == "folder":
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    which = {"model": model, "folder": str(tmp_path)}.get(given) or pipeline(
        "text-classification", model=model, tokenizer=tokenizer
    )
    tokenizer = tokenizer if given == "model" else None
    for mapping in (None, model.config.label2id, {key: float(id_) for key, id_ in model.config.label2id.items()}):
        result = evaluator().compute(
            model_or_pipeline=which,
            tokenizer=tokenizer,
            data=rows,
            metric=evaluate.load(metric_path(name)),
            label_mapping=mapping,
        )
        assert result[name] == pytest.approx(FORMULAS[name](probs, labels), abs=1e-6)
        assert result["samples_per_second"] > 0


def test_a_mapping_may_number_the_classes_in_another_order(setting):
    model, tokenizer, rows, probs, labels = setting
    k = probs.shape[1]
    turned = {name: (id_ + 1) % k for name, id_ in model.config.label2id.items()}
    rows = rows.map(lambda row: {"label": (row["label"] + 1) % k})
    compute = evaluator().compute
    given = {"model_or_pipeline": model, "tokenizer": tokenizer, "data": rows, "metric": metric_path("ece")}
    assert compute(**given, label_mapping=turned)["ece"] == pytest.approx(
        expected_calibration_error(probs, labels), abs=1e-6
    )
    for wrong in ({**turned, "pos": 7}, {"pos": 0}, {**turned, "other": 3}):
        with pytest.raises(ValueError, match=rf"number each of the model's classes neg, .*pos from 0 to {k - 1}"):
            compute(**given, label_mapping=wrong)


def test_other_metrics_get_class_ids_as_from_evaluate(setting, accuracy):
    model, tokenizer, rows, probs, labels = setting
    given = {"tokenizer": tokenizer, "data": rows, "label_mapping": model.config.label2id}
    ours = evaluator().compute(model_or_pipeline=model, metric=evaluate.load(accuracy), **given)
    theirs = evaluate.evaluator("text-classification").compute(
        model_or_pipeline=model, metric=evaluate.load(accuracy), **given
    )
    assert ours["accuracy"] == theirs["accuracy"] == np.mean(probs.argmax(1) == labels)
    both = evaluate.combine([metric_path("ece"), metric_path("oe")])
    result = evaluator().compute(model_or_pipeline=model, metric=both, **given)
    assert result["oe"] == pytest.approx(overconfidence_error(probs, labels), abs=1e-6)
    with pytest.raises(
        ValueError, match="some of these metrics take probabilities and some class ids; compute them in two"
    ):
        evaluator().compute(model_or_pipeline=model, metric=evaluate.combine([metric_path("ece"), accuracy]), **given)


@pytest.mark.parametrize("setting", [2], indirect=True)
def test_the_bootstrap_is_evaluates_with_whole_rows(setting):
    model, tokenizer, rows, probs, labels = setting
    ours = evaluator()
    ours.METRIC_KWARGS = {"n_bins": 10}
    settings = {"confidence_level": 0.9, "n_resamples": 60, "random_state": 7}
    result = ours.compute(
        model_or_pipeline=model,
        tokenizer=tokenizer,
        data=rows,
        metric=evaluate.load(metric_path("ece")),
        strategy="bootstrap",
        **settings,
    )["ece"]
    # of one column, P(class 1), evaluate's own bootstrap can be asked, and draws the same rows
    theirs = evaluate.Evaluator._compute_confidence_interval(
        _TenBins(evaluate.load(metric_path("ece"))),
        {"references": labels, "predictions": probs[:, 1]},
        ["ece"],
        **settings,
    )["ece"]
    assert result["score"] == pytest.approx(expected_calibration_error(probs, labels, n_bins=10), abs=1e-6)
    assert result["confidence_interval"] == pytest.approx(theirs["confidence_interval"], abs=1e-6)
    assert result["standard_error"] == pytest.approx(theirs["standard_error"], abs=1e-6)
    assert result["confidence_interval"][0] < result["score"] < result["confidence_interval"][1]


class _TenBins:
    """evaluate's bootstrap hands on no settings of the metric."""

    def __init__(self, metric):
        self.metric = metric

    def compute(self, **inputs):
        return self.metric.compute(**inputs, n_bins=10)


SUITE = """
import datasets
from evaluate.evaluation_suite import SubTask

from nlp_mixup.metrics import metric_path
from nlp_mixup.metrics.evaluators import EvaluationSuite


class Suite(EvaluationSuite):
    def __init__(self, name):
        super().__init__(name)
        rows = datasets.load_from_disk({rows!r})
        self.suite = [
            SubTask("text-classification", data=rows, args_for_task={{"metric": metric}})
            for metric in (metric_path("ece"), metric_path("oe"))
        ] + [SubTask("text-classification", data=rows, args_for_task={{"metric": {accuracy!r}, "label_mapping": {mapping}}})]
"""


def test_a_suite_from_a_file(setting, accuracy, tmp_path):
    model, tokenizer, rows, probs, labels = setting
    rows.save_to_disk(tmp_path / "rows")
    file = tmp_path / f"calibration_suite_{probs.shape[1]}.py"
    file.write_text(SUITE.format(rows=str(tmp_path / "rows"), accuracy=accuracy, mapping=model.config.label2id))
    suite = evaluate.EvaluationSuite.load(str(file))
    assert isinstance(suite, EvaluationSuite)
    results = suite.run(pipeline("text-classification", model=model, tokenizer=tokenizer))
    assert results[0]["ece"] == pytest.approx(expected_calibration_error(probs, labels), abs=1e-6)
    assert results[1]["oe"] == pytest.approx(overconfidence_error(probs, labels), abs=1e-6)
    assert results[2]["accuracy"] == np.mean(probs.argmax(1) == labels)
    assert type(evaluate.evaluation_suite.evaluator("text-classification")) is evaluate.TextClassificationEvaluator


@pytest.mark.parametrize("setting", [2], indirect=True)
def test_the_documentations_blocks_run(setting, capsys):
    model, tokenizer, rows, probs, labels = setting
    page = (Path(__file__).parents[2] / "docs" / "measuring.md").read_text()
    names = {"model": model, "tokenizer": tokenizer, "rows": rows}
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(blocks[0].replace('{"negative": 0, "positive": 1}', '{"pos": 0, "neg": 1}'), names)
    assert names["result"]["ece"]["score"] == pytest.approx(
        expected_calibration_error(probs, labels, n_bins=10), abs=1e-6
    )
    capsys.readouterr()
    exec(blocks[1], names)
    assert float(capsys.readouterr().out) == pytest.approx(overconfidence_error(probs, labels), abs=1e-6)


def test_images():
    model = tiny_image_classifier("vit").eval()
    k, size = model.config.num_labels, model.config.image_size
    processor = ViTImageProcessor(size={"height": size, "width": size})
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)) for _ in range(20)]
    labels = rng.integers(0, k, 20)
    with torch.no_grad():
        probs = torch.softmax(model(**processor(images, return_tensors="pt")).logits.double(), 1).numpy()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
    result = evaluator("image-classification").compute(
        model_or_pipeline=model, feature_extractor=processor, data=rows, metric=evaluate.load(metric_path("ece"))
    )
    assert result["ece"] == pytest.approx(expected_calibration_error(probs, labels), abs=1e-6)


def test_other_tasks_and_pipelines_are_refused(setting):
    model, tokenizer, rows, _, _ = setting
    with pytest.raises(ValueError, match="no task 'summarization'; accepted: 'text-classification', 'image-class"):
        evaluator("summarization")
    text = pipeline("text-classification", model=model, tokenizer=tokenizer)
    with pytest.raises(ValueError, match="a pipeline for text-classification, expected one for image-classification"):
        evaluator("image-classification").compute(
            model_or_pipeline=text, data=rows, metric=metric_path("ece"), input_column="text"
        )
    with pytest.raises(ValueError, match="give a model, a folder, a Hub id or a pipeline"):
        evaluator().compute(data=rows, metric=metric_path("ece"))
