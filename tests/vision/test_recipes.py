"""Every image recipe takes two steps on 8 generated images, through the command line."""

import json

import pytest
from image_folders import write_images

from nlp_mixup import cli
from nlp_mixup.recipe import load_recipe, shipped_recipes

RECIPES = [name for name in sorted(shipped_recipes()) if load_recipe(name).settings.get("task") == "image"]

OWN_MODEL = ("cifar10-vgg16", "cifar10-resnet34", "fashion-mnist-resnet18", "imagenet-resnet50")


def test_the_image_recipes_are_these():
    assert {
        *("digits-quickstart", "cifar10-small-resnet", "cifar10-vgg16", "cifar10-resnet34", "cifar100-vgg16"),
        *("cifar100-resnet34", "stl10-vgg16", "fashion-mnist-resnet18", "imagenet-resnet50"),
        *("digits-label-noise", "mnist-small-resnet"),
    } == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_takes_two_steps(tmp_path, name):
    folder = write_images(tmp_path / "images", size=32)
    arm = next(arm for arm in load_recipe(name).arms if arm.startswith("mixup"))
    settings = {"imagenet-resnet50": ["--dataloader_num_workers", "0"]}.get(name, [])
    if load_recipe(name).settings["model_name_or_path"] != "resnet-small" and name not in OWN_MODEL:
        settings += ["--model_name_or_path", "resnet-small"]  # the others' models are the same
    cli.main(
        ["train", name, "--arm", arm, "--dataset_name", str(folder), "--max_steps", "2", "--max_train_samples", "8",
         "--label_column", "label", "--image_column", "image", "--image_size", "32", "--per_device_train_batch_size", "2",
         "--label_noise", "0", "--use_cpu", "--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "false", "--warmup_steps", "0",
         "--noise_samples", "4", "--output_dir", str(tmp_path / "run"), "--keep_models", "none", "--disable_tqdm", "true",
         *settings]
    )  # fmt: skip
    rows = json.loads((tmp_path / "run" / arm / "seed-0" / "metrics.json").read_text())["rows"]
    assert {row["split"]: row["n"] for row in rows} == {"validation": 8, "test": 8}
