"""A change to the law tried on the past before it binds: kept for each pair of laws, shown on its pull request, and made again when
there is much more of a past."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mcp_servers.git import facts as reading
from mcp_servers.git.judging import Judgement
from mcp_servers.git.markdown import cell
from mcp_servers.git.repository import Repository
from memory import decisions, ledger
from memory.decisions import Decision
from memory.session import Database
from policies.law import Law
from policies.replay import Past, replay
from policies.verdict import Outcome

MARKER = "elf-gate-replay"
#: How many of the latest changes are replayed.
MOST = 1000
_SHOWN = 50
#: So many new decisions make it worth while to replay again, at the least.
_FEW = 5


def replayed(past: list[Decision], before: Law, after: Law) -> dict[str, Any]:
    """What the law `after`, put in the place of `before`, would turn of these decisions. JSON values."""
    taken = (Past(one.number, one.outcome, one.facts) for one in past)
    return replay(taken, before, after).to_dict()


def replay_once(
    database: Database, repository: Repository, judgement: Judgement, actor: str, now: datetime
) -> Mapping[str, Any] | None:
    """The replay of a change to the law that might pass, made now or known already and not outdated; None for every other change."""
    facts, before = judgement.facts, judgement.law
    if facts is None or before is None or facts.law is None or facts.law.tree is None:
        return None
    if judgement.verdict.outcome is Outcome.DENY:
        return None  # an agent's, or one that nobody could read: not worth the company's time
    trees = facts.policy_tree, facts.law.tree
    with database.read() as session:
        known = decisions.replay_of(session, *trees)
        outdated = known is None or _is_outdated(session, known, facts.number)
        past = decisions.past(session, most=MOST) if outdated else []
    if known is not None and not outdated:
        return known
    after = reading.read_law(repository, reading.read_contents(repository, facts.base, facts.head).tree)
    others = [one for one in past if one.number != facts.number]
    result = replayed(others, before, after) | {"until": now.isoformat()}
    with database.begin() as session:
        decisions.record_replay(session, *trees, result, now)
        detail = {"before": trees[0], "after": trees[1], **_counts(result)}
        subject = f"change:{facts.number}"
        ledger.append(session, ledger.Entry(actor, "law.replay", subject, "replayed", now, detail))
    return result


def _is_outdated(session: Session, known: Mapping[str, Any], number: int) -> bool:
    """Whether many more decisions were made since: a tenth of those it is of, so that the work stays in proportion to them."""
    newer = decisions.judged_since(session, datetime.fromisoformat(known["until"]), number)
    return newer >= max(_FEW, known["decisions"] // 10)


def page(result: Mapping[str, Any]) -> str:
    """The comment's body, Markdown: which past decisions the new law would turn."""
    turned: list[Mapping[str, Any]] = result["turned"]
    head = f"**Under this law, {len(turned)} of {result['decisions']} past decisions would turn out otherwise.**"
    untold = f"{result['untold']} more cannot be replayed: their facts were not kept." if result["untold"] else ""
    if not turned:
        return "\n\n".join(filter(None, [head, untold]))
    rows = [_row(one) for one in turned[:_SHOWN]]
    table = "\n".join(["| change | judged | of | this law | the new one | why |", "|---|---|---|---|---|---|", *rows])
    more = f"and {len(turned) - _SHOWN} more: `./elf show` lists them" if len(turned) > _SHOWN else ""
    return "\n\n".join(filter(None, [head, table, more, untold]))


def _row(one: Mapping[str, Any]) -> str:
    about, why = cell(one["about"], 80), cell(one["why"], 160)
    return f"| #{one['number']} | {one['at']} | `{one['kind']}` {about} | {one['before']} | {one['after']} | {why} |"


def _counts(result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "decisions": result["decisions"],
        "untold": result["untold"],
        "turned": [one["number"] for one in result["turned"]][:1000],
    }
