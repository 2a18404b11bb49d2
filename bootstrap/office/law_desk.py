"""What people ask of the law: override a change, suppose something about it, try other policies on past decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mcp_servers.git import facts as reading
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.replaying import MOST, replayed
from mcp_servers.git.repository import Repository
from memory import changes, decisions
from memory.session import Database
from policies import law
from policies.simulated import Options


@dataclass(frozen=True)
class LawDesk:
    """Reads, but for `MergeDesk.override`, which the office calls itself."""

    database: Database
    repository: Repository
    desk: MergeDesk
    now: Callable[[], datetime]

    def replay_of(self, number: int) -> dict[str, Any] | None:
        """What a change to the law would turn of past decisions, as the gate found it; None for every other change."""
        with self.database.read() as session:
            judged = changes.last_verdict(session, number)
            facts = decisions.facts_of(session, judged.facts_sha) if judged and judged.facts_sha else None
            after = (facts or {}).get("law", {}).get("tree")
            found = decisions.replay_of(session, judged.policy_tree, after) if judged and after else None
        return dict(found) if found is not None else None

    def what_if(self, number: int, options: Options) -> dict[str, Any]:
        """The verdict as it would be; nothing is written. Raises `ChangesError`."""
        verdict = self.desk.what_if(number, options)
        return {"number": number, "supposed": _said(options), "verdict": verdict.to_dict()}

    def simulate(self, files: Mapping[str, str], since: datetime | None) -> dict[str, Any]:
        """Past decisions under these policy files (name -> text) instead of main's. Raises `BadLaw`."""
        after = law.read({name: text.encode() for name, text in files.items()})
        before = reading.read_base(self.repository, "refs/heads/main").law
        with self.database.read() as session:
            past = decisions.past(session, since, MOST)
        return replayed(past, before, after) | {"until": self.now().isoformat()}


def lasting(hours: float | None) -> timedelta | None:
    return None if hours is None else timedelta(hours=hours)


def _said(options: Options) -> list[str]:
    """What was supposed, in words."""
    said = [f"approved by {login}" for login in options.approved_by]
    said += [f"without the reviews of {login}" for login in options.without_reviews_of]
    said += [f"overridden by {options.overridden_by}"] if options.overridden_by else []
    said += [f"at {options.at:%Y-%m-%d %H:%M:%S} UTC"] if options.at else []
    return said or ["nothing: as it is now"]
