"""The REST routes about accounts, the repository, its refs and commits."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mcp_servers.git.command import GitFailed
from mcp_servers.git.forge import events, wire
from mcp_servers.git.forge.errors import ForgeError, not_found, rule_violated
from mcp_servers.git.forge.paging import paged
from mcp_servers.git.forge.protection import AUTO_BRANCH, may_delete, may_move
from mcp_servers.git.forge.pulls import keep_heads
from mcp_servers.git.forge.rulesets import BY_PULL_REQUEST, SENTENCES, Action, of_row, push_violations
from mcp_servers.git.forge.site import SignedIn, SiteOf, Visit, Visiting
from mcp_servers.git.forge.store import ruleset_rows
from mcp_servers.git.forge.wire import Json
from mcp_servers.git.objects import RefMoved, RefUpdate, UnknownRevision

router = APIRouter()

LOG_LIMIT = 1000
_SHA = re.compile(r"[0-9a-f]{40}")


class NewRef(BaseModel):
    ref: str = Field(max_length=250)
    sha: str = Field(max_length=40)


class MovedRef(BaseModel):
    sha: str = Field(max_length=40)
    force: bool = False


@router.get("/user")
def get_user(site: SiteOf, me: SignedIn) -> Json:
    return wire.account(site, me.login, own=True)


@router.get("/users/{login}")
def get_named_user(site: SiteOf, _: SignedIn, login: str) -> Json:
    if login not in {identity.login for identity in site.identities}:
        raise not_found()
    return wire.account(site, login, own=False)


@router.get("/rate_limit")
def get_rate_limit(site: SiteOf, me: SignedIn) -> Json:
    """What is left of this hour; asking does not count."""
    rate = site.limits.standing(me.login, site.now()).shape()
    return {"resources": {"core": rate, "search": rate}, "rate": rate}


@router.get("/repos/{owner}/{repo}")
def get_repository(visit: Visiting) -> Json:
    return wire.repository(visit, whole=True)


@router.get("/repos/{owner}/{repo}/branches")
def list_branches(request: Request, visit: Visiting) -> JSONResponse:
    refs = sorted(visit.repository.refs("refs/heads/").items())

    def shape(item: tuple[str, str]) -> Json:
        return wire.short_branch(visit, item[0].removeprefix("refs/heads/"), item[1])

    return paged(request, visit, refs, shape, "/branches")


@router.get("/repos/{owner}/{repo}/branches/{branch:path}")
def get_branch(visit: Visiting, branch: str) -> Json:
    sha = _ref_sha(visit, f"refs/heads/{branch}")
    if sha is None:
        raise ForgeError(404, "Branch not found")
    return wire.branch(visit, branch, visit.repository.log(sha, limit=1)[0])


@router.get("/repos/{owner}/{repo}/git/ref/{ref:path}")
@router.get("/repos/{owner}/{repo}/git/refs/{ref:path}")
def get_ref(visit: Visiting, ref: str) -> Json:
    sha = _ref_sha(visit, f"refs/{ref}")
    if sha is None:
        raise not_found()
    return wire.git_ref(visit, f"refs/{ref}", sha)


@router.get("/repos/{owner}/{repo}/git/refs")
@router.get("/repos/{owner}/{repo}/git/matching-refs/{ref:path}")
def list_refs(request: Request, visit: Visiting, ref: str = "") -> JSONResponse:
    found = [item for item in sorted(visit.repository.refs("refs/").items()) if item[0].startswith(f"refs/{ref}")]
    path = f"/git/matching-refs/{ref}" if ref else "/git/refs"
    return paged(request, visit, found, lambda item: wire.git_ref(visit, *item), path)


@router.post("/repos/{owner}/{repo}/git/refs", status_code=201)
def create_ref(visit: Visiting, new: NewRef) -> Json:
    visit.demand("push_auto")
    if not new.ref.startswith("refs/heads/"):
        raise ForgeError(422, "Reference name must start with 'refs/heads/'.")
    if not AUTO_BRANCH.fullmatch(new.ref):
        raise rule_violated(422, SENTENCES["creation"])
    _keep_rules(visit, new.ref, "creation")
    if not _SHA.fullmatch(new.sha) or not _is_commit(visit, new.sha):
        raise ForgeError(422, "Object does not exist")
    try:
        visit.repository.update_refs([RefUpdate(new.ref, new.sha, None)], login=visit.identity.login)
    except RefMoved as error:
        raise ForgeError(422, "Reference already exists") from error
    except (UnknownRevision, GitFailed) as error:
        raise ForgeError(422, "Reference name is not well formed, or is in the way of another") from error
    events.notice(visit)
    return wire.git_ref(visit, new.ref, new.sha)


@router.patch("/repos/{owner}/{repo}/git/refs/{ref:path}")
def update_ref(visit: Visiting, ref: str, new: MovedRef) -> Json:
    """Move an `auto/` branch of one's own: forward, or with `force` anywhere."""
    name = f"refs/{ref}"
    visit.demand("push_auto")
    old = _ref_sha(visit, name)
    if old is None:
        raise ForgeError(422, "Reference does not exist")
    if not may_move(visit.repository, visit.identity, name):
        raise rule_violated(422, BY_PULL_REQUEST)
    if not _SHA.fullmatch(new.sha) or not _is_commit(visit, new.sha):
        raise ForgeError(422, "Object does not exist")
    forward = visit.repository.is_ancestor(old, new.sha)
    if not forward and not new.force:
        raise ForgeError(422, "Update is not a fast forward")
    _keep_rules(visit, name, "update", *(() if forward else ("non_fast_forward",)))
    try:
        visit.repository.update_refs([RefUpdate(name, new.sha, old)], login=visit.identity.login)
    except RefMoved as error:
        raise ForgeError(409, "Reference was updated meanwhile") from error
    events.notice(visit)
    return wire.git_ref(visit, name, new.sha)


@router.delete("/repos/{owner}/{repo}/git/refs/{ref:path}", status_code=204)
def delete_ref(visit: Visiting, ref: str) -> Response:
    """Delete an `auto/` branch: whoever made it, or the merge desk. Its open pull requests are closed by that."""
    name = f"refs/{ref}"
    visit.demand("push_auto", "merge")
    sha = _ref_sha(visit, name)
    if sha is None:
        raise ForgeError(422, "Reference does not exist")
    if not may_delete(visit.repository, visit.identity, name):
        raise rule_violated(422, SENTENCES["deletion"])
    _keep_rules(visit, name, "deletion")
    keep_heads(visit, name.removeprefix("refs/heads/"))
    try:
        visit.repository.update_ref(name, None, sha)
    except RefMoved as error:
        raise ForgeError(409, "Reference was updated meanwhile") from error
    events.notice(visit)
    return Response(status_code=204)


@router.get("/repos/{owner}/{repo}/commits")
def list_commits(request: Request, visit: Visiting, sha: str = "main", path: str = "") -> JSONResponse:
    found = visit.repository.log(_commit_sha(visit, sha), limit=LOG_LIMIT, path=path or None)
    return paged(request, visit, found, lambda item: wire.commit(visit, item), "/commits")


@router.get("/repos/{owner}/{repo}/git/commits/{sha}")
def get_git_commit(visit: Visiting, sha: str) -> Json:
    if not _SHA.fullmatch(sha) or not _is_commit(visit, sha):
        raise not_found()
    return wire.whole_git_commit(visit, visit.repository.log(sha, limit=1)[0])


# Last of the commit routes: a ref may hold slashes, so this one takes all that is left.
@router.get("/repos/{owner}/{repo}/commits/{ref:path}")
def get_commit(visit: Visiting, ref: str) -> Json:
    try:
        return wire.commit(visit, visit.repository.log(visit.repository.resolve(ref), limit=1)[0])
    except UnknownRevision as error:
        raise ForgeError(422, f"No commit found for SHA: {ref[:100]}") from error


def _keep_rules(visit: Visit, ref: str, *actions: Action) -> None:
    with visit.site.store.read() as connection:
        rules = [of_row(row) for row in ruleset_rows(connection, visit.repo)]
    if broken := push_violations(rules, visit.identity, ref, actions):
        raise rule_violated(422, *broken)


def _ref_sha(visit: Visit, name: str) -> str | None:
    try:
        return visit.repository.refs(name).get(name)
    except UnknownRevision:
        return None


def _is_commit(visit: Visit, sha: str) -> bool:
    try:
        return visit.repository.resolve(sha) == sha
    except UnknownRevision:
        return False


def _commit_sha(visit: Visit, name: str) -> str:
    try:
        return visit.repository.resolve(name)
    except UnknownRevision as error:
        raise ForgeError(404, f"No commit found for the ref {name[:100]}") from error
