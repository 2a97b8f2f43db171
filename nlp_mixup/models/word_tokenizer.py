"""Words of the training texts to ids, and their GloVe vectors: what the sentence CNN reads.

The splitting follows the preprocessing of Kim (2014), arXiv:1408.5882: lower case; punctuation and the parts of
a contraction (``does n't``, ``it 's``) are words of their own, as in GloVe (Pennington et al. 2014).
"""

import logging
from collections.abc import Iterable, Iterator
from os import PathLike

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordLevelTrainer
from torch import nn
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

PAD, UNKNOWN, SEPARATOR = "[PAD]", "[UNK]", "[SEP]"

WORD = "|".join(
    [
        r"https?://\S+",
        r"\w+?(?=n't\b)|n't\b",  # do|n't
        r"'(?:s|m|d|re|ve|ll)\b",  # it|'s
        r"[@#]?\w+",  # words, @mentions, #tags
        r"[^\w\s]+",  # runs of punctuation, so that :) and ... stay whole
    ]
)


def build_word_tokenizer(
    texts: Iterable[str], *, min_frequency: int = 1, max_vocab_size: int | None = None, lowercase: bool = True
) -> PreTrainedTokenizerFast:
    """Make a word-level tokenizer whose vocabulary is the words of ``texts``.

    Ids: 0 padding, 1 any unknown word, 2 the separator between the two texts of a pair, then words by falling
    frequency, equals in alphabetical order. It produces ``input_ids`` only.

    Args:
        texts: The training texts. For pairs, both texts of every pair.
        min_frequency: Rarer words are unknown.
        max_vocab_size: At most this many ids, the three special ones among them.
        lowercase: Whether "Good" and "good" are one word.

    Returns:
        A tokenizer for ``save_pretrained`` and ``AutoTokenizer.from_pretrained``.

    Raises:
        ValueError: No texts, a text that is null or no string, no word at all, a limit below its minimum.

    >>> tokenizer = build_word_tokenizer(["A good film.", "Not a good one"])
    >>> tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    ['[PAD]', '[UNK]', '[SEP]', 'a', 'good', '.', 'film', 'not', 'one']
    >>> tokenizer("A bad FILM")["input_ids"], tokenizer("A film", "good")["input_ids"]
    ([3, 1, 6], [3, 6, 2, 4])
    """
    if isinstance(texts, str):
        raise ValueError("texts is one string; give a list of texts, one per row.")
    if min_frequency < 1:
        raise ValueError(f"min_frequency={min_frequency}: must be 1 (keep every word) or more.")
    if max_vocab_size is not None and max_vocab_size < 4:
        raise ValueError(f"max_vocab_size={max_vocab_size}: must be 4 or more: three special ids and a word.")

    tokenizer = Tokenizer(WordLevel({}, unk_token=UNKNOWN))
    steps = [normalizers.NFC(), normalizers.Replace("\u2019", "'")]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Lowercase()] if lowercase else steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True)
    trainer = WordLevelTrainer(
        vocab_size=max_vocab_size or 2**31,
        min_frequency=min_frequency,
        special_tokens=[PAD, UNKNOWN, SEPARATOR],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_checked(texts), trainer)
    if tokenizer.get_vocab_size() == 3:
        raise ValueError(
            f"No word occurs min_frequency={min_frequency} times or more in texts: the vocabulary would be empty. "
            "Check the text column, or lower min_frequency."
        )
    tokenizer.post_processor = TemplateProcessing(
        single="$A", pair=f"$A {SEPARATOR} $B", special_tokens=[(SEPARATOR, tokenizer.token_to_id(SEPARATOR))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        sep_token=SEPARATOR,
        model_input_names=["input_ids"],
    )


def _checked(texts: Iterable[str]) -> Iterator[str]:
    row = -1
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"texts[{row}] is {text!r}, not a string. Drop the row, or fill it with '', before building the "
                "vocabulary."
            )
        yield text
    if row < 0:
        raise ValueError("texts is empty: give at least one training text to take the vocabulary from.")


@torch.no_grad()
def load_glove(path: str | PathLike, tokenizer: PreTrainedTokenizerBase, embedding: nn.Embedding) -> int:
    """Copy the GloVe vectors of the tokenizer's words into an embedding, in place.

    The file is read line by line as text: a word, then its values, separated by single spaces. A word2vec header
    is skipped, words that contain spaces are allowed. Words that the file lacks, and the special tokens, keep the
    vectors they have.

    Args:
        path: A text file such as ``glove.6B.300d.txt``.
        tokenizer: Gives each word its row.
        embedding: (vocabulary, dimension), written to.

    Returns:
        How many words of the vocabulary were found; also logged.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The dimensions differ, a line is broken, or no word was found.

    >>> import tempfile
    >>> tokenizer = build_word_tokenizer(["good film", "good plot"])
    >>> embedding = nn.Embedding(len(tokenizer), 2, padding_idx=0)
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("good 0.5 -1.0\\nfilm 0.25 2.0\\nbad 1.0 1.0\\n")
    ...     file.flush()
    ...     load_glove(file.name, tokenizer, embedding)
    2
    >>> embedding(torch.tensor(tokenizer("good film")["input_ids"])).tolist()
    [[0.5, -1.0], [0.25, 2.0]]
    """
    special = set(tokenizer.all_special_ids)
    missing = {word: row for word, row in tokenizer.get_vocab().items() if row not in special}
    total, dimension = len(missing), embedding.embedding_dim
    try:
        lines = open(path, encoding="utf-8", newline="\n")  # noqa: SIM115 (closed by the with statement below)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"No GloVe file at {path}. Give the path of a text file with a word and its {dimension} values per "
            "line, such as glove.6B.300d.txt."
        ) from None

    with lines:
        for number, line in enumerate(lines, start=1):
            line = line.rstrip("\r\n ")
            if number == 1:
                given, is_header = _read_first_line(line)
                if given != dimension:
                    raise ValueError(
                        f"{path} has vectors of {given} values, the embedding has {dimension}. Give a file of "
                        f"{dimension} values per word, or build the model with hidden_size={given}."
                    )
                if is_header:
                    continue
            word, *values = line.rsplit(" ", dimension)
            row = missing.pop(word, None)
            if row is None:
                continue
            try:
                vector = np.array(values, dtype=np.float32)
            except ValueError:
                vector = np.empty(0, dtype=np.float32)
            if len(vector) != dimension:
                raise ValueError(f"{path}, line {number}: {word!r} is not followed by {dimension} numbers.")
            embedding.weight[row] = torch.from_numpy(vector).to(embedding.weight)

    found = total - len(missing)
    if not found:
        raise ValueError(
            f"{path} has none of the {total:,} words of the vocabulary. Is it a GloVe file, in lower case?"
        )
    logger.info("GloVe: %s of %s words found in %s", f"{found:,}", f"{total:,}", path)
    return found


def _read_first_line(line: str) -> tuple[int, bool]:
    """Values per word, and whether the line is a word2vec header such as "400000 300"."""
    fields = line.split(" ")
    if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit():
        return int(fields[1]), True
    dimension = 0
    for field in reversed(fields[1:]):  # the first field is the word, even where it is a number
        if not _is_number(field):
            break
        dimension += 1
    return dimension, False


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
