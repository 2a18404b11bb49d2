"""Prometheus metrics of the company. What labels may say is bounded: names of teams, models, servers and tools that exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mcp_servers.monitor.observer import ModelCall, ModelEnd, ToolCall, ToolEnd
from mcp_servers.monitor.probes import own_memory
from memory.watching import Reading

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_LEVELS = {"absent": -1, "ok": 0, "warning": 1, "critical": 2}


class Metrics:
    """An observer that counts. Every company has its own registry; threads may share it."""

    def __init__(self, under_way: Callable[[], float] = lambda: 0, waiting: Callable[[], float] = lambda: 0) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self._calls = Counter(
            "elf_model_calls", "Model calls as they ended", ("team", "model", "outcome"), registry=own
        )
        self._tokens = Counter(
            "elf_model_tokens", "Tokens of model calls", ("team", "model", "direction"), registry=own
        )
        self._usd = Counter("elf_model_usd", "US dollars counted for model calls", ("team", "model"), registry=own)
        self._seconds = Histogram(
            "elf_model_seconds", "Seconds of a model call", ("model",), buckets=_SECONDS, registry=own
        )
        under_way_now = Gauge("elf_model_calls_under_way", "Model calls under way", registry=own)
        under_way_now.set_function(under_way)
        waiting_now = Gauge("elf_calls_waiting", "Model and tool calls that wait for their turn", registry=own)
        waiting_now.set_function(waiting)
        self._waits = Counter("elf_waits", "Waits for a turn by how they ended", ("end",), registry=own)
        self._wait_seconds = Histogram(
            "elf_wait_seconds", "Seconds of a wait for a turn", buckets=_SECONDS, registry=own
        )
        self._circuits = Gauge("elf_circuits_open", "Links that are left alone, or tried again", registry=own)
        self._tools = Counter("elf_tool_calls", "Tool calls as they ended", ("team", "tool", "outcome"), registry=own)
        self._tool_seconds = Histogram(
            "elf_tool_seconds", "Seconds of a tool call", ("tool",), buckets=_SECONDS, registry=own
        )
        self._refused = Counter("elf_refused", "Calls that were refused", ("what", "code"), registry=own)
        self._level = Gauge(
            "elf_resource_level", "0 ok, 1 warning, 2 critical, -1 nothing to watch", ("resource",), registry=own
        )
        self._value = Gauge(
            "elf_resource_value", "The resource's reading, in its own unit", ("resource",), registry=own
        )
        self._teams = Gauge("elf_teams", "Living teams by state", ("state",), registry=own)
        self._alerts = Gauge("elf_alerts_standing", "Causes a person is or was told of that still stand", registry=own)
        self._ledger = Gauge("elf_ledger_holds", "1 if the ledger held when it was last recomputed", registry=own)
        memory = Gauge("elf_kernel_resident_bytes", "Memory the kernel's process holds", registry=own)
        memory.set_function(own_memory)

    def model_call(self, call: ModelCall) -> Callable[[ModelEnd], None]:
        def ended(end: ModelEnd) -> None:
            self._calls.labels(call.team, call.model, end.outcome).inc()
            self._tokens.labels(call.team, call.model, "input").inc(max(0, end.tokens_in))
            self._tokens.labels(call.team, call.model, "output").inc(max(0, end.tokens_out))
            self._usd.labels(call.team, call.model).inc(max(0, end.usd_micro) / 1_000_000)
            self._seconds.labels(call.model).observe(end.seconds)

        return ended

    def tool_call(self, call: ToolCall) -> Callable[[ToolEnd], None]:
        def ended(end: ToolEnd) -> None:
            # A pattern may grant names that no server has; those are one name here.
            tool = "unknown" if end.outcome == "not_found" else call.tool
            self._tools.labels(call.team, tool, end.outcome).inc()
            self._tool_seconds.labels(tool).observe(end.seconds)

        return ended

    def waited(self, end: str, seconds: float) -> None:
        """A call that waited for its turn has got it, or was sent away."""
        self._waits.labels(end).inc()
        self._wait_seconds.observe(seconds)

    def refused(self, what: str, code: str) -> None:
        self._refused.labels(what, code).inc()

    def watched(
        self, readings: Sequence[Reading], teams: Mapping[str, int], circuits: int, alerts: int, ledger_holds: bool
    ) -> None:
        """What the health monitor's round found."""
        self._circuits.set(circuits)
        for one in readings:
            self._level.labels(one.resource).set(_LEVELS[one.level])
            self._value.labels(one.resource).set(float("nan") if one.value is None else one.value)
        self._teams.clear()
        for state, count in teams.items():
            self._teams.labels(state).set(count)
        self._alerts.set(alerts)
        self._ledger.set(1 if ledger_holds else 0)

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
