"""Whoever wants to see what passes the door: a small protocol, and the observer of nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A model call that is about to be made. No word of what is said in it."""

    team: str
    member: str
    provider: str
    model: str
    asked: str
    purpose: str
    run: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class ModelEnd:
    """How it ended: `outcome` as in the usage row."""

    outcome: str
    tokens_in: int
    tokens_out: int
    usd_micro: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`tool` with its server's name, `<server>__<tool>`."""

    team: str
    member: str
    tool: str
    run: str


@dataclass(frozen=True, slots=True)
class ToolEnd:
    outcome: str
    seconds: float


class Observer(Protocol):
    """Told of calls as they begin; what it gives back is told how they ended, once. Must be quick and never raise."""

    def model_call(self, call: ModelCall) -> Callable[[ModelEnd], None]: ...
    def tool_call(self, call: ToolCall) -> Callable[[ToolEnd], None]: ...
    def refused(self, what: str, code: str) -> None: ...


class Nobody:
    """Sees nothing, and costs nothing to speak of."""

    @staticmethod
    def nothing(_end: object) -> None:
        return

    def model_call(self, call: ModelCall) -> Callable[[ModelEnd], None]:
        del call
        return self.nothing

    def tool_call(self, call: ToolCall) -> Callable[[ToolEnd], None]:
        del call
        return self.nothing

    def refused(self, what: str, code: str) -> None: ...


class Everybody:
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def model_call(self, call: ModelCall) -> Callable[[ModelEnd], None]:
        endings = [one.model_call(call) for one in self._observers]

        def ended(end: ModelEnd) -> None:
            for tell in endings:
                tell(end)

        return ended

    def tool_call(self, call: ToolCall) -> Callable[[ToolEnd], None]:
        endings = [one.tool_call(call) for one in self._observers]

        def ended(end: ToolEnd) -> None:
            for tell in endings:
                tell(end)

        return ended

    def refused(self, what: str, code: str) -> None:
        for one in self._observers:
            one.refused(what, code)
