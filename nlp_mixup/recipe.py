"""A YAML recipe and command-line overrides, turned into typed arguments that are all checked before anything is loaded.

A recipe is flat: its keys are argument fields (see `nlp_mixup.arguments`), plus ``arms`` (name -> overrides) and
``seeds``.
"""

import importlib.resources
import itertools
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nlp_mixup.arguments import (
    ARGUMENT_CLASSES,
    BASELINE,
    FIELDS,
    IS_GREATER_BETTER,
    DataArguments,
    EvaluationArguments,
    MixupTrainingArguments,
    ModelArguments,
    check_metric,
    fields_of,
    nearest,
    parse_fields,
    tokens_of,
    used_settings,
)

# What all arms of a comparison must share: the rows, how they are scored, and the rule that chooses the weights.
ONE_FOR_ALL = {f.name for f in fields(DataArguments)} | {
    *("n_bins", "load_best_model_at_end", "metric_for_best_model", "greater_is_better"),
    *("eval_strategy", "eval_steps", "save_strategy", "save_steps"),
}

# What a run from the command line wants where the Trainer's own default is another.
RUN_DEFAULTS: dict[str, Any] = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "logging_strategy": "epoch",
    "per_device_eval_batch_size": 64,
}


class RunArguments(NamedTuple):
    """The typed arguments of one run."""

    model: ModelArguments
    data: DataArguments
    training: MixupTrainingArguments
    evaluation: EvaluationArguments


@dataclass(frozen=True)
class Recipe:
    """A recipe as read, its keys and those of its arms known to be argument fields."""

    name: str
    settings: dict[str, Any]
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)

    def default_arm(self) -> str:
        """The arm that ``train`` runs when none is named: mixup, or the only one; without arms, what the alpha says.

        Raises:
            ValueError: the recipe has several arms and none is called mixup.
        """
        if not self.arms:
            return "mixup" if float(self.settings.get("mixup_alpha") or 0) > 0 else "no_mixup"
        if "mixup" in self.arms:
            return "mixup"
        if len(self.arms) == 1:
            return next(iter(self.arms))
        raise ValueError(f"Recipe '{self.name}' has the arms {_listed(self.arms)}. Choose one: --arm NAME")


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    folder = importlib.resources.files("nlp_mixup.recipes")
    return {Path(str(entry)).stem: Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml")}


def load_recipe(name_or_path: str) -> Recipe:
    """Reads a recipe by the name of a shipped one or by its path, and checks its keys.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: it is not a flat mapping, or a key is no argument field; the message names the nearest one.
    """
    shipped = shipped_recipes()
    path = shipped.get(name_or_path, Path(name_or_path))
    if not path.is_file():
        raise FileNotFoundError(
            f"No recipe '{name_or_path}': neither a file nor one of {_listed(sorted(shipped))}."
            + nearest(name_or_path, shipped)
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} must be a mapping of argument fields, such as 'mixup_alpha: 0.4'.")
    arms = content.pop("arms", None) or {}
    seeds = content.pop("seeds", None) or [content.get("seed") or 0]
    if not isinstance(arms, dict) or not all(isinstance(overrides or {}, dict) for overrides in arms.values()):
        raise ValueError(f"{path}: arms must map names to overrides, such as 'no_mixup: {{mixup_alpha: 0}}'.")
    if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
        raise ValueError(f"{path}: seeds must be a list of integers >= 0, got {seeds!r}.")
    check_seeds(seeds)
    for arm, overrides in arms.items():
        if not (isinstance(arm, str) and arm.translate(str.maketrans("", "", "_-.")).isalnum()):
            raise ValueError(
                f"{path}: the arm's name {arm!r} becomes a folder; use letters, digits, '_', '-' and '.', and quote words "
                "that YAML reads as something else, such as 'no'."
            )
        for key, value in (overrides or {}).items():
            if value is None or key in ("seed", "output_dir"):
                raise ValueError(f"{path}: arm '{arm}' cannot set {key} to {value!r}. Give a value, or use 'seeds:'.")
    recipe = Recipe(
        name=path.stem,
        settings=content,
        arms={str(arm): overrides or {} for arm, overrides in arms.items()},
        seeds=tuple(seeds),
    )
    _check_keys(recipe.settings, str(path), extra=("arms", "seeds"))
    for arm, overrides in recipe.arms.items():
        _check_keys(overrides, f"{path}, arm '{arm}'")
    return recipe


def check_seeds(seeds: list[int]) -> None:
    """Raises ValueError for a negative seed, or one given twice: the same run would count as two."""
    if min(seeds) < 0:
        raise ValueError(f"Seeds must be >= 0, got {min(seeds)}.")
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ValueError(f"Seed {repeated[0]} is given twice in {seeds}; each seed is one run.")


def check_compare(recipe: Recipe, seeds: list[int], overrides: list[str], arms: list[str] | None = None) -> None:
    """Refuses a comparison whose arms would not differ as the recipe says.

    Raises:
        ValueError: no arms, no no_mixup, equal arms, arms that would score other rows, arms asked for that are not there,
            repeated or negative seeds, or an override of what tells the arms apart.
    """
    if not recipe.arms:
        raise ValueError(
            f"Recipe '{recipe.name}' has no arms to compare. Add 'arms:', such as 'no_mixup: {{mixup_alpha: 0}}', "
            f"or run: nlp-mixup train {recipe.name}"
        )
    for arm in arms or []:
        _check_arm(recipe, arm)
    if repeated := sorted({arm for arm in arms or [] if arms and arms.count(arm) > 1}):
        raise ValueError(f"--arms names '{repeated[0]}' twice; each arm is one run per seed.")
    if BASELINE not in recipe.arms:
        raise ValueError(
            f"Recipe '{recipe.name}' has no arm '{BASELINE}', which the others are compared with. Add "
            f"'{BASELINE}: {{mixup_alpha: 0}}' to its arms."
        )
    for arm, settings in recipe.arms.items():
        if shared := sorted(settings.keys() & ONE_FOR_ALL):
            raise ValueError(
                f"The arm '{arm}' of recipe '{recipe.name}' sets {shared[0]}: arms are compared on the same rows, scored "
                "and chosen by the same rule. Set it for the whole recipe."
            )
    check_seeds(seeds)
    for arm, other in itertools.combinations(recipe.arms, 2):
        if {**recipe.settings, **recipe.arms[arm]} == {**recipe.settings, **recipe.arms[other]}:
            raise ValueError(f"The arms '{arm}' and '{other}' of recipe '{recipe.name}' have the same settings.")
    arm_fields = {name for settings in recipe.arms.values() for name in settings} | {"seed"}
    overridden = sorted(fields_of(overrides) & arm_fields)
    if overridden:
        raise ValueError(
            f"--{overridden[0]} tells the runs of '{recipe.name}' apart and cannot be one value for all. "
            + (
                "Use --seeds."
                if overridden[0] == "seed"
                else "Edit a copy of the recipe, or train one arm: nlp-mixup train --arm NAME"
            )
        )


def check_baseline(arguments: RunArguments) -> None:
    """Raises ValueError where the settings of the arm no_mixup, the command line's included, do not train plainly."""
    for name in ("mixup_alpha", "label_smoothing_factor", "confidence_penalty"):
        if (value := getattr(arguments.training, name)) != 0:
            raise ValueError(
                f"The arm '{BASELINE}' must train plainly, but its {name} is {value}. Set it in the arms that differ by it."
            )


def _check_arm(recipe: Recipe, arm: str) -> None:
    if arm not in recipe.arms:
        raise ValueError(
            f"Recipe '{recipe.name}' has no arm '{arm}', only {_listed(recipe.arms)}.{nearest(arm, recipe.arms)}"
        )


def parse_arguments(recipe: Recipe, arm: str, overrides: list[str], seed: int | None = None) -> RunArguments:
    """The typed arguments of one run. Later wins: run defaults, recipe, arm, seed, command line.

    Args:
        recipe: a recipe.
        arm: one of its arms, or ``mixup`` if it has none.
        overrides: command-line tokens, such as ``["--mixup_alpha", "0.4"]``.
        seed: the run's seed; the recipe's first one by default.

    Raises:
        ValueError: an unknown arm or flag (the message names the nearest), or a value out of its range.
        SystemExit: a value of the wrong type, with the parser's message.
    """
    if not recipe.arms and arm != recipe.default_arm():
        raise ValueError(f"Recipe '{recipe.name}' has no arms, so --arm {arm!r} names nothing. Leave --arm out.")
    if recipe.arms:
        _check_arm(recipe, arm)
    settings = {
        **RUN_DEFAULTS,
        "output_dir": f"runs/{recipe.name}",
        "seed": recipe.seeds[0],
        **recipe.settings,
        **recipe.arms.get(arm, {}),
    }
    if seed is not None:
        settings["seed"] = seed
    result = RunArguments(*parse_fields(ARGUMENT_CLASSES, tokens_of(settings) + overrides))
    if result.training.resume_from_checkpoint is not None:
        raise ValueError(
            "resume_from_checkpoint is not needed: the same command resumes from the run's own last checkpoint. "
            "To start from other weights, type --model_name_or_path FOLDER."
        )
    if (metric := result.training.metric_for_best_model) is not None:
        check_metric(metric, IS_GREATER_BETTER)
    return result


def settings_of(arguments: RunArguments) -> dict[str, Any]:
    """The fields whose value is not their default, flat, as a recipe would have them: enough to run it again."""
    settings = {}
    for group in arguments:
        # Training arguments set the process's one distributed state: without use_cpu, every CPU process would be rank 0.
        same: dict[str, Any] = {}
        if group is arguments.training:
            same = {"output_dir": arguments.training.output_dir, "use_cpu": arguments.training.use_cpu}
        plain = type(group)(**same)
        always = (*RUN_DEFAULTS, "output_dir", "seed", *(["use_cpu"] if same.get("use_cpu") else []))
        for f in fields(group):
            value = getattr(group, f.name)
            if f.init and (value != getattr(plain, f.name) or f.name in always):
                settings[f.name] = _yaml_value(value)
    return used_settings(settings)


def _yaml_value(value: Any) -> Any:
    """Enums and nested configurations as the plain value that the recipe parser reads back."""
    if isinstance(value, list):
        return [_yaml_value(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return value


def _check_keys(settings: dict[str, Any], place: str, extra: tuple[str, ...] = ()) -> None:
    for key in settings:
        if key not in FIELDS:
            raise ValueError(f"Unknown key '{key}' in {place}.{nearest(str(key), [*FIELDS, *extra])}")


def _listed(names) -> str:
    return ", ".join(f"'{name}'" for name in names)
