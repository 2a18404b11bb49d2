"""`./elf policy check`: are the policy files well-formed, and what do they say in short?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.law import BadLaw, read


def check_policies(folder: Path) -> dict[str, Any]:
    """`{ok, lines}`: one line of reason if the law cannot be read, else what its main numbers are."""
    if not folder.is_dir():
        return {"ok": False, "lines": [f"there is no folder {folder}; name one with --folder"]}
    try:
        files = {f"policies/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.y*ml"))}
        law = read(files)
    except (BadLaw, OSError) as error:
        return {"ok": False, "lines": [str(error)]}
    limits, costs, budgets = law.limits.new_teams, law.costs, law.budgets
    lines = [
        f"{len(files)} files, well-formed",
        f"new teams: {_limit(limits.at_most)} in {limits.in_hours} hours, {limits.cooldown_seconds or 0} s apart",
        f"a team's daily budget above {_usd(costs.daily_budget_usd)} wants '{costs.accepted_by.words}' and a reason",
        f"a forecast above {_usd(costs.forecast_usd_month)} a month wants the same",
        f"models, a day: company {_usd(budgets.company_usd_day)}, a team {_usd(budgets.team_usd_day)}, "
        f"a member {_usd(budgets.member_usd_day)}",
        *(
            f"{kind.value}: {law_.approvals} {'approval' if law_.approvals == 1 else 'approvals'} needed"
            for kind, law_ in law.changes.kinds.items()
        ),
    ]
    return {"ok": True, "lines": lines}


def _limit(value: int | None) -> str:
    return "no limit" if value is None else f"at most {value}"


def _usd(micro: int | None) -> str:
    return "no limit" if micro is None else f"${micro / 1_000_000:,.2f}"
