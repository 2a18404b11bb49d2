"""`limits.yaml`: how fast, how many, how large, how long; and when nothing is merged at all. None: no such limit; 0: none allowed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints, model_validator

from policies.facts import Frozen, Kind

Count = Annotated[int, Field(ge=0, strict=True)]
Reason = Annotated[str, StringConstraints(min_length=10, max_length=500, strip_whitespace=True)]


def _written_out(value: object) -> object:
    """A moment is text: a number would be taken for seconds since 1970."""
    if not isinstance(value, str | datetime):
        raise ValueError("write a moment with its zone, such as 2026-12-01T08:00:00Z")  # noqa: TRY004 (pydantic reports ValueErrors)
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]


class Explicit(Frozen):
    """Words an approving person writes to allow what is otherwise too much, followed by the reason."""

    words: str = Field(min_length=3)
    reason_of_at_least: Count = 10


class Rate(Frozen):
    """How many changes of some kinds, in which time, and how far apart."""

    at_most: Count | None = None
    #: A rolling window; or a calendar one (UTC; weeks begin on Monday). One of the two.
    in_hours: int = Field(default=24, gt=0)
    calendar: Literal["day", "week", "month"] | None = None
    #: Between the latest merge and the next.
    cooldown_seconds: Count | None = None
    #: What is counted: changes merged in the window, and with them (or not) those that are open.
    counts: Literal["merged_and_open", "merged"] = "merged_and_open"
    #: Whose changes are counted together: everybody's, or each requester's alone.
    per: Literal["company", "requester"] = "company"
    #: Requesters whose changes are not held up; only the kernel itself can be one.
    exempt: tuple[Annotated[str, StringConstraints(pattern=r"^kernel:[a-z-]+$")], ...] = ()
    lifted_by: Explicit | None = None

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if self.calendar is not None and "in_hours" in self.model_fields_set:
            raise ValueError("in_hours and calendar are two windows; write one of them")
        return self

    def since(self, now: datetime) -> datetime:
        """Where the window begins that `now` lies in."""
        if self.calendar is None:
            return now - timedelta(hours=self.in_hours)
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.calendar == "week":
            return midnight - timedelta(days=midnight.weekday())
        return midnight.replace(day=1) if self.calendar == "month" else midnight

    def frees(self, merged_at: datetime, now: datetime) -> datetime:
        """When a change that was merged then, within the window of `now`, counts no longer."""
        if self.calendar is None:
            return merged_at + timedelta(hours=self.in_hours)
        begin = self.since(now)
        if self.calendar == "month":
            return (begin + timedelta(days=32)).replace(day=1)
        return begin + timedelta(days=7 if self.calendar == "week" else 1)

    @property
    def window(self) -> str:
        """The window in words."""
        return (
            f"{self.in_hours} hour{'' if self.in_hours == 1 else 's'}"
            if self.calendar is None
            else f"a calendar {self.calendar}"
        )


class KindRate(Rate):
    """A rate that says which kinds of change it is of."""

    kinds: tuple[Kind, ...] = Field(min_length=1)


class Sizes(Frozen):
    """How large an agent's change may be. Bytes."""

    files: Count | None = None
    file_bytes: Count | None = None
    total_bytes: Count | None = None


class Freeze(Frozen):
    """Nothing is merged, for a reason. The law itself is never frozen, or no freeze could be ended by it."""

    reason: Reason
    #: When it ends by itself; absent: when somebody takes it out of the file.
    until: Moment | None = None
    exempt: tuple[Kind, ...] = (Kind.ROLLBACK_TEAM,)


class Stale(Frozen):
    """Open changes in which nothing moves (no commit, no review, no override) are closed, and their places given back."""

    after_days: Annotated[int, Field(ge=1, strict=True)]
    exempt: tuple[Kind, ...] = ()


class Limits(Frozen):
    """`limits.yaml`"""

    new_teams: Rate = Rate()
    #: Further rates, by a name of their own.
    rates: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")], KindRate] = Field(
        default_factory=dict
    )
    open_changes_per_requester: Count | None = None
    agents_change: Sizes = Sizes()
    freeze: Freeze | None = None
    stale: Stale | None = None

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if taken := {"new_teams", "cooldown"} & set(self.rates):
            raise ValueError(f"rates.{min(taken)}: that name is taken; choose another")
        return self

    def rates_of(self, kind: Kind) -> Mapping[str, tuple[tuple[Kind, ...], Rate]]:
        """The rates that hold for this kind of change, by name, each with the kinds it counts."""
        found: dict[str, tuple[tuple[Kind, ...], Rate]] = {}
        if kind is Kind.NEW_TEAM:
            found["new_teams"] = ((Kind.NEW_TEAM,), self.new_teams)
        return found | {name: (rate.kinds, rate) for name, rate in self.rates.items() if kind in rate.kinds}
