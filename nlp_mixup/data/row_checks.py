"""What rows say about each other: equal ones, in two splits or under two labels, and those that a model was trained on.

Two rows are equal where their texts are, apart from blanks and Unicode form, or where their images have the same pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nlp_mixup.data.label_names import shorten
from nlp_mixup.data.row_hashes import HASH, Hashes
from nlp_mixup.data.rows import PLACE, TEXTS, blank_rows

GIVEN = "__given__"  # a column of a split: its labels before noise
_NONE: Hashes = np.zeros(0, np.uint64)


@dataclass(frozen=True)
class Facts:
    """What is known of a split's rows.

    Attributes:
        hashes: (n,) one for each row, alike for equal rows.
        labels: (n,) class ids, as the source has them: without label noise.
        places: (n,) where each row stands, such as "row 7", in words of the file.
        blank: places of the rows with a blank text.
    """

    hashes: Hashes
    labels: NDArray[np.int64]
    places: list[str]
    blank: list[str]


@dataclass(frozen=True)
class RowReport:
    """What a user should know of the rows before a model is trained on them.

    Attributes:
        notes: sentences, the gravest first.
        trained_on: split -> how many of its ``rows`` ``of`` how many were trained on, the place of an ``example``, and a
            ``note`` that says it; splits without any are left out.
        hashes: sorted hashes of all rows that the model will have been trained on; None where they are streamed.
    """

    notes: list[str] = field(default_factory=list)
    trained_on: dict[str, dict[str, Any]] = field(default_factory=dict)
    hashes: Hashes | None = None

    @property
    def paragraph(self) -> str:
        return f"About the rows: {' '.join(self.notes)}" if self.notes else ""


def facts_of(table: pa.Table) -> Facts:
    """The facts of a table with the columns `HASH`, ``label`` (before noise `GIVEN`) and, of a file, `PLACE`."""
    names = table.column_names
    places = table[PLACE].to_pylist() if PLACE in names else [f"row {row}" for row in range(1, len(table) + 1)]
    return Facts(
        hashes=table[HASH].to_numpy(),
        labels=table[GIVEN if GIVEN in names else "label"].to_numpy(),
        places=places,
        blank=[places[row] for row in blank_rows(table, [name for name in TEXTS if name in names])],
    )


def report_rows(
    facts: Mapping[str, Facts],
    label_names: list[str],
    *,
    noun: str = "text",
    drawn: bool = False,
    base: Hashes | None = None,
) -> RowReport:
    """What there is to say of the splits of a training.

    Args:
        facts: of ``train``, which a stream lacks, and of the splits that are scored.
        label_names: the classes.
        noun: what a row is.
        drawn: whether validation was drawn from train.
        base: hashes of the rows that the model was trained on before.

    Example:
        >>> from nlp_mixup.data.row_hashes import text_hashes
        >>> table = pa.table({"text": ["a", "b", "b"], "label": [0, 1, 1]})
        >>> facts = {name: facts_of(table.append_column(HASH, pa.array(text_hashes(table)))) for name in ("train", "test")}
        >>> report_rows(facts, ["x", "y"]).notes[0]
        'All 3 test rows were trained on (row 1 is row 1 of train): scores on them say nothing of new rows.'
    """
    train = facts.get("train")
    trained_on = {}
    for split, part in facts.items():
        if split == "train":
            continue
        known, before = train.hashes if train is not None else _NONE, base if base is not None else _NONE
        index = _first_shared(part, known)
        which = " was trained on by the model that training starts from"
        if index is not None and train is not None:
            which = f" is {_said(train.places[int(np.flatnonzero(known == part.hashes[index])[0])])} of train"
        if found := trained_rows_of(split, part, np.union1d(known, before), index, which):
            trained_on[split] = found
    notes = [found["note"] for found in trained_on.values()]
    notes += _notes(facts, label_names, noun, drawn)
    if train is None:
        notes.append("The training rows are streamed: whether any of them is scored as well is not checked.")
    hashes = None if train is None else np.union1d(train.hashes, base if base is not None else _NONE)
    return RowReport(notes, trained_on, hashes)


def judged_rows(
    facts: Mapping[str, Facts], label_names: list[str], trained: Hashes | None, *, noun: str = "text"
) -> RowReport:
    """What there is to say of rows that a trained model is judged on; its notes leave out what ``trained_on`` says.

    Args:
        facts: of the splits.
        label_names: the model's classes.
        trained: hashes of the rows that it was trained on, where they are known.
        noun: what a row is.
    """
    known = _NONE if trained is None else trained
    found = {split: trained_rows_of(split, part, known, _first_shared(part, known)) for split, part in facts.items()}
    return RowReport(_notes(facts, label_names, noun, False), {split: told for split, told in found.items() if told})


def trained_rows_of(
    split: str, part: Facts, trained: Hashes, index: int | None, which: str = ""
) -> dict[str, Any] | None:
    """An entry of `RowReport.trained_on`, or None where no row was trained on.

    Args:
        split: what it is called.
        part: its rows.
        trained: hashes of rows that were trained on.
        index: of the example, where not simply the first.
        which: what the example is.
    """
    rows = np.flatnonzero(np.isin(part.hashes, trained))
    if len(rows) == 0:
        return None
    n, of, example = len(rows), len(part.hashes), part.places[rows[0] if index is None else index]
    count = f"{n:,} of {of:,}" if n < of else f"All {of:,}"
    were = f"{split} row was" if of == 1 else f"{split} rows were"
    note = f"{count} {were} trained on ({_said(example)}{which}): scores on them say nothing of new rows."
    return {"rows": n, "of": of, "example": example, "note": note}


def _first_shared(part: Facts, hashes: Hashes) -> int | None:
    which = np.flatnonzero(np.isin(part.hashes, hashes))
    return int(which[0]) if len(which) else None


def _notes(facts: Mapping[str, Facts], label_names: list[str], noun: str, drawn: bool) -> list[str]:
    notes = []
    if "validation" in facts and "test" in facts:
        test = facts["test"]
        rows = np.flatnonzero(np.isin(test.hashes, facts["validation"].hashes))
        if len(rows):
            of = f"of {len(test.hashes):,} test rows"
            count = _count(len(rows), f"{of} is a validation row", f"{of} are validation rows")
            notes.append(f"{count} too ({_said(test.places[rows[0]])}), on which the temperature is fitted.")
    notes += _label_notes(facts, label_names, noun) + _repeat_notes(facts, noun, drawn)
    for split, part in facts.items():
        if part.blank:
            count = _count(len(part.blank), f"{split} row has", f"{split} rows have")
            notes.append(f"{count} a blank {noun} ({_said(part.blank[0])}); --drop_blank leaves such rows out.")
    return notes + _class_notes(facts, label_names)


def _label_notes(facts: Mapping[str, Facts], label_names: list[str], noun: str) -> list[str]:
    """Equal rows under two labels, in one split or in two."""
    hashes = np.concatenate([part.hashes for part in facts.values()])
    labels = np.concatenate([part.labels for part in facts.values()])
    places = [f"{split} {place}" for split, part in facts.items() for place in part.places]
    order = np.lexsort((np.arange(len(labels)), labels, hashes))  # equal rows together, one label after the other
    ordered, classes = hashes[order], labels[order]
    breaks = np.flatnonzero((ordered[1:] == ordered[:-1]) & (classes[1:] != classes[:-1]))
    if len(breaks) == 0:
        return []
    count = _count(len(np.unique(ordered[breaks])), f"{noun} stands under", f"{_plural(noun)} stand under")
    one, other = (order[int(breaks[0])], order[int(breaks[0]) + 1])
    said = " and ".join(f"{_said(places[row])} as {_said(label_names[labels[row]])}" for row in sorted((one, other)))
    return [f"{count} several labels ({said})."]


def _repeat_notes(facts: Mapping[str, Facts], noun: str, drawn: bool) -> list[str]:
    notes = []
    if drawn and "train" in facts:
        together = np.concatenate([facts[split].hashes for split in ("train", "validation")])
        counts = np.unique(together, return_counts=True)[1]
        if (counts > 1).any():
            count = _count(int((counts > 1).sum()), f"{noun} occurs", f"{_plural(noun)} occur")
            notes.append(
                f"{count} more than once, in {counts[counts > 1].sum():,} of the {len(together):,} rows that validation was "
                "drawn from: equal ones stay on one side."
            )
    for split, part in facts.items():
        _, first, which = np.unique(part.hashes, return_index=True, return_inverse=True)
        repeats = np.flatnonzero(first[which] != np.arange(len(which)))
        if len(repeats):
            row = int(repeats[0])
            count = _count(
                len(repeats), f"of {len(which):,} {split} rows repeats", f"of {len(which):,} {split} rows repeat"
            )
            notes.append(
                f"{count} an earlier one ({_said(part.places[row])} is {_said(part.places[int(first[which[row]])])} again)."
            )
    return notes


def _class_notes(facts: Mapping[str, Facts], label_names: list[str]) -> list[str]:
    train = facts.get("train")
    if train is None:
        return []
    notes = []
    counts = np.bincount(train.labels, minlength=len(label_names))
    if (single := np.flatnonzero(counts == 1)).size:
        count = _count(len(single), "class has a single training row", "classes have a single training row")
        place = train.places[int(np.flatnonzero(train.labels == single[0])[0])]
        notes.append(f"{count} ({_said(label_names[single[0]])}, {_said(place)}).")
    for split, part in facts.items():
        absent = np.setdiff1d(np.flatnonzero(counts), part.labels)
        if split != "train" and absent.size:
            names = shorten((label_names[label] for label in absent), limit=3)
            count = _count(len(absent), "class of train", "classes of train")
            notes.append(f"{split} has no row of {count} ({names}).")
    return notes


def _count(n: int, one: str, many: str) -> str:
    return f"1 {one}" if n == 1 else f"{n:,} {many}"


def _plural(noun: str) -> str:
    """
    >>> _plural("text"), _plural("pair of texts")
    ('texts', 'pairs of texts')
    """
    first, *others = noun.split(" ")
    return " ".join([f"{first}s", *others])


def _said(text: Any) -> str:
    return shorten([text])
