"""The JSON shapes of GitHub's REST API for accounts, repositories, commits and files, with every field GitHub promises.

What the forge has nothing to say about (stars, forks, pictures) is there, and empty.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mcp_servers.git.forge.identity import number_of
from mcp_servers.git.forge.site import Site, Visit
from mcp_servers.git.objects import Commit, Entry

Json = dict[str, Any]

#: The addresses below an account and below a repository that GitHub lists, as templates.
_USER_URLS = {
    "followers_url": "/followers", "following_url": "/following{/other_user}", "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}", "subscriptions_url": "/subscriptions", "organizations_url": "/orgs",
    "repos_url": "/repos", "events_url": "/events{/privacy}", "received_events_url": "/received_events",
}  # fmt: skip
_REPOSITORY_URLS = {
    "archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}", "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}", "contributors_url": "/contributors", "deployments_url": "/deployments",
    "downloads_url": "/downloads", "events_url": "/events", "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks", "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}", "issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}", "languages_url": "/languages", "merges_url": "/merges",
    "milestones_url": "/milestones{/number}", "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}", "releases_url": "/releases{/id}", "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}", "subscribers_url": "/subscribers", "subscription_url": "/subscription",
    "tags_url": "/tags", "teams_url": "/teams", "trees_url": "/git/trees{/sha}",
}  # fmt: skip
_EMPTY_REPOSITORY = {
    "description": None, "homepage": None, "language": None, "license": None, "mirror_url": None, "fork": False,
    "is_template": False, "topics": [], "archived": False, "disabled": False, "private": True, "visibility": "private",
    "has_issues": False, "has_projects": False, "has_wiki": False, "has_pages": False, "has_downloads": False,
    "has_discussions": False, "forks": 0, "forks_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0,
    "size": 0, "open_issues": 0, "open_issues_count": 0, "default_branch": "main", "custom_properties": {},
    "web_commit_signoff_required": False,
}  # fmt: skip
#: Only of a repository that is asked for itself.
_WHOLE_REPOSITORY = {
    "network_count": 0, "subscribers_count": 0, "allow_merge_commit": True, "allow_squash_merge": True,
    "allow_rebase_merge": False, "allow_auto_merge": False, "delete_branch_on_merge": False,
}  # fmt: skip
_EMPTY_ACCOUNT = {
    "company": None, "blog": None, "location": None, "email": None, "hireable": None, "bio": None, "public_repos": 0,
    "public_gists": 0, "followers": 0, "following": 0,
}  # fmt: skip


#: Nobody writes down when an account came to be.
_LONG_AGO = "1970-01-01T00:00:00Z"


def node_id(kind: str, id_: object) -> str:
    return base64.b64encode(f"{kind}:{id_}".encode()).decode()


def user(site: Site, login: str) -> Json:
    number, url = number_of(login), f"{site.api_url}/users/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": node_id("User", number),
        "avatar_url": "",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{site.base_url}/{login}",
        **{name: url + below for name, below in _USER_URLS.items()},
        "type": "Bot" if login.startswith("elf-") else "User",
        "site_admin": False,
    }


def account(site: Site, login: str, *, own: bool) -> Json:
    """An account that was asked for itself; `own` adds what GitHub tells its owner alone."""
    times = {"created_at": _LONG_AGO, "updated_at": _LONG_AGO}
    shape = {**user(site, login), "name": login, **_EMPTY_ACCOUNT, **times}
    counts = ("private_gists", "total_private_repos", "owned_private_repos", "disk_usage", "collaborators")
    return shape | ({**dict.fromkeys(counts, 0), "two_factor_authentication": True} if own else {})


def repository(visit: Visit, *, whole: bool = False) -> Json:
    number, may = number_of(visit.repo), visit.identity.may
    writes, reads = bool(may & {"push_auto", "merge"}), "read" in may
    began = visit.began
    return {
        "id": number,
        "node_id": node_id("Repository", number),
        "name": visit.name,
        "full_name": visit.repo,
        "owner": user(visit.site, visit.owner),
        "url": visit.url,
        "html_url": visit.html_url,
        **{name: visit.url + below for name, below in _REPOSITORY_URLS.items()},
        **dict.fromkeys(("clone_url", "git_url", "ssh_url", "svn_url"), visit.git_url),
        **_EMPTY_REPOSITORY,
        **dict.fromkeys(("created_at", "updated_at", "pushed_at"), began),
        "permissions": {"admin": "admin" in may, "maintain": False, "push": writes, "triage": writes, "pull": reads},
        **(_WHOLE_REPOSITORY if whole else {}),
    }


def git_ref(visit: Visit, ref: str, sha: str) -> Json:
    target = {"type": "commit", "sha": sha, "url": f"{visit.url}/git/commits/{sha}"}
    url = f"{visit.url}/git/{quote(ref)}"
    return {"ref": ref, "node_id": node_id("Ref", f"{visit.repo}:{ref}"), "url": url, "object": target}


def git_commit(visit: Visit, it: Commit) -> Json:
    def person(name: str, email: str, at: datetime) -> Json:
        return {"name": name, "email": email, "date": iso(at)}

    unsigned = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
    return {
        "message": it.message.rstrip("\n"),
        "tree": {"sha": it.tree, "url": f"{visit.url}/git/trees/{it.tree}"},
        "author": person(it.author.name, it.author.email, it.authored_at),
        "committer": person(it.committer.name, it.committer.email, it.committed_at),
        "url": f"{visit.url}/git/commits/{it.sha}",
        "verification": unsigned,
    }


def whole_git_commit(visit: Visit, it: Commit) -> Json:
    return {
        **git_commit(visit, it),
        "sha": it.sha,
        "node_id": node_id("Commit", it.sha),
        "html_url": f"{visit.html_url}/commit/{it.sha}",
        "parents": [_parent(visit, parent, f"{visit.url}/git/commits/{parent}") for parent in it.parents],
    }


def commit(visit: Visit, it: Commit) -> Json:
    return {
        "sha": it.sha,
        "node_id": node_id("Commit", it.sha),
        "url": f"{visit.url}/commits/{it.sha}",
        "html_url": f"{visit.html_url}/commit/{it.sha}",
        "comments_url": f"{visit.url}/commits/{it.sha}/comments",
        "commit": {**git_commit(visit, it), "comment_count": 0},
        "author": user(visit.site, it.author.name),
        "committer": user(visit.site, it.committer.name),
        "parents": [_parent(visit, parent, f"{visit.url}/commits/{parent}") for parent in it.parents],
    }


def branch(visit: Visit, name: str, tip: Commit) -> Json:
    at, closed = f"{visit.url}/branches/{quote(name)}", name == "main"
    return {
        "name": name,
        "commit": commit(visit, tip),
        "_links": {"self": at, "html": f"{visit.html_url}/tree/{quote(name)}"},
        "protected": closed,
        "protection": {"enabled": closed},
        "protection_url": f"{at}/protection",
    }


def short_branch(visit: Visit, name: str, sha: str) -> Json:
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{visit.url}/commits/{sha}"},
        "protected": name == "main",
        "protection_url": f"{visit.url}/branches/{quote(name)}/protection",
    }


def content(visit: Visit, entry: Entry, data: bytes | None, ref: str = "main") -> Json:
    """A file (with `data`) or an item of a folder's listing."""
    kind = {"120000": "symlink", "160000": "submodule", "040000": "dir"}.get(entry.mode, "file")
    path = quote(entry.path)
    url, html = f"{visit.url}/contents/{path}?ref={quote(ref)}", f"{visit.html_url}/blob/{quote(ref)}/{path}"
    git = f"{visit.url}/git/{'trees' if kind == 'dir' else 'blobs'}/{entry.sha}"
    shape: Json = {
        "type": kind,
        "name": entry.path.rsplit("/", 1)[-1],
        "path": entry.path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "url": url,
        "html_url": html,
        "git_url": git,
        "download_url": None if kind == "dir" else f"{visit.html_url}/raw/{quote(ref)}/{path}",
        "_links": {"self": url, "git": git, "html": html},
    }
    if data is not None:
        shape |= {"encoding": "base64", "content": base64.encodebytes(data).decode()}
    return shape


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parent(visit: Visit, sha: str, url: str) -> Json:
    return {"sha": sha, "url": url, "html_url": f"{visit.html_url}/commit/{sha}"}
