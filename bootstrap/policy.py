"""`./elf policy check`: are the policy files well-formed, and what do they say in short?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrap.client import CompanyError
from policies.lasting import why_locked, why_unheard
from policies.law import BadLaw, read
from policies.schemas import schemas


def policy_texts(folder: Path) -> dict[str, str]:
    """Every policy file in the folder, name -> text. Raises `CompanyError` with what is wrong."""
    if not folder.is_dir():
        raise CompanyError(f"there is no folder {folder}; name one with --policy")
    try:
        return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.y*ml"))}
    except (OSError, UnicodeDecodeError) as error:
        raise CompanyError(f"a policy file in {folder} cannot be read: {error}") from error


def write_schemas(folder: Path) -> dict[str, Any]:
    """Writes `schemas/*.json` beside the policy files; `{ok, lines}` with what changed."""
    lines: list[str] = []
    for name, text in schemas().items():
        path = folder / "schemas" / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            lines.append(f"written: {path.relative_to(folder)}")
    return {"ok": True, "lines": lines or ["every schema is up to date"]}


def check_policies(folder: Path) -> dict[str, Any]:
    """`{ok, lines}`: one line of reason if the law cannot be read, else what its main numbers are."""
    if not folder.is_dir():
        return {"ok": False, "lines": [f"there is no folder {folder}; name one with --folder"]}
    try:
        files = {f"policies/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.y*ml"))}
        law = read(files)
    except (BadLaw, OSError) as error:
        return {"ok": False, "lines": [str(error)]}
    if (unheard := why_unheard(law)) is not None:
        return {"ok": False, "lines": [unheard]}
    if (locked := why_locked(law)) is not None:
        return {"ok": False, "lines": [f"this law could never be changed again: {locked}"]}
    limits, costs, budgets = law.limits.new_teams, law.costs, law.budgets
    frozen, stale, overrides = law.limits.freeze, law.limits.stale, law.overrides
    lines = [
        f"{len(files)} files, well-formed",
        f"new teams: {_limit(limits.at_most)} in {limits.window}, {limits.cooldown_seconds or 0} s apart",
        *(
            f"{name} ({', '.join(rate.kinds)}): {_limit(rate.at_most)} in {rate.window}, {rate.cooldown_seconds or 0} s apart"
            for name, rate in law.limits.rates.items()
        ),
        *([f"FROZEN: {frozen.reason}"] if frozen else []),
        f"a change in which nothing moves is closed after {stale.after_days} days"
        if stale
        else "changes never go stale",
        f"overridden by {', '.join(overrides.by)}: {', '.join(overrides.liftable)}, for {overrides.at_most_hours} h at the most"
        if overrides.by and overrides.liftable
        else "nobody overrides anything",
        f"a team's daily budget above {_usd(costs.daily_budget_usd)} wants '{costs.accepted_by.words}' and a reason",
        f"a forecast above {_usd(costs.forecast_usd_month)} a month wants the same",
        f"models, a day: company {_usd(budgets.company_usd_day)}, a team {_usd(budgets.team_usd_day)}, "
        f"a member {_usd(budgets.member_usd_day)}",
        *(
            f"{kind.value}: {law_.approvals} {'approval' if law_.approvals == 1 else 'approvals'} needed"
            for kind, law_ in law.changes.kinds.items()
        ),
        *(f"written rule {name}: {rule.then} when {rule.when}" for name, rule in law.rules.rules.items()),
        *(f"merged by themselves: {name} ({', '.join(lane.kinds)})" for name, lane in law.changes.auto_merge.items()),
    ]
    return {"ok": True, "lines": lines}


def _limit(value: int | None) -> str:
    return "no limit" if value is None else f"at most {value}"


def _usd(micro: int | None) -> str:
    return "no limit" if micro is None else f"${micro / 1_000_000:,.2f}"
