"""What is odd about the names of classes: spelt alike, or lists of several; and how a name is written to be typed again."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any


def plain(name: str) -> str:
    """A name without what a reader may not see: case, Unicode form, kinds and numbers of blanks, underscores for blanks.

    >>> plain("So  so") == plain("so_so") == plain("so\\N{NO-BREAK SPACE}so ")
    True
    """
    visible = "".join(
        letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) not in ("Cf", "Cc")
        or letter.isspace()
    )  # fmt: skip
    return " ".join(visible.replace("_", " ").casefold().split())


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ by nothing that a reader may see; see `plain`.

    >>> alike(["Pos", "neg", "pos", "pos "])
    [['Pos', 'pos', 'pos ']]
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(plain(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def shown(name: str) -> str:
    """A name in quotes, with what cannot be seen in it written out.

    >>> print(shown("pos"), shown("pos\\N{NO-BREAK SPACE}"))
    'pos' 'pos\\xa0'
    """
    return repr(name) if _is_visible(name) else ascii(name)


def typed(values: Iterable[str]) -> str:
    """Values as they are typed behind a flag in a shell; what cannot be seen is written as bash and zsh read it.

    >>> print(typed(["-1=bad", "Pos =pos", "pos\\N{NO-BREAK SPACE}=pos"]))
    -1=bad 'Pos =pos' $'pos\\u00a0=pos'
    """
    return " ".join(shlex.quote(value) if _is_visible(value) else _escaped(value) for value in values)


def _is_visible(name: str) -> bool:
    return name.isprintable() and unicodedata.normalize("NFKC", name) == name


def _escaped(value: str) -> str:
    letters = (
        f"\\{letter}" if letter in "\\'"
        else letter if letter.isascii() and letter.isprintable()
        else f"\\U{ord(letter):08x}" if ord(letter) > 0xFFFF
        else f"\\u{ord(letter):04x}"
        for letter in value
    )  # fmt: skip
    return f"$'{''.join(letters)}'"


def several(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names that are lists of several labels, and names that may be.

    A list is what stands in brackets, or what ``|``, ``;`` or a comma divides into parts that all occur in other names
    too. Beside that, whatever holds a ``|`` or ``;`` may be one.

    >>> several(["['a', 'b']", "a|b", "a", "b", "R&B; Soul", "Smith, J."])
    (["['a', 'b']", 'a|b'], ['R&B; Soul'])
    """
    lists, doubtful = [], []
    parts = {name: {part.strip() for part in re.split(r"[|;,]", name)} for name in names}
    times = Counter(part for name in parts for part in parts[name])
    for name in parts:
        if re.fullmatch(r"\s*(\[.*\]|\(.*,.*\)|\{.*\})\s*", name, re.DOTALL) or (
            len(parts[name]) > 1 and all(times[part] > 1 for part in parts[name])
        ):
            lists.append(name)
        elif len(parts[name]) > 1 and re.search(r"[|;]", name):
            doubtful.append(name)
    return lists, doubtful


def shorten(values: Iterable[Any], limit: int = 10) -> str:
    """Values for a message, of which no more than `limit` are told."""
    # Text from a file can hold control characters, which a terminal would obey.
    values = [text if (text := str(value)).isprintable() else repr(text) for value in values]
    return ", ".join(values[:limit]) + (f", ... ({len(values)} in all)" if len(values) > limit else "")
