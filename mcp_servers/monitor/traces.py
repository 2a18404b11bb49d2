"""OpenTelemetry spans by the GenAI conventions. Off unless an endpoint is set: then nothing of it is even loaded.

Spans say who called which model or tool, for what, with how many tokens; never a word of what was said.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_servers.monitor.observer import ModelCall, ModelEnd, ToolCall, ToolEnd

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_GOOD = {"ok", "unmetered"}


class Traces:
    """An observer that makes a span of each call. `provider` exports them; see `provider_to`."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind

        self._provider = provider
        self._tracer = provider.get_tracer("elfautomations.gateway")
        self._client, self._internal = SpanKind.CLIENT, SpanKind.INTERNAL

    def model_call(self, call: ModelCall) -> Callable[[ModelEnd], None]:
        span = self._tracer.start_span(
            f"chat {call.model}",
            kind=self._client,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": call.provider,
                "gen_ai.request.model": call.model,
                "gen_ai.request.max_tokens": call.max_tokens,
                "gen_ai.conversation.id": call.run,
                "gen_ai.agent.name": f"{call.team}/{call.member}",
                "elf.purpose": call.purpose,
                "elf.asked_model": call.asked,
            },
        )

        def ended(end: ModelEnd) -> None:
            span.set_attribute("gen_ai.response.model", call.model)
            span.set_attribute("gen_ai.usage.input_tokens", end.tokens_in)
            span.set_attribute("gen_ai.usage.output_tokens", end.tokens_out)
            span.set_attribute("elf.usd_micro", end.usd_micro)
            _end(span, end.outcome)

        return ended

    def tool_call(self, call: ToolCall) -> Callable[[ToolEnd], None]:
        span = self._tracer.start_span(
            f"execute_tool {call.tool}",
            kind=self._internal,
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call.tool,
                "gen_ai.tool.type": "function",
                "gen_ai.conversation.id": call.run,
                "gen_ai.agent.name": f"{call.team}/{call.member}",
            },
        )
        return lambda end: _end(span, end.outcome)

    def refused(self, what: str, code: str) -> None:
        """What is not made has no span."""

    def close(self) -> None:
        """Sends what is waiting, for at most some seconds. Blocking."""
        self._provider.shutdown()


def provider_to(endpoint: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Exports by OTLP over HTTP to `endpoint`, in batches, in a thread; nothing but the service's name describes this machine."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=10)
    with _switched_on():
        provider = TracerProvider(resource=Resource({"service.name": "elfautomations"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=10_000))
    return provider


@contextmanager
def _switched_on() -> Generator[None]:
    """The team runtime switches OpenTelemetry off in every process that loads it, because frameworks send by themselves. Only
    what is built in here is on: this provider, which somebody asked for."""
    switch = os.environ.pop("OTEL_SDK_DISABLED", None)
    try:
        yield
    finally:
        if switch is not None:
            os.environ["OTEL_SDK_DISABLED"] = switch


def _end(span: Span, outcome: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("elf.outcome", outcome)
    if outcome not in _GOOD:
        span.set_attribute("error.type", outcome)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
