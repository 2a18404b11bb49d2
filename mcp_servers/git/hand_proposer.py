"""Proposes what a person changed by hand, in that person's name: what would be refused is refused before anything is pushed.

The same change proposed again is the same pull request. A refusal leaves no branch, no pull request and no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from mcp_servers.git.changes import Change, Changes, ChangesError, NotMergeable, Unavailable
from mcp_servers.git.factory import Factory
from mcp_servers.git.github import GitHubChanges
from mcp_servers.git.hand_look import Asked, Look, Trial, refuse
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.objects import Signature
from mcp_servers.git.proposer import Refusal
from mcp_servers.git.repository import Repository
from memory import ledger
from memory.session import Database
from policies.facts import Kind
from policies.verdict import Verdict


@dataclass(frozen=True)
class Opened:
    """The pull request. `news` says what this call did: opened it, replaced its commit, or found it as it is."""

    change: Change
    news: str
    verdict: Verdict
    #: Other open changes of the same person to some of the same files.
    alike: tuple[Change, ...] = ()


class HandProposer:
    """`place` acts as the person `login`; None where their key is none of this company's: then there is only `look`."""

    def __init__(
        self,
        place: GitHubChanges | None,
        gate: Changes,
        desk: MergeDesk,
        repository: Repository,
        database: Database,
        factory: Factory,
        now: Callable[[], datetime],
        *,
        login: str,
        target: str = "main",
    ) -> None:
        self._place, self._gate, self._desk, self._repository = place, gate, desk, repository
        self._database, self._now, self.login, self._target = database, now, login, target
        who = place.account.signature if place is not None else Signature(login, f"{login}@elf.local")
        self._trial = Trial(repository, database, factory, desk.inspector.scanner, now, who, target)

    def look(self, asked: Asked) -> Look:
        """What would be proposed, and what the gate would say of it. Writes nothing. Raises `Refusal`, `ChangesError`."""
        return self._trial.look(asked, self._own_open(asked.change) if asked.change is not None else None)

    def propose(self, asked: Asked) -> tuple[Look, Opened]:
        """The pull request of the person's change: found, or made; then judged. Raises `Refusal`, `ChangesError`."""
        look = self.look(asked)
        refuse(look)
        if self._place is None:
            raise Refusal(
                f"{self.login} opens it on GitHub, signed in there: their key is not here. --patch FILE writes the change down"
            )
        if asked.change is None:
            branch, before = self._where(look.proposal.branch)
        else:
            branch, before = look.proposal.branch, self._own_open(asked.change)
        proposal = replace(look.proposal, branch=branch)
        try:
            change = self._place.propose(proposal)
        except ChangesError as error:
            if before is None:
                _take_back(self._place, branch, error)
            raise
        news = "opened" if before is None else "found" if before.head == change.head else "replaced"
        if news != "found":
            self._record(change, look.kind, news)
        return look, Opened(change, news, self._desk.judge(change.number), self._alike(change, look))

    def change(self, number: int) -> Change:
        """The change as it is now."""
        return self._gate.get(number)

    # ------------------------------------------------------------------ leaves

    def _own_open(self, number: int) -> Change:
        change = self._gate.get(number)
        if change.state != "open":
            raise NotMergeable(f"change {number} is {change.state}; propose this without --change, as another one")
        if change.author != self.login:
            raise Refusal(f"change {number} was opened by {change.author}; only a change of your own is replaced")
        return change

    def _where(self, branch: str) -> tuple[str, Change | None]:
        """The branch to take, and the open pull request that is there already: what ended stays ended, and leaves its name behind."""
        mine = re.compile(re.escape(branch) + r"(-\d+)?")
        taken = [change for change in self._gate.all() if mine.fullmatch(change.branch)]
        if still := [change for change in taken if change.state == "open"]:
            return still[-1].branch, still[-1]
        return (f"{branch}-{len(taken) + 1}" if taken else branch), None

    def _alike(self, change: Change, look: Look) -> tuple[Change, ...]:
        mine = {file.path for file in look.files if not file.made}
        others = [it for it in self._gate.open() if it.author == self.login and it.number != change.number]
        touched = {it.number: {one.path for one in self._repository.changes(self._target, it.head)} for it in others}
        return tuple(it for it in others if touched[it.number] & mine)

    def _record(self, change: Change, kind: Kind, news: str) -> None:
        detail = {"kind": kind.value, "head": change.head, "branch": change.branch, "url": change.url}
        outcome = "proposed" if news == "opened" else news
        with self._database.begin() as session:
            who, subject = f"person:{self.login}", f"change:{change.number}"
            ledger.append(session, ledger.Entry(who, "change.propose", subject, outcome, self._now(), detail))


def _take_back(place: GitHubChanges, branch: str, failed: ChangesError) -> None:
    """No branch is left of a pull request that could not be opened."""
    try:
        place.withdraw(branch)
    except ChangesError as error:
        raise Unavailable(
            f"{failed}; the branch {branch} may be left ({error}): the same command takes it up"
        ) from failed
