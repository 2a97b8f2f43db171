"""Which class of a model a data set's label means: by name, or as the user says; never by guessing at numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nlp_mixup.data.label_names import alike, plain, shorten, shown, typed

IDENTITY = "identity"


class Said(NamedTuple):
    """One entry of ``label_map``: the class as typed, and whether other labels may be the same class (``==``)."""

    wanted: str
    shared: bool


def match_labels(
    counts: Mapping[str | int, int], names: Mapping[int, str], classes: list[str], label_map: list[str], source: str
) -> dict[str | int, int]:
    """The model's class id of every label of the data.

    Names match whatever their case, their Unicode form and whether words are parted by spaces or underscores. Bare
    integers match classes that are called "0", "1", ...; and they match LABEL_0, LABEL_1, ..., as where neither side has
    names the numbers are all there is: all of them, or none. Everything else has to be said.

    Args:
        counts: label -> its number of rows; names, or integers.
        names: what integer labels are called, where the data says so.
        classes: the model's K class names, in the order of the ids.
        label_map: ``LABEL=CLASS`` for labels that do not match by name (the class by its name or its id), ``LABEL==CLASS``
            where another label has that class too, or ``identity`` alone: the data's integers are the model's ids.
        source: what the data is called in messages.

    Returns:
        label -> class id, for every label of `counts`.

    Raises:
        ValueError: a label that has no class, or whose class cannot be known, or that shares its class with another
            without ``==``; the message lists both sides and what to type.

    Example:
        >>> match_labels({"Very Good": 3, "bad": 2}, {}, ["bad", "very_good"], [], "rows.csv")
        {'Very Good': 1, 'bad': 0}
        >>> match_labels({0: 3, 1: 2}, {}, ["bad", "good"], ["0=good", "1=bad"], "rows.csv")
        {0: 1, 1: 0}
        >>> match_labels({"bad": 3, "awful": 2}, {}, ["bad", "good"], ["awful==bad"], "rows.csv")
        {'bad': 0, 'awful': 0}
    """
    if label_map == [IDENTITY]:
        return _identity(counts, names, classes, source)
    called = {label: names.get(label, str(label)) if isinstance(label, int) else label for label in counts}
    said = read_label_map(label_map, [*called.values(), *map(str, counts)])
    said_ids = {label: _said_class(label, entry, classes) for label, entry in said.items()}
    key_of = {label: str(label) if str(label) in said else name for label, name in called.items()}
    generic = is_generic(classes)
    numbers = [label for label in counts if isinstance(label, int) and label not in names]
    # Numbers that are all of them the ids of a model without names; else none is, and each has to be said.
    in_order = not any(str(label) in said for label in numbers) and all(0 <= label < len(classes) for label in numbers)
    found = {}
    for label, name in called.items():
        class_id = said_ids.get(key_of[label])
        if class_id is None and generic and label in numbers:
            class_id = int(label) if in_order else None
        elif class_id is None:
            class_id = by_name(name, classes)
        if class_id is not None:
            found[label] = class_id
    missing = {label: count for label, count in counts.items() if label not in found}
    if missing:
        shared = _sharing({key_of[label]: classes[class_id] for label, class_id in found.items()}, said)
        raise ValueError(_explain(missing, found, called, names, classes, _joined(shared, label_map), source))
    check_shared({key_of[label]: classes[class_id] for label, class_id in found.items()}, said, label_map, source)
    return found


def is_generic(classes: list[str]) -> bool:
    """Whether classes have no names but their numbers: LABEL_0, LABEL_1, ... or 0, 1, ..."""
    return all(name in (f"LABEL_{index}", str(index)) for index, name in enumerate(classes))


def _identity(
    counts: Mapping[str | int, int], names: Mapping[int, str], classes: list[str], source: str
) -> dict[str | int, int]:
    number_of: dict[str | int, int] = {name: number for number, name in names.items()}
    found = {label: label if isinstance(label, int) else number_of.get(label, -1) for label in counts}
    wrong = [label for label, class_id in found.items() if not 0 <= class_id < len(classes)]
    if wrong:
        entries = _proposal({label: str(label) for label in counts}, {}, classes)
        raise ValueError(
            f"label_map identity takes the labels for the model's ids, which are 0 to {len(classes) - 1}, but {source} "
            f"has: {shorten(wrong)}. The model's classes: {listed(classes)}. Say which class each label is, for instance, if "
            f"these are right: --label_map {typed(entries)}"
        )
    return found


def read_label_map(label_map: list[str], labels: Iterable[str]) -> dict[str, Said]:
    """The entries of ``label_map`` by their labels.

    Args:
        label_map: ``LABEL=CLASS`` or ``LABEL==CLASS``.
        labels: those of the data, of which some may end in ``=``.

    Raises:
        ValueError: an entry is neither, or a label is given two classes.

    Example:
        >>> read_label_map(["-1=bad", "Pos==pos", "a=b=pos"], [])["Pos"]
        Said(wanted='pos', shared=True)
    """
    known = set(labels)
    said: dict[str, Said] = {}
    for entry in label_map:
        label, equals, wanted = entry.rpartition("=")
        shared = label.endswith("=") and label not in known
        label = label[:-1] if shared else label
        if not (label and equals and wanted):
            raise ValueError(
                f"label_map: {entry!r} is neither LABEL=CLASS (LABEL==CLASS where several labels are one class) nor "
                f"'{IDENTITY}' alone."
            )
        if said.get(label, Said(wanted, shared)).wanted != wanted:
            raise ValueError(f"label_map gives {label!r} two classes. Give each label one.")
        said[label] = Said(wanted, shared)
    return said


def class_named(wanted: str, classes: list[str]) -> int | None:
    """The id of the class of this name, or of this number, also as LABEL_0; None where there is none."""
    class_id = by_name(wanted, classes)
    number = re.fullmatch(r"(?:LABEL_)?([0-9]{1,9})", wanted)
    if class_id is None and number and int(number[1]) < len(classes):
        return int(number[1])
    return class_id


def _said_class(label: str, entry: Said, classes: list[str]) -> int:
    class_id = class_named(entry.wanted, classes)
    if class_id is None:
        text = f"{label}{'==' if entry.shared else '='}{entry.wanted}"
        raise ValueError(f"label_map: {text!r} names no class of the model, which has: {listed(classes)}.")
    return class_id


def by_name(name: str, classes: list[str]) -> int | None:
    """The one class of this name, exactly or else up to case and spacing; None where there is none, or several."""
    for key in (str, plain):
        matches = [index for index, known in enumerate(classes) if key(known) == key(name)]
        if matches:
            return matches[0] if len(matches) == 1 else None
    return None


def check_shared(class_of: Mapping[str, str], said: Mapping[str, Said], label_map: list[str], source: str) -> None:
    """Refuses two labels on one class, unless all but one of them are said with ``==``.

    Args:
        class_of: label, as in `said` where it is there -> the name of its class.
        said: from `read_label_map`.
        label_map: what the user has typed.
        source: what the data is called in messages.

    Raises:
        ValueError: the message says what to type if one class is meant.
    """
    shared = _sharing(class_of, said)
    if shared:
        groups = [f"{', '.join(map(shown, labels))} would all be {shown(name)}" for name, labels in shared.items()]
        raise ValueError(
            f"{source}: several labels on one class: {'; '.join(groups)}. If that is meant, say it with '==': --label_map "
            f"{typed(_joined(shared, label_map))}"
        )


def _sharing(class_of: Mapping[str, str], said: Mapping[str, Said]) -> dict[str, list[str]]:
    """Class -> its labels, of which one at most may go without ``==``, where there are more."""
    found: dict[str, list[str]] = {}
    for label, name in class_of.items():
        if label not in said or not said[label].shared:
            found.setdefault(name, []).append(label)
    return {name: labels for name, labels in found.items() if len(labels) > 1}


def _joined(shared: Mapping[str, list[str]], label_map: list[str]) -> list[str]:
    """The entries of ``label_map``, and those that put the labels of `shared` on one class."""
    entries: dict[str, str] = {}
    for name, labels in shared.items():
        kept = min(labels, key=lambda label: label != name)
        entries |= {label: f"{label}=={name}" for label in labels if label != kept}
    others = [entry for entry in label_map if not any(entry.startswith(f"{label}=") for label in entries)]
    return [*others, *entries.values()]


def class_order(names: list[str], classes: list[str]) -> list[str] | None:
    """The data's class names in the order of a model's ids; None where they are not the same classes.

    >>> class_order(["neg", "pos"], ["Pos", "Neg"]), class_order(["neg", "pos"], ["pos", "neutral"])
    (['pos', 'neg'], None)
    >>> class_order(["0", "1"], ["LABEL_0", "LABEL_1"]), class_order(["bad", "good"], ["LABEL_0", "LABEL_1"])
    (['0', '1'], None)
    """
    if len(names) != len(classes):
        return None
    if is_generic(classes) and is_generic(names):
        return names
    ids = [by_name(name, classes) for name in names]
    if None in ids or len(set(ids)) < len(ids):
        return None
    return [names[ids.index(index)] for index in range(len(classes))]


def explain_new_head(names: list[str], classes: list[str], model: str) -> str:
    """Says that a model's head is not used since its classes are others, and what to type if they are the same.

    Args:
        names: the data's classes.
        classes: the model's.
        model: what it is called.
    """
    text = (
        f"The head is new: {model} was trained for {listed(classes)}; the data's classes are {listed(names)}. The encoder "
        "alone is taken over."
    )
    if len(names) != len(classes):
        return text
    # Numbers as names of classes are matched all together, see `match_labels`.
    found = {} if is_generic(names) or is_generic(classes) else _matched(names, classes)
    entries = _proposal({name: name for name in names if name not in found}, found, classes)
    return f"{text} If they are the same classes, say which is which, for instance: --label_map {typed(entries)}"


def _matched(names: list[str], classes: list[str]) -> dict[str | int, int]:
    return {name: index for name in names if (index := by_name(name, classes)) is not None}


def _proposal(missing: Mapping[Any, str], found: Mapping[str | int, int], classes: list[str]) -> list[str]:
    """``LABEL=CLASS`` for labels without a class, in order: the classes that are left, then the first class once more."""
    left = [index for index in range(len(classes)) if index not in found.values()]
    entries = []
    for label in sorted(missing, key=lambda label: (isinstance(label, str), label)):
        index = left.pop(0) if left else None
        name = classes[index or 0]
        if class_named(name, classes) != (index or 0) or "=" in name:
            name = str(index or 0)
        entries.append(f"{missing[label]}{'==' if index is None else '='}{name}")
    return entries


def _explain(
    missing: Mapping[str | int, int],
    found: Mapping[str | int, int],
    called: Mapping[str | int, str],
    names: Mapping[int, str],
    classes: list[str],
    label_map: list[str],
    source: str,
) -> str:
    model = f"The model's classes: {listed(classes)}."
    entries = [*label_map, *_proposal({label: called[label] for label in missing}, found, classes)]
    example = f"--label_map {typed(entries)}"
    number_of = {name: number for number, name in names.items()}
    numbers = [label if isinstance(label, int) else number_of.get(label, -1) for label in called]
    identity = ""
    if all(0 <= number < len(classes) for number in numbers):
        identity = f"; or, where the data's numbers are the model's ids, --label_map {IDENTITY}"
    say = f"say which class each one is, for instance, if these are right: {example}{identity}"
    generic = is_generic(classes)
    text = shorten(called[label] for label in missing)
    if generic and (names or isinstance(next(iter(missing)), str)):
        return (
            f"{source} has named labels ({text}), but the model's classes have no names, and which is which cannot be known. "
            f"{model} If they are the same classes, {say}"
        )
    bare = not names and all(isinstance(label, int) for label in missing)
    hidden = "" if not any(label in (-1, "-1") for label in missing) else (
        " If -1 marks rows without a label, remove them, or write -100, which leaves a row out."
    )  # fmt: skip
    if bare and not generic:
        return (
            f"{source} has labels without names ({text}), but the model's classes are named, and which is which cannot be "
            f"known. {model}{hidden} If they are the same classes, {say}"
        )
    counts = [f"{shown(called[label])} ({count} rows)" for label, count in missing.items()]
    if bare:
        return (
            f"{source} has numbers for labels that are not the model's ids, and which is which cannot be known: "
            f"{shorten(counts)}. {model}{hidden} If they are the same classes, {say}"
        )
    same = alike([*classes, *(called[label] for label in missing)])
    spelt = f" Spelt alike: {'; '.join(', '.join(map(shown, group)) for group in same)}." if same else ""
    return (
        f"{source} has labels that are no class of the model: {shorten(counts)}. {model}{spelt}{hidden} Remove these rows, or "
        f"say which class they are, for instance, if these are right: {example}"
    )


def listed(classes: list[str]) -> str:
    """Classes with their ids, for a message."""
    return shorten(f"{index} {name}" for index, name in enumerate(classes))
