"""What GitHub's own description of its REST API promises of the calls we use: which answers there are, and which fields they have.

Of the description only the names are here. With the whole of it at hand (`ELF_CONTRACT_OPENAPI`), every answer is held against the
types as well (`description.py`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

#: The fields that every shape has. `owner=simple-user` has a shape itself, `=label*` is a list of such, `+status` takes over all
#: its fields.
SHAPES: dict[str, str] = {
    "branch-with-protection": "name commit=commit _links protection protected protection_url",
    "collaborator": "+simple-user role_name",
    "combined-commit-status": "state sha total_count statuses=simple-commit-status* repository=minimal-repository commit_url url",
    "commit": "url sha node_id html_url comments_url commit author committer parents",
    "content-file": "_links git_url html_url download_url name path sha size type url content encoding",
    "diff-entry": "additions blob_url changes contents_url deletions filename raw_url sha status",
    "file-commit": "content commit",
    "full-repository": (
        "+minimal-repository clone_url default_branch forks forks_count git_url has_issues has_projects "
        "has_wiki has_pages has_discussions homepage language archived disabled mirror_url open_issues "
        "open_issues_count license pushed_at size ssh_url stargazers_count svn_url watchers watchers_count "
        "created_at updated_at network_count subscribers_count"
    ),
    "git-commit": "sha node_id url html_url author committer tree message parents verification",
    "git-ref": "ref node_id url object",
    "hook": "id url type name active events config ping_url created_at updated_at last_response test_url",
    "hook-delivery": "+hook-delivery-item request response",
    "hook-delivery-item": (
        "id guid delivered_at redelivery duration status status_code event action installation_id "
        "repository_id"
    ),
    "issue": (
        "assignee=simple-user closed_at comments comments_url events_url html_url id node_id labels "
        "labels_url milestone number repository_url state locked title url user=simple-user created_at "
        "updated_at"
    ),
    "issue-event": "id node_id url actor=simple-user event commit_id commit_url created_at",
    "issue-comment": "id node_id html_url issue_url user=simple-user url created_at updated_at",
    "label": "id node_id url name description color default",
    "minimal-repository": (
        "archive_url assignees_url blobs_url branches_url collaborators_url comments_url commits_url "
        "compare_url contents_url contributors_url deployments_url description downloads_url events_url fork "
        "forks_url full_name git_commits_url git_refs_url git_tags_url hooks_url html_url id node_id "
        "issue_comment_url issue_events_url issues_url keys_url labels_url languages_url merges_url "
        "milestones_url name notifications_url owner=simple-user private pulls_url releases_url "
        "stargazers_url statuses_url subscribers_url subscription_url tags_url teams_url trees_url url"
    ),
    "private-user": (
        "+public-user collaborators disk_usage owned_private_repos private_gists total_private_repos "
        "two_factor_authentication"
    ),
    "public-user": (
        "+simple-user bio blog company email followers following hireable location name public_gists "
        "public_repos created_at updated_at"
    ),
    "pull-request": (
        "+pull-request-simple additions changed_files comments commits deletions mergeable mergeable_state "
        "merged maintainer_can_modify merged_by=simple-user review_comments"
    ),
    "pull-request-merge-result": "merged message sha",
    "pull-request-review": "id node_id user=simple-user body state commit_id html_url pull_request_url _links author_association",
    "pull-request-simple": (
        "_links assignee=simple-user labels base body closed_at comments_url commits_url created_at diff_url "
        "head html_url id node_id issue_url merge_commit_sha merged_at milestone number patch_url "
        "review_comment_url review_comments_url statuses_url state locked title updated_at url "
        "user=simple-user author_association auto_merge"
    ),
    "rate-limit": "limit remaining reset used",
    "rate-limit-overview": "rate=rate-limit resources",
    "repository-collaborator-permission": "permission role_name user=collaborator",
    "repository-ruleset": "id name source enforcement",
    "short-branch": "name commit protected",
    "simple-commit-status": "description id node_id state context target_url avatar_url url created_at updated_at",
    "simple-user": (
        "avatar_url events_url followers_url following_url gists_url gravatar_id html_url id node_id login "
        "organizations_url received_events_url repos_url site_admin starred_url subscriptions_url type url"
    ),
    "status": "+simple-commit-status creator=simple-user",
}  # fmt: skip

#: What each call may answer: a status, and the shape of its body where it has one.
ROUTES: dict[str, dict[int, str]] = {
    "GET /user": {200: "private-user", 304: "", 401: "", 403: ""},
    "GET /users/{username}": {200: "public-user", 404: ""},
    "GET /rate_limit": {200: "rate-limit-overview", 304: "", 404: ""},
    "GET {repo}": {200: "full-repository", 403: "", 404: ""},
    "GET {repo}/branches": {200: "short-branch*", 404: ""},
    "GET {repo}/branches/{branch}": {200: "branch-with-protection", 404: ""},
    "GET {repo}/git/ref/{ref}": {200: "git-ref", 404: "", 409: ""},
    "GET {repo}/git/matching-refs/{ref}": {200: "git-ref*", 409: ""},
    "POST {repo}/git/refs": {201: "git-ref", 409: "", 422: ""},
    "PATCH {repo}/git/refs/{ref}": {200: "git-ref", 409: "", 422: ""},
    "DELETE {repo}/git/refs/{ref}": {204: "", 422: "", 409: ""},
    "GET {repo}/commits": {200: "commit*", 400: "", 404: "", 409: ""},
    "GET {repo}/commits/{ref}": {200: "commit", 404: "", 409: "", 422: ""},
    "GET {repo}/git/commits/{commit_sha}": {200: "git-commit", 404: "", 409: ""},
    "GET {repo}/contents/{path}": {200: "", 304: "", 403: "", 404: ""},
    "PUT {repo}/contents/{path}": {200: "file-commit", 201: "file-commit", 409: "", 404: "", 422: ""},
    "DELETE {repo}/contents/{path}": {200: "file-commit", 404: "", 409: "", 422: ""},
    "GET {repo}/pulls": {200: "pull-request-simple*", 304: "", 422: ""},
    "POST {repo}/pulls": {201: "pull-request", 403: "", 422: ""},
    "GET {repo}/pulls/{pull_number}": {200: "pull-request", 304: "", 404: ""},
    "PATCH {repo}/pulls/{pull_number}": {200: "pull-request", 403: "", 422: ""},
    "GET {repo}/pulls/{pull_number}/files": {200: "diff-entry*", 422: ""},
    "GET {repo}/pulls/{pull_number}/commits": {200: "commit*"},
    "GET {repo}/pulls/{pull_number}/reviews": {200: "pull-request-review*"},
    "POST {repo}/pulls/{pull_number}/reviews": {200: "pull-request-review", 403: "", 422: ""},
    "GET {repo}/pulls/{pull_number}/reviews/{review_id}": {200: "pull-request-review", 404: ""},
    "PUT {repo}/pulls/{pull_number}/reviews/{review_id}/dismissals": {200: "pull-request-review", 404: "", 422: ""},
    "GET {repo}/pulls/{pull_number}/merge": {204: "", 404: ""},
    "PUT {repo}/pulls/{pull_number}/merge": {
        200: "pull-request-merge-result",
        405: "",
        409: "",
        403: "",
        404: "",
        422: "",
    },
    "GET {repo}/issues/{issue_number}": {200: "issue", 304: "", 404: ""},
    "GET {repo}/issues/{issue_number}/comments": {200: "issue-comment*", 404: ""},
    "GET {repo}/issues/{issue_number}/events": {200: "issue-event*", 404: ""},
    "POST {repo}/issues/{issue_number}/comments": {201: "issue-comment", 403: "", 404: "", 422: ""},
    "GET {repo}/issues/comments/{comment_id}": {200: "issue-comment", 404: ""},
    "PATCH {repo}/issues/comments/{comment_id}": {200: "issue-comment", 422: ""},
    "DELETE {repo}/issues/comments/{comment_id}": {204: ""},
    "GET {repo}/labels": {200: "label*", 404: ""},
    "POST {repo}/labels": {201: "label", 404: "", 422: ""},
    "GET {repo}/labels/{name}": {200: "label", 404: ""},
    "PATCH {repo}/labels/{name}": {200: "label"},
    "DELETE {repo}/labels/{name}": {204: ""},
    "GET {repo}/issues/{issue_number}/labels": {200: "label*", 404: ""},
    "POST {repo}/issues/{issue_number}/labels": {200: "label*", 404: "", 422: ""},
    "PUT {repo}/issues/{issue_number}/labels": {200: "label*", 404: "", 422: ""},
    "DELETE {repo}/issues/{issue_number}/labels": {204: "", 404: ""},
    "DELETE {repo}/issues/{issue_number}/labels/{name}": {200: "label*", 404: ""},
    "POST {repo}/statuses/{sha}": {201: "status"},
    "GET {repo}/commits/{ref}/statuses": {200: "status*"},
    "GET {repo}/commits/{ref}/status": {200: "combined-commit-status", 404: ""},
    "GET {repo}/hooks": {200: "hook*", 404: ""},
    "POST {repo}/hooks": {201: "hook", 403: "", 404: "", 422: ""},
    "GET {repo}/hooks/{hook_id}": {200: "hook", 404: ""},
    "PATCH {repo}/hooks/{hook_id}": {200: "hook", 404: "", 422: ""},
    "DELETE {repo}/hooks/{hook_id}": {204: "", 404: ""},
    "POST {repo}/hooks/{hook_id}/pings": {204: "", 404: ""},
    "GET {repo}/hooks/{hook_id}/deliveries": {200: "hook-delivery-item*", 400: "", 422: ""},
    "GET {repo}/hooks/{hook_id}/deliveries/{delivery_id}": {200: "hook-delivery", 400: "", 422: ""},
    "POST {repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts": {202: "", 400: "", 422: ""},
    "GET {repo}/rulesets": {200: "repository-ruleset*", 404: ""},
    "POST {repo}/rulesets": {201: "repository-ruleset", 404: "", 422: ""},
    "GET {repo}/rulesets/{ruleset_id}": {200: "repository-ruleset", 404: ""},
    "PUT {repo}/rulesets/{ruleset_id}": {200: "repository-ruleset", 404: "", 422: ""},
    "DELETE {repo}/rulesets/{ruleset_id}": {204: "", 404: ""},
    "GET {repo}/rules/branches/{branch}": {200: ""},
    "GET /installation/repositories": {200: "", 304: "", 401: "", 403: ""},
    "GET {repo}/collaborators/{username}/permission": {200: "repository-collaborator-permission", 404: ""},
}
#: Answers that every call may have, whether its own description names them or not.
EVERYWHERE = frozenset({304, 401, 403, 404, 422, 429})
#: The parts of a path that may hold slashes.
_LONG = {"branch", "ref", "path"}


def problems(method: str, path: str, status: int, body: Any) -> list[str]:
    """What is not as documented of an answer; `path` begins with `{repo}` for what is below the repository."""
    route = route_of(method, path)
    if route is None:
        return [f"{method} {path}: GitHub has no such call"]
    answers = ROUTES[route]
    if status not in answers and status not in EVERYWHERE:
        return [f"{route}: {status} is none of {sorted(answers)}"]
    if status >= 400:
        return _error_problems(route, status, body)
    return _shape_problems(answers.get(status, ""), body, f"{route} {status}")


@cache
def route_of(method: str, path: str) -> str | None:
    """The call's route: of several that match, the one that names most of the path."""
    found = [route for route in ROUTES if re.fullmatch(_expression(route), f"{method} {path}")]
    return max(found, key=lambda route: len(re.sub(r"\{\w+\}", "", route)), default=None)


def _expression(route: str) -> str:
    def gap(match: re.Match[str]) -> str:
        name = match.group(1)
        return r"\{repo\}" if name == "repo" else ".+" if name in _LONG else "[^/]+"

    return re.sub(r"\{(\w+)\}", gap, route)


def _error_problems(route: str, status: int, body: Any) -> list[str]:
    if not isinstance(body, dict):
        return [f"{route} {status}: the error is not an object"]
    missing = {"message", "documentation_url"} - set(body)
    wrong = [] if isinstance(body.get("errors", []), list) else ["errors is not a list"]
    return [f"{route} {status}: {what}" for what in [*sorted(missing), *wrong]]


def _shape_problems(shape: str, body: Any, where: str) -> list[str]:
    if not shape or body is None:
        return []
    if shape.endswith("*"):
        if not isinstance(body, list):
            return [f"{where}: not a list"]
        return [problem for item in body for problem in _shape_problems(shape[:-1], item, where)]
    if not isinstance(body, dict):
        return [f"{where}: not an object"]
    found: list[str] = []
    for word in SHAPES[shape].split():
        name, _, inner = word.partition("=")
        if word.startswith("+"):
            found += _shape_problems(word[1:], body, where)
        elif name not in body:
            found.append(f"{where}: {shape} has no {name}")
        elif inner:
            found += _shape_problems(inner, body[name], f"{where}.{name}")
    return found
