"""A company in memory, as the DevOps team sees it through the gateway: stateful tools, and a model that answers or obeys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from mcp_servers.factories.server_files import BadSpec, parse_server
from mcp_servers.factories.server_form import form
from mcp_servers.gateway.rehearsal import answer
from teams.messages import Envelope, Kind, Payload
from teams.runtime.gateway_client import ToolAnswer
from teams.runtime.work import Run
from teams.spec import TeamSpec

Model = Callable[[str, Mapping[str, Any]], str]


def rehearsal(purpose: str, request: Mapping[str, Any]) -> str:
    return answer({**request, "purpose": purpose})["message"]["content"]


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Company:
    """Registry, changes, cluster and factory. `kill_before` and `kill_after` name the call at which the process ends, once."""

    model: Model = rehearsal
    teams: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    changes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    servers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    programs: list[str] = field(default_factory=list[str])
    #: Address or program -> what is found there: a look's answer, or the reason why there is none.
    elsewhere: dict[str, dict[str, Any] | str] = field(default_factory=dict[str, dict[str, Any] | str])
    status: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    log: list[str] = field(default_factory=list[str])
    keys: dict[str, int] = field(default_factory=dict[str, int])
    specs: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    gaps: list[str] = field(default_factory=list[str])
    refusal: dict[str, Any] | None = None
    #: What became of earlier proposals; None where the law does not let the team look.
    outcomes: list[dict[str, Any]] | None = field(default_factory=list[dict[str, Any]])
    called: list[str] = field(default_factory=list[str])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    kill_at: int | None = None
    kill_after_acting: bool = False

    async def complete(
        self,
        member: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        purpose: str,
        run_id: str,
        response_format: Mapping[str, Any] | None = None,
    ) -> str:
        request = {"model": model, "messages": list(messages), "response_format": response_format}
        self.asked.append({"member": member, "purpose": purpose, "run": run_id, **request})
        return self._counted(f"model:{purpose}", lambda: self.model(purpose, request))

    async def call_tool(self, member: str, tool: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        json.dumps(arguments)
        return self._counted(tool, lambda: getattr(self, tool.split("__")[1])(**arguments))

    def _counted(self, name: str, act: Callable[[], Any]) -> Any:
        self.called.append(name)
        dies = self.kill_at == len(self.called)
        if dies and not self.kill_after_acting:
            raise Killed
        done = act()
        if dies:
            raise Killed
        return done

    # --- the tools, in the shapes the servers give ---

    def query_teams(self, skill: str = "", department: str = "", text: str = "") -> ToolAnswer:
        return _ok({"teams": self.teams})

    def list_changes(self, state: str = "open") -> ToolAnswer:
        return _ok(
            {"changes": [it for it in self.changes if state == "all" or (it["state"] == "open") == (state == "open")]}
        )

    def get_change(self, number: int) -> ToolAnswer:
        return _ok(self.changes[number - 1])

    def past_outcomes(self, kind: str = "new_team", most: int = 20) -> ToolAnswer:
        if self.outcomes is None:
            return ToolAnswer("not granted", {"reasons": ["not granted"]}, True)
        return _ok({"outcomes": self.outcomes})

    def validate_team_spec(self, spec: dict[str, Any]) -> ToolAnswer:
        try:
            TeamSpec.model_validate(spec)
        except ValidationError as error:
            return _ok({"ok": False, "errors": [it["msg"] for it in error.errors()]})
        return _ok({"ok": True, "errors": []})

    def forecast_team_cost(self, spec: dict[str, Any]) -> ToolAnswer:
        return _ok({"usd_month": "12.34", "basis": ["20 requests a day"]})

    def propose_team(self, spec: dict[str, Any], gap: str, requester: str, key: str, rationale: str) -> ToolAnswer:
        if self.refusal:
            return ToolAnswer("; ".join(self.refusal["reasons"]), self.refusal, True)
        number = self._change(key, "new_team", spec["name"], requester)
        self.specs.setdefault(number, spec)
        self.gaps.append(gap)
        return _ok({"change": number, "branch": "auto/x", "url": "http://x", "state": "open", "verdict": None})

    def list_servers(self) -> ToolAnswer:
        return _ok({"servers": self.servers, "programs": self.programs})

    def look_at_server(self, url: str = "", program: str = "") -> ToolAnswer:
        found = self.elsewhere.get(url or program, "it could not be reached")
        return ToolAnswer(found, None, True) if isinstance(found, str) else _ok(found)

    def describe_server_spec(self) -> ToolAnswer:
        return _ok(form())

    def validate_server_spec(self, spec: dict[str, Any]) -> ToolAnswer:
        try:
            parse_server(spec)
        except BadSpec as error:
            return _ok({"ok": False, "errors": error.errors})
        return _ok({"ok": True, "errors": []})

    def propose_server(self, spec: dict[str, Any], gap: str, requester: str, key: str, rationale: str) -> ToolAnswer:
        if self.refusal:
            return ToolAnswer("; ".join(self.refusal["reasons"]), self.refusal, True)
        number = self._change(key, "new_server", spec["name"], requester)
        self.specs.setdefault(number, spec)
        self.gaps.append(gap)
        return _ok({"change": number, "branch": "auto/x", "url": "http://x", "state": "open", "verdict": None})

    def propose_rollback(self, team: str, reason: str, key: str) -> ToolAnswer:
        number = self._change(key, "rollback_team", team, "devops/doctor")
        return _ok({"change": number, "branch": "auto/x", "url": "http://x", "state": "open", "verdict": None})

    def team_status(self, team: str) -> ToolAnswer:
        if team not in self.status:
            return ToolAnswer(f"there is no team named '{team}'", None, True)
        return _ok({"team": team, **self.status[team]})

    def team_log(self, team: str, lines: int = 50) -> ToolAnswer:
        return _ok({"team": team, "diagnostics": self.log[-lines:], "conversation": []})

    def _change(self, key: str, kind: str, team: str, requester: str) -> int:
        """One key is one change, as at the real server."""
        if key not in self.keys:
            self.keys[key] = len(self.changes) + 1
            verdict = {"outcome": "needs_approval", "rule": "change", "reason": "a person decides", "children": []}
            self.changes.append(
                {
                    "number": self.keys[key],
                    "title": f"{kind} {team}",
                    "state": "open",
                    "progress": "judged",
                    "kind": kind,
                }
                | {
                    "team": None,
                    "server": None,
                    "server" if kind == "new_server" else "team": team,
                    "requester": requester,
                    "rolled_back_by": None,
                    "verdict": verdict,
                }
            )
        return self.keys[key]

    # --- what people and the kernel do ---

    def merge(self, number: int, *, healthy: bool = True) -> None:
        change = self.changes[number - 1]
        if change["server"] is not None:
            change |= {"state": "merged", "progress": "merged", "verdict": None}
            spec = self.specs[number]
            tools = [{"tool": f"{spec['name']}__{it['name']}", "does": it["description"]} for it in spec["tools"]]
            problem = None if healthy else "did not answer in 5 s"
            row = {"server": spec["name"], "kind": spec["kind"], "purpose": spec["purpose"], "healthy": healthy}
            self.servers.append(row | {"problem": problem, "tools": tools if healthy else []})
            return
        change |= {"state": "merged", "progress": "verified" if healthy else "merged", "verdict": None}
        self.status[change["team"]] = {"state": "active" if healthy else "starting", "wanted_tree": "t"}
        self.status[change["team"]] |= {"serving_tree": "t" if healthy else None, "verified_trees": [], "reason": None}

    def close(self, number: int) -> None:
        self.changes[number - 1] |= {"state": "closed", "progress": "closed"}


def _ok(data: dict[str, Any]) -> ToolAnswer:
    return ToolAnswer(json.dumps(data), json.loads(json.dumps(data)), False)


@dataclass
class Heard:
    """The conversation, kept."""

    lines: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def say(self, *, task: str, speaker: str, listener: str, text: str) -> None:
        self.lines.append((speaker, listener, text))


def run_of(kind: Kind, payload: Payload, correlation: str = "c1", requester: str = "executive/ceo") -> Run:
    return Run(
        id=f"task-{correlation}",
        envelope=Envelope(kind=kind, correlation_id=correlation, payload=payload),
        requester=requester,
    )


def devops_spec() -> TeamSpec:
    def member(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "role": name, "goal": "g", "backstory": "b", **more}

    return TeamSpec.model_validate(
        {
            "name": "devops",
            "purpose": "p",
            "description": "d",
            "placement": "devops",
            "framework": "langgraph",
            "process": "delivery",
            "members": [
                member("lead", manager=True, tools=["registry__query_teams"]),
                member(
                    "designer",
                    tools=["factory__validate_team_spec", "factory__validate_server_spec", "git__propose_team"],
                ),
                member("doctor", tools=["cluster__team_log", "cluster__team_status", "git__propose_rollback"]),
            ],
            "work": [{"name": "deliver", "member": "lead", "description": "d", "expected_output": "e"}],
        }
    )
