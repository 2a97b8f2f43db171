"""Streamed images: the same rows after a resumption, a fair sample, and what a stream cannot do is refused."""

import io

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from recorded_training import Recorder, Stop

from nlp_mixup import cli
from nlp_mixup.recipe import Recipe, parse_arguments
from nlp_mixup.vision.data.images import load_image_data
from nlp_mixup.vision.runs import prepare_images


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value, value, value)).save(file, format="png")
    return file.getvalue()


def write_rows(folder, labels, values=None, splits=("train", "validation"), broken=()):
    """Images of one grey each: the row's number."""
    values = list(range(len(labels))) if values is None else values
    contents = [b"broken" if row in broken else png(value) for row, value in enumerate(values)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])})
    table = pa.table({"image": [{"bytes": content, "path": None} for content in contents], "label": labels})
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        pq.write_table(table.replace_schema_metadata(features.arrow_schema.metadata), folder / f"{split}.parquet")
    return folder


def settings_of(tmp_path, **settings):
    return {
        "task": "image", "model_name_or_path": "resnet-small", "use_cpu": True, "noise_samples": 0, "streaming": True,
        "dataset_name": str(tmp_path / "data"), "image_size": 4, "max_steps": 5, "output_dir": str(tmp_path / "run"),
        **settings,
    }  # fmt: skip


def arguments(tmp_path, **settings):
    recipe = Recipe("mine", settings_of(tmp_path, **settings))
    return parse_arguments(recipe, recipe.default_arm(), [])


def test_passes_follow_each_other_in_other_orders(tmp_path):
    write_rows(tmp_path / "data", [0, 1] * 4)
    prepared = prepare_images(arguments(tmp_path))
    values = torch.stack([row["pixel_values"][0, 0, 0] for row in prepared.splits["train"].take(24)]).view(3, 8)
    assert all(torch.equal(one.sort().values, values[0].sort().values) for one in values)
    assert not torch.equal(values[0], values[1])
    again = torch.stack([row["pixel_values"][0, 0, 0] for row in prepared.splits["train"].take(24)]).view(3, 8)
    assert torch.equal(values, again)


def test_workers_share_the_rows_of_a_pass(tmp_path):
    """Two readers of a folder of 8 files, which are 8 shards: each reads 4 of them, over and over."""
    from image_folders import write_images

    write_images(tmp_path / "data", n=8, size=4)
    prepared = prepare_images(arguments(tmp_path, dataloader_num_workers=2))
    rows, n = prepared.splits["train"], 8
    assert rows.num_shards == 2
    halves = [
        torch.stack([row["pixel_values"].sum() for row in rows.shard(2, part).take(n)]).view(2, 4) for part in (0, 1)
    ]
    assert all(torch.equal(*half.sort(1).values) for half in halves)
    assert len(set(torch.cat([half[0] for half in halves]).tolist())) == 8


@pytest.mark.parametrize("kind", ["files", "parquet"])
def test_resumed_after_the_first_pass_equals_uninterrupted(tmp_path, kind):
    """8 rows are 2 steps of 4: the checkpoint is in the second pass."""
    if kind == "parquet":
        write_rows(tmp_path / "data", [0, 1] * 4)
    else:
        for row in range(8):
            for split in ("train", "validation"):
                place = tmp_path / "data" / split / ("bee" if row % 2 else "ant") / f"{row}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(png(row))
    prepared = prepare_images(arguments(tmp_path))

    def trained(folder, *callbacks, checkpoint=None):
        recorder = Recorder()
        args = arguments(
            tmp_path, output_dir=str(tmp_path / folder), per_device_train_batch_size=4, save_strategy="steps", save_steps=3,
            eval_strategy="no", logging_strategy="no", image_augment="pad-crop-flip", mixup_alpha=0.4, optim="sgd",
            disable_tqdm=True, report_to="none", load_best_model_at_end=False,
        )  # fmt: skip
        torch.manual_seed(0)
        trainer = prepared.trainer_class(
            model=prepared.load_model(args.model), args=args.training, train_dataset=prepared.splits["train"],
            data_collator=prepared.data_collator, callbacks=[recorder, *callbacks],
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=checkpoint)
        return recorder.gradients

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("cut", Stop(4))
    rest = trained("cut", checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    assert (len(whole), len(rest)) == (5, 2)
    for mine, theirs in zip(rest, whole[3:], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_statistics_and_samples_are_not_of_the_first_rows(tmp_path):
    """Rows sorted by class, as files often are: dark ants, then light bees."""
    labels = [0] * 40 + [1] * 40
    write_rows(tmp_path / "data", labels, [10 + 190 * label for label in labels])
    args = arguments(tmp_path, max_eval_samples=20)
    data = load_image_data(args.data)
    assert set(data.tables["validation"]["label"].to_pylist()) == {0, 1}
    values = [np.asarray(Image.open(io.BytesIO(content["bytes"])))[0, 0, 0] for content in data.stream.contents(20)]
    assert set(values) == {10, 200}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_noise": 0.2}, r"label_noise=0.2 needs all training rows at once.* set streaming=false"),
        ({"max_train_samples": 4}, r"max_train_samples=4 needs all training rows at once"),
        ({"ood_classes": ["bee"]}, r"ood_classes=\['bee'\] needs all training rows at once"),
    ],
)
def test_settings_that_a_stream_would_ignore_are_refused(tmp_path, settings, message):
    write_rows(tmp_path / "data", [0, 1] * 4)
    with pytest.raises(ValueError, match=message):
        prepare_images(arguments(tmp_path, **settings))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("what", ["label", "image"])
def test_a_wrong_row_late_in_a_stream_is_one_line(tmp_path, capsys, what, workers, monkeypatch):
    monkeypatch.setattr("nlp_mixup.vision.runs.STREAM_SAMPLE", 1)
    write_rows(tmp_path / "data", [0, 1] * 40)
    labels = [0, 1] * 39 + [1, -1 if what == "label" else 1]
    broken = () if what == "label" else range(40, 80)
    write_rows(tmp_path / "data", labels, splits=("train",), broken=broken)
    overrides = {"max_steps": "30", "per_device_train_batch_size": "4", "dataloader_num_workers": str(workers)}
    shown = settings_of(tmp_path, **overrides, eval_strategy="no", save_strategy="no", logging_strategy="no")
    shown |= {"load_best_model_at_end": "false", "disable_tqdm": "true", "data_split_seed": "1"}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("task: image\nmixup_alpha: 0.4\narms: {mixup: {}}\n")
    flat = [part for name, value in shown.items() if name != "task" for part in (f"--{name}", str(value))]
    if what == "image":
        monkeypatch.setattr(
            "nlp_mixup.vision.data.stream.Stream.contents", lambda self, n: [{"bytes": png(7), "path": None}]
        )
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", str(recipe), "--arm", "mixup", *flat])
    printed = capsys.readouterr().err
    assert caught.value.code == 2, printed
    (line,) = [line for line in printed.splitlines() if line.startswith("nlp-mixup: error")]
    wanted = (
        "has the label -1, which is no class: they are 0 to 1." if what == "label" else "cannot be read as an image"
    )
    assert wanted in line
    assert "Traceback" not in printed
