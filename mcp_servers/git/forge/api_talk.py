"""The REST routes about what is said of a pull request or a commit: comments, labels, statuses."""

from __future__ import annotations

from sqlite3 import Connection

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from mcp_servers.git.forge import events, store, wire_pulls
from mcp_servers.git.forge.errors import forbidden, invalid, not_found
from mcp_servers.git.forge.paging import paged
from mcp_servers.git.forge.pulls import BODY_LIMIT, get_pull, get_row
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.store import Row
from mcp_servers.git.forge.wire import Json

router = APIRouter(prefix="/repos/{owner}/{repo}")


class Body(BaseModel):
    body: str


@router.get("/issues/{number}/comments")
def list_comments(request: Request, visit: Visiting, number: int) -> JSONResponse:
    get_row(visit, number)
    with visit.site.store.read() as connection:
        rows: list[Row] = connection.execute(
            "SELECT * FROM comments WHERE repo = ? AND number = ? ORDER BY id", (visit.repo, number)
        ).fetchall()
    return paged(request, visit, rows, lambda row: wire_pulls.comment(visit, row), f"/issues/{number}/comments")


@router.post("/issues/{number}/comments", status_code=201)
def create_comment(visit: Visiting, number: int, new: Body) -> Json:
    visit.demand("comment")
    get_row(visit, number)
    at = visit.site.time()
    with visit.site.store.write() as connection:
        cursor = connection.execute(
            "INSERT INTO comments (repo, number, author, body, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            (visit.repo, number, visit.identity.login, _text(new), at, at),
        )
        row: Row = connection.execute("SELECT * FROM comments WHERE id = ?", (cursor.lastrowid,)).fetchone()
        _tell_of_comment(visit, connection, "created", row)
    visit.site.courier.wake()
    return wire_pulls.comment(visit, row)


@router.get("/issues/{number}")
def get_issue(visit: Visiting, number: int) -> Json:
    """A pull request as the issue that it also is."""
    pull = get_pull(visit, number)
    with visit.site.store.read() as connection:
        return wire_pulls.issue(visit, pull, store.comment_count(connection, visit.repo, number))


@router.get("/issues/{number}/events")
def list_events(request: Request, visit: Visiting, number: int) -> JSONResponse:
    """Who closed and reopened it. Of GitHub's other events none is kept here."""
    get_row(visit, number)
    with visit.site.store.read() as connection:
        rows = store.turn_rows(connection, visit.repo, number)
    return paged(request, visit, rows, lambda row: wire_pulls.turn(visit, row), f"/issues/{number}/events")


@router.get("/issues/comments/{comment}")
def get_comment(visit: Visiting, comment: int) -> Json:
    return wire_pulls.comment(visit, _comment(visit, comment))


@router.patch("/issues/comments/{comment}")
def edit_comment(visit: Visiting, comment: int, new: Body) -> Json:
    visit.demand("comment")
    if _comment(visit, comment)["author"] != visit.identity.login:
        raise forbidden("only its author may edit a comment")
    text, before = _text(new), _comment(visit, comment)["body"]
    with visit.site.store.write() as connection:
        connection.execute(
            "UPDATE comments SET body = ?, updated_at = ? WHERE id = ?", (text, visit.site.time(), comment)
        )
        row: Row = connection.execute("SELECT * FROM comments WHERE id = ?", (comment,)).fetchone()
        _tell_of_comment(visit, connection, "edited", row, changes={"body": {"from": before}})
    visit.site.courier.wake()
    return wire_pulls.comment(visit, row)


@router.delete("/issues/comments/{comment}", status_code=204)
def delete_comment(visit: Visiting, comment: int) -> Response:
    """By its author, or by whoever looks after the repository."""
    row = _comment(visit, comment)
    if row["author"] != visit.identity.login:
        visit.demand("admin")
    with visit.site.store.write() as connection:
        _tell_of_comment(visit, connection, "deleted", row)
        connection.execute("DELETE FROM comments WHERE id = ?", (comment,))
    visit.site.courier.wake()
    return Response(status_code=204)


def _tell_of_comment(visit: Visit, connection: Connection, action: str, row: Row, **more: Json) -> None:
    def issue() -> Json:
        pull = get_pull(visit, row["number"])
        return wire_pulls.issue(visit, pull, store.comment_count(connection, visit.repo, row["number"]))

    events.tell(
        visit, connection, "issue_comment", action=action, issue=issue,
        comment=lambda: wire_pulls.comment(visit, row), **more,
    )  # fmt: skip


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
