"""The data and the model of a recipe -> what the runs of a comparison share: model inputs, and how a trainer is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import DataCollatorWithPadding, PreTrainedModel, Trainer

from nlp_mixup.arguments import ModelArguments
from nlp_mixup.data import (
    RowReport,
    digest,
    load_ood_texts,
    load_text_data,
    report_rows,
    tokenize,
    tokenize_ood,
    trained_rows,
)
from nlp_mixup.models import find_start, limit_length, load_model, load_tokenizer
from nlp_mixup.recipe import RunArguments
from nlp_mixup.training import MixupTrainer


@dataclass(frozen=True)
class Prepared:
    """What the runs of a comparison share: the data as model inputs, and how a model and its trainer are made.

    Attributes:
        arguments: the settings it was prepared with.
        splits: ``train``, ``validation`` and, where there is one, ``test``, with ``labels``.
        ood: out-of-distribution sets, without labels.
        label_names: the names of the classes, in the order of the ids.
        data_collator: makes a batch of rows.
        processing_class: the tokenizer or image processor that is saved with the model.
        load_model: a model whose new weights come from torch's global generator.
        trainer_class: what makes its trainer, from the arguments of `Trainer`.
        digests: split -> a hash of what its rows say; a streamed split has none.
        rows: what there is to say of the rows, and the hashes of those that are trained on.
    """

    arguments: RunArguments
    splits: DatasetDict
    ood: dict[str, Dataset]
    label_names: list[str]
    data_collator: Callable[[Any], Any]
    processing_class: Any
    load_model: Callable[[ModelArguments], PreTrainedModel]
    trainer_class: Callable[..., Trainer]
    digests: dict[str, str] = field(default_factory=dict)
    rows: RowReport = field(default_factory=RowReport)

    def serves(self, arguments: RunArguments) -> bool:
        return (self.arguments.data, self.arguments.model) == (arguments.data, arguments.model)


def prepare(arguments: RunArguments) -> Prepared:
    """Loads the data and turns it into model inputs. Raises what `prepare_texts` or `prepare_images` raise."""
    with arguments.training.main_process_first(desc="loading the data"):
        if arguments.data.task == "image":
            from nlp_mixup.vision.runs import prepare_images

            return prepare_images(arguments)
        return prepare_texts(arguments)


def prepare_texts(arguments: RunArguments) -> Prepared:
    """`prepare` for texts. Raises what `find_start`, `load_text_data` and `load_tokenizer` raise."""
    ood_texts = load_ood_texts(arguments.data)
    start = find_start(arguments.model)
    data = load_text_data(arguments.data, start.classes)
    start.tell(data.label_names, data.follows)
    tokenizer = load_tokenizer(arguments.model, data)
    splits = tokenize(data, tokenizer, max_length=arguments.data.max_length)
    limit_length(
        tokenizer, max_length=arguments.data.max_length
    )  # saved with the model, whose numbers are of such rows
    return Prepared(
        arguments=arguments,
        splits=splits,
        ood=tokenize_ood(arguments.data, data, ood_texts, splits, tokenizer),
        label_names=data.label_names,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        load_model=lambda model_arguments: load_model(model_arguments, data, tokenizer, start),
        trainer_class=MixupTrainer,
        digests={split: digest(rows) for split, rows in splits.items()},
        rows=report_rows(
            data.facts,
            data.label_names,
            noun="pair of texts" if arguments.data.text_pair_column else "text",
            drawn=data.drawn,
            base=trained_rows(arguments.model.model_name_or_path)[0],
        ),
    )
