"""What one member may use of one tool server beside calling its tools. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote

from policies.patterns import matches

_STEPS = re.compile(r"[/\\?#]")
#: What readers of addresses leave out of a step: white space and controls, and what is behind `;` or a zero byte.
_LEFT_OUT = re.compile(r"[\x01-\x20\x7f]|[;\x00].*", re.DOTALL)


@dataclass(frozen=True)
class ServerUse:
    """Patterns of resources' addresses and prompts' names, and what the server may send or ask. Empty: nothing."""

    #: Whether some tool of the server is granted, with whatever arguments.
    tools: bool = False
    resources: Collection[str] = ()
    prompts: Collection[str] = ()
    features: Collection[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.tools or self.resources or self.prompts or self.features)

    def resource(self, uri: str) -> bool:
        """Whether the resource is granted. An address that leads upwards (`..`, plain or percent-encoded) never is."""
        return not _climbs(uri) and any(matches(pattern, uri) for pattern in self.resources)

    def prompt(self, name: str) -> bool:
        return any(matches(pattern, name) for pattern in self.prompts)

    def feature(self, name: str) -> bool:
        return name in self.features


#: What a person and the kernel itself may use.
EVERYTHING = ServerUse(
    tools=True,
    resources=(r"(?s:.*)",),
    prompts=(r"(?s:.*)",),
    features=frozenset({"sampling", "elicitation", "roots", "logging"}),
)


def _climbs(uri: str) -> bool:
    # Twice: whoever reads it may decode it once more than we think.
    return any(_LEFT_OUT.sub("", step) in (".", "..") for step in _STEPS.split(unquote(unquote(uri))))
