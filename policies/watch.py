"""`watch.yaml`: what is watched, the marks, and when people are told."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.facts import Frozen

Resource = Literal["api_quota", "memory", "cpu", "database", "docker", "mcp_servers", "network", "teams"]
"""The eight watched resources, in the order of reports."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Marks(Frozen):
    """From where a reading is a warning, and critical. `in_a_row` looks must agree before it counts as worse."""

    warning: Amount | None = None
    critical: Amount | None = None
    in_a_row: int = Field(default=1, ge=1, le=100)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.warning is not None and self.critical is not None and self.critical < self.warning:
            raise ValueError("critical lies below warning; a mark that is worse must not be reached first")
        return self


class MarksOfAll(Frozen):
    """The eight. What a file does not name goes by what stands here, which is what the file of a new company says."""

    api_quota: Marks = Marks(warning=80, critical=100)
    memory: Marks = Marks(warning=85, critical=95, in_a_row=2)
    cpu: Marks = Marks(warning=90, critical=99, in_a_row=8)
    database: Marks = Marks(warning=250, critical=5000, in_a_row=2)
    docker: Marks = Marks(warning=1)
    mcp_servers: Marks = Marks(warning=1, critical=3, in_a_row=2)
    network: Marks = Marks(warning=1, critical=3, in_a_row=2)
    teams: Marks = Marks(warning=1, critical=3)

    def of(self, resource: Resource) -> Marks:
        return getattr(self, resource)


class Target(Frozen):
    """An address the company must reach by TCP."""

    name: str = Field(min_length=1, max_length=40)
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    port: int = Field(ge=1, le=65_535)


class AlertLaw(Frozen):
    again_after_hours: int = Field(default=24, ge=1)
    gone_for_minutes: int = Field(default=10, ge=0)
    retry_after_minutes: int = Field(default=10, ge=1)
    held_after_minutes: int = Field(default=10, ge=1)
    at_most_an_hour: int = Field(default=12, ge=1)


class Watch(Frozen):
    """`watch.yaml`"""

    every_seconds: int = Field(default=15, ge=1, le=3600)
    marks: MarksOfAll = MarksOfAll()
    database_megabytes: int | None = Field(default=2000, ge=1)
    network: tuple[Target, ...] = Field(default=(), max_length=20)
    model_calls_at_once: int | None = Field(default=256, ge=1)
    come_again_seconds: int = Field(default=5, ge=1)
    alerts: AlertLaw = AlertLaw()
    ledger_every_minutes: int = Field(default=60, ge=1)
