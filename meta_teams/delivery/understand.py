"""What is wanted: a team or a tool server, read by a model from a request into a few fields. Code checks what it claims to have read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from meta_teams.delivery.model_replies import Misfit, corrections, messages, parse, tagged
from meta_teams.delivery.seen import ServerRow, TeamRow
from teams.messages import TeamCreationRequest
from teams.spec import PLACEMENT_PATTERN, Line, Name, Strict

PURPOSE = "understand-request"
_SHOWN_TEAMS, _SHOWN_SERVERS = 60, 60


class Understanding(Strict):
    """What a request asks for. `unclear` comes with the one question whose answer would make it clear."""

    intent: Literal["new_team", "tool_server", "unclear"]
    summary: Line
    #: The field of work, such as `marketing`.
    function: Name
    department: Annotated[str, StringConstraints(pattern=PLACEMENT_PATTERN, max_length=40)]
    #: What a team must be able to do, or what a tool server's tools must do.
    required_skills: tuple[Name, ...] = Field(max_length=8)
    #: tool_server: where somebody else's MCP server is reached, exactly as the request writes it.
    server_url: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=500)] | None = None
    #: tool_server: the program of the catalogue of programs that it shall be, or the one that the request names.
    program: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)] | None = None
    question: Line | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if self.intent == "new_team" and not self.required_skills:
            raise ValueError("name at least one skill the team needs, or set intent to unclear and ask")
        if self.intent == "tool_server" and not self.required_skills:
            raise ValueError("name at least one thing the tool must do, or set intent to unclear and ask")
        if self.server_url and self.program:
            raise ValueError("a tool server is reached at an address or is a program, not both")
        if self.intent == "unclear" and not self.question:
            raise ValueError("an unclear request needs the question to ask back")
        return self


def read(reply: str, request: TeamCreationRequest, programs: Sequence[str] = ()) -> Understanding:
    """The reading in a model's reply. `Misfit` where it breaks the schema, or names an address or program that nobody asked for."""
    found = parse(reply, Understanding)
    said = f"{request.capability_gap}\n{request.business_justification}"
    for field, value in (("server_url", found.server_url), ("program", found.program)):
        if value is not None and value not in said and value not in programs:
            raise Misfit(
                [f"{field}: the request does not name it; leave it out, or write it exactly as the request does"]
            )
    return found


def prompt(
    request: TeamCreationRequest,
    teams: Sequence[TeamRow],
    servers: Sequence[ServerRow],
    programs: Sequence[str],
    faults: Sequence[str],
) -> list[dict[str, str]]:
    living = "\n".join(f"{team.name}: {', '.join(team.skills)}" for team in teams[:_SHOWN_TEAMS])
    served = "\n".join(
        f"{one.server} ({one.purpose}): {', '.join(tool.tool for tool in one.tools) or one.problem or 'no tools'}"
        for one in servers[:_SHOWN_SERVERS]
    )
    return messages(
        "You read requests for capabilities that a company lacks, for its DevOps team. Answer with one JSON object.",
        "Say what the request asks for. intent new_team if it names work that a standing team could do; tool_server if it wants "
        "something that teams shall be able to look up, fetch or use: a tool, an API, an MCP server; else unclear with one question. A "
        "request is for one thing: if it names several that different teams or servers would do, it is unclear, and the question "
        "names them and asks to request each by itself.",
        "A tool server is one of three. Of our own: it gives fixed texts, fills in templates, or reads public web addresses that "
        "give JSON or text (which ones is found out later, the request need not name one; that a source can answer with what is "
        "wanted is enough). It cannot write, send, calculate by itself or run code. Or somebody's MCP server: the request gives its "
        "address, which goes into server_url exactly as written. An address that is merely data to read is no MCP server: leave "
        "server_url out. Or a program from the catalogue of programs: its name goes into program (or the one that the request "
        "names, so that it can be looked for). If the wish needs more than a server of our own can do and names neither address nor "
        "program, it is unclear: ask for the address of an MCP server that does it.",
        "Name one to eight skills as lower-case words with hyphens: what the team must be able to do, or what the tool must do (such as "
        "currency-conversion). Where a living team's skill or a served tool means the same, use its words. function is the field of work; "
        "department is one lower-case word such as marketing or operations (for a tool, of those who need it).",
        tagged("teams", living or "none yet"),
        tagged("servers", served or "none yet"),
        tagged("programs", ", ".join(programs) or "none"),
        tagged("skills", ", ".join(request.required_skills) or "none named"),
        tagged("reason", f"{request.business_justification}\nurgency: {request.urgency}"),
        corrections(faults),
        tagged("request", request.capability_gap),
    )
