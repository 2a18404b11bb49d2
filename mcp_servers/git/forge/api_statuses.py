"""The REST routes about commit statuses: what the gate, and whoever else may, says of a commit."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mcp_servers.git.forge import events, store, wire, wire_pulls
from mcp_servers.git.forge.errors import ForgeError, invalid
from mcp_servers.git.forge.paging import paged
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.store import Row
from mcp_servers.git.forge.wire import Json
from mcp_servers.git.objects import UnknownRevision

router = APIRouter(prefix="/repos/{owner}/{repo}")


class NewStatus(BaseModel):
    state: Literal["pending", "success", "failure", "error"]
    context: str = Field(default="default", min_length=1, max_length=200)
    description: str | None = None
    target_url: str | None = Field(default=None, max_length=2000)


@router.post("/statuses/{sha}", status_code=201)
def create_status(visit: Visiting, sha: str, new: NewStatus) -> Json:
    """A status, by those alone who have the right: whoever could write one could forge the gate's."""
    visit.demand("status")
    if len(new.description or "") > 140:
        raise invalid("Status", "description", "description is too long (maximum is 140 characters)")
    if _commit(visit, sha, 422) != sha:
        raise ForgeError(422, f"No commit found for SHA: {sha[:64]}")
    with visit.site.store.write() as connection:
        cursor = connection.execute(
            "INSERT INTO statuses (repo, sha, context, state, description, target_url, creator, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                visit.repo, sha, new.context, new.state, new.description or "", new.target_url or "",
                visit.identity.login, visit.site.time(),
            ),
        )  # fmt: skip
        row: Row = connection.execute("SELECT * FROM statuses WHERE id = ?", (cursor.lastrowid,)).fetchone()
        _tell_of_status(visit, connection, row)
    visit.site.courier.wake()
    return wire_pulls.status(visit, row)


@router.get("/commits/{ref:path}/statuses")
@router.get("/statuses/{ref:path}")
def list_statuses(request: Request, visit: Visiting, ref: str) -> JSONResponse:
    """Every status of a commit, newest first."""
    sha = _commit(visit, ref, 404)
    return paged(
        request, visit, _statuses(visit, sha), lambda row: wire_pulls.status(visit, row), f"/commits/{sha}/statuses"
    )


@router.get("/commits/{ref:path}/status")
def get_combined_status(visit: Visiting, ref: str) -> Json:
    """The latest status of each context, and what they come to: pending where there is none."""
    sha = _commit(visit, ref, 404)
    latest: dict[str, Row] = {}
    for row in _statuses(visit, sha):
        latest.setdefault(row["context"], row)
    states = {row["state"] for row in latest.values()}
    state = "failure" if states & {"failure", "error"} else "success" if states == {"success"} else "pending"
    url = f"{visit.url}/commits/{sha}"
    return {
        "sha": sha,
        "state": state,
        "statuses": [wire_pulls.simple_status(visit, row) for row in latest.values()],
        "total_count": len(latest),
        "url": f"{url}/status",
        "commit_url": url,
        "repository": wire.repository(visit),
    }


def _tell_of_status(visit: Visit, connection: Connection, row: Row) -> None:
    shape = wire_pulls.simple_status(visit, row)
    kept = {key: shape[key] for key in ("id", "context", "state", "description", "target_url", "avatar_url",
                                        "created_at", "updated_at")}  # fmt: skip

    def commit() -> Json:
        return wire.commit(visit, visit.repository.log(row["sha"], limit=1)[0])

    events.tell(visit, connection, "status", **kept, sha=row["sha"], name=visit.repo, branches=[], commit=commit)


def _statuses(visit: Visit, sha: str) -> list[Row]:
    with visit.site.store.read() as connection:
        return store.status_rows(connection, visit.repo, sha)


def _commit(visit: Visit, ref: str, status: int) -> str:
    try:
        return visit.repository.resolve(ref)
    except UnknownRevision as error:
        raise ForgeError(status, f"No commit found for SHA: {ref[:64]}") from error
