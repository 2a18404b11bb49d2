"""`watch.yaml`: what is watched, the marks, and when people are told."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.facts import LawPart

Resource = Literal["api_quota", "memory", "cpu", "database", "docker", "mcp_servers", "network", "teams"]
"""The eight watched resources, in the order of reports."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Marks(LawPart):
    """From where a reading is a warning, and critical. `in_a_row` looks must agree before it counts as worse."""

    warning: Amount | None = None
    """A reading at or above this is yellow."""
    critical: Amount | None = None
    """A reading at or above this is red."""
    in_a_row: int = Field(default=1, ge=1, le=100)
    """So many looks must agree before it counts as worse; one suffices for better."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.warning is not None and self.critical is not None and self.critical < self.warning:
            raise ValueError("critical lies below warning; a mark that is worse must not be reached first")
        return self


class MarksOfAll(LawPart):
    """The eight. What a file does not name goes by what stands here, which is what the file of a new company says."""

    api_quota: Marks = Marks(warning=80, critical=100)
    """Per cent of a budget that is spent or held today; the highest of all counts."""
    memory: Marks = Marks(warning=85, critical=95, in_a_row=2)
    """Per cent of this machine's memory in use. At critical, new model calls are refused."""
    cpu: Marks = Marks(warning=90, critical=99, in_a_row=8)
    """Per cent of all processors."""
    database: Marks = Marks(warning=250, critical=5000, in_a_row=2)
    """Milliseconds for one small query."""
    docker: Marks = Marks(warning=1)
    """1 when a Docker daemon is there and does not answer."""
    mcp_servers: Marks = Marks(warning=1, critical=3, in_a_row=2)
    """MCP servers that do not list their tools."""
    network: Marks = Marks(warning=1, critical=3, in_a_row=2)
    """Addresses under `network` that cannot be reached."""
    teams: Marks = Marks(warning=1, critical=3)
    """Teams that are ill, and what can be done by itself has been done."""

    def of(self, resource: Resource) -> Marks:
        return getattr(self, resource)


class Target(LawPart):
    """An address the company must reach by TCP."""

    name: str = Field(min_length=1, max_length=40)
    """What people are told it is."""
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    """A host's name or address."""
    port: int = Field(ge=1, le=65_535)
    """A TCP port."""


class AlertLaw(LawPart):
    again_after_hours: int = Field(default=24, ge=1)
    """A cause that goes on is told again after so long."""
    gone_for_minutes: int = Field(default=10, ge=0)
    """A cause must have been gone for so long before it counts as new."""
    retry_after_minutes: int = Field(default=10, ge=1)
    """An alert that reached nobody is tried again after so long."""
    held_after_minutes: int = Field(default=10, ge=1)
    """A team that is ill for so long is told once more."""
    at_most_an_hour: int = Field(default=12, ge=1)
    """Messages of all causes together."""


class Watch(LawPart):
    """`watch.yaml`"""

    every_seconds: int = Field(default=15, ge=1, le=3600)
    """How often the resources are looked at."""
    marks: MarksOfAll = MarksOfAll()
    """From which reading on a resource is a warning, and critical."""
    database_megabytes: int | None = Field(default=2000, ge=1)
    """The embedded database's file above this is a warning."""
    network: tuple[Target, ...] = Field(default=(), max_length=20)
    """Addresses that the company must reach."""
    model_calls_at_once: int | None = Field(default=256, ge=1)
    """Model calls under way at once, over all teams; more are refused with the time to come again."""
    come_again_seconds: int = Field(default=5, ge=1)
    """How long one who was refused for load is told to wait."""
    alerts: AlertLaw = AlertLaw()
    """When people are told, and how often at the most."""
    ledger_every_minutes: int = Field(default=60, ge=1)
    """How often the whole ledger is recomputed."""
