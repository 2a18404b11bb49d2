"""The JSON shapes of GitHub's REST API for pull requests and what is said of them."""

from __future__ import annotations

from urllib.parse import quote

from mcp_servers.git.forge.identity import number_of
from mcp_servers.git.forge.site import Visit
from mcp_servers.git.forge.standing import Pull, Size
from mcp_servers.git.forge.store import Row
from mcp_servers.git.forge.wire import Json, node_id, repository, user
from mcp_servers.git.objects import LineCount, PathChange

FILE_STATUS = {"A": "added", "M": "modified", "T": "changed", "D": "removed"}
_NOBODY = {
    "milestone": None, "assignee": None, "assignees": [], "requested_reviewers": [], "requested_teams": [],
    "auto_merge": None, "active_lock_reason": None, "locked": False,
}  # fmt: skip


def pull(visit: Visit, it: Pull) -> Json:
    """One pull request as lists have it."""
    row, site = it.row, visit.site
    closed_at = row.merged_at if it.merge_commit else row.closed_at or row.updated_at
    links = _links(visit, row.number, it.head)
    return {
        "id": number_of(f"{visit.repo}/pull/{row.number}"),
        "node_id": node_id("PullRequest", f"{visit.repo}/{row.number}"),
        "number": row.number,
        **links,
        "state": "open" if it.is_open else "closed",
        "title": row.title,
        "body": row.body,
        "user": user(site, row.author),
        "labels": [label(visit, name) for name in row.labels],
        **_NOBODY,
        "draft": row.draft,
        "author_association": association(visit, row.author),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "closed_at": None if it.is_open else closed_at,
        "merged_at": row.merged_at if it.merge_commit else None,
        "merge_commit_sha": it.merge_commit,
        "head": _side(visit, row.head, it.head),
        "base": _side(visit, row.base, it.base_sha),
        "_links": {_LINK_NAMES[name]: {"href": url} for name, url in links.items() if name in _LINK_NAMES},
    }


def whole_pull(visit: Visit, it: Pull, size: Size, mergeable: bool | None, comments: int) -> Json:
    """One pull request that was asked for itself: with its size, and whether it merges (None: not known)."""
    state = {True: "clean", False: "dirty", None: "unknown"}[mergeable]
    merged_by = user(visit.site, it.row.merged_by) if it.merge_commit and it.row.merged_by else None
    return pull(visit, it) | {
        "merged": it.merge_commit is not None,
        "mergeable": mergeable,
        "rebaseable": False,
        "mergeable_state": "draft" if it.row.draft and it.is_open else state,
        "merged_by": merged_by,
        "comments": comments,
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": size.commits,
        "additions": size.additions,
        "deletions": size.deletions,
        "changed_files": size.files,
    }


def issue(visit: Visit, it: Pull, comments: int) -> Json:
    """The pull request as the issue that it also is."""
    shape, url = pull(visit, it), f"{visit.url}/issues/{it.row.number}"
    kept = ("id", "number", "state", "title", "body", "user", "labels", "milestone", "assignee", "assignees", "locked",
            "active_lock_reason", "draft", "author_association", "created_at", "updated_at", "closed_at")  # fmt: skip
    about = {key: shape[key] for key in ("url", "html_url", "diff_url", "patch_url", "merged_at")}
    return {key: shape[key] for key in kept} | {
        "node_id": shape["node_id"],
        "url": url,
        "repository_url": visit.url,
        "html_url": shape["html_url"],
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "comments": comments,
        "pull_request": about,
        "state_reason": None,
        "reactions": _reactions(url),
    }


def changed_file(visit: Visit, it: PathChange, lines: LineCount, head: str) -> Json:
    path = quote(it.path)
    return {
        "sha": it.sha,
        "filename": it.path,
        "status": FILE_STATUS[it.status],
        "additions": lines.added,
        "deletions": lines.deleted,
        "changes": lines.added + lines.deleted,
        "blob_url": f"{visit.html_url}/blob/{head}/{path}",
        "raw_url": f"{visit.html_url}/raw/{head}/{path}",
        "contents_url": f"{visit.url}/contents/{path}?ref={head}",
    }


def label(visit: Visit, name: str, color: str = "ededed", description: str | None = None) -> Json:
    number = number_of(f"{visit.repo}#{name}")
    return {
        "id": number,
        "node_id": node_id("Label", number),
        "name": name,
        "color": color,
        "description": description or None,
        "url": f"{visit.url}/labels/{quote(name)}",
        "default": False,
    }


def comment(visit: Visit, row: Row) -> Json:
    return {
        "id": row["id"],
        "node_id": node_id("IssueComment", row["id"]),
        "url": f"{visit.url}/issues/comments/{row['id']}",
        "html_url": f"{visit.html_url}/pull/{row['number']}#issuecomment-{row['id']}",
        "issue_url": f"{visit.url}/issues/{row['number']}",
        "user": user(visit.site, row["author"]),
        "body": row["body"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "author_association": association(visit, row["author"]),
        "performed_via_github_app": None,
        "reactions": _reactions(f"{visit.url}/issues/comments/{row['id']}"),
    }


def turn(visit: Visit, row: Row) -> Json:
    """That somebody closed or reopened it, as an issue's events have it."""
    return {
        "id": row["id"],
        "node_id": node_id("IssueEvent", row["id"]),
        "url": f"{visit.url}/issues/events/{row['id']}",
        "actor": user(visit.site, row["actor"]),
        "event": row["event"],
        "commit_id": None,
        "commit_url": None,
        "created_at": row["created_at"],
        "performed_via_github_app": None,
    }


def review(visit: Visit, row: Row, it: Pull) -> Json:
    """A review; an approval of an earlier head of an open pull request shows as dismissed."""
    html = f"{visit.html_url}/pull/{row['number']}#pullrequestreview-{row['id']}"
    at = f"{visit.url}/pulls/{row['number']}"
    return {
        "id": row["id"],
        "node_id": node_id("PullRequestReview", row["id"]),
        "user": user(visit.site, row["author"]),
        "body": row["body"],
        "state": review_state(row, it.head),
        "commit_id": row["commit_id"],
        "submitted_at": row["submitted_at"],
        "author_association": association(visit, row["author"]),
        "html_url": html,
        "pull_request_url": at,
        "_links": {"html": {"href": html}, "pull_request": {"href": at}},
    }


def told_review(visit: Visit, row: Row, it: Pull) -> Json:
    """A review as webhooks have it: with its state in small letters."""
    shape = review(visit, row, it)
    return shape | {"state": str(shape["state"]).lower()}


def review_state(row: Row, head: str) -> str:
    return "DISMISSED" if row["state"] == "APPROVED" and row["commit_id"] != head else str(row["state"])


def status(visit: Visit, row: Row) -> Json:
    return simple_status(visit, row) | {"creator": user(visit.site, row["creator"])}


def simple_status(visit: Visit, row: Row) -> Json:
    """A status as the combined answer has it: without who said it."""
    return {
        "id": row["id"],
        "node_id": node_id("StatusContext", row["id"]),
        "avatar_url": "",
        "url": f"{visit.url}/statuses/{row['sha']}",
        "state": row["state"],
        "context": row["context"],
        "description": row["description"] or None,
        "target_url": row["target_url"] or None,
        "created_at": row["created_at"],
        "updated_at": row["created_at"],
    }


def _reactions(url: str) -> Json:
    kinds = ("total_count", "+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
    return {"url": f"{url}/reactions", **dict.fromkeys(kinds, 0)}


def association(visit: Visit, login: str) -> str:
    return "OWNER" if login == visit.owner else "COLLABORATOR"


_LINK_NAMES = {
    "url": "self", "html_url": "html", "issue_url": "issue", "comments_url": "comments", "statuses_url": "statuses",
    "review_comments_url": "review_comments", "review_comment_url": "review_comment", "commits_url": "commits",
}  # fmt: skip


def _links(visit: Visit, number: int, head: str) -> dict[str, str]:
    url, html, as_issue = (
        f"{visit.url}/pulls/{number}",
        f"{visit.html_url}/pull/{number}",
        f"{visit.url}/issues/{number}",
    )
    return {
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": as_issue,
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "review_comment_url": f"{visit.url}/pulls/comments{{/number}}",
        "comments_url": f"{as_issue}/comments",
        "statuses_url": f"{visit.url}/statuses/{head}",
    }


def _side(visit: Visit, ref: str, sha: str) -> Json:
    return {
        "label": f"{visit.owner}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(visit.site, visit.owner),
        "repo": repository(visit),
    }
