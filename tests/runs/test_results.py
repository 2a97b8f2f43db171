"""A results folder: what counts as a run, what is left out by name, what may not be compared."""

import json
import re
import shutil

import pytest
from stored_runs import planted, store_run

from nlp_mixup.runs.results import read_results, write_results


@pytest.fixture
def folder(tmp_path):
    """Two arms with two seeds each, of planted logits."""
    for arm, alpha in (("no_mixup", 0), ("mixup", 0.4)):
        for seed in (0, 1):
            settings = {"mixup_alpha": alpha, "seed": seed, "dataset_name": "somewhere", "learning_rate": 1e-3}
            store_run(tmp_path, arm, seed, planted(seed, sharpness=3.0 - 5 * alpha), settings=settings)
    return tmp_path


def test_arms_come_in_their_natural_order_with_no_mixup_first(folder):
    for arm in ("mixup-10", "mixup-2", "erl"):
        store_run(folder, arm, 0, planted(0, sharpness=1.0), settings={"dataset_name": "somewhere", "seed": 0})
    results = read_results(folder)
    assert list(results.runs) == ["no_mixup", "erl", "mixup", "mixup-2", "mixup-10"]


def test_results_csv_holds_every_run_and_no_path(folder):
    text = write_results(read_results(folder)).read_text()
    assert text.count("\n") == 1 + 2 * 2 * 2 * 2
    assert "confidence_noise" in text.splitlines()[0]
    assert str(folder) not in text


def test_unfinished_and_broken_runs_are_named_and_left_out(folder):
    (folder / "mixup" / "seed-2").mkdir()
    (folder / "mixup" / "seed-0" / "metrics.json").write_text('{"format": 2, "rows": [')
    whole = (folder / "no_mixup" / "seed-1" / "logits-test.npz").read_bytes()
    (folder / "no_mixup" / "seed-1" / "logits-test.npz").write_bytes(whole[: len(whole) // 2])
    results = read_results(folder)
    assert {arm: list(by_seed) for arm, by_seed in results.runs.items()} == {"no_mixup": [0], "mixup": [1]}
    assert [re.search(r"(\w+/seed-\d)", line)[1] for line in results.skipped] == [
        "mixup/seed-0", "mixup/seed-2", "no_mixup/seed-1",
    ]  # fmt: skip
    assert "not a whole metrics.json" in results.skipped[0]
    assert "is not finished" in results.skipped[1]
    assert "logits-test.npz is damaged or gone" in results.skipped[2]


def test_another_version_is_refused(folder):
    path = folder / "mixup" / "seed-0" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    with pytest.raises(ValueError, match=r"another version of nlp_mixup \(format 1; this one reads 2 and 3\)"):
        read_results(folder)


@pytest.mark.parametrize(
    ("arm", "settings", "predictions", "message"),
    [
        ("mixup", {"learning_rate": 1.0}, {}, "learning_rate is 0.001 in the first and 1.0 in the second"),
        ("erl", {"label_noise": 0.2}, {}, "label_noise is None in the first and 0.2 in the second"),
        ("erl", {"n_bins": 100}, {}, "n_bins is None in the first and 100 in the second"),
        ("erl", {}, {"n": 100}, "the labels of the scored rows is"),
        ("erl", {}, {"selection": "best validation nll"}, "the rule that chose the weights is last epoch in the first"),
        ("erl", {}, {"ood": {}}, r"the out-of-distribution sets is \['noise'\] in the first and \[\] in the second"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(folder, arm, settings, predictions, message):
    settings = {"mixup_alpha": 0.4, "seed": 2, "dataset_name": "somewhere", "learning_rate": 1e-3} | settings
    data = planted(0, sharpness=1.0, n=predictions.pop("n", 200))
    store_run(folder, arm, 2, data, settings=settings, **predictions)
    with pytest.raises(ValueError, match=message):
        read_results(folder)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no finished run"):
        read_results(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no results folder"):
        read_results(tmp_path / "nothing")


def test_a_copied_run_does_not_replace_its_original(folder):
    shutil.copytree(folder / "mixup", folder / "mixup-backup")
    results = read_results(folder)
    assert list(results.runs) == ["no_mixup", "mixup"]
    assert results.runs["mixup"][0].folder == folder / "mixup" / "seed-0"
    assert "mixup-backup/seed-0 holds the run mixup/seed-0: a copy, left out." in " ".join(results.skipped)


def test_places_may_differ_what_rows_say_may_not(folder):
    path = folder / "mixup" / "seed-0" / "arguments.yaml"
    path.write_text(path.read_text().replace("dataset_name: somewhere", "dataset_name: /another/machine"))
    assert len(read_results(folder).all_runs) == 4
    path = folder / "mixup" / "seed-0" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digests": {"train": "other"}}))
    with pytest.raises(ValueError, match="what the rows of the splits say is None in the first and"):
        read_results(folder)
