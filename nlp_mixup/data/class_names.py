"""What the labels of a training set are called as classes: as they stand, or as ``label_map`` says."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from nlp_mixup.data.label_map import (
    IDENTITY,
    check_shared,
    class_named,
    class_order,
    is_generic,
    listed,
    read_label_map,
)
from nlp_mixup.data.label_names import alike, several, shorten, shown, typed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Naming:
    """Which class each label is.

    Attributes:
        class_of: label, as it is called where nothing is said -> the name of its class.
        label_names: the K names, in the order of the ids.
        follows: whether the ids are those of the model that training starts from, whose head then goes on.
    """

    class_of: dict[str, str]
    label_names: list[str]
    follows: bool


def name_classes(
    counts: Mapping[str, Counter[str]],
    label_names: list[str] | None,
    bare: list[int],
    label_map: list[str],
    classes: list[str] | None,
    sources: Mapping[str, str],
) -> Naming:
    """Names and numbers the classes.

    Where the data's classes are those of the model that training starts from, its order is kept, and so its head. Else
    names that the data have an order for keep it, numbers keep theirs, and other names are sorted.

    Args:
        counts: split -> label, as it is called -> its number of rows; with ``train``.
        label_names: train's labels in an order of their own, if they have one.
        bare: the labels that are numbers without names.
        label_map: ``LABEL=CLASS``, ``LABEL==CLASS`` where several labels are one class, or ``identity`` alone: the data's
            numbers are the ids of the model that training starts from.
        classes: the classes of that model, if it has any.
        sources: split -> what its rows are called in messages.

    Raises:
        ValueError: names that cannot be told apart or look like lists, numbers of which some are mapped and some are not,
            two labels on one class without ``==``; the message says what to type.
    """
    labels = list(dict.fromkeys(label for split in counts.values() for label in split))
    if label_map == [IDENTITY]:
        return _as_the_model(labels, label_names, bare, classes, sources["train"])
    said = read_label_map(label_map, labels)
    if unused := [label for label in said if label not in labels]:
        logger.warning("label_map: no row has the label %s.", shorten(map(shown, unused)))
    unsaid = [label for label in sorted(bare) if str(label) not in said]
    if unsaid and len(unsaid) < len(bare):
        raise ValueError(
            f"{sources['train']}: label_map names some of the numbers and leaves out {shorten(unsaid)}; which is which "
            f"cannot be known. Say all of them, for instance: --label_map "
            f"{typed([*label_map, *(f'{label}=class {label}' for label in unsaid)])}"
        )
    class_of = {label: label for label in labels}
    for label in class_of.keys() & said.keys():
        wanted = said[label].wanted
        index = class_named(wanted, classes) if classes else None
        class_of[label] = wanted if index is None or classes is None else classes[index]
    for split in counts:
        here = {label: class_of[label] for label in labels if label in counts["train"] or label in counts[split]}
        check_shared(here, said, label_map, sources[split])
    order = label_names or sorted(counts["train"], key=lambda label: (int(label) if bare else 0, class_of[label]))
    names = list(dict.fromkeys(class_of.get(label, label) for label in order))
    _check_alike(names, class_of, counts["train"], label_map, sources["train"])
    _check_lists(names, label_map, sources["train"])
    if classes is None or (ordered := class_order(names, classes)) is None:
        return Naming(class_of, names, False)
    if said and is_generic(classes):  # the user has said which is which; the data's names say more than LABEL_0
        called = {name: label for label, name in reversed(class_of.items())}
        return Naming({label: called[name] for label, name in class_of.items()}, [called[n] for n in ordered], True)
    return Naming(class_of, ordered, True)


def _as_the_model(
    labels: list[str], label_names: list[str] | None, bare: list[int], classes: list[str] | None, source: str
) -> Naming:
    if classes is None:
        raise ValueError(
            f"label_map {IDENTITY} takes the data's numbers for the ids of the model that training starts from, which has no "
            "trained classes. Leave label_map out."
        )
    ids = {str(label): label for label in bare} | {name: index for index, name in enumerate(label_names or [])}
    wrong = [label for label in labels if not 0 <= ids.get(label, -1) < len(classes)]
    if wrong:
        raise ValueError(
            f"label_map {IDENTITY} takes the labels for the model's ids, which are 0 to {len(classes) - 1}, but {source} has: "
            f"{shorten(wrong)}. The model's classes: {listed(classes)}."
        )
    names = list(classes)
    if is_generic(classes) and label_names:
        names[: len(label_names)] = label_names
    return Naming({label: names[ids[label]] for label in labels}, names, True)


def _check_alike(
    names: list[str], class_of: Mapping[str, str], counts: Counter[str], label_map: list[str], source: str
) -> None:
    """Refuses classes that a reader would take for one. Letters as classes may differ by case alone."""
    groups = [group for group in alike(names) if not all(len(name) == 1 for name in group)]
    if not groups:
        return
    rows: Counter[str] = Counter()
    for label, count in counts.items():
        rows[class_of[label]] += count
    joined, apart = [], []
    for group in groups:
        commonest = max(group, key=lambda name: rows[name])
        others = [label for label in class_of if class_of[label] in group and class_of[label] != commonest]
        joined += [f"{label}=={commonest}" for label in others]
        apart += [f"{label}={commonest.strip()} ({number})" for number, label in enumerate(others, 2)]
    told = "; ".join(", ".join(f"{shown(name)} ({rows[name]} rows)" for name in group) for group in groups)
    kept = [entry for entry in label_map if not any(entry.startswith(line.split("=")[0] + "=") for line in joined)]
    raise ValueError(
        f"{source} has classes that differ by blanks, case or Unicode form alone: {told}. If they are one class, type "
        f"--label_map {typed([*kept, *joined])}; if not, give them names that can be told apart: --label_map "
        f"{typed([*kept, *apart])}"
    )


def _check_lists(names: list[str], label_map: list[str], source: str) -> None:
    """Refuses names that are lists of labels, and tells of names that may be."""
    lists, doubtful = several(names)
    if lists:
        renamed = [
            f"{name}={' and '.join(re.findall(r'[^][(){}|;,]+', name.translate(_QUOTES))) or 'none'}" for name in lists
        ]
        raise ValueError(
            f"{source}: these labels look like lists of several: {shorten(map(shown, lists))}. Accepted is one class a row: keep "
            f"one label of each row, or remove these rows. If each is one class, give it a name: --label_map "
            f"{typed([*label_map, *renamed])}"
        )
    if doubtful:
        logger.warning(
            "%s: each of these labels is one class, though it may be a list of several: %s.",
            source, shorten(map(shown, doubtful)),
        )  # fmt: skip


_QUOTES = str.maketrans("", "", "'\"")
