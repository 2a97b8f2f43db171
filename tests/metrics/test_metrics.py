"""The two evaluate modules: worked cases, every way of feeding them, and life without nlp_mixup."""

import importlib.util
import json
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import evaluate

from nlp_mixup import metrics
from nlp_mixup.calibration import expected_calibration_error, overconfidence_error

FORMULAS = {"ece": expected_calibration_error, "oe": overconfidence_error}


@pytest.fixture(params=["ece", "oe"])
def name(request):
    return request.param


@pytest.fixture
def metric(name):
    return evaluate.load(metrics.metric_path(name))


def case(n=400, k=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(k), n).astype(dtype), rng.integers(0, k, n)


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match="no metric 'mce'; accepted: 'ece', 'oe'"):
        metrics.metric_path("mce")


def test_own_cases_pass_through_evaluate_load(name, metric):
    cases = Path(metrics.__file__).with_name("space") / "tests.py"
    spec = importlib.util.spec_from_file_location("cases_of_the_spaces", cases)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(module.test_cases) >= 4
    module.run(metric)


def test_the_examples_of_the_documentation_run(name, metric):
    import doctest

    globs = {"evaluate": evaluate}
    text = metric.inputs_description.replace(f'"{name}")', f'r"{metrics.metric_path(name)}")')
    text = text.replace(f'result[r"{metrics.metric_path(name)}"]', f'result["{name}"]')
    test = doctest.DocTestParser().get_doctest(text, globs, name, None, 0)
    assert len(test.examples) == 5
    assert doctest.DocTestRunner().run(test).failed == 0


def test_every_way_of_feeding_gives_the_formula(name, metric):
    probs, labels = case()
    expected = {name: FORMULAS[name](probs, labels, n_bins=10)}
    assert metric.compute(predictions=probs, references=labels, n_bins=10) == expected
    assert metric.compute(predictions=probs.tolist(), references=labels.tolist(), n_bins=10) == expected
    for start in range(0, 400, 37):
        metric.add_batch(predictions=probs[start : start + 37], references=labels[start : start + 37])
    assert len(metric) == 400
    assert metric.compute(n_bins=10) == pytest.approx(expected, abs=1e-14)
    for row, label in zip(probs, labels, strict=True):
        metric.add(prediction=row, reference=label)
    assert metric.compute(n_bins=10) == pytest.approx(expected, abs=1e-14)
    metric.add_batch(predictions=probs[:100], references=labels[:100])
    rest = metric.compute(predictions=probs[100:], references=labels[100:], n_bins=10)
    assert rest == pytest.approx(expected, abs=1e-14)


def test_torch_and_binary_input(name, metric):
    torch = pytest.importorskip("torch")
    probs, labels = case(k=2)
    expected = metric.compute(predictions=probs, references=labels)
    assert metric.compute(predictions=torch.tensor(probs), references=torch.tensor(labels)) == expected
    one_column = metric.compute(predictions=probs[:, 1], references=labels)
    assert one_column == pytest.approx(expected, abs=1e-14)
    for p, y in zip(probs[:5, 1], labels[:5], strict=True):
        metric.add(prediction=float(p), reference=int(y))
    assert metric.compute() == pytest.approx({name: FORMULAS[name](probs[:5], labels[:5])}, abs=1e-14)


def test_labels_that_a_bootstrap_made_floats_of_are_cast_as_arrow_casts_them(metric, name):
    probs, labels = case(n=30)
    expected = metric.compute(predictions=probs, references=labels)
    assert metric.compute(predictions=probs, references=labels.astype(float)) == expected
    for bad in (0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match="labels: expected integer class indices, got float64"):
            metric.compute(predictions=probs, references=np.r_[labels[1:], bad])


@pytest.mark.parametrize("ids", [[1, 0], np.array([1, 0]), np.array([[1], [0]]), [True, False]])
def test_class_ids_are_refused_whichever_way_they_come(metric, name, ids, tmp_path):
    message = "predictions: one column of (int64|bool) is class ids, not probabilities"
    several = evaluate.load(metrics.metric_path(name), cache_dir=str(tmp_path), num_process=2, process_id=0)
    for module in (metric, several):
        for feed in (module.add_batch, module.compute):
            with pytest.raises(ValueError, match=message):
                feed(predictions=ids, references=[1, 1])
        with pytest.raises(ValueError, match=message):
            module.add(prediction=ids[0], reference=1)
    assert len(metric) == 0


def test_rounded_probabilities_and_sums_of_ten_tenths(metric, name):
    exact, labels = case(n=500, k=10, seed=3)
    expected = FORMULAS[name](exact, labels)
    assert metric.compute(predictions=exact.round(3).tolist(), references=labels)[name] == pytest.approx(
        expected, abs=2e-3
    )
    assert metric.compute(predictions=[1.0000001, 0.5], references=[1, 0])[name] == {"ece": 0.25, "oe": 0.0}[name]


def test_edge_values_stay_in_their_bin(metric, name):
    probs = [[0.4, 0.6], [0.4, 0.6], [0.35, 0.65]]
    # .6 closes the bin (.5, .6]; as float32 it would open the next one, beside .65
    expected = {"ece": (1.2 - 1 + 0.65) / 3, "oe": (0.6 * 0.2 + 0.65 * 0.65) / 3}[name]
    assert metric.compute(predictions=probs, references=[1, 0, 0], n_bins=10)[name] == pytest.approx(expected)


def test_combine():
    both = evaluate.combine([evaluate.load(metrics.metric_path(name)) for name in FORMULAS])
    probs, labels = case()
    result = both.compute(predictions=probs, references=labels, n_bins=10)
    assert result == {key: formula(probs, labels, n_bins=10) for key, formula in FORMULAS.items()}
    both.add_batch(predictions=probs, references=labels)
    both.add(prediction=probs[0], reference=labels[0])
    assert set(both.compute(n_bins=10)) == {"ece", "oe"}


def test_errors_leave_the_metric_usable(metric, name):
    probs, labels = case(n=20)
    metric.add_batch(predictions=probs, references=labels)
    with pytest.raises(ValueError, match="row 1 is not finite"):
        metric.add_batch(predictions=[[0.5, 0.5, 0.0], [np.nan, 0.5, 0.5]], references=[0, 1])
    with pytest.raises(ValueError, match="2 columns after batches of 3"):
        metric.add_batch(predictions=[[0.5, 0.5]], references=[0])
    with pytest.raises(ValueError, match="2 labels for 1 rows"):
        metric.compute(predictions=[[0.5, 0.5, 0.0]], references=[0, 1])
    with pytest.raises(TypeError, match="n_bin"):
        metric.compute(n_bin=10)
    with pytest.raises(ValueError, match="Inputs are missing: references"):
        metric.add_batch(predictions=probs)
    with pytest.raises(ValueError, match="Bad inputs: \\['weights'\\]"):
        metric.add_batch(predictions=probs, references=labels, weights=labels)
    assert len(metric) == 20
    assert metric.compute() == {name: FORMULAS[name](probs, labels)}
    assert len(metric) == 0
    with pytest.raises(ValueError, match="nothing to compute: call add or add_batch first"):
        metric.compute()
    with pytest.raises(ValueError, match="if these are logits, apply softmax to them first"):
        metric.compute(predictions=[[3.0, -1.0]], references=[0])
    with pytest.raises(ValueError, match="row 1 has 1 values, row 0 has 2"):
        metric.compute(predictions=[[0.5, 0.5], [1.0]], references=[0, 0])
    with pytest.raises(ValueError, match="empty input"):
        metric.compute(predictions=[], references=[])


def test_two_hundred_thousand_rows_take_no_arrow_route(name, metric, monkeypatch):
    """Which takes seconds for them; the benchmark prints the numbers of both."""
    monkeypatch.setattr("evaluate.module.ArrowWriter", None)
    probs, labels = case(n=200_000, k=10, dtype=np.float32)
    assert metric.compute(predictions=probs, references=labels) == {name: pytest.approx(FORMULAS[name](probs, labels))}


def _one_process(path, cache, process_id, probs, labels, queue):
    module = evaluate.load(path, cache_dir=cache, num_process=2, process_id=process_id, experiment_id="two")
    module.add_batch(predictions=probs, references=labels)
    queue.put((process_id, module.compute(n_bins=10)))


@pytest.mark.parametrize("columns", [3, 1])
def test_two_processes_pool_their_rows_on_the_first(tmp_path, columns):
    probs, labels = case(n=41, k=3 if columns == 3 else 2)
    given = probs if columns == 3 else probs[:, 1]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    path = metrics.metric_path("ece")
    halves = [(given[:20], labels[:20]), (given[20:], labels[20:])]
    workers = [
        context.Process(target=_one_process, args=(path, str(tmp_path), rank, *half, queue))
        for rank, half in enumerate(halves)
    ]
    for worker in workers:
        worker.start()
    results = dict(queue.get() for _ in workers)
    for worker in workers:
        worker.join()
    assert results[1] is None
    assert results[0] == {"ece": pytest.approx(expected_calibration_error(probs, labels, n_bins=10), abs=1e-14)}


WITHOUT_PACKAGE = """
import json, sys
from pathlib import Path

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "nlp_mixup":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
sys.modules["transformers"] = None  # evaluate imports it where it can, which takes long
import evaluate
import numpy as np
try:
    import nlp_mixup
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("nlp_mixup is importable here, so this shows nothing")
probs, labels = np.load("probs.npy"), np.load("labels.npy")
found = {}
for name in ("ece", "oe"):
    cases = {}
    exec(Path(name, "tests.py").read_text(), cases)
    metric = evaluate.load(name)
    cases["run"](metric)
    found[name] = [metric.compute(predictions=probs, references=labels, n_bins=bins)[name].hex() for bins in (10, 15, 100)]
    metric.add_batch(predictions=probs.astype(np.float32), references=labels)
    found[name].append(metric.compute()[name].hex())
print(json.dumps(found))
"""


def test_spaces_give_the_same_bits_where_nlp_mixup_is_not_installed(tmp_path):
    probs, labels = case(n=3000, k=5)
    np.save(tmp_path / "probs.npy", probs)
    np.save(tmp_path / "labels.npy", labels)
    for name in FORMULAS:
        metrics.write_space(name, tmp_path / name)
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "USE_TORCH": "0"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    single = probs.astype(np.float32)
    for name, formula in FORMULAS.items():
        expected = [formula(probs, labels, n_bins=bins) for bins in (10, 15, 100)] + [formula(single, labels)]
        assert found[name] == [float(value).hex() for value in expected]


def test_every_space_is_complete_and_imports_nothing_of_ours(name, tmp_path):
    metrics.write_space(name, tmp_path)
    parts = {"binning.py", "bins.py", "buffered.py", "inputs.py", "precision.py", "table.py"}
    assert {path.name for path in tmp_path.iterdir()} == {
        *("README.md", "app.py", f"{name}.py", "requirements.txt", "tests.py"),
        *parts,
    }
    for path in tmp_path.glob("*.py"):
        assert not re.search(r"^\s*(from|import) nlp_mixup", path.read_text(), re.MULTILINE), path
    front_matter = (tmp_path / "README.md").read_text().split("---")[1]
    for line in (f"title: {name.upper()}", "sdk: gradio", "app_file: app.py", "- evaluate", "- metric"):
        assert line in front_matter.splitlines()


def test_the_warning_of_class_ids_names_the_callers_line(metric):
    with pytest.warns(UserWarning, match="class ids") as told:
        metric.compute(predictions=np.array([0.0, 1.0] * 8), references=[0, 1] * 8)
    assert {warning.filename for warning in told} == {__file__}
