"""How the costs page looks in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bootstrap.show import plain

_BARS = " ▁▂▃▄▅▆▇█"


def costs(console: Console, found: dict[str, Any]) -> None:
    console.print(page(found))


def page(found: dict[str, Any]) -> RenderableType:
    """Everything on one page, for printing once or for watching."""
    return Group(_today(found), *_trend(found["trend"]), _forecast(found["forecast"]), *_near(found), *_advice(found))


def _today(found: dict[str, Any]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("team", "model", "calls", "tokens in", "tokens out", "spent today"):
        table.add_column(column)
    for row in found["rows"]:
        figures = (str(row[name]) for name in ("calls", "tokens_in", "tokens_out"))
        table.add_row(plain(row["team"]), plain(row["model"]), *figures, f"${row['usd']}")
    total = Text(f"today: ${found['total_usd']} in {found['calls']} model calls")
    return Group(table, total) if found["rows"] else total


def _trend(days: list[dict[str, Any]]) -> list[RenderableType]:
    most = max(day["usd_micro"] for day in days)
    bars = "".join(_BARS[-(-day["usd_micro"] * (len(_BARS) - 1) // most) if most else 0] for day in days)
    span = f"{days[0]['day'][5:]} to {days[-1]['day'][5:]}"
    top = max(days, key=lambda day: day["usd_micro"])
    return [Text(f"last {len(days)} days: [{bars}] {span}, most on {top['day'][5:]}: ${top['usd']}")] if most else []


def _forecast(found: dict[str, Any]) -> Text:
    if why := found.get("cannot_tell"):
        return Text(f"this month: no forecast yet; {why}.", style="dim")
    basis = f"{found['days_seen']} days{', by weekday' if found['by_weekday'] else ''}"
    return Text(
        f"{found['month']}: ${found['spent_usd']} so far; about ${_cents(found['expected_usd_micro'])} expected, "
        f"${_cents(found['low_usd_micro'])} to ${_cents(found['high_usd_micro'])} in {found['level']:.0%} of such months "
        f"({basis})"
    )


def _near(found: dict[str, Any]) -> list[Text]:
    return [
        Text(
            f"{one['percent']} % of the {one['period']}'s budget of {one['scope']}: ${one['committed_usd']} of "
            f"${one['limit_usd']}",
            style="red" if one["percent"] >= 100 else "yellow",
        )
        for one in found["near_limits"]
    ]


def _advice(found: dict[str, Any]) -> list[Text]:
    return [
        plain(f"save about ${one['saving_usd']} a month ({one['purpose']} on {one['model']}): {one['why']}", "cyan")
        for one in found["recommendations"]
    ]


def _cents(usd_micro: int) -> str:
    """A forecast is no bill: cents, or the first digit that counts."""
    return f"{usd_micro / 1_000_000:.2f}" if usd_micro >= 10_000 else f"{usd_micro / 1_000_000:.1g}"
