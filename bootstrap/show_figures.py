"""How the company's own figures look in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bootstrap.show import plain

_SIGNS = {True: "✓", False: "✗", None: " "}


def figures(console: Console, found: dict[str, Any]) -> None:
    """The figures beside what the company wants of itself, then the latest changes one by one."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", f"last {found['days']} days", "figure", "wanted", "of", "what it is"):
        table.add_column(column)
    for one in found["figures"]:
        value = "nothing yet" if one["value"] is None else _amount(one["value"], one["unit"])
        table.add_row(_SIGNS[one["met"]], one["name"], value, _wanted(one), str(one["of"]), one["meaning"])
    console.print(table)
    for one in found["changes"]:
        why = f" ({one['why']})" if one["why"] else ""
        console.print(plain(f"#{one['number']} {one['subject']}: {one['outcome']}{why} [{one['pattern']}]"))


def _amount(value: float, unit: str) -> str:
    if unit == "percent":
        return f"{value:.0f} %"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _wanted(one: dict[str, Any]) -> str:
    if one["at_most"] is not None:
        return f"at most {_amount(one['at_most'], one['unit'])}"
    return f"at least {_amount(one['at_least'], one['unit'])}" if one["at_least"] is not None else ""
