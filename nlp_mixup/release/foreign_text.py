"""Text that users or data sets named (labels, files, repositories), on a card: free text, which must do nothing there.

`inert` makes it plain to Markdown and HTML, `plain` to YAML.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

# Signs that Markdown or HTML may read as more than themselves. Colons before a blank, underscores between letters and
# single dashes behind something do nothing.
MEANINGFUL = r"[!-$&'*;<>@\[-^`{-~]|:(?! )|^-|-(?=-)|(?<=-)-|(?<![^\W_])_|_(?![^\W_])"


def plain(text: Any, limit: int = 120) -> str:
    """Free text on one line without invisible characters, as front matter may hold it.

    Example:
        >>> print(plain("a\\n---\\nb\\u202e!"))
        a --- b[U+202E]!
    """
    spelled = []
    for character in re.sub(r"\s+", " ", str(text)).strip():
        category = unicodedata.category(character)
        is_hidden = category.startswith("C") or category in ("Zl", "Zp")
        spelled.append(f"[U+{ord(character):04X}]" if is_hidden else character)
    line = "".join(spelled)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def inert(text: Any, limit: int = 120) -> str:
    """Free text that Markdown and HTML show as it is: every sign that could mean something becomes an entity.

    Example:
        >>> print(inert("<img onerror=x> | *a* plain-name_2 (1.5 %)"))
        &#60;img onerror=x&#62; &#124; &#42;a&#42; plain-name_2 (1.5 %)
    """
    line = plain(text, limit)
    escaped = re.sub(MEANINGFUL, lambda sign: f"&#{ord(sign.group())};", line)
    return re.sub(r"(?i)www\.", "www&#46;", escaped)


def in_code(text: Any) -> str:
    """Free text for a code span, where entities would be shown as they are: its backticks go."""
    return plain(text).replace("`", "'").replace("|", "/").replace("<", "(").replace(">", ")")


def table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def hub_link(repo_id: str | None, kind: str) -> str:
    return f"[{inert(repo_id)}](https://huggingface.co/{kind}{repo_id})"


def data_link(source: Mapping[str, str | None]) -> str:
    if source["id"]:
        return hub_link(source["id"], "datasets/") + (f" ({inert(source['config'])})" if source["config"] else "")
    return inert(source["name"]) if source["name"] else "data that is not named"
