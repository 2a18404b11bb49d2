"""What the merge desk writes down: one short transaction a fact, its audit entry with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy.orm import Session

from mcp_servers.git.changes import Change, Review
from mcp_servers.git.judging import Judgement
from mcp_servers.git.objects import UnknownRevision
from mcp_servers.git.repository import Repository
from memory import change_views, decisions, ledger, overrides
from memory import changes as remembered
from memory.session import Database
from policies import replay
from policies.facts import Facts, Kind, Override
from policies.kinds import kind_of

DESK = "kernel:merge-desk"


@dataclass(frozen=True)
class DeskRecords:
    """Every method may be repeated: what is known already is not written again, but for a person's words.

    Nothing is written with a secret in it: `hide` takes them out of a text. It may raise; then nothing is written.
    """

    database: Database
    repository: Repository
    now: Callable[[], datetime]
    hide: Callable[[str], str]

    def adopt_number(self, change: Change) -> None:
        """A pull request whose number was not recorded (we were killed just after it was opened) finds its intent by branch."""
        with self.database.read() as session:
            intent = remembered.intent_on(session, change.branch)
        if intent is not None and intent.number is None:
            with self.database.begin() as session:
                remembered.opened(session, intent.key, change.number)

    def verdict(self, judgement: Judgement) -> None:
        change, verdict, now = judgement.change, judgement.verdict, self.now()
        facts = without_secrets(replay.as_json(judgement.facts), self.hide) if judgement.facts else None
        judged = remembered.Judged(
            number=change.number,
            head=change.head,
            base=judgement.base,
            policy_tree=judgement.policy_tree,
            kind=judgement.kind,
            outcome=verdict.outcome,
            verdict=verdict.to_dict(),
            at=now,
            facts_sha=decisions.facts_sha(facts) if facts else None,
            ledger_seq=judgement.ledger_seq,
        )
        with self.database.begin() as session:
            if remembered.record_verdict(session, judged):
                kept = decisions.keep_facts(session, change.number, facts) if facts else None
                detail = {
                    "head": change.head,
                    "base": judgement.base,
                    "policy_tree": judgement.policy_tree,
                    "ledger_seq": judgement.ledger_seq,
                    "facts": kept,
                    "retry_at": verdict.retry_at.isoformat() if verdict.retry_at else None,
                    "kind": judgement.kind,
                    "verdict": judged.verdict,
                }
                self._append(session, DESK, "change.judge", change.number, verdict.outcome, detail)

    def adopt_approvals(self, number: int, reviews: Sequence[Review]) -> None:
        """Writes down people's approvals that are not yet, whichever door they came by."""
        given = [
            (f"person:{it.author}", it.head, self.hide(it.body)[:2000]) for it in reviews if it.verdict == "approved"
        ]
        if not given:
            return
        with self.database.read() as session:
            known = change_views.approvals_written(session, number)
        if missing := [one for one in given if one not in known]:
            with self.database.begin() as session:
                known = change_views.approvals_written(session, number)
                for who, head, body in missing:
                    if (who, head, body) not in known:
                        detail = {"head": head, "reason": body}
                        self._append(session, who, "change.approve", number, "approved", detail)

    def asked_to_reject(self, login: str, number: int, why: str) -> None:
        """That a person rejects the change, and why."""
        with self.database.begin() as session:
            self._append(
                session, f"person:{login}", "change.reject", number, "rejected", {"why": self.hide(why)[:2000]}
            )

    def override(self, number: int, given: Override) -> None:
        """A person's override; the ledger's row is all there is of it."""
        row = overrides.Given(
            number, given.who, given.head, given.rules, self.hide(given.reason), given.at, given.until
        )
        with self.database.begin() as session:
            overrides.record(session, row)

    def has_ended(self, number: int) -> bool:
        with self.database.read() as session:
            return remembered.end_of(session, number) is not None

    def not_ended(self) -> list[int]:
        """Changes known here whose end is not recorded."""
        with self.database.read() as session:
            return remembered.not_ended(session)

    def end(self, change: Change, end: str, commit: str | None, facts: Facts | None) -> None:
        """That the change was `merged` (as `commit`) or `closed`; without facts, as it was found."""
        with self.database.read() as session:
            judged = remembered.last_verdict(session, change.number)
            intent = remembered.intent_of(session, change.number)
        kind = kind_of(facts) if facts else judged.kind if judged else intent.kind if intent else Kind.PLATFORM.value
        path = self._team_path(change, facts, commit)
        record = remembered.End(
            number=change.number,
            end=end,
            kind=kind,
            head=change.head,
            commit=commit,
            team_path=path,
            team_tree=self.repository.tree(commit, path) if path and commit else None,
            at=self.now(),
        )
        base = facts.base if facts else judged.base if judged else ""
        detail = {"head": change.head, "base": base, "commit": commit, "kind": kind, "adopted": facts is None}
        outcome = end if end == "closed" or self._is_of(commit, base, change.head) else "merged_unjudged"
        with self.database.begin() as session:
            if remembered.record_end(session, record):
                self._append(
                    session, DESK, f"change.{'close' if end == 'closed' else 'merge'}", change.number, outcome, detail
                )

    def _team_path(self, change: Change, facts: Facts | None, commit: str | None) -> str | None:
        """The one team folder of the change, if it is about one."""
        if facts is not None:
            return facts.team.path if facts.team and kind_of(facts) not in (Kind.PLATFORM, Kind.MIXED) else None
        if commit is None:
            return None
        try:
            parents = self.repository.log(commit, limit=1)[0].parents
            changed = self.repository.changes(parents[0], change.head) if parents else []
        except (UnknownRevision, IndexError):
            return None
        from_paths = {
            tuple(it.path.split("/")[:2]) for it in changed if it.path.split("/")[0] in ("teams", "meta_teams")
        }
        return "/".join(next(iter(from_paths))) if len(from_paths) == 1 else None

    def _is_of(self, commit: str | None, base: str, head: str) -> bool:
        """Whether the merge commit joins exactly the judged base and head."""
        return commit is not None and list(self.repository.log(commit, limit=1)[0].parents) == [base, head]

    def _append(
        self, session: Session, actor: str, action: str, number: int, outcome: str, detail: Mapping[str, object]
    ) -> None:
        ledger.append(session, ledger.Entry(actor, action, f"change:{number}", outcome, self.now(), detail))


def without_secrets(value: Any, hide: Callable[[str], str]) -> Any:
    """The JSON value, its texts without any secret."""
    # Nearly always there is none, and that is found out many times faster of all texts at once.
    together = "\n".join(_texts(value))
    return value if hide(together) == together else _hidden(value, hide)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in cast("Iterable[Any]", value.values() if isinstance(value, dict) else value):
            yield from _texts(one)


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [_hidden(one, hide) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _hidden(one, hide) for key, one in cast("dict[str, Any]", value).items()}
    return value
