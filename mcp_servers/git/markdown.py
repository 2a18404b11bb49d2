"""Text of strangers inside a page of ours: shown letter by letter, never obeyed.

Inside code, GitHub's Markdown knows no markup, HTML, links, mentions, issue numbers or images; so all such text goes there.
"""

from __future__ import annotations

import re
import textwrap

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """The text without characters that hide or turn around others: those are spelt out (`<U+202E>`)."""
    return _INVISIBLE.sub(lambda found: f"<U+{ord(found.group()):04X}>", text)


def block(text: str, width: int = 100) -> str:
    """A code block around the text, with a fence longer than any in it, its lines wrapped."""
    lines = [part for line in visible(text).splitlines() for part in _wrapped(line, width)]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def cell(text: str, limit: int = 200) -> str:
    """Inline code on one line, fit for a table's cell."""
    line = " ".join(visible(text[: limit * 4]).split())[:limit].replace("`", "'").replace("|", "\\|")
    return f"`{line}`" if line else "-"


def _wrapped(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip(" "))][:40]
    return textwrap.wrap(line, width, subsequent_indent=indent + "  ", break_on_hyphens=False) or [""]
