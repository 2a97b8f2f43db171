"""Texts that a classifier was not trained on: named files, held-out classes, and rows of random tokens.

The paper's noise images (section 5) have Gaussian pixels with the statistics of the training images; their text counterpart
here are rows of the test split whose tokens are drawn uniformly from the vocabulary, so that lengths match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import datasets
import numpy as np

from nlp_mixup.data.rows import read_texts
from nlp_mixup.data.table_files import existing_file
from nlp_mixup.data.texts import TextData
from nlp_mixup.data.tokens import tokenize

if TYPE_CHECKING:  # transformers imports torch, which nothing in this file needs
    from transformers import PreTrainedTokenizerBase

    from nlp_mixup.arguments import DataArguments

NOISE, UNIFORM, HELD_OUT = "noise", "uniform", "held-out"
_SET = re.compile(r"(?P<name>[\w.-]+)=(?P<file>.+?)(:(?P<column>[^:=/\\]+)=(?P<value>.+))?")


def load_ood_texts(args: DataArguments) -> dict[str, datasets.Dataset]:
    """Reads the files that ``ood_files`` names; column ``text`` (and ``text_pair``), at most ``max_eval_samples`` rows each.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an entry is not NAME=FILE or NAME=FILE:COLUMN=VALUE, a name is taken, or a file has no texts.
    """
    sets: dict[str, datasets.Dataset] = {}
    for name, file, where in named_sets(args.ood_files or [], (NOISE, HELD_OUT)):
        table = read_texts(existing_file(file, "ood_files"), args, where)
        if args.max_eval_samples is not None and args.max_eval_samples < len(table):
            chosen = np.random.RandomState(args.data_split_seed).permutation(len(table))[: args.max_eval_samples]
            table = table.take(np.sort(chosen))
        sets[name] = datasets.Dataset(table)
    return sets


def named_sets(entries: list[str], taken: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[str, str] | None]]:
    """Name, file and, where there is one, column and value of each entry of ``ood_files``.

    >>> list(named_sets(["oos=oos.csv", "objective=subj.csv:label=1"], taken=()))
    [('oos', 'oos.csv', None), ('objective', 'subj.csv', ('label', '1'))]

    Args:
        entries: each NAME=FILE or NAME=FILE:COLUMN=VALUE.
        taken: names that no entry may have.

    Raises:
        ValueError: an entry is neither, or its name is taken.
    """
    seen = set(taken)
    for entry in entries:
        found = _SET.fullmatch(entry)
        if found is None:
            raise ValueError(
                f"ood_files: {entry!r} is not NAME=FILE or NAME=FILE:COLUMN=VALUE, such as oos=oos.csv or "
                "objective=subj.csv:label=1."
            )
        if found["name"] in seen:
            raise ValueError(f"ood_files: the name {found['name']!r} is taken; choose another for {found['file']}.")
        seen.add(found["name"])
        yield found["name"], found["file"], (found["column"], found["value"]) if found["column"] else None


def tokenize_ood(
    args: DataArguments,
    data: TextData,
    texts: dict[str, datasets.Dataset],
    splits: datasets.DatasetDict,
    tokenizer: PreTrainedTokenizerBase,
) -> dict[str, datasets.Dataset]:
    """Model inputs of every out-of-distribution set: the files', the held-out classes', and noise.

    Args:
        args: ``noise_samples`` and ``data_split_seed``.
        data: what `load_text_data` returned; its ``out_of_classes`` rows are one set.
        texts: what `load_ood_texts` returned.
        splits: the tokenised splits; noise has the lengths of the last one's rows.
        tokenizer: the model's.
    """
    if data.out_of_classes is not None:
        texts = {HELD_OUT: data.out_of_classes, **texts}
    limit = min(args.max_length, tokenizer.model_max_length)  # that it is lowered was said of the splits
    sets = dict(tokenize(TextData(datasets.DatasetDict(texts), []), tokenizer, max_length=limit))
    if args.noise_samples > 0:
        sets[NOISE] = random_tokens(
            list(splits.values())[-1].remove_columns("labels"), tokenizer, args.noise_samples, args.data_split_seed
        )
    return sets


def random_tokens(rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, n: int, seed: int) -> datasets.Dataset:
    """`n` of the rows, drawn with replacement, their tokens but the special ones replaced by uniform draws.

    Args:
        rows: tokenised rows with ``input_ids``.
        tokenizer: whose vocabulary is drawn from, special tokens left out.
        n: how many rows.
        seed: of the draws.
    """
    random = np.random.RandomState(seed)
    special = set(tokenizer.all_special_ids)
    kept = special - {tokenizer.unk_token_id}  # an unknown word is a word
    vocabulary = np.array(sorted(set(tokenizer.get_vocab().values()) - special))
    chosen = rows.select(random.randint(0, len(rows), n))
    columns = chosen.to_dict()
    columns["input_ids"] = [
        [
            token if token in kept else drawn
            for token, drawn in zip(ids, random.choice(vocabulary, len(ids)), strict=True)
        ]
        for ids in columns["input_ids"]
    ]
    return datasets.Dataset.from_dict(columns, features=chosen.features)
