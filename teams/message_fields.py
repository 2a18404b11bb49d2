"""What the fields of a message may hold, the same for every kind."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

MAX_TEXT = 20_000

#: Control characters (but tab and line breaks), direction overrides, lone surrogates and tags: nothing a person types.
#: Tags (U+E0000 on) spell words that a model reads and nobody sees.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e0fff]"
)
#: What fills no space or only space, whatever strip() thinks of it.
_NOTHING_TO_SEE = re.compile(
    "[\\s\xad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)


def _readable(text: str) -> str:
    if found := _UNREADABLE.search(text):
        raise ValueError(f"contains the control character U+{ord(found.group()):04X}; remove it and send again")
    if _NOTHING_TO_SEE.fullmatch(text):
        raise ValueError("there is nothing to see in it; say what you want")
    return text.replace("\r\n", "\n").replace("\r", "\n")


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT),
    AfterValidator(_readable),
]
Short = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), AfterValidator(_readable)
]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=120)]
Priority = Literal["low", "normal", "high", "urgent"]


class Strict(BaseModel):
    """Frozen, and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
