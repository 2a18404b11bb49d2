"""The JSON shapes of GitHub's REST API, as far as the forge has something to say."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import JSONResponse

from mcp_servers.git.forge.identity import number_of
from mcp_servers.git.forge.pulls import Pull
from mcp_servers.git.forge.site import Site, Visit
from mcp_servers.git.forge.store import Row
from mcp_servers.git.objects import Commit, Entry, PathChange

Json = dict[str, Any]
Item = TypeVar("Item")

FILE_STATUS = {"A": "added", "M": "modified", "T": "changed", "D": "removed"}


def user(site: Site, login: str) -> Json:
    kind = "Bot" if login.startswith("elf-") else "User"
    url = f"{site.api_url}/users/{login}"
    return {
        "login": login,
        "id": number_of(login),
        "type": kind,
        "url": url,
        "html_url": f"{site.base_url}/{login}",
        "name": login,
    }


def repository(visit: Visit) -> Json:
    return {
        "id": number_of(visit.repo),
        "name": visit.name,
        "full_name": visit.repo,
        "private": True,
        "owner": user(visit.site, visit.owner),
        "url": visit.url,
        "html_url": visit.html_url,
        "clone_url": visit.git_url,
        "default_branch": "main",
        "archived": False,
        "permissions": {"pull": True, "push": "push_auto" in visit.identity.may, "admin": False},
    }


def git_ref(visit: Visit, ref: str, sha: str) -> Json:
    target = {"type": "commit", "sha": sha, "url": f"{visit.url}/git/commits/{sha}"}
    return {"ref": ref, "url": f"{visit.url}/git/{quote(ref)}", "object": target}


def commit(visit: Visit, it: Commit) -> Json:
    def person(name: str, email: str, at: datetime) -> Json:
        return {"name": name, "email": email, "date": iso(at)}

    return {
        "sha": it.sha,
        "url": f"{visit.url}/commits/{it.sha}",
        "html_url": f"{visit.html_url}/commit/{it.sha}",
        "commit": {
            "message": it.message,
            "tree": {"sha": it.tree, "url": f"{visit.url}/git/trees/{it.tree}"},
            "author": person(it.author.name, it.author.email, it.authored_at),
            "committer": person(it.committer.name, it.committer.email, it.committed_at),
            "url": f"{visit.url}/git/commits/{it.sha}",
        },
        "author": user(visit.site, it.author.name),
        "committer": user(visit.site, it.committer.name),
        "parents": [{"sha": parent, "url": f"{visit.url}/commits/{parent}"} for parent in it.parents],
    }


def branch(visit: Visit, name: str, tip: Commit) -> Json:
    return {"name": name, "commit": commit(visit, tip), "protected": name == "main"}


def pull(visit: Visit, it: Pull, *, mergeable: bool | None = None, whole: bool = False) -> Json:
    """One pull request; `whole` adds what GitHub leaves out of lists."""
    row, site = it.row, visit.site
    url = f"{visit.url}/pulls/{row.number}"
    closed_at = row.merged_at if it.merge_commit else row.closed_at
    shape: Json = {
        "id": row.number,
        "number": row.number,
        "url": url,
        "html_url": f"{visit.html_url}/pull/{row.number}",
        "issue_url": f"{visit.url}/issues/{row.number}",
        "comments_url": f"{visit.url}/issues/{row.number}/comments",
        "statuses_url": f"{visit.url}/statuses/{it.head}",
        "state": "open" if it.is_open else "closed",
        "title": row.title,
        "body": row.body,
        "user": user(site, row.author),
        "labels": [label(visit, name) for name in row.labels],
        "draft": row.draft,
        "locked": False,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "closed_at": None if it.is_open else closed_at,
        "merged_at": row.merged_at if it.merge_commit else None,
        "merge_commit_sha": it.merge_commit,
        "head": _side(visit, row.head, it.head),
        "base": _side(visit, row.base, it.base_sha),
    }
    if whole:
        state = {True: "clean", False: "dirty", None: "unknown"}[mergeable]
        merged_by = user(site, row.merged_by) if it.merge_commit and row.merged_by else None
        shape |= {"mergeable": mergeable, "mergeable_state": state, "merged_by": merged_by}
        shape |= {"merged": it.merge_commit is not None}
    return shape


def changed_file(visit: Visit, it: PathChange, head: str) -> Json:
    path = quote(it.path)
    return {
        "sha": it.sha,
        "filename": it.path,
        "status": FILE_STATUS[it.status],
        "contents_url": f"{visit.url}/contents/{path}?ref={head}",
    }


def label(visit: Visit, name: str, color: str = "ededed", description: str = "") -> Json:
    url = f"{visit.url}/labels/{quote(name)}"
    return {
        "id": number_of(f"{visit.repo}#{name}"),
        "name": name,
        "color": color,
        "description": description,
        "url": url,
        "default": False,
    }


def comment(visit: Visit, row: Row) -> Json:
    return {
        "id": row["id"],
        "url": f"{visit.url}/issues/comments/{row['id']}",
        "html_url": f"{visit.html_url}/pull/{row['number']}#issuecomment-{row['id']}",
        "issue_url": f"{visit.url}/issues/{row['number']}",
        "user": user(visit.site, row["author"]),
        "body": row["body"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def review(visit: Visit, row: Row, head: str) -> Json:
    """A review; an approval of an earlier head shows as dismissed."""
    stale = row["state"] == "APPROVED" and row["commit_id"] != head
    return {
        "id": row["id"],
        "user": user(visit.site, row["author"]),
        "body": row["body"],
        "state": "DISMISSED" if stale else row["state"],
        "commit_id": row["commit_id"],
        "submitted_at": row["submitted_at"],
        "html_url": f"{visit.html_url}/pull/{row['number']}#pullrequestreview-{row['id']}",
        "pull_request_url": f"{visit.url}/pulls/{row['number']}",
    }


def status(visit: Visit, row: Row) -> Json:
    return {
        "id": row["id"],
        "url": f"{visit.url}/statuses/{row['sha']}",
        "state": row["state"],
        "context": row["context"],
        "description": row["description"],
        "target_url": row["target_url"] or None,
        "creator": user(visit.site, row["creator"]),
        "created_at": row["created_at"],
        "updated_at": row["created_at"],
    }


def content(visit: Visit, entry: Entry, data: bytes | None) -> Json:
    """A file (with `data`) or an item of a folder's listing."""
    kind = {"120000": "symlink", "160000": "submodule", "040000": "dir"}.get(entry.mode, "file")
    shape: Json = {
        "type": kind,
        "name": entry.path.rsplit("/", 1)[-1],
        "path": entry.path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "url": f"{visit.url}/contents/{quote(entry.path)}",
    }
    if data is not None:
        shape |= {"encoding": "base64", "content": base64.encodebytes(data).decode()}
    return shape


def paged(
    request: Request, visit: Visit, items: Sequence[Item], shape: Callable[[Item], Json], path: str
) -> JSONResponse:
    """The asked-for page of the items, shaped, with the `Link` header to the others; `path` is the address below the
    repository. 30 a page by default, 100 at most.
    """
    size = min(_positive(request.query_params.get("per_page"), 30), 100)
    number = _positive(request.query_params.get("page"), 1)
    last = max(1, -(-len(items) // size))
    others = {"prev": number - 1, "next": number + 1, "first": 1, "last": last}
    wanted = {key: at for key, at in others.items() if 1 <= at <= last and (key in {"prev", "next"} or at != number)}
    kept = [(key, value) for key, value in request.query_params.multi_items() if key not in {"page", "per_page"}]
    query = "".join(f"{quote(key)}={quote(value)}&" for key, value in kept)
    links = [f'<{visit.url}{path}?{query}per_page={size}&page={at}>; rel="{key}"' for key, at in wanted.items()]
    shown = [shape(item) for item in items[(number - 1) * size : number * size]]
    return JSONResponse(shown, headers={"Link": ", ".join(links)} if links else {})


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _side(visit: Visit, ref: str, sha: str) -> Json:
    return {"label": f"{visit.owner}:{ref}", "ref": ref, "sha": sha, "user": user(visit.site, visit.owner),
            "repo": repository(visit)}  # fmt: skip


def _positive(text: str | None, default: int) -> int:
    usable = text is not None and len(text) < 10 and text.isascii() and text.isdigit()
    return int(text) or default if usable and text else default
