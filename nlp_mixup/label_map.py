"""Which class of a model a data set's label means: by name, or as the user says; never by guessing at numbers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from nlp_mixup.rows import shorten

IDENTITY = "identity"


def match_labels(
    counts: Mapping[str | int, int], names: Mapping[int, str], classes: list[str], label_map: list[str], source: str
) -> dict[str | int, int]:
    """The model's class id of every label of the data.

    Names match whatever their case and whether words are parted by spaces or underscores. Bare integers match classes
    that are called "0", "1", ...; and they match LABEL_0, LABEL_1, ..., as where neither side has names the numbers
    are all there is. Everything else has to be said.

    Args:
        counts: label -> its number of rows; names, or integers.
        names: what integer labels are called, where the data says so.
        classes: the model's K class names, in the order of the ids.
        label_map: ``LABEL=CLASS`` for labels that do not match by name (the class by its name or its id), or
            ``identity`` alone: the data's integers are the model's ids.
        source: what the data is called in messages.

    Returns:
        label -> class id, for every label of `counts`.

    Raises:
        ValueError: a label that has no class, or whose class cannot be known; the message lists both sides and what to
            type.

    Example:
        >>> match_labels({"Very Good": 3, "bad": 2}, {}, ["bad", "very_good"], [], "rows.csv")
        {'Very Good': 1, 'bad': 0}
        >>> match_labels({0: 3, 1: 2}, {}, ["bad", "good"], ["0=good", "1=bad"], "rows.csv")
        {0: 1, 1: 0}
    """
    if label_map == [IDENTITY]:
        return _identity(counts, names, classes, source)
    said = _read_map(label_map, classes)
    generic = all(name in (f"LABEL_{index}", str(index)) for index, name in enumerate(classes))
    found = {}
    for label in counts:
        name = names.get(label, str(label)) if isinstance(label, int) else label
        class_id = said.get(str(label), said.get(name, _by_name(name, classes)))
        if class_id is None and generic and isinstance(label, int) and not names and 0 <= label < len(classes):
            class_id = label
        if class_id is not None:
            found[label] = class_id
    missing = {label: count for label, count in counts.items() if label not in found}
    if missing:
        raise ValueError(_explain(missing, names, classes, generic, source))
    return found


def _identity(
    counts: Mapping[str | int, int], names: Mapping[int, str], classes: list[str], source: str
) -> dict[str | int, int]:
    number_of: dict[str | int, int] = {name: number for number, name in names.items()}
    found = {label: label if isinstance(label, int) else number_of.get(label, -1) for label in counts}
    wrong = [label for label, class_id in found.items() if not 0 <= class_id < len(classes)]
    if wrong:
        raise ValueError(
            f"label_map identity takes the labels for the model's ids, which are 0 to {len(classes) - 1}, but {source} "
            f"has: {shorten(wrong)}. The model's classes: {_listed(classes)}. Type --label_map LABEL=CLASS ..."
        )
    return found


def _read_map(label_map: list[str], classes: list[str]) -> dict[str, int]:
    said: dict[str, int] = {}
    for entry in label_map:
        label, equals, wanted = entry.rpartition("=")
        if not (label and equals and wanted):
            raise ValueError(
                f"label_map: {entry!r} is neither LABEL=CLASS nor '{IDENTITY}' alone. The model's classes: "
                f"{_listed(classes)}."
            )
        class_id = _by_name(wanted, classes)
        if class_id is None and wanted.isdecimal() and int(wanted) < len(classes):
            class_id = int(wanted)
        if class_id is None:
            raise ValueError(f"label_map: {entry!r} names no class of the model, which has: {_listed(classes)}.")
        if said.get(label, class_id) != class_id:
            raise ValueError(f"label_map gives {label!r} two classes. Give each label one.")
        said[label] = class_id
    return said


def _by_name(name: str, classes: list[str]) -> int | None:
    """The one class of this name, exactly or else up to case and spacing; None where there is none, or several."""
    for key in (str, _plain):
        matches = [index for index, known in enumerate(classes) if key(known) == key(name)]
        if matches:
            return matches[0] if len(matches) == 1 else None
    return None


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _explain(
    missing: Mapping[str | int, int], names: Mapping[int, str], classes: list[str], generic: bool, source: str
) -> str:
    called = [names.get(label, str(label)) if isinstance(label, int) else label for label in missing]
    model = f"The model's classes: {_listed(classes)}."
    example = shlex.quote(f"{called[0]}={0 if generic else classes[0]}")
    say = f"say which class each one is: --label_map {example} ..., or --label_map {IDENTITY} where the data's"
    if generic and (names or isinstance(next(iter(missing)), str)):
        return (
            f"{source} has named labels ({shorten(called)}), but the model's classes have no names, and which is which "
            f"cannot be known. {model} If they are the same classes, {say} numbers are the model's ids."
        )
    if not names and all(isinstance(label, int) for label in missing) and not generic:
        return (
            f"{source} has labels without names ({shorten(called)}), but the model's classes are named, and which is "
            f"which cannot be known. {model} If they are the same classes, {say} numbers are the model's ids."
        )
    counts = [f"{name!r} ({count} rows)" for name, count in zip(called, missing.values(), strict=True)]
    return (
        f"{source} has labels that are no class of the model: {shorten(counts)}. {model} Remove these rows, or say which "
        f"class they are: --label_map {shlex.quote(called[0])}=CLASS"
    )


def _listed(classes: list[str]) -> str:
    return shorten(f"{index} {name}" for index, name in enumerate(classes))
