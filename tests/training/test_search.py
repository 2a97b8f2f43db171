"""A search looks for one score, in its own direction."""

import pytest
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments

from nlp_mixup import MixupTrainer, calibration_metrics

RATES = (1e-4, 0.03, 0.1, 1.0)  # one a trial: what a sampler draws may be one rate four times


def search(folder, compute_metrics, direction=None, **settings):
    pytest.importorskip("optuna")
    trainer = MixupTrainer(
        model_init=lambda: tiny_model(),
        args=training_arguments(folder, num_train_epochs=1, eval_strategy="epoch", **settings),
        train_dataset=tiny_dataset(),
        eval_dataset=tiny_dataset(12, seed=5),
        data_collator=PadCollator(),
        compute_metrics=compute_metrics,
    )
    evaluations, evaluate = [], trainer.evaluate
    trainer.evaluate = lambda *args, **kwargs: evaluations.append(evaluate(*args, **kwargs)) or evaluations[-1]
    best = trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", *2 * [RATES[trial.number]])},
        n_trials=4, direction=direction, backend="optuna",
    )  # fmt: skip
    return best, evaluations


@pytest.mark.parametrize(
    ("settings", "metrics", "name", "best_of"),
    [
        ({}, True, "eval_nll", min),
        ({}, False, "eval_loss", min),
        ({"metric_for_best_model": "ece"}, True, "eval_ece", min),
        ({"metric_for_best_model": "eval_accuracy"}, True, "eval_accuracy", max),
    ],
)
def test_a_search_without_an_objective_looks_for_one_score(tmp_path, settings, metrics, name, best_of):
    """The stock default adds up accuracy, NLL and calibration errors, and minimises the sum."""
    best, evaluations = search(tmp_path, calibration_metrics() if metrics else None, **settings)
    scores = [evaluation[name] for evaluation in evaluations]
    assert len(set(scores)) > 1
    assert best.objective == best_of(scores)


@pytest.mark.parametrize(
    ("settings", "direction", "score"),
    [({}, "maximize", "NLL"), ({"metric_for_best_model": "accuracy"}, "minimize", "accuracy")],
)
def test_a_search_in_the_wrong_direction_is_refused(tmp_path, settings, direction, score):
    with pytest.raises(ValueError, match=rf"direction='{direction}' would look for the worst {score}"):
        search(tmp_path, calibration_metrics(), direction, **settings)


def test_the_refusal_of_maximize_says_how_to_search_for_accuracy(tmp_path):
    with pytest.raises(ValueError, match="such as metric_for_best_model='accuracy'"):
        search(tmp_path, calibration_metrics(), "maximize")
    best, evaluations = search(tmp_path, calibration_metrics(), "maximize", metric_for_best_model="accuracy")
    assert best.objective == max(evaluation["eval_accuracy"] for evaluation in evaluations)


def test_a_search_for_a_score_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"The evaluation gives no eval_f1, which the search needs, but .*eval_loss"):
        search(tmp_path, lambda prediction: {"f": 1.0}, metric_for_best_model="f1", eval_on_start=False)
