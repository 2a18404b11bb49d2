"""The merge desk: judges every open change, says so on it, and merges exactly what was judged.

Every step looks for its own earlier result first, so that a restart between any two of them is repaired by the next tick.
The desk obeys no prose and runs nothing of a change itself; what its checks say comes from a sandbox, in the background.
No network call happens inside a database transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from mcp_servers.git import replaying, verdict_page
from mcp_servers.git.changes import (
    BaseMoved,
    Change,
    Changes,
    ChangesError,
    HeadMoved,
    NotAllowed,
    NotMergeable,
    Review,
)
from mcp_servers.git.desk_records import DESK, DeskRecords
from mcp_servers.git.factory import Factory
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.judging import Judgement, judge
from mcp_servers.git.objects import UnknownRevision
from mcp_servers.git.overriding import override_by
from mcp_servers.git.repository import Repository
from memory.session import Database
from policies.facts import Facts
from policies.kinds import kind_of
from policies.limit_rules import is_stale
from policies.simulated import Options, what_if
from policies.verdict import Verdict

_ATTEMPTS = 3
#: How long an approval waits for checks that are still running; afterwards the desk merges by itself.
_PATIENCE_S = 20.0


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


@dataclass(frozen=True)
class _Seen:
    """A change that was judged and may not be merged yet: what it was then, and when that can change by itself."""

    look: tuple[str, str, int]
    at: datetime
    retry_at: datetime | None


@dataclass
class Tick:
    """What one round over all changes did. `failed` maps a number to why its turn could not be completed; the next tick tries again."""

    merged: list[int] = field(default_factory=list[int])
    waiting: list[int] = field(default_factory=list[int])
    closed: list[int] = field(default_factory=list[int])
    failed: dict[int, str] = field(default_factory=dict[int, str])


class Person(Protocol):
    """What the desk asks in a person's name: `Changes` signed in as them, or somebody who says where they have to go."""

    def approve(self, number: int, head: str, body: str = "") -> None: ...

    def reject(self, number: int, why: str) -> None: ...


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
        people: Mapping[str, Person],
        inspector: Inspector,
        login: str = "elf-gate",
        page_url: Callable[[int], str] = lambda _number: "",
    ) -> None:
        self._changes, self._repository, self._database = changes, repository, database
        self._factory, self._now, self._people = factory, now, people
        self._login, self._page_url = login, page_url
        self.inspector = inspector
        self._records = DeskRecords(database, repository, now, lambda text: self.inspector.scanner.hide(text))
        self._turn = threading.RLock()
        self._seen: dict[int, _Seen] = {}

    # ------------------------------------------------------------------ judging

    def judge(self, number: int) -> Verdict:
        """Judges the change as it is now, records the verdict and shows it. Repeated on the same inputs, it writes nothing.

        Raises `ChangesError` only: if the place of changes does not answer, there is nowhere to say anything.
        """
        with self._turn:
            return self._judge(self._changes.get(number)).verdict

    def _judge(self, change: Change) -> Judgement:
        self._records.adopt_number(change)
        reviews = self._changes.reviews(change.number)
        self._records.adopt_approvals(change.number, [it for it in reviews if it.author in self._people])
        judgement = self._judged(change, reviews)
        self._records.verdict(judgement)
        self._publish(judgement)
        return judgement

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
        found = replaying.replay_once(self._database, self._repository, judgement, DESK, self._now())
        if found is not None:
            self._changes.comment(change.number, replaying.MARKER, replaying.page(found))

    def what_if(self, number: int, options: Options) -> Verdict:
        """The verdict on the open change as it would be under the options. Nothing is written, reserved or shown. `ChangesError`."""
        change = self._changes.get(number)
        if change.state != "open":
            raise NotMergeable(
                f"change {number} is {change.state}: nothing can become of it any more, whatever is supposed. "
                f"./elf policy explain {number} has the verdict by which it ended"
            )
        judgement = self._look_at(change)
        if judgement.facts is None or judgement.law is None:
            return judgement.verdict
        return what_if(judgement.facts, judgement.law, options, self._now())

    def _look_at(self, change: Change) -> Judgement:
        return self._judged(change, self._changes.reviews(change.number), reserve=False)

    def _judged(self, change: Change, reviews: Sequence[Review], *, reserve: bool = True) -> Judgement:
        return judge(
            self._repository,
            self._factory,
            self._database,
            change,
            reviews,
            self._now(),
            reserve=reserve,
            comments=self._changes.comments(change.number),
            inspector=self.inspector,
        )

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
                if self._records.has_ended(number):
                    return self._close_again(change)
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
        self._records.end(change, "merged", commit, facts)
        return commit

    def _close_if_stale(self, judgement: Judgement) -> Closed | None:
        """Closes what nothing moves in any more, and an agent's change that changes nothing (a rollback that came too late)."""
        facts = judgement.facts
        if facts is None:
            return None
        if is_stale(judgement.verdict):
            why = "Nothing moved in it for as long as the law lets a change lie (policies/limits.yaml, stale)."
        elif not facts.files and facts.conflicts is None and facts.author not in self._people:
            why = "It changes nothing any more: the target holds all of it."
        else:
            return None
        self._changes.reject(facts.number, why)
        self._adopt_end(self._changes.get(facts.number))
        return Closed(facts.number)

    def _close_again(self, change: Change) -> Closed:
        """A change that ended stays ended: whoever reopens it finds old approvals on it and no slot. Closes it again."""
        self._changes.reject(
            change.number, "It was closed before, and that is final. Propose it again as another change."
        )
        return Closed(change.number)

    def _adopt_end(self, change: Change) -> Merged | Closed:
        """Records an end that somebody else brought about, or that we did not live to record."""
        self.inspector.checks.forget(change.number)
        if not self._records.has_ended(change.number):
            self._records.adopt_number(change)
            self._records.end(change, "merged" if change.state == "merged" else "closed", change.merge_commit, None)
        if change.state == "merged":
            return Merged(change.number, change.merge_commit or "")
        return Closed(change.number)

    # ------------------------------------------------------------------ people

    def approve(self, number: int, person: str, head: str, reason: str = "") -> Merged | NotYet | Closed:
        """The person approves exactly `head`, with a reason where the verdict asks for one; then it is merged if all allow it.

        `person` is a login, or `person:<login>`. Raises `HeadMoved` (look again before you approve), `NotAllowed`.
        """
        _, port = self._person(person)
        self.inspector.checks.wait(_PATIENCE_S)
        with self._turn:
            try:
                port.approve(number, head, reason)
            except NotAllowed as error:
                raise NotAllowed(f"{error}. ./elf show {number} says what may be done instead") from error
            return self.merge_if_allowed(number)

    def reject(self, number: int, person: str, why: str) -> Closed:
        """The person closes the change and says why; its slot is free again. `NotMergeable` if it was merged."""
        if not why.strip():
            raise ValueError("say why: the proposer learns from it")
        login, port = self._person(person)
        with self._turn:
            # Written down first: what happens between here and the close must not lose why.
            self._records.asked_to_reject(login, number, why)
            port.reject(number, why)
            self._adopt_end(self._changes.get(number))
            return Closed(number)

    def override(
        self, number: int, person: str, head: str, why: str, lasts: timedelta | None
    ) -> Merged | NotYet | Closed:
        """The person lifts, of exactly `head`, what stands in its way now and the law lets them lift; then it is merged if all allow it.

        Raises `NotAllowed` or `Refused` with what would help, `HeadMoved`, `NotMergeable`.
        """
        login, _ = self._person(person)
        with self._turn:
            change = self._changes.get(number)
            if change.state != "open":
                raise NotMergeable(f"change {number} is {change.state}; there is nothing to override")
            if change.head != head:
                raise HeadMoved(
                    f"change {number} is at {change.head} now, not at {head}; look at it again, then decide"
                )
            given = override_by(login, self._judge(change), why, lasts, self._now())
            self._records.override(number, given)
            return self.merge_if_allowed(number)

    def _person(self, person: str) -> tuple[str, Person]:
        login = person.removeprefix("person:")
        if login not in self._people:
            raise NotAllowed(
                f"{login[:40]!r} is not a person of this company; sign in as one of: {', '.join(sorted(self._people))}"
            )
        return login, self._people[login]

    # ------------------------------------------------------------------ rounds

    def tick(self, patience: timedelta = timedelta(0)) -> Tick:
        """One round: every open change is judged and, if allowed, merged; ends that were missed are recorded.

        A change that still is what it was when it was judged less than `patience` ago has its turn later: what else may have
        happened to it (a review, a comment) can wait so long. One change's failure is reported and does not stop the others.
        Raises `ChangesError` if nothing can be listed.
        """
        done = Tick()
        looks = {change.number: self._look(change) for change in self._changes.open()}
        self._seen = {number: seen for number, seen in self._seen.items() if number in looks}
        for number in sorted({*looks, *self._records.not_ended()}):
            if self._can_wait(number, looks.get(number), patience):
                continue
            try:
                result = self.merge_if_allowed(number)
                if isinstance(result, NotYet) and (look := looks.get(number)):
                    self._seen[number] = _Seen(look, self._now(), result.verdict.retry_at)
            except ChangesError as error:
                done.failed[number] = f"{error} ({error.next_step.replace('_', ' ')})"
                if error.next_step == "ask_a_person" and (look := looks.get(number)):
                    # Asking again at once changes nothing: a ruleset of the place waits for somebody.
                    self._seen[number] = _Seen(look, self._now(), None)
            except Exception as error:  # noqa: BLE001 (reported to the caller, who logs it; the next change has its turn)
                done.failed[number] = f"{type(error).__name__}: {error}"
            else:
                {Merged: done.merged, NotYet: done.waiting, Closed: done.closed}[type(result)].append(number)
        return done

    def _look(self, change: Change) -> tuple[str, str, int]:
        """What a verdict is of, as far as a glance shows: the change's head, its target's, and how many checks have ended."""
        finished = self.inspector.checks.finished
        try:
            return change.head, self._repository.resolve(change.base), finished
        except UnknownRevision:
            return change.head, "", finished

    def _can_wait(self, number: int, look: tuple[str, str, int] | None, patience: timedelta) -> bool:
        seen = self._seen.get(number)
        if seen is None or seen.look != look or self._now() - seen.at >= patience:
            return False
        return seen.retry_at is None or self._now() < seen.retry_at
