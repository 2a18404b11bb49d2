"""What people should be told, read from the company's own rows: nothing here remembers, so nothing is missed by a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mcp_servers.gateway.refused_rows import Hammering
from mcp_servers.monitor.readings import REMEDIES, Level
from memory import budgets, deployments, registry
from memory.change_tables import ChangeEndRow, VerdictRow
from memory.tables import IncidentRow
from memory.watching import Cause, Reading
from policies.budgets import Budgets
from policies.facts import MICRO

#: Scope and period as people say it -> (committed, limit) in micro-dollars.
Accounts = Mapping[str, tuple[int, int]]


def accounts(session: Session, law: Budgets, now: datetime) -> dict[str, tuple[int, int]]:
    """The budgets of the company and of every living team, today and this month."""
    limits: dict[tuple[str, bool], int | None] = {
        (budgets.COMPANY, False): law.company_usd_day,
        (budgets.COMPANY, True): law.company_usd_month,
    }
    for row in registry.living(session):
        asked = int(Decimal(str(row.spec["daily_budget_usd"])) * MICRO) if "daily_budget_usd" in row.spec else None
        limits[f"team:{row.name}", False] = law.team(row.name, asked)
        limits[f"team:{row.name}", True] = law.team_month(row.name)
    return {
        f"{scope} {'this month' if month else 'today'}": (
            budgets.committed(session, scope, now, "month" if month else "day"),
            limit,
        )
        for (scope, month), limit in limits.items()
        if limit is not None
    }


def of_budgets(found: Accounts, warn_at_percent: int, period: str) -> list[Cause]:
    """One cause for a budget that is nearly spent, another one when it is. `period` makes tomorrow's another cause."""
    causes: list[Cause] = []
    for scope, (spent, limit) in sorted(found.items()):
        if limit <= 0 or spent * 100 < limit * warn_at_percent:
            continue
        full = spent >= limit
        at = 100 if full else warn_at_percent
        said = f"${budgets.usd(spent)} of ${budgets.usd(limit)} are spent or held"
        rest = "; further calls are refused until it opens again" if full else ""
        level = Level.CRITICAL if full else Level.WARNING
        title = f"Budget of {scope}: {'spent' if full else f'{at} % reached'}"
        causes.append(Cause(f"budget:{scope}:{period}:{at}", level, title, f"{said}{rest}."))
    return causes


def of_incidents(rows: Sequence[IncidentRow], held_after: timedelta, now: datetime) -> list[Cause]:
    """One for each open incident, and a second one when it stays."""
    causes: list[Cause] = []
    for row in rows:
        key = f"incident:{row.team}:{row.tree[:12]}:{row.opened_at:%Y%m%dT%H%M%S}"
        causes.append(Cause(key, Level.WARNING, f"The team {row.team} is ill", row.reason))
        if now - row.opened_at >= held_after:
            minutes = int((now - row.opened_at).total_seconds() // 60)
            said = f"For {minutes // 10 * 10} minutes and more nothing that is done by itself has helped: {row.reason}"
            causes.append(Cause(f"{key}:held", Level.CRITICAL, f"The team {row.team} needs a person", said))
    return causes


def waiting_for_people(session: Session) -> list[Cause]:
    """Open changes whose latest verdict says that a person must decide."""
    latest = select(func.max(VerdictRow.id)).group_by(VerdictRow.number).scalar_subquery()
    ended = select(ChangeEndRow.number)
    query = (
        select(VerdictRow.number, VerdictRow.kind)
        .where(VerdictRow.id.in_(latest), VerdictRow.outcome == "needs_approval", VerdictRow.number.not_in(ended))
        .order_by(VerdictRow.number)
    )
    return [
        Cause(
            f"change:{number}",
            Level.WARNING,
            f"Change #{number} waits for a person",
            f"{kind.replace('_', ' ')}: ./elf show {number}, then ./elf approve {number} or ./elf reject {number}",
        )
        for number, kind in session.execute(query)
    ]


def of_readings(readings: Sequence[Reading]) -> list[Cause]:
    """One for each resource that is critical."""
    return [
        Cause(
            f"resource:{one.resource}",
            Level.CRITICAL,
            f"{one.resource.replace('_', ' ')} is critical",
            f"{one.text}. {REMEDIES[one.resource]}",  # pyright: ignore[reportArgumentType] - one of the eight
        )
        for one in readings
        if one.level == Level.CRITICAL
    ]


def of_circuits(alone: Mapping[str, tuple[int, datetime]]) -> list[Cause]:
    """One for each link of a chain that is left alone: its name -> failures in a row, and when it is tried again."""
    return [
        Cause(
            f"circuit:{link}",
            Level.WARNING,
            f"{link} fails and is left alone",
            f"{failures} calls in a row failed; the next links of its chain answer, and where there is none calls wait or are "
            "refused. It is tried again by itself. Check its key, its address and its own status page.",
        )
        for link, (failures, _tried_at) in sorted(alone.items())
    ]


def of_quarantine(found: Mapping[str, Sequence[str]]) -> list[Cause]:
    """One for each tool server of which tools that main admits are in quarantine: its name -> what is wrong with each."""
    return [
        Cause(
            f"quarantine:{server}",
            Level.WARNING,
            f"Tools of {server} are in quarantine",
            f"{'; '.join(tools)}. Nobody calls them until a pull request admits what they are now: ./elf gateway admit {server} "
            "shows the difference and proposes it.",
        )
        for server, tools in sorted(found.items())
    ]


def of_refusals(found: Mapping[str, Hammering]) -> list[Cause]:
    """One for each caller that is refused over and over, whatever it asks."""
    told: list[Cause] = []
    for who, one in sorted(found.items()):
        title = f"{'Somebody without a token' if who == 'unknown' else who} is refused over and over"
        said = (
            f"Since {one.since:%H:%M:%S} UTC more than {one.times // 100 * 100 or one.times} times, mostly for: "
            f"{' '.join(one.why.split())}. What has no row of its own in the ledger is counted there, a row a minute."
        )
        told.append(Cause(f"refused:{who}", Level.WARNING, title, f"{said} {_look_at(who)}"))
    return told


def _look_at(who: str) -> str:
    if who == "unknown":
        return "Find the program on this machine that calls the gateway with a wrong token."
    return f"./elf log {who.split('/')[0]} shows what it is doing; grant what it needs in policies/access.yaml, or mend the team."


def of_ledger(fault: str | None) -> list[Cause]:
    """`fault`: why the ledger does not hold; None: it does."""
    if fault is None:
        return []
    return [Cause("ledger", Level.CRITICAL, "The ledger does not hold", f"{fault}; ./elf audit verify says more")]


def incidents(session: Session) -> list[IncidentRow]:
    return deployments.open_incidents(session)
