"""A team for a need: a model proposes values, code checks them. What does not hold goes back with its faults."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from meta_teams.delivery.coverage import Coverage
from meta_teams.delivery.model_replies import Misfit, corrections, faults_of, messages, parse, tagged
from meta_teams.delivery.seen import PastOutcome, ServerRow
from meta_teams.delivery.team_names import PROTECTED, unique
from meta_teams.delivery.understand import Understanding
from teams.messages import TeamCreationRequest
from teams.spec import (
    MAX_MEMBERS,
    MIN_MEMBERS,
    PLACEMENT_PATTERN,
    SKEPTIC_FROM,
    Line,
    Member,
    Name,
    Paragraph,
    Strict,
    TeamSpec,
    Work,
)

PURPOSE = "design-team"
ATTEMPTS = 3
#: What a new team's members may ask for, besides the tools of the catalogue, which the team's approval grants. More is a
#: person's to grant, in the policy files.
TOOLS = frozenset({"registry__query_teams"})
#: The usual daily budget; a higher one is a person's to set.
MOST_BUDGET = Decimal(10)


class Proposal(Strict):
    """The part of a team spec that a model may choose, and why it chose it."""

    name: Name
    purpose: Line
    description: Paragraph
    placement: Annotated[str, StringConstraints(pattern=PLACEMENT_PATTERN, max_length=80)]
    framework: Literal["crewai", "langgraph"]
    process: Literal["sequential", "hierarchical"] = "sequential"
    daily_budget_usd: Decimal = Field(default=MOST_BUDGET, ge=0, decimal_places=2)
    members: tuple[Member, ...] = Field(min_length=MIN_MEMBERS, max_length=MAX_MEMBERS)
    work: tuple[Work, ...] = Field(min_length=1, max_length=12)
    rationale: Paragraph


def read(reply: str, served: Collection[str] = ()) -> tuple[TeamSpec, str]:
    """The spec in a model's reply and the rationale. `served` are the catalogue's tools.

    `Misfit` where it breaks a schema, a rule of teams, or a limit.
    """
    proposal = parse(reply, Proposal)
    try:
        spec = TeamSpec.model_validate(proposal.model_dump(exclude={"rationale"}))
    except ValidationError as error:
        raise Misfit(faults_of(error)) from error
    if faults := list(_over_limits(spec, TOOLS.union(served))):
        raise Misfit(faults)
    return spec, proposal.rationale


def with_free_name(spec: TeamSpec, taken: Collection[str]) -> TeamSpec:
    """The spec under a name that nobody has. A name is a label: which team is meant is told by its number."""
    return spec.model_copy(update={"name": unique(spec.name, taken)})


def _over_limits(spec: TeamSpec, tools: Collection[str]) -> Iterator[str]:
    if spec.name in PROTECTED:
        yield f"name: '{spec.name}' means something to the company itself; choose another, such as '{spec.name}-support-team'"
    if spec.department in PROTECTED - {"devops"}:
        yield f"placement: '{spec.department}' is no department a new team can be placed in"
    if spec.daily_budget_usd > MOST_BUDGET:
        yield f"daily_budget_usd: at most {MOST_BUDGET}; a higher one is a person's to set"
    for member in spec.members:
        if wrong := sorted(set(member.tools) - set(tools)):
            allowed = ", ".join(sorted(tools))[:1000]
            yield f"members.{member.name}.tools: a new team may not have {', '.join(wrong)[:200]}; allowed are {allowed}"
        if member.model is not None:
            yield f"members.{member.name}.model: leave it out; which model is used is set by the people who run the company"


def prompt(
    request: TeamCreationRequest,
    understood: Understanding,
    covered: Coverage,
    faults: Sequence[str],
    servers: Sequence[ServerRow] = (),
    past: Sequence[PastOutcome] = (),
) -> list[dict[str, str]]:
    learned = "\n".join(_learned(one) for one in past)
    served = "\n".join(f"{tool.tool}: {tool.does}" for one in servers for tool in one.tools)
    near = (
        f"Nearest living team: {covered.extendable}; it lacks {', '.join(covered.missing)}."
        if covered.extendable
        else ""
    )
    return messages(
        "You design teams of AI agents for a company. Answer with one JSON object.",
        f"Design a team of {MIN_MEMBERS} to {MAX_MEMBERS} members, best 5. Exactly one is the manager; from {SKEPTIC_FROM} on exactly "
        "one is the skeptic, and that is not the manager. Each has a role, a goal, a backstory and skills as lower-case words with "
        "hyphens; together they have every required skill under its name. Each piece of work names its member. Framework crewai "
        "for free-form work, langgraph for a fixed order of steps. Placement is department first, such as marketing.socialmedia. "
        f"Tools only if needed, of: {', '.join(sorted(TOOLS))}{' and those served' if served else ''}. No member has a model of its own.",
        tagged(
            "skills",
            f"function: {understood.function}\ndepartment: {understood.department}\n"
            f"required: {', '.join(understood.required_skills)}",
        ),
        tagged("reason", request.business_justification),
        near,
        tagged("servers", served) if served else "",
        tagged("outcomes", f"What became of earlier teams; do what held, and heed why others did not.\n{learned}")
        if learned
        else "",
        corrections(faults),
        tagged("request", request.capability_gap),
    )


def _learned(one: PastOutcome) -> str:
    asked = ", after a reviewer asked for changes" if one.changes_asked else ""
    why = f": {one.why}" if one.why else ""
    return f"{one.pattern}: {one.outcome}{asked}{why}"


def as_data(spec: TeamSpec) -> dict[str, Any]:
    """The spec as JSON values, for a tool."""
    return spec.model_dump(mode="json")
