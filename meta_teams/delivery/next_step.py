"""What comes next, from what is known. Pure: the same facts give the same step, whatever happened in between."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from meta_teams.delivery.coverage import Coverage, coverage, serving
from meta_teams.delivery.design import ATTEMPTS
from meta_teams.delivery.diagnose import Decision, Diagnosis, decide
from meta_teams.delivery.seen import ChangeRow, Forecast, Log, Looked, ServerRow, TeamRow, TeamStatus
from meta_teams.delivery.understand import Understanding
from teams.messages import Incident, Outcome, TeamCreationRequest
from teams.spec import TeamSpec


class Step(StrEnum):
    SURVEY = "survey"
    UNDERSTAND = "understand"
    ASK = "ask"
    COVERED = "covered"
    DESIGN = "design"
    #: Ask a server elsewhere what its tools are.
    LOOK = "look"
    DESIGN_SERVER = "design_server"
    REFUSE = "refuse"
    FORECAST = "forecast"
    PROPOSE = "propose"
    PROPOSE_SERVER = "propose_server"
    INSPECT = "inspect"
    DIAGNOSE = "diagnose"
    ROLL_BACK = "roll_back"
    HOLD = "hold"
    #: Take up a change that somebody else's request made already.
    ADOPT = "adopt"
    #: Read how far the change has come.
    CHECK = "check"
    WAIT = "wait"
    REPORT = "report"
    END = "end"


class Facts(BaseModel):
    """All that a request's thread knows. A field that is None was not found out yet.

    `understand_faults` and its like are what was wrong with a model's last reply; `..._tries` how many it gave.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: TeamCreationRequest | None = None
    incident: Incident | None = None

    teams: tuple[TeamRow, ...] | None = None
    changes: tuple[ChangeRow, ...] | None = None
    #: The tool servers that are served, and the programs that may be wrapped.
    servers: tuple[ServerRow, ...] = ()
    programs: tuple[str, ...] = ()
    understanding: Understanding | None = None
    understand_tries: int = 0
    understand_faults: tuple[str, ...] = ()
    spec: TeamSpec | None = None
    #: The name the design came with, before it was made unique.
    wished_name: str | None = None
    rationale: str = ""
    design_tries: int = 0
    design_faults: tuple[str, ...] = ()
    forecast: Forecast | None = None
    #: What was found at the server that shall be wrapped; the tool server's spec as JSON values.
    looked: Looked | None = None
    server: dict[str, Any] | None = None

    status: TeamStatus | None = None
    log: Log | None = None
    diagnosis: Diagnosis | None = None
    diagnose_tries: int = 0
    diagnose_faults: tuple[str, ...] = ()

    #: The proposal of this thread, and how far it has come, as last read.
    change: int | None = None
    progress: ChangeRow | None = None
    #: The proposed server as the gateway serves it, once its change is merged; None if it is not served.
    served: ServerRow | None = None
    #: Why a proposal was not made.
    refusals: tuple[str, ...] = ()
    outcome: Outcome | None = None

    @property
    def covered(self) -> Coverage:
        if self.understanding is None or self.teams is None:
            return Coverage()
        return coverage(self.understanding.required_skills, self.understanding.department, self.teams)

    @property
    def serving(self) -> ServerRow | None:
        """The tool server that does it already."""
        return serving(self.understanding.required_skills, self.servers) if self.understanding else None

    @property
    def same_server(self) -> ChangeRow | None:
        """An open change that proposes a tool server of the designed one's name."""
        name = self.server["name"] if self.server else None
        wanted = [it for it in self.changes or () if it.state == "open" and it.kind == "new_server"]
        return next((it for it in wanted if it.server == name), None)

    @property
    def taken_names(self) -> frozenset[str]:
        """Names of living teams and of those under way."""
        under_way = (it.team for it in self.changes or () if it.state == "open" and it.kind == "new_team" and it.team)
        return frozenset({*(team.name for team in self.teams or ()), *under_way})

    @property
    def same_proposal(self) -> ChangeRow | None:
        """An open change that proposes a team by the name this design came with."""
        wanted = [it for it in self.changes or () if it.state == "open" and it.kind == "new_team"]
        return next((it for it in wanted if it.team == self.wished_name), None)

    @property
    def decision(self) -> Decision | None:
        if self.incident is None or self.status is None or self.changes is None:
            return None
        return decide(self.incident, self.status, self.changes, self.diagnosis)


def next_step(facts: Facts) -> Step:
    if facts.outcome is not None:
        return Step.END
    if facts.change is not None:
        return _after_proposing(facts)
    if facts.refusals:
        return Step.REFUSE
    return _for_incident(facts) if facts.incident is not None else _for_request(facts)


def is_over(facts: Facts) -> bool:
    """Whether the change came to an end that can be reported: rejected, or merged and its team seen healthy or brought back."""
    change, status = facts.progress, facts.status
    if change is None or change.state == "open":
        return False
    if change.state == "closed" or change.rolled_back_by is not None or change.server is not None:
        # A server is served, or not, from the moment of the merge on: there is nothing to wait for.
        return True
    return change.progress == "verified" or (status is not None and status.healthy)


def _after_proposing(facts: Facts) -> Step:
    if facts.progress is None:
        return Step.CHECK
    return Step.REPORT if is_over(facts) else Step.WAIT


def _for_request(facts: Facts) -> Step:
    if facts.teams is None or facts.changes is None:
        return Step.SURVEY
    if facts.understanding is None:
        return Step.UNDERSTAND if facts.understand_tries < ATTEMPTS else Step.ASK
    if facts.understanding.intent == "unclear":
        return Step.ASK
    if facts.understanding.intent == "tool_server":
        return _for_server(facts, facts.understanding)
    if facts.covered.team is not None:
        return Step.COVERED
    if facts.spec is None:
        return Step.DESIGN if facts.design_tries < ATTEMPTS else Step.REFUSE
    if facts.same_proposal is not None:
        return Step.ADOPT
    return Step.FORECAST if facts.forecast is None else Step.PROPOSE


def _for_server(facts: Facts, understanding: Understanding) -> Step:
    if facts.serving is not None:
        return Step.COVERED
    if (understanding.server_url or understanding.program) and facts.looked is None:
        return Step.LOOK
    if facts.server is None:
        return Step.DESIGN_SERVER if facts.design_tries < ATTEMPTS else Step.REFUSE
    return Step.ADOPT if facts.same_server is not None else Step.PROPOSE_SERVER


def _for_incident(facts: Facts) -> Step:
    decision = facts.decision
    if decision is None or facts.log is None:
        return Step.INSPECT
    if decision.act == "adopt":
        return Step.ADOPT
    if decision.act == "hold":
        return Step.HOLD
    # Only where a rollback is possible at all does anybody have to read the log.
    if facts.diagnosis is None and facts.diagnose_tries < ATTEMPTS:
        return Step.DIAGNOSE
    return Step.ROLL_BACK
