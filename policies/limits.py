"""`limits.yaml`: how fast, how many, how large, how long; and when nothing is merged at all. None: no such limit; 0: none allowed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from policies.facts import Kind, LawPart

Count = Annotated[int, Field(ge=0, strict=True)]
Reason = Annotated[str, StringConstraints(min_length=10, max_length=500, strip_whitespace=True)]


def _written_out(value: object) -> object:
    """A moment is text: a number would be taken for seconds since 1970."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else _only_a_moment(value)
    except ValueError as error:
        raise ValueError("write a moment with its zone, such as 2026-12-01T08:00:00Z") from error


def _only_a_moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise ValueError(f"{type(value).__name__} is no moment")  # noqa: TRY004 (pydantic reports ValueErrors)
    return value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "pattern": r"(?:[Zz]|[+-]\d\d:?\d\d)$"}, mode="validation"
    ),
]


class Explicit(LawPart):
    """Words an approving person writes to allow what is otherwise too much, followed by the reason."""

    words: str = Field(min_length=3)
    """The words at the beginning of a line of the approval, such as `cost accepted:`."""
    reason_of_at_least: Annotated[int, Field(ge=0, le=500, strict=True)] = 10
    """After the words stands a reason of at least so many characters."""


class Rate(LawPart):
    """How many changes of some kinds, in which time, and how far apart."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"required": ["in_hours", "calendar"], "properties": {"calendar": {"type": "string"}}}
        }
    )

    at_most: Count | None = None
    """So many in the window; 0 is none, without it there is no limit."""
    in_hours: Annotated[int, Field(ge=1, le=24 * 366, strict=True)] = 24
    """A rolling window; or a calendar one (UTC; weeks begin on Monday). One of the two."""
    calendar: Literal["day", "week", "month"] | None = None
    """A calendar window in UTC instead of the rolling one."""
    cooldown_seconds: Annotated[int, Field(ge=0, le=31 * 86_400, strict=True)] | None = None
    """Between the latest merge and the next."""
    counts: Literal["merged_and_open", "merged"] = "merged_and_open"
    """What is counted: changes merged in the window, and with them (or not) those that are open."""
    per: Literal["company", "requester"] = "company"
    """Whose changes are counted together: everybody's, or each requester's alone."""
    exempt: tuple[Annotated[str, StringConstraints(pattern=r"^kernel:[a-z-]+$")], ...] = ()
    """Requesters whose changes are not held up; only the kernel itself can be one."""
    lifted_by: Explicit | None = None
    """What an approving person writes to lift window and cooldown for one change; without it, only an override does."""

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
    """The kinds of change that are counted together."""


class Sizes(LawPart):
    """How large an agent's change may be. Bytes."""

    files: Count | None = None
    """Files that it adds, changes or removes."""
    file_bytes: Count | None = None
    """Bytes of any one file afterwards."""
    total_bytes: Count | None = None
    """Bytes of all touched files afterwards, together."""


class Freeze(LawPart):
    """Nothing is merged, for a reason. The law itself is never frozen, or no freeze could be ended by it."""

    reason: Reason
    """Why, in 10 characters or more; it is shown wherever something waits for it."""
    until: Moment | None = None
    """When it ends by itself; absent: when somebody takes it out of the file."""
    exempt: tuple[Kind, ...] = (Kind.ROLLBACK_TEAM,)
    """Kinds that are merged all the same. Changes to the law always are."""


class Stale(LawPart):
    """Open changes in which nothing moves (no commit, no review, no override) are closed, and their places given back."""

    after_days: Annotated[int, Field(ge=1, strict=True)]
    """Days without a commit, a review or an override, after which a change is closed."""
    exempt: tuple[Kind, ...] = ()
    """Kinds of change that may lie for ever."""


#: Names of the gate's own rules.
_TAKEN = ("cooldown", "new_teams")


class Limits(LawPart):
    """`limits.yaml`"""

    new_teams: Rate = Rate()
    """How many new teams, in which time, and how far apart."""
    rates: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")], KindRate] = Field(
        default_factory=dict, json_schema_extra={"propertyNames": {"not": {"enum": list(_TAKEN)}}}
    )
    """Further rates, by a name of their own."""
    open_changes_per_requester: Count | None = None
    """So many open changes of one requester, agent or person, of any kind but rollbacks, however they were opened."""
    agents_change: Sizes = Sizes()
    """How large an agent's change may be."""
    freeze: Freeze | None = None
    """While this stands here, nothing is merged but what is exempt."""
    stale: Stale | None = None
    """When a change in which nothing moves is closed; without it, never."""

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if taken := set(_TAKEN) & set(self.rates):
            raise ValueError(f"rates.{min(taken)}: that name is taken; choose another")
        return self

    def rates_of(self, kind: Kind) -> Mapping[str, tuple[tuple[Kind, ...], Rate]]:
        """The rates that hold for this kind of change, by name, each with the kinds it counts."""
        found: dict[str, tuple[tuple[Kind, ...], Rate]] = {}
        if kind is Kind.NEW_TEAM:
            found["new_teams"] = ((Kind.NEW_TEAM,), self.new_teams)
        return found | {name: (rate.kinds, rate) for name, rate in self.rates.items() if kind in rate.kinds}
