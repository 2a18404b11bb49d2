"""Makes proposals: refuses what the gate would refuse before anything is pushed, writes the intent, then opens the pull request.

One key is one pull request, wherever a run was interrupted: each step looks for its own earlier result. A refusal leaves
no row, no branch and no file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mcp_servers.factories.server_files import parse_server
from mcp_servers.factories.spec_files import BadSpec, parse_spec
from mcp_servers.git import facts as reading
from mcp_servers.git import server_proposals
from mcp_servers.git.changes import Change, Changes, HandsOff, NotAllowed, Refused
from mcp_servers.git.factory import Factory
from mcp_servers.git.handmade import living_folder
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.proposal_of import preview, proposal_of
from mcp_servers.git.repository import Repository
from mcp_servers.git.rooms import is_counted, rooms_of
from mcp_servers.git.unborn import Setting
from mcp_servers.server_spec import ServerSpec
from memory import changes as remembered
from memory import ledger, slots
from memory.changes import Intent
from memory.session import Database
from policies.evaluate import evaluate
from policies.facts import Facts, Kind
from policies.law import Limits
from policies.verdict import Outcome, Verdict
from teams.spec import TeamSpec, printable

#: Rules whose "not now" is said before a proposal is made rather than after it.
_PRECONDITIONS = frozenset({"open_changes"})
_MAX_TEXT = 2000


class Refusal(Exception):
    """The proposal is not made; each reason says what to do. `retry_at` is when the same call may succeed, if known."""

    def __init__(self, *reasons: str, retry_at: datetime | None = None) -> None:
        super().__init__("; ".join(reasons))
        self.reasons, self.retry_at = reasons, retry_at


@dataclass(frozen=True)
class Proposed:
    """The pull request, as it stands after this call."""

    change: Change
    verdict: Verdict | None


class Proposer:
    """Proposes as the bot; `changes` acts as its identity, `desk` judges what was proposed."""

    def __init__(
        self,
        changes: Changes,
        desk: MergeDesk,
        repository: Repository,
        database: Database,
        factory: Factory,
        now: Callable[[], datetime],
        *,
        login: str = "elf-devops",
        target: str = "main",
    ) -> None:
        self._changes, self._desk, self._repository, self._database = changes, desk, repository, database
        self._factory, self._now, self._login, self._target = factory, now, login, target

    def propose_team(
        self, spec: Mapping[str, Any], gap: str, rationale: str, key: str, requester: str, on_behalf_of: str | None
    ) -> Proposed:
        """A pull request for a new team. `requester` is who calls (`team/member`). Raises `Refusal`, `ChangesError`."""
        if (known := self._known(key, Kind.NEW_TEAM)) is not None:
            return self._finish(known)
        team = _checked_spec(spec)
        gap, rationale = _text("gap", gap), _text("rationale", rationale)
        base = reading.read_base(self._repository, self._target)
        wanted = Intent(
            key=key,
            kind=Kind.NEW_TEAM,
            subject=team.name,
            requester=requester,
            on_behalf_of=on_behalf_of,
            gap=gap,
            rationale=rationale,
            branch=f"auto/new-team/{team.name}-{_short(key)}",
            payload={"spec": team.model_dump(mode="json")},
            at=self._now(),
        )
        self._refuse_what_the_gate_would(team, base, wanted)
        return self._finish(self._intend(wanted, base.law.limits))

    def propose_rollback(self, team: str, reason: str, key: str, requester: str) -> Proposed:
        """A pull request that returns a team's folder to its last verified tree. Raises `Refusal`, `ChangesError`."""
        if (known := self._known(key, Kind.ROLLBACK_TEAM)) is not None:
            return self._finish(known)
        # A diagnosis may quote a log; the way back does not wait for somebody to take a key out of it.
        why = self._desk.inspector.scanner.hide(_text("reason", reason))
        path, current, verified = self._last_verified(team)
        wanted = Intent(
            key=key,
            kind=Kind.ROLLBACK_TEAM,
            subject=team,
            requester=requester,
            on_behalf_of=None,
            gap=why,
            rationale="",
            branch=f"auto/rollback-team/{team}-{_short(key)}",
            payload={"path": path, "from": current, "tree": verified.tree, "commit": verified.commit},
            at=self._now(),
        )
        limits = reading.read_base(self._repository, self._target).law.limits
        return self._finish(self._intend(wanted, limits))

    def propose_server(
        self, spec: Mapping[str, Any], gap: str, rationale: str, key: str, requester: str, on_behalf_of: str | None
    ) -> Proposed:
        """A pull request for a tool server of the catalogue, new or changed. Raises `Refusal`, `ChangesError`."""
        if (known := self._known(key, Kind.NEW_SERVER, Kind.CHANGE_SERVER)) is not None:
            return self._finish(known)
        server = _checked_server(spec)
        gap, rationale = _text("gap", gap), _text("rationale", rationale)
        base = reading.read_base(self._repository, self._target)
        kind = server_proposals.kind_for(self._repository, base.commit, server)
        wanted = Intent(
            key=key,
            kind=kind,
            subject=server.name,
            requester=requester,
            on_behalf_of=on_behalf_of,
            gap=gap,
            rationale=rationale,
            branch=f"auto/{kind.replace('_', '-')}/{server.name.replace('_', '-')}-{_short(key)}",
            payload={"spec": server.model_dump(mode="json")},
            at=self._now(),
        )
        facts = server_proposals.preview(self._repository, server, wanted, self._setting(base, requester))
        self._refuse(self._seen(facts, wanted), base)
        return self._finish(self._intend(wanted, base.law.limits))

    def resume(self, older_than: timedelta = timedelta(seconds=60)) -> list[Proposed]:
        """Finishes proposals that were interrupted before their pull request was known to be open."""
        with self._database.read() as session:
            waiting = [it for it in remembered.unfinished(session) if it.at <= self._now() - older_than]
        return [self._finish(intent) for intent in waiting]

    # ------------------------------------------------------------------ refusing

    def _known(self, key: str, *kinds: Kind) -> Intent | None:
        if not 1 <= len(key) <= 120 or not key.isascii() or not key.isprintable():
            raise Refusal(
                "key: give 1 to 120 printable ASCII characters, the same ones whenever this very wish is repeated"
            )
        with self._database.read() as session:
            known = remembered.intent(session, key)
        if known is not None and known.kind not in kinds:
            raise Refusal(f"key: it was used for a {known.kind} change already; use another one")
        return known

    def _refuse_what_the_gate_would(self, team: TeamSpec, base: reading.Base, wanted: Intent) -> None:
        """Evaluates the law on the change as it would be. What would be denied is refused now, with the rule's reason."""
        facts = preview(self._repository, self._factory, team, wanted, self._setting(base, wanted.requester))
        self._refuse(self._seen(facts, wanted), base)

    def _seen(self, facts: Facts, wanted: Intent) -> Facts:
        """The facts with what would be seen in the proposal: a secret is refused here, before anything of it is written down."""
        proposal = proposal_of(wanted, self._repository, self._factory, self._target)
        return facts.model_copy(update={"findings": self._desk.inspector.preview(proposal)})

    def _refuse(self, facts: Facts, base: reading.Base) -> None:
        verdict = evaluate(facts, base.law, self._now())
        blocking = [
            child
            for child in verdict.children
            if child.outcome is Outcome.DENY or (child.rule in _PRECONDITIONS and not child.allowed)
        ]
        if blocking:
            times = [child.retry_at for child in blocking if child.retry_at]
            raise Refusal(*(f"{it.rule}: {it.reason}" for it in blocking), retry_at=max(times, default=None))

    def _setting(self, base: reading.Base, requester: str) -> Setting:
        with self._database.read() as session:
            open_before = remembered.older_open(session, requester, None)
        return Setting(base, self._login, self._target, open_before)

    def _last_verified(self, team: str) -> tuple[str, str, remembered.Verified]:
        """(folder, its tree now, the verified tree to return to)."""
        base = self._repository.resolve(self._target)
        path = living_folder(self._repository, base, team)
        current = self._repository.tree(base, path) if path else None
        if path is None or current is None:
            raise Refusal(
                f"there is no team {team[:40]!r} in {self._target}; registry query_teams lists the living ones"
            )
        with self._database.read() as session:
            verified = remembered.verified_trees(session, path)
        if not verified:
            raise Refusal(f"no tree of {path} was ever found healthy; retire or change the team instead")
        if current in {it.tree for it in verified}:
            raise Refusal(f"{path} is at a verified tree already; a rollback of a rollback is for a person to decide")
        return path, current, verified[0]

    # ------------------------------------------------------------------ doing

    def _intend(self, wanted: Intent, limits: Limits) -> Intent:
        """The intent, its slot if its kind is counted, and its audit entry, in one transaction; or a refusal, and nothing."""
        kind = Kind(wanted.kind)
        place = slots.Place(wanted.key, wanted.kind, wanted.requester)
        rooms = rooms_of(limits, kind, wanted.requester, wanted.at)
        try:
            with self._database.begin() as session:
                if is_counted(limits, kind, wanted.requester):
                    slots.reserve(session, place, rooms, wanted.at)
                stored = remembered.record_intent(session, wanted)
                if stored is wanted:
                    detail = {"kind": wanted.kind, "branch": wanted.branch, "on_behalf_of": wanted.on_behalf_of}
                    entry = ledger.Entry(
                        wanted.requester, "change.intend", wanted.subject, "intended", wanted.at, detail
                    )
                    ledger.append(session, entry)
                return stored
        except slots.NoRoom as error:
            raise Refusal(f"{error.room.name}: {error}", retry_at=error.retry_at) from error
        except remembered.NameTaken as error:
            raise Refusal(f"free_name: {error}") from error

    def _finish(self, intent: Intent) -> Proposed:
        """The pull request of an intent: found, or made; then judged."""
        if intent.number is not None:
            change = self._changes.get(intent.number)
        else:
            change = self._opened(intent)
            with self._database.begin() as session:
                if remembered.opened(session, intent.key, change.number):
                    detail = {"head": change.head, "branch": change.branch, "url": change.url}
                    subject = f"change:{change.number}"
                    ledger.append(
                        session,
                        ledger.Entry(intent.requester, "change.propose", subject, "proposed", self._now(), detail),
                    )
        if change.state == "open":
            return Proposed(change, self._desk.judge(change.number))
        with self._database.read() as session:
            judged = remembered.last_verdict(session, change.number)
        return Proposed(change, Verdict.from_dict(judged.verdict) if judged else None)

    def _opened(self, intent: Intent) -> Change:
        """The pull request on the intent's branch. If it can never be opened, the intent and its slot are taken back."""
        try:
            return self._changes.propose(proposal_of(intent, self._repository, self._factory, self._target))
        except (HandsOff, NotAllowed, Refused) as error:
            with self._database.begin() as session:
                if remembered.withdraw(session, intent.key):
                    detail = {"branch": intent.branch, "reason": str(error)[:2000]}
                    entry = ledger.Entry(
                        intent.requester, "change.withdraw", intent.subject, "failed", self._now(), detail
                    )
                    ledger.append(session, entry)
            raise


def _checked_spec(spec: Mapping[str, Any]) -> TeamSpec:
    try:
        return parse_spec(dict(spec))
    except BadSpec as error:
        raise Refusal(*(f"spec: {reason}" for reason in error.errors[:20])) from error


def _checked_server(spec: Mapping[str, Any]) -> ServerSpec:
    try:
        server = parse_server(dict(spec))
    except BadSpec as error:
        raise Refusal(*(f"spec: {reason}" for reason in error.errors[:20])) from error
    if server.kind == "builtin":
        raise Refusal("spec: kind: the kernel's own servers are written by hand; propose internal, http or stdio")
    return server


def _text(name: str, text: str) -> str:
    try:
        plain = printable(text.strip())
    except ValueError as error:
        raise Refusal(f"{name}: {error}") from error
    if not plain or len(plain) > _MAX_TEXT:
        raise Refusal(f"{name}: write 1 to {_MAX_TEXT} characters, not {len(plain)}")
    return plain


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]
