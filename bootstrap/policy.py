"""`./elf policy check`: is the law well-formed, and what does it say in short? The company's, or that of files not proposed yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrap.client import CompanyError
from bootstrap.home import Home
from bootstrap.places import repository_path
from mcp_servers.git.command import GitFailed
from mcp_servers.git.compared import blob_sha
from mcp_servers.git.facts import read_law
from mcp_servers.git.repository import Repository
from policies.law import FOLDER, BadLaw, Law, read
from policies.schemas import schemas
from policies.verdict import many


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


def check_policies(folder: Path | None, checkout: Path, home: Home) -> dict[str, Any]:
    """`{ok, read, lines}` of the folder; without one, of the company's main, and where there is no company yet, of the checkout.

    `read` says what was read. `lines` are the law's main numbers, or why it cannot be read.
    """
    main = _main_of(home) if folder is None else None
    where = _folder_of(folder or checkout)
    if main is not None:
        read_as = f"the company in {home.path}: its main, at {main.resolve('main')[:12]}"
    else:
        read_as = (
            f"the folder {where}" if folder else f"this checkout's {where} (there is no company in {home.path} yet)"
        )
    try:
        law = read_law(main, "main") if main is not None else read(_files(where))
    except (BadLaw, OSError) as error:
        return {"ok": False, "read": read_as, "lines": [f"read: {read_as}", str(error)]}
    lines = [f"read: {read_as}", *_said(law), *(_differing(main, where) if main is not None else ())]
    return {"ok": True, "read": read_as, "lines": lines}


def _main_of(home: Home) -> Repository | None:
    """The repository in which the company's law stands, running or not; None before there is one."""
    repository = Repository(repository_path(home)) if (home.path / "run").exists() else None
    return repository if repository is not None and _has_main(repository) else None


def _has_main(repository: Repository) -> bool:
    try:
        return "refs/heads/main" in repository.refs()
    except GitFailed:
        return False


def _folder_of(given: Path) -> Path:
    """The policies of a checkout, or the folder itself."""
    return given / "policies" if (given / "policies" / "changes.yaml").is_file() else given


def _files(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise BadLaw(f"there is no folder {folder}")
    return {f"{FOLDER}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.y*ml"))}


def _differing(main: Repository, folder: Path) -> list[str]:
    """What the checkout's own files say otherwise, which binds nobody."""
    theirs = {entry.path: entry.sha for entry in main.listing("main", FOLDER)}
    other = (
        [path for path, data in _files(folder).items() if theirs.get(path) != blob_sha(data)] if folder.is_dir() else []
    )
    if not other:
        return []
    names = ", ".join(path.removeprefix(f"{FOLDER}/") for path in other)
    return [f"not in force: {folder} says something else in {names} (./elf policy check {folder} reads it)"]


def _said(law: Law) -> list[str]:
    """The law's main numbers, a line each."""
    limits, costs, budgets = law.limits.new_teams, law.costs, law.budgets
    frozen, stale, overrides = law.limits.freeze, law.limits.stale, law.overrides
    return [
        "well-formed",
        f"new teams: {_limit(limits.at_most)} in {limits.window}, {limits.cooldown_seconds or 0} s apart",
        *(
            f"{name} ({', '.join(rate.kinds)}): {_limit(rate.at_most)} in {rate.window}, {rate.cooldown_seconds or 0} s apart"
            for name, rate in law.limits.rates.items()
        ),
        *([f"FROZEN: {frozen.reason}"] if frozen else []),
        f"a change in which nothing moves is closed after {many(stale.after_days, 'day')}"
        if stale
        else "changes never go stale",
        f"overridden by {', '.join(overrides.by)}: {', '.join(overrides.liftable)}, for {overrides.at_most_hours} h at the most"
        if overrides.by and overrides.liftable
        else "nobody overrides anything",
        f"a team's daily budget above {_usd(costs.daily_budget_usd)} wants '{costs.accepted_by.words}' and a reason",
        f"a forecast above {_usd(costs.forecast_usd_month)} a month wants the same",
        f"models, a day: company {_usd(budgets.company_usd_day)}, a team {_usd(budgets.team_usd_day)}, "
        f"a member {_usd(budgets.member_usd_day)}",
        *(f"{kind.value}: {many(law_.approvals, 'approval')} needed" for kind, law_ in law.changes.kinds.items()),
        *(f"written rule {name}: {rule.then} when {rule.when}" for name, rule in law.rules.rules.items()),
        *(f"merged by themselves: {name} ({', '.join(lane.kinds)})" for name, lane in law.changes.auto_merge.items()),
    ]


def _limit(value: int | None) -> str:
    return "no limit" if value is None else f"at most {value}"


def _usd(micro: int | None) -> str:
    return "no limit" if micro is None else f"${micro / 1_000_000:,.2f}"
