"""The REST routes about pull requests: open, list, read, edit, files, commits, reviews, merge."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from mcp_servers.git.forge import pulls, wire
from mcp_servers.git.forge.errors import ForgeError, invalid, not_found
from mcp_servers.git.forge.pulls import Pull
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.store import Row
from mcp_servers.git.forge.wire import Json
from mcp_servers.git.objects import NoMergeBase, PathChange

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


class Merge(BaseModel):
    sha: str | None = None
    commit_title: str | None = None
    commit_message: str | None = None
    merge_method: str = "merge"


@router.post("", status_code=201)
def create_pull(visit: Visiting, new: NewPull) -> Json:
    visit.demand("open_pull")
    made = pulls.create_pull(visit, new.title, new.body or "", new.head, new.base, draft=new.draft)
    return wire.pull(visit, made, whole=True)


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
    return wire.paged(request, visit, found, lambda pull: wire.pull(visit, pull), "/pulls")


@router.get("/{number}")
def get_pull(visit: Visiting, number: int) -> Json:
    pull = pulls.get_pull(visit, number)
    return wire.pull(visit, pull, mergeable=pulls.mergeable(visit, pull), whole=True)


@router.patch("/{number}")
def edit_pull(visit: Visiting, number: int, edit: PullEdit) -> Json:
    if edit.base is not None:
        raise invalid("PullRequest", "base", "the base cannot be changed; open another pull request")
    edited = pulls.edit_pull(visit, number, title=edit.title, body=edit.body, state=edit.state)
    return wire.pull(visit, edited, whole=True)


@router.get("/{number}/files")
def list_files(request: Request, visit: Visiting, number: int) -> JSONResponse:
    pull = pulls.get_pull(visit, number)

    def shape(change: PathChange) -> Json:
        return wire.changed_file(visit, change, pull.head)

    try:
        changed = visit.repository.changes(_base_of(visit, pull), pull.head)
    except NoMergeBase:
        changed = []
    return wire.paged(request, visit, changed, shape, f"/pulls/{number}/files")


@router.get("/{number}/commits")
def list_commits(request: Request, visit: Visiting, number: int) -> JSONResponse:
    pull = pulls.get_pull(visit, number)
    found = visit.repository.log(pull.head, limit=250, without=_base_of(visit, pull))
    found.reverse()
    return wire.paged(request, visit, found, lambda commit: wire.commit(visit, commit), f"/pulls/{number}/commits")


@router.get("/{number}/reviews")
def list_reviews(request: Request, visit: Visiting, number: int) -> JSONResponse:
    pull = pulls.get_pull(visit, number)
    with visit.site.store.read() as connection:
        rows: list[Row] = connection.execute(
            "SELECT * FROM reviews WHERE repo = ? AND number = ? ORDER BY id", (visit.repo, number)
        ).fetchall()
    return wire.paged(request, visit, rows, lambda row: wire.review(visit, row, pull.head), f"/pulls/{number}/reviews")


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
    return wire.review(visit, row, pulls.get_pull(visit, number).head)


@router.get("/{number}/merge", status_code=204)
def is_merged(visit: Visiting, number: int) -> Response:
    if pulls.get_pull(visit, number).merge_commit is None:
        raise not_found()
    return Response(status_code=204)


@router.put("/{number}/merge")
def merge_pull(visit: Visiting, number: int, merge: Merge) -> Json:
    visit.demand("merge")
    if merge.merge_method != "merge":
        raise ForgeError(405, f"{merge.merge_method[:20]} merges are not allowed on this repository.")
    sha = pulls.merge_pull(visit, number, merge.sha, merge.commit_title, merge.commit_message or "")
    return {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}


def _base_of(visit: Visit, pull: Pull) -> str:
    """The commit to compare the head with: the base's tip, or, once merged, what the base was before."""
    if pull.merge_commit is None:
        return pull.base_sha
    return visit.repository.log(pull.merge_commit, limit=1)[0].parents[0]


def _check_review(visit: Visit, pull: Pull, new: NewReview) -> None:
    if not pull.is_open:
        raise invalid("PullRequestReview", "state", "the pull request is closed")
    if visit.identity.login == pull.row.author and new.event != "COMMENT":
        verb = "approve" if new.event == "APPROVE" else "request changes on"
        raise ForgeError(422, f"Unprocessable Entity: Can not {verb} your own pull request")
    if new.commit_id is not None and new.commit_id != pull.head:
        raise invalid("PullRequestReview", "commit_id", f"the head is {pull.head} now; review that commit")
    if new.event != "APPROVE" and not (new.body or "").strip():
        raise invalid("PullRequestReview", "body", "body cannot be blank")
    if len(new.body or "") > pulls.BODY_LIMIT:
        raise invalid("PullRequestReview", "body", f"body is too long (maximum is {pulls.BODY_LIMIT} characters)")
