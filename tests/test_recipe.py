"""Recipes: typed, checked before anything loads, every shipped one readable."""

import pytest
import yaml

from nlp_mixup.recipe import (
    check_baseline,
    check_compare,
    fields_of,
    load_recipe,
    parse_arguments,
    settings_of,
    shipped_recipes,
)


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_parses_in_all_its_arms(name):
    recipe = load_recipe(name)
    check_compare(recipe, list(recipe.seeds), [])
    for arm in recipe.arms:
        arguments = parse_arguments(recipe, arm, [])
        mixes = not ({"no_mixup", "label_smoothing", "erl"} & {arm})
        assert (arguments.training.mixup_alpha > 0) == mixes
        assert arguments.training.output_dir == f"runs/{name}"
        assert arguments.training.seed == recipe.seeds[0]


def test_yaml_values_get_the_types_of_their_fields(tmp_path):
    recipe = load_recipe(
        write(
            tmp_path,
            "learning_rate: 5e-5\nmixup_alpha: 1\nbf16: false\nlr_scheduler_kwargs: {num_cycles: 2}\ntest_file: null\n",
        )
    )
    model, data, training, _ = parse_arguments(recipe, "mixup", [])
    assert training.learning_rate == 5e-5  # PyYAML alone reads a string
    assert training.mixup_alpha == 1.0
    assert training.bf16 is False
    assert training.lr_scheduler_kwargs == {"num_cycles": 2}
    assert data.test_file is None
    assert model.model_name_or_path == "text-cnn"


def test_precedence_is_recipe_arm_seed_command_line(tmp_path):
    recipe = load_recipe(
        write(tmp_path, "mixup_alpha: 0.1\nlearning_rate: 1\narms: {a: {mixup_alpha: 0.2}, b: {}}\nseeds: [5, 6]\n")
    )
    assert parse_arguments(recipe, "b", []).training.mixup_alpha == 0.1
    assert parse_arguments(recipe, "a", []).training.mixup_alpha == 0.2
    assert parse_arguments(recipe, "a", ["--mixup_alpha", "0.3"]).training.mixup_alpha == 0.3
    assert parse_arguments(recipe, "a", []).training.seed == 5
    assert parse_arguments(recipe, "a", [], seed=7).training.seed == 7


def test_settings_round_trip_through_yaml(tmp_path):
    recipe = load_recipe("quickstart")
    overrides = [
        "--lr_scheduler_type=cosine_with_restarts", '--lr_scheduler_kwargs={"num_cycles": 2}', "--label_names", "labels",
    ]  # fmt: skip
    arguments = parse_arguments(recipe, "mixup", overrides)
    settings = settings_of(arguments)
    again = load_recipe(write(tmp_path, yaml.safe_dump(settings)))
    second = parse_arguments(again, "mixup", [])
    assert settings_of(second) == settings
    assert second.training.lr_scheduler_kwargs == {"num_cycles": 2}
    assert second.training.num_train_epochs == arguments.training.num_train_epochs
    assert second.data == arguments.data
    assert second.model == arguments.model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixup_alhpa: 0.4", r"Unknown key 'mixup_alhpa' in .*mine.yaml. Did you mean 'mixup_alpha'\?"),
        ("arm: {a: {}}", r"Unknown key 'arm' in .*mine.yaml. Did you mean 'arms'\?"),
        ("arms: {a: {learning_rat: 1}}", r"Unknown key 'learning_rat' in .*arm 'a'. Did you mean 'learning_rate'\?"),
        ("arms: [a, b]", r"arms must map names to overrides, such as 'no_mixup: \{mixup_alpha: 0\}'"),
        ("arms: {../a: {}}", r"arm's name '../a' becomes a folder; use letters, digits"),
        ("arms: {no: {}}", r"arm's name False becomes a folder; .* quote words that YAML reads as something else"),
        ("arms: {a: {mixup_alpha: }}", r"arm 'a' cannot set mixup_alpha to None. Give a value"),
        ("arms: {a: {seed: 3}}", r"arm 'a' cannot set seed to 3. Give a value, or use 'seeds:'"),
        ("seeds: 3", r"seeds must be a list of integers >= 0, got 3"),
        ("seeds: [1, 2, 1]", r"Seed 1 is given twice in \[1, 2, 1\]"),
        ("seeds: [-1]", r"Seeds must be >= 0, got -1"),
        ("- a", r"must be a mapping of argument fields"),
        ("", r"must be a mapping of argument fields"),
        ("a: [", r"is not valid YAML"),
    ],
)
def test_recipes_that_cannot_be_read(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(write(tmp_path, text))


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(FileNotFoundError, match=r"No recipe 'quickstrat': .*Did you mean 'quickstart'\?"):
        load_recipe("quickstrat")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--mixup_alpa", "0.4"], r"Unknown argument '--mixup_alpa'. Did you mean '--mixup_alpha'\?"),
        (["--mixup_alph=0.4"], r"Unknown argument '--mixup_alph=0.4'. Did you mean '--mixup_alpha'\?"),
        (["--mixup_alpha", "-0.4"], r"mixup_alpha must be a finite number >= 0 .*, got -0.4"),
        (["--n_bins", "0"], r"n_bins must be at least 1, got 0"),
        (["--hub_token", "secret"], r"hub_token would be written to disk.*HF_TOKEN"),
        (["--per_device_train_batch_size", "0"], r"per_device_train_batch_size must be at least 1, got 0"),
        (["--learning_rate", "nan"], r"learning_rate must be a finite number >= 0, got nan"),
        (["--resume_from_checkpoint", "x"], r"resume_from_checkpoint is not needed: the same command resumes"),
    ],
)
def test_command_line_values_that_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_arguments(load_recipe("quickstart"), "mixup", overrides)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--mixup_alpha", "many"], "argument --mixup_alpha/--mixup-alpha: invalid float value: 'many'"),
        (["--mixup_carrier", "both"], "invalid choice: 'both' (choose from"),
    ],
)
def test_values_of_the_wrong_type_end_with_one_line(overrides, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(load_recipe("quickstart"), "mixup", overrides)
    assert caught.value.code == 2
    stderr = capsys.readouterr().err
    assert message in stderr
    assert stderr.count("\n") == 1


def test_unknown_arm():
    with pytest.raises(ValueError, match=r"Recipe 'quickstart' has no arm 'mixap', only .*Did you mean 'mixup'\?"):
        parse_arguments(load_recipe("quickstart"), "mixap", [])


@pytest.mark.parametrize(
    "override",
    ["--eval_strategy=no", "--save_strategy=steps", "--logging_strategy=steps", "--per_device_eval_batch_size=8",
     "--save_total_limit=5", "--debug=underflow_overflow", "--learning_rate=1e-05", "--mixup_off_epoch=2"],
)  # fmt: skip
def test_stored_settings_win_over_the_defaults_of_a_run(tmp_path, override):
    recipe = load_recipe(write(tmp_path, "dataset_name: demo-tweets\nmixup_alpha: 0.4\n"))
    arguments = parse_arguments(recipe, "mixup", [override])
    again = load_recipe(write(tmp_path, yaml.safe_dump(settings_of(arguments))))
    second = parse_arguments(again, "mixup", [])
    name = override.removeprefix("--").split("=")[0]
    assert getattr(second.training, name) == getattr(arguments.training, name)


def test_an_arm_that_the_recipe_does_not_have_is_refused_without_arms_too(tmp_path):
    recipe = load_recipe(write(tmp_path, "mixup_alpha: 0.4"))
    for arm in ("no_mixup", "../../elsewhere"):
        with pytest.raises(ValueError, match=r"Recipe 'mine' has no arms, so --arm .* names nothing"):
            parse_arguments(recipe, arm, [])


def test_equal_arms_are_refused(tmp_path):
    recipe = load_recipe(
        write(tmp_path, "mixup_alpha: 0.4\narms: {no_mixup: {mixup_alpha: 0}, a: {}, b: {mixup_alpha: 0.4}}")
    )
    with pytest.raises(ValueError, match=r"The arms 'a' and 'b' of recipe 'mine' have the same settings"):
        check_compare(recipe, [0], [])


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("{mixup: {}}", r"has no arm 'no_mixup', .* Add 'no_mixup: \{mixup_alpha: 0\}' to its arms"),
        (
            "{no_mixup: {mixup_alpha: 0}, mixup: {max_eval_samples: 10}}",
            r"The arm 'mixup' of recipe 'mine' sets max_eval_samples: arms are compared on the same rows",
        ),
        (
            "{no_mixup: {mixup_alpha: 0}, mixup: {metric_for_best_model: nll}}",
            "sets metric_for_best_model: arms are compared .* chosen by the same rule",
        ),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(tmp_path, arms, message):
    recipe = load_recipe(write(tmp_path, f"mixup_alpha: 0.4\narms: {arms}"))
    with pytest.raises(ValueError, match=message):
        check_compare(recipe, [0], [])


@pytest.mark.parametrize(
    ("arms", "overrides", "message"),
    [
        ("{no_mixup: {}, mixup: {mixup_alpha: 1}}", [], "must train plainly, but its mixup_alpha is 0.4"),
        (
            "{no_mixup: {mixup_alpha: 0}, mixup: {}}",
            ["--label_smoothing_factor", "0.1"],
            "must train plainly, but its label_smoothing_factor is 0.1",
        ),
    ],
)
def test_the_baseline_trains_plainly(tmp_path, arms, overrides, message):
    recipe = load_recipe(write(tmp_path, f"mixup_alpha: 0.4\narms: {arms}"))
    with pytest.raises(ValueError, match=message):
        check_baseline(parse_arguments(recipe, "no_mixup", overrides))


@pytest.mark.parametrize(
    ("metric", "greater"), [("nll", False), ("eval_ece", False), ("accuracy", True), ("loss", False)]
)
def test_the_better_end_of_a_metric_is_known(tmp_path, metric, greater):
    recipe = load_recipe(write(tmp_path, "mixup_alpha: 0.4\nload_best_model_at_end: true\n"))
    assert parse_arguments(recipe, "mixup", ["--metric_for_best_model", metric]).training.greater_is_better is greater
    with pytest.raises(ValueError, match="metric_for_best_model='gap' has no better end"):
        parse_arguments(recipe, "mixup", ["--metric_for_best_model", "gap"])


@pytest.mark.parametrize("metric", ["f1", "eval_f1", "smooth_ece", "eval_runtime"])
def test_a_metric_that_no_evaluation_computes_is_refused_before_anything_is_loaded(tmp_path, metric):
    recipe = load_recipe(write(tmp_path, "mixup_alpha: 0.4\n"))
    with pytest.raises(
        ValueError, match=rf"'{metric}' is not computed by the evaluations, which give accuracy, nll, brier"
    ):
        parse_arguments(recipe, "mixup", ["--metric_for_best_model", metric])


def test_arms_of_the_command_line_are_the_recipes():
    recipe = load_recipe("quickstart")
    check_compare(recipe, [0], [], arms=["mixup"])
    with pytest.raises(ValueError, match=r"has no arm 'mixap', only 'no_mixup', 'mixup'. Did you mean 'mixup'\?"):
        check_compare(recipe, [0], [], arms=["mixap"])
    with pytest.raises(ValueError, match="--arms names 'mixup' twice"):
        check_compare(recipe, [0], [], arms=["mixup", "no_mixup", "mixup"])


def test_ood_files_as_a_mapping_or_a_list(tmp_path):
    for text in ("{oos: a.csv, far: 'b.csv:label=1'}", "['oos=a.csv', 'far=b.csv:label=1']"):
        recipe = load_recipe(write(tmp_path, f"mixup_alpha: 0.4\nood_files: {text}"))
        data = parse_arguments(recipe, "mixup", []).data
        assert data.ood_files == ["oos=a.csv", "far=b.csv:label=1"]


def test_default_arm(tmp_path):
    assert load_recipe("quickstart").default_arm() == "mixup"
    assert load_recipe(write(tmp_path, "mixup_alpha: 0.2")).default_arm() == "mixup"
    assert load_recipe(write(tmp_path, "learning_rate: 1e-3")).default_arm() == "no_mixup"
    assert load_recipe(write(tmp_path, "arms: {only: {}}")).default_arm() == "only"
    with pytest.raises(ValueError, match=r"has the arms 'a', 'b'. Choose one: --arm NAME"):
        load_recipe(write(tmp_path, "arms: {a: {}, b: {}}")).default_arm()


def test_compare_refuses_one_value_for_what_tells_the_arms_apart():
    recipe = load_recipe("quickstart")
    with pytest.raises(ValueError, match=r"--mixup_alpha tells the runs of 'quickstart' apart.*--arm NAME"):
        check_compare(recipe, [0], ["--mixup_alpha", "0.3"])
    with pytest.raises(ValueError, match=r"--seed tells the runs .*Use --seeds"):
        check_compare(recipe, [0], ["--seed=3"])
    check_compare(recipe, [0], ["--learning_rate", "1e-3"])


def test_compare_needs_arms(tmp_path):
    with pytest.raises(ValueError, match=r"Recipe 'mine' has no arms to compare. Add 'arms:'"):
        check_compare(load_recipe(write(tmp_path, "mixup_alpha: 0.2")), [0], [])


def test_fields_of_reads_all_spellings():
    assert fields_of(["--mixup-alpha=1", "--no_do_train", "--seed", "3"]) >= {"mixup_alpha", "seed"}
