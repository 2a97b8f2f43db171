"""The card's section on training: settings, data, starting point, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from nlp_mixup.arguments import DataArguments, MixupTrainingArguments, ModelArguments
from nlp_mixup.release.foreign_text import data_link, hub_link, in_code, inert, table_line
from nlp_mixup.release.released import Released, alpha_of, is_cutmix
from nlp_mixup.runs import BUILT_IN, RunRecord, installed_versions

SHOWN_SETTINGS = (
    *("mixup_level", "mixup_layer", "mixup_pixels", "mixup_lambda_per", "mixup_carrier", "mixup_mode"),
    "mixup_probability",
    *("mixup_off_epoch", "mixup_clean_weight", "confidence_penalty", "label_smoothing_factor", "num_train_epochs"),
    *("max_steps", "learning_rate", "lr_scheduler_type", "lr_milestones", "lr_milestone_factor", "warmup_steps"),
    *("optim", "optim_args", "weight_decay", "per_device_train_batch_size", "gradient_accumulation_steps", "lora_rank"),
    *("bf16", "fp16", "text_pair_column", "max_length", "image_size", "image_augment", "label_noise", "ood_classes"),
    *("max_train_samples", "seed"),
)
ALWAYS_SHOWN = ("num_train_epochs", "learning_rate", "per_device_train_batch_size", "seed")
DEFAULTS = {
    f.name: f.default for group in (ModelArguments, DataArguments, MixupTrainingArguments) for f in fields(group)
}


def training_section(record: RunRecord, released: Released, source: Mapping[str, str | None]) -> str:
    settings, metrics = record.settings, record.metrics
    method = "CutMix" if is_cutmix(record) else "mixup"
    lines = [
        f"arm `{in_code(metrics['arm'])}`, "
        + (
            f"{method} with λ ~ Beta({alpha_of(record):g}, {alpha_of(record):g})"
            if alpha_of(record) > 0
            else "no mixup"
        ),
        f"data: {data_link(source)}",
        f"starting point: {_starting_point(record, released)}",
    ]
    shown = []
    for name in SHOWN_SETTINGS:
        default = DEFAULTS.get(name)
        value = settings.get(name, default)
        if (value != default or name in ALWAYS_SHOWN) and not (name == "max_steps" and value == -1):
            shown.append(f"{name} {inert(value)}")
    lines.append("settings: " + ", ".join(shown))
    if metrics["rows"]:
        lines.append(f"scored weights: {inert(metrics['rows'][0]['selection'])}")
    if metrics.get("train_runtime"):
        lines.append(f"training time: {metrics['train_runtime']:,.0f} s")
    stored = metrics.get("versions")
    named = {"nlp_mixup": metrics["version"], **(stored or installed_versions())}
    when = "" if stored else " when it was released"
    lines.append(f"versions{when}: {', '.join(f'{name} {inert(version)}' for name, version in named.items())}")
    text = "\n".join(f"- {line}" for line in lines)
    if notes := metrics.get("row_notes"):
        text += f"\n\nAbout the rows: {' '.join(inert(note, limit=400) for note in notes)}"
    if not settings.keys() & {"dataset_name", "train_file"}:  # trained by a script, whose data and model are its own
        return f"{text}\n\nThe trainer's settings are in `arguments.yaml`."
    return (
        f"{text}\n\nAll other settings are in `arguments.yaml`, which is a recipe. To train it again, with the data at hand:\n\n"
        "```\nnlp-mixup train arguments.yaml --output_dir FOLDER\n```"
    )


def _starting_point(record: RunRecord, released: Released) -> str:
    settings = record.settings
    is_recipe = settings.keys() & {"dataset_name", "train_file"}  # else a script's, which had a model of its own
    name = settings.get("model_name_or_path", DEFAULTS["model_name_or_path"] if is_recipe else None)
    if released.base_model:
        return hub_link(released.base_model, "")
    if name in BUILT_IN["model_name_or_path"]:
        vectors = settings.get("glove_file")
        return (
            f"word vectors of {inert(vectors)}, other weights drawn at random" if vectors else "weights drawn at random"
        )
    return inert(name or "not named")


def label_table(record: RunRecord) -> str:
    rows = [table_line([str(index), inert(name)]) for index, name in enumerate(record.metrics["label_names"])]
    return "\n".join([table_line(["id", "label"]), table_line(["---:", "---"]), *rows])
