"""A run's model bears the names that the run trained it with, in their order, or others; what no run wrote says nothing."""

import json

import pytest
from run_folders import write_run

from nlp_mixup.models.starting import check_names_of_run
from nlp_mixup.models.trained import load_trained
from nlp_mixup.release.save import prepare_run


@pytest.mark.parametrize("kind", ["bert", "text-cnn"])
def test_a_runs_names_in_another_order_are_neither_published_nor_judged(tmp_path, kind):
    write_run(tmp_path / "run", kind, names=("bad", "good", "so-so"))
    file = tmp_path / "run" / "model" / "config.json"
    config = json.loads(file.read_text())
    for names, is_refused in ((["good", "bad", "so-so"], True), (["mauvais", "bon", "moyen"], False)):
        turned = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
        file.write_text(json.dumps(config | turned))
        if is_refused:
            message = r"numbers the classes 0 good, 1 bad, 2 so-so; the run that trained .* numbers them 0 bad, 1 good"
            with pytest.raises(ValueError, match=message):
                prepare_run(tmp_path / "run", "me/model")
            with pytest.raises(ValueError, match=message):
                load_trained(str(tmp_path / "run"))
        else:
            prepare_run(tmp_path / "run", "me/model")


@pytest.mark.parametrize("text", ['{"accuracy": 0.9}', "[1]", "accuracy: 0.9"], ids=["names", "list", "no JSON"])
def test_metrics_beside_a_model_that_no_run_wrote_say_nothing_of_its_names(tmp_path, text):
    write_run(tmp_path / "run", "bert", names=("bad", "good", "so-so"))
    (tmp_path / "run" / "metrics.json").write_text(text)
    model = load_trained(str(tmp_path / "run" / "model"))[0]
    assert model.config.id2label == {0: "bad", 1: "good", 2: "so-so"}


def test_metrics_where_a_hub_id_would_lie_say_nothing_of_its_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics.json").write_text('{"label_names": ["good", "bad"]}')
    check_names_of_run("some-classifier", ["bad", "good"])
    (tmp_path / "some-classifier").mkdir()
    with pytest.raises(ValueError, match="numbers the classes 0 bad, 1 good; the run"):
        check_names_of_run("some-classifier", ["bad", "good"])
