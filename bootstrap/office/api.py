"""The office over HTTP, for the command line and the pages. Every route asks for the operator's token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from bootstrap.office.office import Office, UnknownTeam
from mcp_servers.gateway.identity import Identity
from mcp_servers.gateway.refusals import Refused
from mcp_servers.git.carried import Brought
from mcp_servers.git.changes import ChangesError, UnknownChange
from mcp_servers.git.hand_look import Asked
from mcp_servers.git.objects import UnknownRevision
from mcp_servers.git.proposer import Refusal
from memory.session import Unwritable
from policies.law import BadLaw
from policies.simulated import Options
from teams.messages import MAX_TEXT, Text
from teams.runtime.gateway_client import GatewayError

#: A change's number; what is larger than any database's integer is none.
Number = Annotated[int, Path(ge=1, lt=2**31)]

_SEND_JSON = "send a JSON object, in UTF-8, with 'Content-Type: application/json'."


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Say(_Body):
    text: Text


class Ask(_Body):
    team: str = Field(max_length=40)
    text: Text


class Approve(_Body):
    #: The commit that the person saw: a yes is to that one.
    head: str = Field(pattern="^[0-9a-f]{7,40}$")
    why: str = Field(default="", max_length=2000)


class Override(_Body):
    #: The commit that the person saw: a yes is to that one.
    head: str = Field(pattern="^[0-9a-f]{7,40}$")
    why: Text
    hours: float | None = Field(default=None, gt=0, le=24 * 31)


class WhatIf(_Body):
    approved_by: list[Annotated[str, Field(max_length=40)]] = Field(default_factory=list[str], max_length=20)
    words: str = Field(default="", max_length=2000)
    without: list[Annotated[str, Field(max_length=40)]] = Field(default_factory=list[str], max_length=20)
    override_by: str | None = Field(default=None, max_length=40)
    at: AwareDatetime | None = None

    def options(self) -> Options:
        by = (tuple(self.approved_by), self.words, tuple(self.without), self.override_by)
        return Options(by[0], by[1], by[2], by[3], at=self.at)


class Simulate(_Body):
    #: Name of a policy file -> its text.
    files: dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=256_000)]] = Field(max_length=40)
    since: AwareDatetime | None = None


class Reject(_Body):
    why: Text


class ProposedFile(_Body):
    path: str = Field(max_length=250)
    mode: Literal["100644", "100755"] = "100644"
    #: Base64; None where the person removed the file.
    data: Base64Bytes | None = None


class Propose(_Body):
    title: str = Field(max_length=1000)
    why: str = Field(default="", max_length=100_000)
    files: list[ProposedFile] = Field(default_factory=list[ProposedFile], max_length=2000)
    retire: str = Field(default="", max_length=40)
    whole: bool = False
    change: int | None = Field(default=None, ge=1, lt=2**31)
    dry_run: bool = False

    def asked(self) -> Asked:
        files = tuple(Brought(one.path, one.data, one.mode) for one in self.files)
        return Asked(self.title, self.why, files, self.retire, self.whole, self.change)


def office_api(office: Office, identity: Identity, now: Callable[[], datetime], *more: APIRouter) -> FastAPI:
    """The app to mount at /api, with `more` pages behind the same token. Errors are `{"error": sentence}`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def person(request: Request) -> None:
        caller = identity.identify(request.headers.get("authorization"), now())
        if caller.kind != "person":
            raise Refused("not_allowed", "Only a person may come to the office.")

    router = APIRouter(dependencies=[Depends(person)])

    @router.post("/say")
    async def say(body: Say) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return await office.say(body.text)

    @router.post("/ask")
    async def ask(body: Ask) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return await office.ask(body.team, body.text)

    @router.get("/changes")
    def changes(state: Literal["open", "all"] = "open") -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"changes": office.changes(state)}

    @router.get("/changes/{number}")
    def change(number: Number) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.change(number)

    @router.post("/changes/{number}/approve")
    def approve(number: Number, body: Approve) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.approve(number, body.head, body.why)

    @router.post("/changes/{number}/reject")
    def reject(number: Number, body: Reject) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.reject(number, body.why)

    @router.post("/changes/{number}/override")
    def override(number: Number, body: Override) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.override(number, body.head, body.why, body.hours)

    @router.post("/changes/{number}/what-if")
    def what_if(number: Number, body: WhatIf) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.law_desk.what_if(number, body.options())

    @router.post("/proposals")
    def propose(body: Propose) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        asked = body.asked()
        return office.proposals.look(asked) if body.dry_run else office.proposals.propose(asked)

    @router.get("/main")
    def main() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.proposals.listing()

    @router.get("/main/file")
    def main_file(name: Annotated[str, Query(max_length=250)]) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.proposals.file(name)

    @router.post("/policy/simulate")
    def simulate(body: Simulate) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.law_desk.simulate(body.files, body.since)

    @router.get("/status")
    def status() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.status()

    @router.get("/health/report")
    def health() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.health()

    @router.get("/teams")
    def teams() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.company()

    @router.get("/log/{team}")
    def log(team: str, lines: Annotated[int, Query(ge=1, le=2000)] = 60) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.log(team, lines)

    @router.get("/messages")
    def messages(  # pyright: ignore[reportUnusedFunction]
        team: Annotated[str | None, Query(max_length=40)] = None,
        correlation: Annotated[str | None, Query(max_length=120)] = None,
        lines: Annotated[int, Query(ge=1, le=2000)] = 40,
        since: AwareDatetime | None = None,
    ) -> dict[str, Any]:
        return office.messages(team, correlation, lines, since)

    @router.get("/costs")
    def costs() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.costs()

    @router.get("/metrics/company")
    def figures(days: Annotated[int, Query(ge=1, le=3650)] = 30) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.figures(days)

    @router.get("/audit/verify")
    def verify() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.verify_audit()

    @router.get("/audit")
    def audit(lines: Annotated[int, Query(ge=1, le=1000)] = 40) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return office.audit(lines)

    for pages in more:
        router.include_router(pages)
    app.include_router(router)
    _answer_errors(app)
    return app


def _answer_errors(app: FastAPI) -> None:
    def answer(status: int, sentence: str) -> JSONResponse:
        return JSONResponse({"error": sentence}, status)

    @app.exception_handler(Refused)
    def refused(_request: Request, error: Refused) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return answer(401 if error.code == "unauthenticated" else 403, error.message)

    @app.exception_handler(UnknownTeam)
    def unknown_team(_request: Request, error: UnknownTeam) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return answer(404, str(error))

    @app.exception_handler(ChangesError)
    def changes(_request: Request, error: ChangesError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        if isinstance(error, UnknownChange):
            return answer(404, "there is no such change; ./elf changes --all lists them")
        return answer(409, str(error))

    @app.exception_handler(Refusal)
    def refusal(_request: Request, error: Refusal) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return answer(409, "\n".join(error.reasons))

    @app.exception_handler(UnknownRevision)
    def unknown_file(_request: Request, error: UnknownRevision) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return answer(404, f"{error}; ./elf main lists what main has")

    @app.exception_handler(BadLaw)
    def bad_law(_request: Request, error: BadLaw) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return answer(422, str(error))

    @app.exception_handler(Unwritable)
    def unwritable(_request: Request, error: Unwritable) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return answer(503, str(error))

    @app.exception_handler(GatewayError)
    def gateway(_request: Request, error: GatewayError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return answer(502, str(error))

    @app.exception_handler(Exception)
    def stumbled(_request: Request, error: Exception) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        # Starlette logs the error itself after this answer.
        return answer(
            500, f"the company stumbled over this ({type(error).__name__}); log/kernel.log in its home says where."
        )

    @app.exception_handler(HTTPException)
    def other(_request: Request, error: HTTPException) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        said = {
            400: f"the body cannot be read: {_SEND_JSON}",
            404: "there is no such page in the office; ./elf --help lists what can be asked.",
            405: "this page is not asked for in that way; ./elf --help lists what can be asked.",
        }
        return answer(error.status_code, said.get(error.status_code, str(error.detail)))

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        if first["type"] == "json_invalid" or (first["type"] == "model_attributes_type" and not where):
            return answer(422, f"body: {_SEND_JSON}")
        if first["type"] == "string_too_long":
            return answer(
                422, f"{where}: too long; at most {MAX_TEXT} characters. Say it shorter, or attach a reference."
            )
        if first["type"] in {"string_too_short", "missing"}:
            return answer(422, f"{where or 'body'}: it is empty; say what you want.")
        return answer(422, f"{where or 'body'}: {first['msg'].removeprefix('Value error, ')}")
