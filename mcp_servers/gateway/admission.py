"""On which terms a server is served, and whether its tools are still what was admitted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcp.types import Tool

from mcp_servers.server_spec import ServerSpec, definition_sha256

#: More tools that nobody admitted are counted, not named.
_MOST_NAMED = 20


def _no_secrets() -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Terms:
    """What a server may do. `definitions` is None for the kernel's own: they are admitted as they are at the start."""

    where: str = "this process"
    kind: str = "builtin"
    owner: str = "kernel"
    call_seconds: float = 60.0
    max_result_bytes: int = 200_000
    calls_per_minute: int | None = None
    definitions: Mapping[str, str] | None = None
    #: The secrets injected into its calls, to be kept out of its results.
    secrets: Callable[[], Collection[str]] = _no_secrets

    @classmethod
    def of(cls, spec: ServerSpec, where: str, secrets: Callable[[], Collection[str]] = _no_secrets) -> Terms:
        return cls(
            where=where,
            kind=spec.kind,
            owner=spec.owner,
            call_seconds=spec.timeout_seconds,
            max_result_bytes=spec.max_result_bytes,
            calls_per_minute=spec.calls_per_minute,
            definitions=None if spec.kind == "builtin" else spec.admitted,
            secrets=secrets,
        )


@dataclass(frozen=True)
class Quarantined:
    """A tool that is neither listed nor callable, and why: its definition changed, or nobody ever admitted it."""

    tool: str
    why: str
    admitted_sha256: str | None = None
    seen_sha256: str | None = None
    #: What the server says it is now.
    seen: Tool | None = None

    @property
    def was_admitted(self) -> bool:
        """Whether main admits a tool of this name: then somebody misses it. Of others, admitted they were never."""
        return self.admitted_sha256 is not None

    def as_json(self) -> dict[str, Any]:
        return {
            "tool": self.tool,
            "why": self.why,
            "admitted_sha256": self.admitted_sha256,
            "seen_sha256": self.seen_sha256,
        }


@dataclass(frozen=True)
class Compared:
    """A server's tools beside what was admitted."""

    served: Sequence[Tool] = ()
    quarantined: Mapping[str, Quarantined] = field(default_factory=dict[str, Quarantined])
    #: Admitted, and not there now.
    missing: Sequence[str] = ()
    #: How many more the server says it has that nobody admitted.
    uncounted: int = 0


def hashes(tools: Sequence[Tool]) -> dict[str, str]:
    """Tool name -> hash of its definition."""
    return {tool.name: definition_sha256(tool.name, tool.description, tool.inputSchema) for tool in tools}


def compare(tools: Sequence[Tool], admitted: Mapping[str, str]) -> Compared:
    """What may be served. Of two tools of one name neither is: a caller could not say which it meant."""
    seen = hashes(tools)
    names = [tool.name for tool in tools]
    served: list[Tool] = []
    quarantined: dict[str, Quarantined] = {}
    uncounted = 0
    for tool in tools:
        if tool.name in quarantined:
            continue
        wanted, got = admitted.get(tool.name), seen[tool.name]
        if wanted is None and len(quarantined) >= _MOST_NAMED:
            uncounted += 1
        elif wanted is None:
            quarantined[tool.name] = Quarantined(tool.name[:60], "never admitted", None, got, tool)
        elif names.count(tool.name) > 1:
            quarantined[tool.name] = Quarantined(tool.name, "given twice", wanted, got, tool)
        elif wanted != got:
            quarantined[tool.name] = Quarantined(tool.name, "changed since it was admitted", wanted, got, tool)
        else:
            # Name, description and input schema are what was hashed; nothing else of the server's reaches a model.
            served.append(Tool(name=tool.name, description=tool.description, inputSchema=tool.inputSchema))
    missing = sorted(set(admitted) - set(names))
    return Compared(served, quarantined, missing, uncounted)
