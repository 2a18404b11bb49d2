"""The REST routes about what is said of a pull request or a commit: comments, labels, statuses."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mcp_servers.git.forge import store, wire
from mcp_servers.git.forge.errors import ForgeError, forbidden, invalid, not_found
from mcp_servers.git.forge.pulls import BODY_LIMIT, get_pull
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.store import PullRow, Row
from mcp_servers.git.forge.wire import Json
from mcp_servers.git.objects import UnknownRevision

router = APIRouter(prefix="/repos/{owner}/{repo}")

LABEL_LIMIT = 50


class Body(BaseModel):
    body: str


class Labels(BaseModel):
    labels: list[str]


class NewLabel(BaseModel):
    name: str
    color: str = Field(default="ededed", pattern=r"^[0-9a-fA-F]{6}$")
    description: str | None = None


class NewStatus(BaseModel):
    state: Literal["pending", "success", "failure", "error"]
    context: str = Field(default="default", min_length=1, max_length=200)
    description: str | None = None
    target_url: str | None = Field(default=None, max_length=2000)


@router.get("/issues/{number}/comments")
def list_comments(request: Request, visit: Visiting, number: int) -> JSONResponse:
    _pull(visit, number)
    with visit.site.store.read() as connection:
        rows: list[Row] = connection.execute(
            "SELECT * FROM comments WHERE repo = ? AND number = ? ORDER BY id", (visit.repo, number)
        ).fetchall()
    return wire.paged(request, visit, rows, lambda row: wire.comment(visit, row), f"/issues/{number}/comments")


@router.post("/issues/{number}/comments", status_code=201)
def create_comment(visit: Visiting, number: int, new: Body) -> Json:
    visit.demand("comment")
    _pull(visit, number)
    at = visit.site.time()
    with visit.site.store.write() as connection:
        cursor = connection.execute(
            "INSERT INTO comments (repo, number, author, body, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            (visit.repo, number, visit.identity.login, _text(new), at, at),
        )
        row: Row = connection.execute("SELECT * FROM comments WHERE id = ?", (cursor.lastrowid,)).fetchone()
    return wire.comment(visit, row)


@router.get("/issues/comments/{comment}")
def get_comment(visit: Visiting, comment: int) -> Json:
    return wire.comment(visit, _comment(visit, comment))


@router.patch("/issues/comments/{comment}")
def edit_comment(visit: Visiting, comment: int, new: Body) -> Json:
    visit.demand("comment")
    if _comment(visit, comment)["author"] != visit.identity.login:
        raise forbidden("only its author may edit a comment")
    with visit.site.store.write() as connection:
        connection.execute(
            "UPDATE comments SET body = ?, updated_at = ? WHERE id = ?", (_text(new), visit.site.time(), comment)
        )
    return wire.comment(visit, _comment(visit, comment))


@router.get("/labels")
def list_all_labels(request: Request, visit: Visiting) -> JSONResponse:
    with visit.site.store.read() as connection:
        query = "SELECT name, color, description FROM labels WHERE repo = ? ORDER BY name"
        rows: list[Row] = connection.execute(query, (visit.repo,)).fetchall()
    return wire.paged(request, visit, rows, lambda row: wire.label(visit, *row), "/labels")


@router.post("/labels", status_code=201)
def create_label(visit: Visiting, new: NewLabel) -> Json:
    visit.demand("open_pull", "merge")
    (name,) = _label_names([new.name])
    values = (visit.repo, name, new.color, new.description or "")
    with visit.site.store.write() as connection:
        if not connection.execute("INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?)", values).rowcount:
            raise invalid("Label", "name", "name already exists", "already_exists")
    return wire.label(visit, *values[1:])


@router.get("/issues/{number}/labels")
def list_labels(request: Request, visit: Visiting, number: int) -> JSONResponse:
    labels = _pull(visit, number).labels
    return wire.paged(request, visit, labels, lambda name: wire.label(visit, name), f"/issues/{number}/labels")


@router.post("/issues/{number}/labels")
def add_labels(visit: Visiting, number: int, names: Labels | list[str]) -> list[Json]:
    return _put_labels(visit, number, [*_pull(visit, number).labels, *_named(names)])


@router.put("/issues/{number}/labels")
def replace_labels(visit: Visiting, number: int, names: Labels | list[str]) -> list[Json]:
    return _put_labels(visit, number, _named(names))


@router.delete("/issues/{number}/labels/{name}")
def remove_label(visit: Visiting, number: int, name: str) -> list[Json]:
    labels = _pull(visit, number).labels
    if name not in labels:
        raise ForgeError(404, "Label does not exist")
    return _put_labels(visit, number, [label for label in labels if label != name])


@router.delete("/issues/{number}/labels", status_code=204)
def remove_labels(visit: Visiting, number: int) -> Response:
    _put_labels(visit, number, [])
    return Response(status_code=204)


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
    return wire.status(visit, row)


@router.get("/commits/{ref:path}/statuses")
@router.get("/statuses/{ref:path}")
def list_statuses(request: Request, visit: Visiting, ref: str) -> JSONResponse:
    """Every status of a commit, newest first."""
    sha = _commit(visit, ref, 404)
    return wire.paged(
        request, visit, _statuses(visit, sha), lambda row: wire.status(visit, row), f"/commits/{sha}/statuses"
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
    shapes = [wire.status(visit, row) for row in latest.values()]
    return {"sha": sha, "state": state, "statuses": shapes, "total_count": len(shapes),
            "url": f"{visit.url}/commits/{sha}/status", "repository": wire.repository(visit)}  # fmt: skip


def _pull(visit: Visit, number: int) -> PullRow:
    with visit.site.store.read() as connection:
        row = store.pull_row(connection, visit.repo, number)
    if row is None:
        raise not_found()
    return row


def _comment(visit: Visit, comment: int) -> Row:
    if comment > store.LARGEST_NUMBER:
        raise not_found()
    with visit.site.store.read() as connection:
        query = "SELECT * FROM comments WHERE repo = ? AND id = ?"
        row: Row | None = connection.execute(query, (visit.repo, comment)).fetchone()
    if row is None:
        raise not_found()
    return row


def _text(new: Body) -> str:
    if not new.body.strip():
        raise invalid("IssueComment", "body", "body cannot be blank")
    if len(new.body) > BODY_LIMIT:
        raise invalid("IssueComment", "body", f"body is too long (maximum is {BODY_LIMIT} characters)")
    return new.body


def _named(names: Labels | list[str]) -> list[str]:
    return names.labels if isinstance(names, Labels) else names


def _label_names(names: list[str]) -> list[str]:
    if len(names) > 100 or any(not name.strip() or len(name) > LABEL_LIMIT for name in names):
        raise invalid("Label", "name", f"a label has 1 to {LABEL_LIMIT} characters; at most 100 of them")
    return names


def _put_labels(visit: Visit, number: int, names: list[str]) -> list[Json]:
    pull = _pull(visit, number)
    if visit.identity.login != pull.author:
        visit.demand("merge", "review")
    with visit.site.store.write() as connection:
        store.set_labels(connection, visit.repo, number, _label_names(names), visit.site.time())
    return [wire.label(visit, name) for name in get_pull(visit, number).row.labels]


def _statuses(visit: Visit, sha: str) -> list[Row]:
    with visit.site.store.read() as connection:
        query = "SELECT * FROM statuses WHERE repo = ? AND sha = ? ORDER BY id DESC"
        return connection.execute(query, (visit.repo, sha)).fetchall()


def _commit(visit: Visit, ref: str, status: int) -> str:
    try:
        return visit.repository.resolve(ref)
    except UnknownRevision as error:
        raise ForgeError(status, f"No commit found for SHA: {ref[:64]}") from error
