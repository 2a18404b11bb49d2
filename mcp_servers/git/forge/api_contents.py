"""The REST routes about files: read one or a folder, and write one as a commit on an `auto/` branch of one's own."""

from __future__ import annotations

import base64
import binascii

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mcp_servers.git.forge import events, wire
from mcp_servers.git.forge.errors import ForgeError, not_found, rule_violated
from mcp_servers.git.forge.protection import may_move
from mcp_servers.git.forge.pulls import signature
from mcp_servers.git.forge.rulesets import BY_PULL_REQUEST, of_row, push_violations
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.standing import branch_ref
from mcp_servers.git.forge.store import ruleset_rows
from mcp_servers.git.forge.wire import Json
from mcp_servers.git.objects import Entry, RefMoved, RefUpdate, UnknownRevision, UnsafePath, checked_path

router = APIRouter(prefix="/repos/{owner}/{repo}/contents")


class NewContent(BaseModel):
    """`content` is base64; `sha` is the blob that is replaced, wanted where there is one."""

    message: str = Field(min_length=1, max_length=65_536)
    content: str
    branch: str = "main"
    sha: str | None = None


@router.get("/{path:path}")
def get_contents(visit: Visiting, path: str, ref: str = "main") -> JSONResponse:
    """A file with its bytes, or a folder's items."""
    sha, clean = _commit(visit, ref), path.strip("/")
    entries = visit.repository.children(sha, clean)
    if entries is not None:
        return JSONResponse([wire.content(visit, entry, None, ref) for entry in entries])
    entry = _entry(visit, sha, clean)
    if entry is None:
        raise not_found()
    data = visit.repository.blobs([entry.sha])[0] if entry.kind == "blob" else None
    return JSONResponse(wire.content(visit, entry, data, ref))


@router.put("/{path:path}")
def put_contents(visit: Visiting, path: str, new: NewContent) -> JSONResponse:
    """One file in one commit: 201 if it is new, 200 if it replaces the one named by `sha`, 409 if that is not there."""
    visit.demand("push_auto")
    ref, data = branch_ref(new.branch), _bytes(new.content)
    tip = visit.repository.refs(ref).get(ref)
    if tip is None:
        raise ForgeError(404, f"Branch {new.branch[:100]} not found")
    _keep_rules(visit, ref)
    old = _entry(visit, tip, _path(path))
    if old is not None and new.sha is None:
        raise ForgeError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if new.sha is not None and (old is None or old.sha != new.sha):
        raise ForgeError(409, f"{path[:100]} does not match {new.sha[:40]}")
    tree = visit.repository.write_tree(tip, {path: data}, {path: old.mode} if old else None)
    by = signature(visit.identity)
    commit = visit.repository.commit_tree(tree, [tip], f"{new.message}\n", by, visit.site.now())
    try:
        visit.repository.update_refs([RefUpdate(ref, commit, tip)], login=visit.identity.login)
    except RefMoved as error:
        raise ForgeError(409, f"{new.branch[:100]} was updated meanwhile") from error
    events.notice(visit)
    entry = _entry(visit, commit, path)
    assert entry is not None
    shape: Json = {
        "content": wire.content(visit, entry, None, new.branch),
        "commit": wire.whole_git_commit(visit, visit.repository.log(commit, limit=1)[0]),
    }
    return JSONResponse(shape, 200 if old else 201)


def _keep_rules(visit: Visit, ref: str) -> None:
    """Only a branch of one's own below auto/, and not one that a ruleset closes."""
    if not may_move(visit.repository, visit.identity, ref):
        raise rule_violated(409, BY_PULL_REQUEST)
    with visit.site.store.read() as connection:
        rules = [of_row(row) for row in ruleset_rows(connection, visit.repo)]
    if broken := push_violations(rules, visit.identity, ref, ("update",)):
        raise rule_violated(409, *broken)


def _path(path: str) -> str:
    try:
        return checked_path(path)
    except UnsafePath as error:
        raise ForgeError(422, f"path contains a malformed path component: {error}") from error


def _bytes(content: str) -> bytes:
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ForgeError(422, "content is not valid Base64") from error


def _entry(visit: Visit, commit: str, path: str) -> Entry | None:
    return next((entry for entry in visit.repository.listing(commit, path) if entry.path == path), None)


def _commit(visit: Visit, ref: str) -> str:
    try:
        return visit.repository.resolve(ref)
    except UnknownRevision as error:
        raise ForgeError(404, f"No commit found for the ref {ref[:100]}") from error
