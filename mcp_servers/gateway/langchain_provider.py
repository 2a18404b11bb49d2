"""A model of a provider that speaks a wire of its own, by its LangChain chat model. Anthropic is one of them.

One try each: no client here retries by itself. What a provider says wrong becomes `ProviderFailed`, with whether it was free.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import ceil
from threading import Lock
from typing import Any

from anyio import to_thread
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from pydantic import AliasChoices

from mcp_servers.gateway import langchain_reading as reading
from mcp_servers.gateway.chat import Answer, ChatRequest, Piece, ProviderFailed
from mcp_servers.gateway.endpoints import Endpoint
from mcp_servers.gateway.langchain_classes import chat_model_class
from mcp_servers.gateway.langchain_dialects import Dialect, dialect_of, schema_of
from mcp_servers.gateway.langchain_failures import failure

_HINTS = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")


class CannotBeMade(Exception):
    """LangChain's class cannot be used as the gateway has to; the message says why."""


class LangChainProvider:
    """One model. It is made when it is first asked: its package takes a second or more to import, and a thread waits for it."""

    def __init__(self, endpoint: Endpoint, model: str, name: str, timeout_seconds: float) -> None:
        self._endpoint, self._wanted, self._name, self._timeout = endpoint, model, name, timeout_seconds
        self._turn = Lock()
        self._model: _Model | None = None
        #: Some models take no temperature: their client says so before anything is sent. A hint is then left out.
        self._takes_sampling = True

    def load(self) -> None:
        """Makes the model, if need be. Blocking. Raises `ProviderFailed`."""
        self._loaded()

    async def answer(self, request: ChatRequest, purpose: str) -> Answer:
        model = await self._made()
        try:
            bound = model.bound(request, sampling=self._takes_sampling)
            return reading.answer(await bound.ainvoke(reading.messages(request)))
        except Exception as error:
            # Any: whatever a package raises, the next link is to be tried.
            if self._leaves_sampling_out(model, error):
                return await self.answer(request, purpose)
            raise failure(self._name, error) from error

    async def stream(self, request: ChatRequest, purpose: str) -> AsyncGenerator[Piece]:
        model, read = await self._made(), reading.Reading()
        try:
            async for chunk in model.bound(request, sampling=self._takes_sampling).astream(reading.messages(request)):
                if piece := read.piece(chunk):
                    yield piece
        except Exception as error:
            if read.started or not self._leaves_sampling_out(model, error):
                raise failure(self._name, error, started=read.started) from error
            async for piece in self.stream(request, purpose):
                yield piece
            return
        last = read.last()
        if last is None:
            raise ProviderFailed(f"{self._name} ended its answer in the middle; ask again.", "broken", free=False)
        yield last

    async def close(self) -> None:
        """Ends its connections."""
        if self._model is not None:
            await _close(self._model.model)

    async def _made(self) -> _Model:
        return self._model or await to_thread.run_sync(self._loaded)

    def _loaded(self) -> _Model:
        with self._turn:
            if self._model is None:
                try:
                    self._model = make(self._endpoint, self._wanted, self._timeout)
                except (CannotBeMade, ImportError) as error:
                    raise ProviderFailed(f"{self._name} cannot be used: {error}.", "unreachable", free=True) from error
                except Exception as error:  # noqa: BLE001 (whatever a package raises, the next link is to be tried)
                    # Not its text: what a class says of its settings may hold the key.
                    text = f"{self._name} cannot be used: LangChain's class for it does not take its settings"
                    raise ProviderFailed(f"{text} ({type(error).__name__}).", "unreachable", free=True) from None
            return self._model

    def _leaves_sampling_out(self, model: _Model, error: Exception) -> bool:
        """Whether the client refused a sampling hint before it sent anything; from now on this model gets none."""
        refused = self._takes_sampling and model.dialect.refuses_sampling(error)
        self._takes_sampling = self._takes_sampling and not refused
        return refused


@dataclass(frozen=True)
class _Model:
    """A chat model, and how its class is asked."""

    model: BaseChatModel
    dialect: Dialect

    def bound(self, request: ChatRequest, *, sampling: bool) -> Runnable[Any, BaseMessage]:
        """The model as this request wants it: what all classes have are settings of a copy, the rest goes with the call."""
        dialect = self.dialect
        model = self.model.model_copy(update=_settings(type(self.model), dialect, request, sampling=sampling))
        options = request.model_dump(include=set(dialect.passed_on), exclude_none=True)
        if request.stop is not None:
            options["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
        tools, choice = _tools(request, dialect)
        if request.response_format and dialect.formatted:
            options |= dialect.formatted(request.response_format)
        elif request.response_format:
            tools, choice = [*tools, _answer_tool(request.response_format)], {"tool_choice": "any"}
        if not tools:
            options.pop("parallel_tool_calls", None)
            return model.bind(**options)
        return model.bind_tools(tools, **choice, **options)


def make(endpoint: Endpoint, model: str, timeout_seconds: float) -> _Model:
    """LangChain's chat model, so that it asks once, of this address, with this key. Imports its package.

    Raises `CannotBeMade` for a class that cannot be kept to that, and what the class itself raises.
    """
    name = endpoint.langchain or ""
    kind, dialect = chat_model_class(name), dialect_of(name)
    given: dict[str, Any] = dict(dialect.once)
    if endpoint.url is not None:
        given["base_url"] = endpoint.url
    if endpoint.key is not None:
        given["api_key"] = endpoint.key
    for setting in (*given, dialect.most_tokens):
        if setting_of(kind, setting) is None:
            raise CannotBeMade(f"{kind.__name__} has no setting {setting}, which the gateway has to set")
    if endpoint.url is not None and endpoint.key is None and setting_of(kind, "api_key"):
        # No key that the class would find by itself goes to an address that the law names.
        given["api_key"] = "none"
    # Whole seconds, since some classes take no others; what binds is the deadline of the request.
    given |= {"timeout": ceil(timeout_seconds)} if setting_of(kind, "timeout") else {}
    given |= {"stream_usage": True} if setting_of(kind, "stream_usage") else {}
    maker = dialect.make or partial(init_chat_model, model_provider=name)
    return _Model(maker(model, **given), dialect)


@cache
def setting_of(kind: type[BaseChatModel], standard: str) -> str | None:
    """The class's own name of a setting that LangChain has a standard name for; None if it has no such setting."""
    for name, field in kind.model_fields.items():
        also = field.validation_alias
        others = also.choices if isinstance(also, AliasChoices) else (also,)
        if standard in (name, field.alias, *others):
            return name
    return None


def _settings(kind: type[BaseChatModel], dialect: Dialect, request: ChatRequest, *, sampling: bool) -> dict[str, Any]:
    """Seed and penalties are hints that some classes have no place for."""
    wanted: dict[str, Any] = {dialect.most_tokens: request.most_tokens_out}
    if sampling:
        wanted |= request.model_dump(include=set(_HINTS), exclude_none=True)
    if "reasoning_effort" not in dialect.passed_on and request.reasoning_effort is not None:
        wanted["reasoning_effort"] = request.reasoning_effort
    named = {setting_of(kind, standard): value for standard, value in wanted.items()}
    return {name: value for name, value in named.items() if name is not None}


def _tools(request: ChatRequest, dialect: Dialect) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    tools = [tool.model_dump(exclude_none=True) for tool in request.tools or ()]
    if request.tool_choice == "none":
        return (tools, {"tool_choice": dialect.no_tool}) if dialect.no_tool and tools else ([], {})
    choice = "any" if request.tool_choice == "required" else request.chosen_tool
    return tools, {"tool_choice": choice} if choice else {}


def _answer_tool(wanted: Mapping[str, Any]) -> dict[str, Any]:
    parameters = schema_of(wanted)
    function = {"name": reading.ANSWER_TOOL, "description": "Gives the answer, in this form.", "parameters": parameters}
    return {"type": "function", "function": function}


async def _close(model: BaseChatModel) -> None:
    """Of classes that have a way to; the others' connections end with the process."""
    for holder in (model, getattr(model, "async_client", None), getattr(model, "client", None)):
        close = getattr(holder, "aclose", None) or getattr(holder, "close", None)
        ended = close() if callable(close) else None
        if inspect.isawaitable(ended):
            await ended
