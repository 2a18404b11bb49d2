"""The REST routes about pull requests: open, list, read, edit, files, commits, reviews, merge."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from mcp_servers.git.forge import events, pulls, store, wire, wire_pulls
from mcp_servers.git.forge.errors import ForgeError, invalid, not_found, unprocessable
from mcp_servers.git.forge.paging import paged
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.standing import Pull, base_of, size
from mcp_servers.git.forge.store import Row
from mcp_servers.git.forge.wire import Json
from mcp_servers.git.objects import LineCount, NoMergeBase, PathChange

router = APIRouter(prefix="/repos/{owner}/{repo}/pulls")

REVIEW_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


class NewPull(BaseModel):
    title: str
    head: str
    base: str
    body: str | None = None
    draft: bool = False


class PullEdit(BaseModel):
    title: str | None = None
    body: str | None = None
    state: Literal["open", "closed"] | None = None
    base: str | None = None


class NewReview(BaseModel):
    event: Literal["APPROVE", "REQUEST_CHANGES", "COMMENT"]
    body: str | None = None
    commit_id: str | None = None


class Dismissal(BaseModel):
    message: str


class Merge(BaseModel):
    sha: str | None = None
    commit_title: str | None = None
    commit_message: str | None = None
    merge_method: Literal["merge", "squash", "rebase"] = "merge"


@router.post("", status_code=201)
def create_pull(visit: Visiting, new: NewPull) -> Json:
    visit.demand("open_pull")
    made = pulls.create_pull(visit, new.title, new.body or "", new.head, new.base, draft=new.draft)
    return _whole(visit, made, None)


@router.get("")
def list_pulls(
    request: Request,
    visit: Visiting,
    state: Literal["open", "closed", "all"] = "open",
    head: str | None = None,
    base: str | None = None,
    sort: Literal["created", "updated"] = "created",
    direction: Literal["asc", "desc"] | None = None,
) -> JSONResponse:
    branch = head.removeprefix(f"{visit.owner}:") if head else None
    found = [
        pull
        for pull in pulls.all_pulls(visit, head=branch)
        if state in {"all", "open" if pull.is_open else "closed"} and base in {None, pull.row.base}
    ]
    if sort == "updated":
        found.sort(key=lambda pull: pull.row.updated_at)
    if direction != "asc":
        found.reverse()
    return paged(request, visit, found, lambda pull: wire_pulls.pull(visit, pull), "/pulls")


@router.get("/{number}")
def get_pull(visit: Visiting, number: int) -> Json:
    pull = pulls.get_pull(visit, number)
    return _whole(visit, pull, pulls.mergeable(visit, pull))


@router.patch("/{number}")
def edit_pull(visit: Visiting, number: int, edit: PullEdit) -> Json:
    if edit.base is not None:
        raise invalid("PullRequest", "base", "the base cannot be changed; open another pull request")
    edited = pulls.edit_pull(visit, number, title=edit.title, body=edit.body, state=edit.state)
    return _whole(visit, edited, None)


@router.get("/{number}/files")
def list_files(request: Request, visit: Visiting, number: int) -> JSONResponse:
    pull = pulls.get_pull(visit, number)

    try:
        base = base_of(visit, pull)
        changed, lines = visit.repository.changes(base, pull.head), visit.repository.line_counts(base, pull.head)
    except NoMergeBase:
        changed, lines = [], {}

    def shape(change: PathChange) -> Json:
        return wire_pulls.changed_file(visit, change, lines.get(change.path, LineCount()), pull.head)

    return paged(request, visit, changed, shape, f"/pulls/{number}/files")


@router.get("/{number}/commits")
def list_commits(request: Request, visit: Visiting, number: int) -> JSONResponse:
    pull = pulls.get_pull(visit, number)
    found = visit.repository.log(pull.head, limit=250, without=base_of(visit, pull))
    found.reverse()
    return paged(request, visit, found, lambda commit: wire.commit(visit, commit), f"/pulls/{number}/commits")


@router.get("/{number}/reviews")
def list_reviews(request: Request, visit: Visiting, number: int) -> JSONResponse:
    pull = pulls.get_pull(visit, number)
    with visit.site.store.read() as connection:
        rows = store.review_rows(connection, visit.repo, number)
    return paged(request, visit, rows, lambda row: wire_pulls.review(visit, row, pull), f"/pulls/{number}/reviews")


@router.get("/{number}/reviews/{review}")
def get_review(visit: Visiting, number: int, review: int) -> Json:
    pull = pulls.get_pull(visit, number)
    return wire_pulls.review(visit, _review(visit, number, review), pull)


@router.post("/{number}/reviews")
def create_review(visit: Visiting, number: int, new: NewReview) -> Json:
    """A review of exactly the head. 422 by the author, of an older commit, or of a closed pull request."""
    visit.demand("comment" if new.event == "COMMENT" else "review")
    pull = pulls.get_pull(visit, number)
    _check_review(visit, pull, new)
    with visit.site.store.write() as connection:
        cursor = connection.execute(
            "INSERT INTO reviews (repo, number, author, commit_id, state, body, submitted_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                visit.repo, number, visit.identity.login, new.commit_id or pull.head, REVIEW_STATES[new.event],
                new.body or "", visit.site.time(),
            ),
        )  # fmt: skip
        row: Row = connection.execute("SELECT * FROM reviews WHERE id = ?", (cursor.lastrowid,)).fetchone()
        _tell_of_review(visit, connection, "submitted", row, pull)
    visit.site.courier.wake()
    return wire_pulls.review(visit, row, pulls.get_pull(visit, number))


@router.put("/{number}/reviews/{review}/dismissals")
def dismiss_review(visit: Visiting, number: int, review: int, why: Dismissal) -> Json:
    """A verdict taken back: by whoever looks after the repository, or by who gave it. 422 for a plain comment."""
    pull, row = pulls.get_pull(visit, number), _review(visit, number, review)
    if visit.identity.login != row["author"]:
        visit.demand("admin")
    if wire_pulls.review_state(row, pull.head) not in {"APPROVED", "CHANGES_REQUESTED"}:
        raise unprocessable("Can not dismiss a commented or dismissed pull request review")
    if not why.message.strip():
        raise unprocessable("Message can not be blank")
    with visit.site.store.write() as connection:
        connection.execute("UPDATE reviews SET state = 'DISMISSED' WHERE id = ?", (review,))
        row = connection.execute("SELECT * FROM reviews WHERE id = ?", (review,)).fetchone()
        _tell_of_review(visit, connection, "dismissed", row, pull)
    visit.site.courier.wake()
    return wire_pulls.review(visit, row, pull)


@router.get("/{number}/merge", status_code=204)
def is_merged(visit: Visiting, number: int) -> Response:
    if pulls.get_pull(visit, number).merge_commit is None:
        raise not_found()
    return Response(status_code=204)


@router.put("/{number}/merge")
def merge_pull(visit: Visiting, number: int, merge: Merge | None = None) -> Json:
    visit.demand("merge")
    wanted = merge or Merge()
    if wanted.merge_method == "rebase":
        raise ForgeError(405, "Rebase merges are not allowed on this repository.")
    sha = pulls.merge_pull(visit, number, wanted.sha, wanted.commit_title, wanted.commit_message, wanted.merge_method)
    events.notice(visit)
    return {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}


def _whole(visit: Visit, pull: Pull, mergeable: bool | None) -> Json:
    with visit.site.store.read() as connection:
        comments = store.comment_count(connection, visit.repo, pull.row.number)
    return wire_pulls.whole_pull(visit, pull, size(visit, pull), mergeable, comments)


def _review(visit: Visit, number: int, review: int) -> Row:
    with visit.site.store.read() as connection:
        rows = store.review_rows(connection, visit.repo, number)
    found = next((row for row in rows if row["id"] == review), None)
    if found is None:
        raise not_found()
    return found


def _tell_of_review(visit: Visit, connection: Connection, action: str, row: Row, pull: Pull) -> None:
    events.tell(
        visit, connection, "pull_request_review", action=action,
        review=lambda: wire_pulls.told_review(visit, row, pull), pull_request=lambda: wire_pulls.pull(visit, pull),
    )  # fmt: skip


def _check_review(visit: Visit, pull: Pull, new: NewReview) -> None:
    if not pull.is_open:
        raise unprocessable("The pull request is closed")
    if visit.identity.login == pull.row.author and new.event != "COMMENT":
        verb = "approve" if new.event == "APPROVE" else "request changes on"
        raise unprocessable(f"Can not {verb} your own pull request")
    if new.commit_id is not None and new.commit_id != pull.head:
        raise unprocessable(f"Commit is not the head: the head is {pull.head} now; review that commit")
    if new.event != "APPROVE" and not (new.body or "").strip():
        raise unprocessable("Body cannot be blank")
    if len(new.body or "") > pulls.BODY_LIMIT:
        raise unprocessable(f"Body is too long (maximum is {pulls.BODY_LIMIT} characters)")
