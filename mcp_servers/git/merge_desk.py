"""The merge desk: judges every open change, says so on it, and merges exactly what was judged.

Every step looks for its own earlier result first, so that a restart between any two of them is repaired by the next tick.
The desk reads no prose and runs nothing of a change. No network call happens inside a database transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from mcp_servers.git import verdict_page
from mcp_servers.git.changes import BaseMoved, Change, Changes, ChangesError, HeadMoved, NotAllowed, NotMergeable
from mcp_servers.git.factory import Factory
from mcp_servers.git.judging import Judgement, judge
from mcp_servers.git.objects import UnknownRevision
from mcp_servers.git.repository import Repository
from memory import changes as remembered
from memory import ledger
from memory.session import Database
from policies.facts import Facts, Kind
from policies.kinds import kind_of
from policies.verdict import Verdict

DESK = "kernel:merge-desk"
_ATTEMPTS = 3


@dataclass(frozen=True)
class Merged:
    """The change is in its target, and that is recorded."""

    number: int
    commit: str


@dataclass(frozen=True)
class NotYet:
    """The change was not merged; the verdict says what has to happen first."""

    number: int
    verdict: Verdict


@dataclass(frozen=True)
class Closed:
    """The change was closed without a merge; nothing more happens to it."""

    number: int


@dataclass
class Tick:
    """What one round over all changes did. `failed` maps a number to why its turn could not be completed; the next tick tries again."""

    merged: list[int] = field(default_factory=list[int])
    waiting: list[int] = field(default_factory=list[int])
    closed: list[int] = field(default_factory=list[int])
    failed: dict[int, str] = field(default_factory=dict[int, str])


class MergeDesk:
    """One desk a repository. `changes` acts as the gate (`login` at the forge), `people` as each person who may sign in.

    Threads may share it; they take turns.
    """

    def __init__(
        self,
        changes: Changes,
        repository: Repository,
        database: Database,
        factory: Factory,
        now: Callable[[], datetime],
        *,
        people: Mapping[str, Changes],
        login: str = "elf-gate",
        page_url: Callable[[int], str] = lambda _number: "",
    ) -> None:
        self._changes, self._repository, self._database = changes, repository, database
        self._factory, self._now, self._people = factory, now, people
        self._login, self._page_url = login, page_url
        self._turn = threading.RLock()

    # ------------------------------------------------------------------ judging

    def judge(self, number: int) -> Verdict:
        """Judges the change as it is now, records the verdict and shows it. Repeated on the same inputs, it writes nothing.

        Raises `ChangesError` only: if the place of changes does not answer, there is nowhere to say anything.
        """
        with self._turn:
            return self._judge(self._changes.get(number)).verdict

    def _judge(self, change: Change) -> Judgement:
        self._adopt_number(change)
        reviews = self._changes.reviews(change.number)
        judgement = judge(self._repository, self._factory, self._database, change, reviews, self._now())
        self._record(judgement)
        self._publish(judgement)
        return judgement

    def _adopt_number(self, change: Change) -> None:
        """A pull request whose number was not recorded (we were killed just after it was opened) finds its intent by branch."""
        with self._database.read() as session:
            intent = remembered.intent_on(session, change.branch)
        if intent is not None and intent.number is None:
            with self._database.begin() as session:
                remembered.opened(session, intent.key, change.number)

    def _record(self, judgement: Judgement) -> None:
        change, verdict, now = judgement.change, judgement.verdict, self._now()
        judged = remembered.Judged(
            number=change.number,
            head=change.head,
            base=judgement.base,
            policy_tree=judgement.policy_tree,
            kind=judgement.kind,
            outcome=verdict.outcome,
            verdict=verdict.to_dict(),
            at=now,
        )
        with self._database.begin() as session:
            if remembered.record_verdict(session, judged):
                detail = {
                    "head": change.head,
                    "base": judgement.base,
                    "policy_tree": judgement.policy_tree,
                    "kind": judgement.kind,
                    "verdict": judged.verdict,
                }
                self._append(session, DESK, "change.judge", change.number, verdict.outcome, detail)

    def _publish(self, judgement: Judgement) -> None:
        change, verdict = judgement.change, judgement.verdict
        state, description = verdict_page.status(verdict)
        shown = {
            (status.state, status.description)
            for status in self._changes.statuses(change.head)
            if status.context == verdict_page.CONTEXT and status.creator == self._login
        }
        if (state, description) not in shown:
            url = self._page_url(change.number)
            self._changes.publish_status(change.head, verdict_page.CONTEXT, state, description, url)
        page = verdict_page.comment(
            verdict, change.number, judgement.kind, change.head, judgement.base, judgement.policy_tree
        )
        self._changes.comment(change.number, verdict_page.MARKER, page)

    # ------------------------------------------------------------------ merging

    def merge_if_allowed(self, number: int) -> Merged | NotYet | Closed:
        """Judges afresh and, on a yes, merges exactly the judged commit; what moved meanwhile is judged again.

        Raises `ChangesError` if the place of changes does not answer.
        """
        with self._turn:
            for _ in range(_ATTEMPTS):
                change = self._changes.get(number)
                if change.state != "open":
                    return self._adopt_end(change)
                judgement = self._judge(change)
                if judgement.facts is None or not judgement.verdict.allowed:
                    return self._close_if_stale(judgement) or NotYet(number, judgement.verdict)
                if (commit := self._merge(judgement.facts, change)) is not None:
                    return Merged(number, commit)
            return NotYet(number, self._judge(self._changes.get(number)).verdict)

    def _merge(self, facts: Facts, change: Change) -> str | None:
        """The merge commit; None if head or base moved since the verdict."""
        if self._repository.resolve(change.base) != facts.base:
            return None
        message = f"Merge change {change.number}: {kind_of(facts)} {facts.team.path if facts.team else ''}".rstrip()
        try:
            commit = self._changes.merge(change.number, facts.head, message)
        except (HeadMoved, BaseMoved, NotMergeable):
            return None
        self._record_end(change, "merged", commit, facts)
        return commit

    def _close_if_stale(self, judgement: Judgement) -> Closed | None:
        """Closes an agent's change that changes nothing any more (a rollback that somebody else was faster with)."""
        facts = judgement.facts
        if facts is None or facts.files or facts.conflicts is not None or facts.author in self._people:
            return None
        self._changes.reject(facts.number, "It changes nothing any more: the target holds all of it.")
        self._adopt_end(self._changes.get(facts.number))
        return Closed(facts.number)

    def _adopt_end(self, change: Change) -> Merged | Closed:
        """Records an end that somebody else brought about, or that we did not live to record."""
        with self._database.read() as session:
            known = remembered.end_of(session, change.number)
        if known is None:
            self._adopt_number(change)
            self._record_end(change, "merged" if change.state == "merged" else "closed", change.merge_commit, None)
        if change.state == "merged":
            return Merged(change.number, change.merge_commit or "")
        return Closed(change.number)

    def _record_end(self, change: Change, end: str, commit: str | None, facts: Facts | None) -> None:
        with self._database.read() as session:
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
            team_tree=self._repository.tree(commit, path) if path and commit else None,
            at=self._now(),
        )
        base = facts.base if facts else judged.base if judged else ""
        detail = {"head": change.head, "base": base, "commit": commit, "kind": kind, "adopted": facts is None}
        outcome = end if end == "closed" or self._is_of(commit, base, change.head) else "merged_unjudged"
        with self._database.begin() as session:
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
            parents = self._repository.log(commit, limit=1)[0].parents
            changed = self._repository.changes(parents[0], change.head) if parents else []
        except (UnknownRevision, IndexError):
            return None
        from_paths = {
            tuple(it.path.split("/")[:2]) for it in changed if it.path.split("/")[0] in ("teams", "meta_teams")
        }
        return "/".join(next(iter(from_paths))) if len(from_paths) == 1 else None

    def _is_of(self, commit: str | None, base: str, head: str) -> bool:
        """Whether the merge commit joins exactly the judged base and head."""
        return commit is not None and list(self._repository.log(commit, limit=1)[0].parents) == [base, head]

    # ------------------------------------------------------------------ people

    def approve(self, number: int, person: str, head: str, reason: str = "") -> Merged | NotYet | Closed:
        """The person approves exactly `head`, with a reason where the verdict asks for one; then it is merged if all allow it.

        `person` is a login, or `person:<login>`. Raises `HeadMoved` (look again before you approve), `NotAllowed`.
        """
        login, port = self._person(person)
        with self._turn:
            port.approve(number, head, reason)
            with self._database.begin() as session:
                self._append(
                    session,
                    f"person:{login}",
                    "change.approve",
                    number,
                    "approved",
                    {"head": head, "reason": reason[:2000]},
                )
            return self.merge_if_allowed(number)

    def reject(self, number: int, person: str, why: str) -> Closed:
        """The person closes the change and says why; its slot is free again. `NotMergeable` if it was merged."""
        if not why.strip():
            raise ValueError("say why: the proposer learns from it")
        login, port = self._person(person)
        with self._turn:
            port.reject(number, why)
            with self._database.begin() as session:
                self._append(session, f"person:{login}", "change.reject", number, "rejected", {"why": why[:2000]})
            self._adopt_end(self._changes.get(number))
            return Closed(number)

    def _person(self, person: str) -> tuple[str, Changes]:
        login = person.removeprefix("person:")
        if login not in self._people:
            raise NotAllowed(
                f"{login[:40]!r} is not a person of this company; sign in as one of: {', '.join(sorted(self._people))}"
            )
        return login, self._people[login]

    # ------------------------------------------------------------------ rounds

    def tick(self) -> Tick:
        """One round: every open change is judged and, if allowed, merged; ends that were missed are recorded.

        One change's failure is reported and does not stop the others. Raises `ChangesError` if nothing can be listed.
        """
        done = Tick()
        open_now = {change.number for change in self._changes.open()}
        with self._database.read() as session:
            numbers = sorted(open_now | set(remembered.not_ended(session)))
        for number in numbers:
            try:
                result = self.merge_if_allowed(number)
            except ChangesError as error:
                done.failed[number] = f"{error} ({error.next_step.replace('_', ' ')})"
            except Exception as error:  # noqa: BLE001 (reported to the caller, who logs it; the next change has its turn)
                done.failed[number] = f"{type(error).__name__}: {error}"
            else:
                {Merged: done.merged, NotYet: done.waiting, Closed: done.closed}[type(result)].append(number)
        return done

    def _append(
        self, session: Session, actor: str, action: str, number: int, outcome: str, detail: Mapping[str, object]
    ) -> None:
        ledger.append(session, ledger.Entry(actor, action, f"change:{number}", outcome, self._now(), detail))
