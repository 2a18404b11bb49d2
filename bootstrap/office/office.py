"""The office: what people ask of the company, answered from facts. The web pages, the command line and the tests all come through here."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio.to_thread

from bootstrap.office.correspondence import correspondence
from bootstrap.office.describe import Teams
from bootstrap.office.figures import company_figures
from bootstrap.office.history import remembered
from bootstrap.office.law_desk import LawDesk, lasting
from bootstrap.office.proposals import ProposalDesk
from bootstrap.office.spending import Spending
from mcp_servers.cluster.port import Cluster
from mcp_servers.git.anchors import anchors
from mcp_servers.git.changes import Change, Changes, HeadMoved
from mcp_servers.git.merge_desk import Closed, Merged, MergeDesk, NotYet
from mcp_servers.git.repository import Repository
from mcp_servers.git.server import describe
from memory import ledger, registry
from memory.session import Database
from policies.verdict import Outcome
from teams.chart import EXECUTIVE
from teams.messages import Envelope, PersonMessage, Reply, TaskAssignment
from teams.runtime.gateway_client import Gateway

PERSON, LOGIN = "person:owner", "owner"
CEO_TEAM = EXECUTIVE
#: How long the CEO may take: a wish goes through several models. Less than its sender waits (`TEAM_TIMEOUT`).
PATIENCE = timedelta(minutes=9, seconds=30)
#: What is said in the office and at the command line is one conversation; other clients have their own.
_SAID = "say-"

log = logging.getLogger(__name__)


class UnknownTeam(LookupError):
    """There is no such living team."""


@dataclass
class Office:
    """`person` speaks to the gateway as the person; `gate` reads changes; `notice` wakes the reconciler."""

    database: Database
    cluster: Cluster
    repository: Repository
    teams: Teams
    desk: MergeDesk
    gate: Changes
    person: Gateway
    model_name: Callable[[], str]
    notice: Callable[[], None]
    now: Callable[[], datetime]
    #: How the watched resources are, and what people were told.
    health: Callable[[], dict[str, Any]]
    spending: Spending
    law_desk: LawDesk
    proposals: ProposalDesk
    #: Where proposed code is run, for people; or why nowhere.
    sandbox: Callable[[], str]
    #: Models that the law names and that cannot be used, each with why and what to do.
    models_left_out: Callable[[], Mapping[str, str]] = dict
    #: In whose name the person at this machine approves and rejects.
    approver: str = PERSON

    # --- talking ---

    async def say(self, text: str) -> dict[str, Any]:
        """The person's message to the CEO, the answer, and what is really there of what it speaks of."""
        history = await anyio.to_thread.run_sync(remembered, self.database, PERSON, CEO_TEAM, _SAID)
        return await self.tell(PersonMessage(text=text, history=history), f"{_SAID}{uuid4().hex}")

    async def tell(self, message: PersonMessage, correlation_id: str) -> dict[str, Any]:
        """A message to the CEO as one piece of business; the same id again goes on with what was begun under it."""
        envelope = Envelope(
            kind="person_message", correlation_id=correlation_id, deadline=self.now() + PATIENCE, payload=message
        )
        reply = await self.person.send(LOGIN, CEO_TEAM, message.text, envelope)
        evidence = await anyio.to_thread.run_sync(lambda: self._evidence(reply))
        return {
            "answer": reply.text,
            "state": reply.state,
            "rehearsal": self.rehearses(),
            "correlation_id": envelope.correlation_id,
            "evidence": evidence,
        }

    async def ask(self, team: str, text: str) -> dict[str, Any]:
        """Work for one team, and its answer. Raises `UnknownTeam`."""

        def known() -> bool:
            with self.database.read() as session:
                return registry.team(session, team) is not None

        if not await anyio.to_thread.run_sync(known):
            raise UnknownTeam(f"there is no team named '{team[:40]}'; ./elf teams lists them")
        task = TaskAssignment(text=text)
        envelope = Envelope(kind="task", correlation_id=f"ask-{uuid4().hex}", payload=task)
        reply = await self.person.send(LOGIN, team, text, envelope)
        return {
            "team": team,
            "answer": reply.text,
            "state": reply.state,
            "rehearsal": self.rehearses(),
            "correlation_id": envelope.correlation_id,
        }

    def rehearses(self) -> bool:
        """Whether it is the rehearsal model that speaks."""
        return self.model_name() == "rehearsal"

    def _evidence(self, reply: Reply) -> list[dict[str, Any]]:
        """For each thing the CEO's team did: what the company's own records say of it now."""
        found: list[dict[str, Any]] = []
        for effect in _effects(reply):
            result = effect.get("result") or {}
            data = result.get("data") or {}
            number = data.get("change")
            if isinstance(number, int | float) and number:
                change = describe(self.gate.get(int(number)), self.database)
                verdict = change["verdict"]["outcome"] if change["verdict"] else "not judged yet"
                text = f"change #{change['number']} is {change['state']} ({change['branch']}), verdict: {verdict}"
                head = {"change": change["number"], "head": change["head"]}
                found.append({"kind": "change", **head, "team": data.get("team"), "text": text})
            else:
                text = f"{effect.get('team')} answered: {result.get('state')}"
                found.append(
                    {"kind": "message", "team": effect.get("team"), "text": text, "outcome": data.get("outcome")}
                )
        return found

    # --- changes ---

    def changes(self, state: str) -> list[dict[str, Any]]:
        listed = self.gate.open() if state == "open" else self.gate.all()
        return [describe(change, self.database) for change in listed]

    def change(self, number: int) -> dict[str, Any]:
        """One change with its text and its files. Raises `UnknownChange`."""
        change = self.gate.get(number)
        told = {"body": change.body, "files": self._files(change), "replay": self.law_desk.replay_of(number)}
        return describe(change, self.database) | told

    def approve(self, number: int, head: str, why: str) -> dict[str, Any]:
        """Approves exactly `head` (its first digits will do) and merges if the law then allows it."""
        result = self.desk.approve(number, self.approver, self._head(number, head), why)
        self.notice()
        return self._decided(number, result, {Merged: "approved and merged", NotYet: "approved; not merged yet"})

    def override(self, number: int, head: str, why: str, hours: float | None) -> dict[str, Any]:
        """Lifts, of exactly `head` (its first digits will do), what the law lets this person lift; then merges if it allows it."""
        result = self.desk.override(number, self.approver, self._head(number, head), why, lasting(hours))
        self.notice()
        return self._decided(number, result, {Merged: "overridden and merged", NotYet: "overridden; not merged yet"})

    def _head(self, number: int, head: str) -> str:
        now_there = self.gate.get(number).head
        if not now_there.startswith(head):
            raise HeadMoved(
                f"change {number} is at {now_there[:12]} by now, not at {head[:12]}: ./elf show {number}, then decide"
            )
        return now_there

    def reject(self, number: int, why: str) -> dict[str, Any]:
        result = self.desk.reject(number, self.approver, why)
        return self._decided(number, result, {})

    def _decided(self, number: int, result: Merged | NotYet | Closed, words: dict[type, str]) -> dict[str, Any]:
        return decided(number, result, describe(self.gate.get(number), self.database), words)

    def _files(self, change: Change) -> list[dict[str, str]]:
        base = "main"
        if change.merge_commit is not None:
            # What main was before the merge: nothing differs from what it is since.
            base = self.repository.log(change.merge_commit, limit=1)[0].parents[0]
        return [{"status": one.status, "path": one.path} for one in self.repository.changes(base, change.head)]

    # --- looking ---

    def status(self) -> dict[str, Any]:
        teams = self.teams.all(self.now())
        confinements = sorted({team["confinement"] for team in teams if team["confinement"]})
        return {
            "teams": teams,
            "models": self.model_name(),
            "models_left_out": dict(self.models_left_out()),
            "confinement": "; ".join(confinements) or "not known yet",
            "sandbox": self.sandbox(),
            "main": self.repository.resolve("refs/heads/main"),
        }

    def company(self) -> dict[str, Any]:
        """The hierarchy, and each team in a few words."""
        with self.database.read() as session:
            known = {team["name"]: team for team in registry.query(session)}
            return {"hierarchy": registry.hierarchy(session), "teams": known}

    def log(self, team: str, lines: int) -> dict[str, Any]:
        """The conversation inside a team. Raises `UnknownTeam`."""
        with self.database.read() as session:
            if registry.team(session, team) is None:
                raise UnknownTeam(f"there is no team named '{team[:40]}'; ./elf teams lists them")
        parsed = [_utterance(line) for line in self.cluster.log(team, lines).conversation]
        return {"team": team, "lines": [line for line in parsed if line is not None]}

    def costs(self) -> dict[str, Any]:
        return self.spending.page()

    def figures(self, days: int) -> dict[str, Any]:
        """The figures the company keeps of itself, over the last days."""
        return company_figures(self.database, self.now(), days)

    def messages(
        self, team: str | None, correlation: str | None, most: int, since: datetime | None = None
    ) -> dict[str, Any]:
        """What teams, people and the kernel wrote to teams, and what came back."""
        return correspondence(self.database, team, correlation, most, since)

    def verify_audit(self) -> dict[str, Any]:
        """Recomputes the chain and holds it against the heads anchored in Git."""
        anchored = anchors(self.repository)
        with self.database.read() as session:
            report = ledger.verify(session, anchored)
        return {
            "ok": report.ok,
            "rows": report.rows,
            "head": report.head.hash,
            "anchors": len(anchored),
            "last_anchor": anchored[0].seq if anchored else 0,
            "first_bad": report.first_bad,
            "reason": report.reason,
            "after_last_anchor": {
                "rows": report.tail.rows,
                "from": report.tail.first_at,
                "to": report.tail.last_at,
                "actions": dict(report.tail.actions.most_common()),
            },
        }

    def audit(self, lines: int) -> dict[str, Any]:
        with self.database.read() as session:
            rows = ledger.latest(session, lines)
        return {
            "rows": [
                {
                    "seq": row.seq,
                    "at": row.at.isoformat(),
                    "actor": row.actor,
                    "action": row.action,
                    "subject": row.subject,
                    "outcome": row.outcome,
                    "detail": json.loads(row.detail),
                }
                for row in rows
            ]
        }


def decided(
    number: int, result: Merged | NotYet | Closed, change: dict[str, Any], words: dict[type, str]
) -> dict[str, Any]:
    """What came of a person's decision on the change, in words and for machines. `by_itself`: nothing but waiting is left to do."""
    text = f"Change #{number}: {words.get(type(result), 'closed')}."
    if isinstance(result, Merged):
        text += f" Main is at {result.commit[:12]}; what runs follows it."
    elif isinstance(result, NotYet) and result.verdict.retry_at is not None:
        text += f" It is merged by itself after {result.verdict.retry_at:%H:%M:%S} UTC, if nothing changes."
    elif _by_itself(result):
        text += " It is merged by itself once what the lines marked pending wait for has come."
    elif isinstance(result, NotYet) and result.verdict.outcome is Outcome.DENY:
        text += " The gate refuses it, and no approval helps: the lines marked deny say what has to be mended."
    return {
        "number": number,
        "text": text,
        "merged": isinstance(result, Merged),
        "by_itself": _by_itself(result),
        "state": change["state"],
        "commit": change["merge_commit"],
        "verdict": result.verdict.to_dict() if isinstance(result, NotYet) else change["verdict"],
    }


def _by_itself(result: Merged | NotYet | Closed) -> bool:
    """Whether it will be merged without anybody doing anything more, as things stand."""
    return isinstance(result, NotYet) and result.verdict.outcome in {Outcome.ALLOW, Outcome.PENDING}


def _effects(reply: Reply) -> list[dict[str, Any]]:
    effects = reply.data.get("effects")
    return [one for one in effects if isinstance(one, dict)] if isinstance(effects, list) else []


def _utterance(line: str) -> dict[str, Any] | None:
    """A line of the conversation; None for anything else a team printed."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    keys = ("at", "task", "speaker", "listener", "text")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in keys):
        return None
    return {key: found[key] for key in keys}
