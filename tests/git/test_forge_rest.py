"""The forge's REST answers are GitHub's: shapes, codes and refusals, over real HTTP."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx
import pytest
from github import Auth, Github

from mcp_servers.git.objects import ANY, RefUpdate, Signature
from tests.git.conftest import START, Forge

BRANCH = "auto/new-team/hand-1"


def open_pull(forge: Forge, branch: str = BRANCH, files: dict[str, bytes | None] | None = None) -> dict[str, Any]:
    """A pull request by elf-devops with one commit written straight into the repository."""
    push(forge, branch, files or {"teams/hand/README.md": b"# Hand\n"})
    answer = forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": branch, "base": "main", "body": "B"})
    assert answer.status_code == 201, answer.text
    return answer.json()


def push(forge: Forge, branch: str, files: dict[str, bytes | None], parent: str = "main") -> str:
    """Move a branch to a new commit on top of `parent`, as a push by elf-devops would."""
    base = forge.repository.resolve(parent)
    who = Signature("elf-devops", "elf-devops@elf.local")
    commit = forge.repository.commit_tree(forge.repository.write_tree(base, files), [base], "c\n", who, START)
    forge.repository.update_refs([RefUpdate(f"refs/heads/{branch}", commit, ANY)], login="elf-devops")
    return commit


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) <= {"message", "documentation_url", "status", "errors"}
    assert body["status"] == str(status)
    assert all(word in answer.text for word in words), answer.text


# ---------------------------------------------------------------- who are you


def test_without_a_token_nothing_is_told(forge: Forge) -> None:
    for path in ("/user", "pulls", "/rate_limit", "/repos/elf/company", "git/refs/heads/main", "contents/README.md"):
        refused(forge.api(None, "GET", path), 401, "Requires authentication")


def test_a_wrong_token_is_bad_credentials(forge: Forge) -> None:
    for given in ("token wrong", "Bearer wrong", "Basic d3Jvbmc6d3Jvbmc=", "Basic %%%", "token", "x", "Bearer \u00e9"):
        answer = forge.client.get(f"{forge.url}/api/v3/user", headers=[(b"Authorization", given.encode())])
        assert answer.status_code == 401
        assert answer.json()["message"] in {"Bad credentials", "Requires authentication"}


def test_both_token_schemes_are_understood(forge: Forge) -> None:
    for scheme in ("token", "Bearer", "bearer"):
        answer = forge.api(None, "GET", "/user", headers={"Authorization": f"{scheme} {forge.token('owner')}"})
        assert answer.json()["login"] == "owner"


def test_what_does_not_exist_is_not_found(forge: Forge) -> None:
    below = ("/elf/other", "/../company", "/elf/..%2f..", "/elf/company.git/pulls")
    for path in ("/nothing", *(f"/repos{tail}" for tail in below)):
        refused(forge.api("owner", "GET", path), 404)


FORBIDDEN: list[tuple[str, str, str, dict[str, str] | None]] = [
    ("elf-devops", "POST", "statuses/{head}", {"state": "success", "context": "elf/gate"}),
    ("owner", "POST", "statuses/{head}", {"state": "success", "context": "elf/gate"}),
    ("elf-devops", "PUT", "pulls/1/merge", {"sha": "{head}"}),
    ("owner", "PUT", "pulls/1/merge", {"sha": "{head}"}),
    ("elf-gate", "POST", "pulls/1/reviews", {"event": "APPROVE", "commit_id": "{head}"}),
    ("elf-devops", "POST", "pulls/1/reviews", {"event": "APPROVE", "commit_id": "{head}"}),
    ("elf-gate", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"}),
    ("elf-gate", "POST", "git/refs", {"ref": "refs/heads/auto/gate/x", "sha": "{main}"}),
    ("elf-devops", "POST", "git/refs", {"ref": "refs/heads/release", "sha": "{main}"}),
    ("owner", "POST", "git/refs", {"ref": "refs/heads/release", "sha": "{main}"}),
    ("elf-devops", "DELETE", "git/refs/heads/main", None),
    ("elf-gate", "DELETE", "git/refs/heads/main", None),
    ("other-bot", "DELETE", f"git/refs/heads/{BRANCH}", None),
    ("owner", "DELETE", f"git/refs/heads/{BRANCH}", None),
    ("other-bot", "PATCH", "pulls/1", {"state": "closed"}),
    ("owner", "PATCH", "pulls/1", {"title": "Mine"}),
]


@pytest.mark.rows("F99")
def test_each_identity_may_only_do_its_own_part(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    known = {"head": head, "main": forge.repository.resolve("main")}
    before = forge.repository.refs("refs/")
    for login, method, path, body in FORBIDDEN:
        filled = {key: value.format(**known) for key, value in body.items()} if body else None
        answer = forge.api(login, method, path.format(**known), filled)
        refused(answer, 403, "Resource not accessible by personal access token")
    assert forge.repository.refs("refs/") == before
    assert forge.api("owner", "GET", f"commits/{head}/statuses").json() == []


def test_who_has_the_right_can_write_the_gates_status_so_nobody_else_may_have_it(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    given = {"state": "success", "context": "elf/gate"}
    assert forge.api("elf-gate", "POST", f"statuses/{head}", given).status_code == 201
    (status,) = forge.api("owner", "GET", f"commits/{head}/statuses").json()
    assert (status["creator"]["login"], status["state"]) == ("elf-gate", "success")


# ---------------------------------------------------------------- refs, commits, files


def test_a_branch_is_made_once_read_and_deleted(forge: Forge) -> None:
    sha = forge.repository.resolve("main")
    new = {"ref": "refs/heads/auto/x/y", "sha": sha}
    assert forge.api("elf-devops", "POST", "git/refs", new).status_code == 201
    refused(forge.api("elf-devops", "POST", "git/refs", new), 422, "Reference already exists")
    assert forge.api("owner", "GET", "git/ref/heads/auto/x/y").json()["object"]["sha"] == sha
    assert forge.api("owner", "GET", "branches/auto/x/y").json()["commit"]["sha"] == sha
    assert [branch["name"] for branch in forge.api("owner", "GET", "branches").json()] == ["auto/x/y", "main"]
    assert forge.api("elf-devops", "DELETE", "git/refs/heads/auto/x/y").status_code == 204
    refused(forge.api("owner", "GET", "git/ref/heads/auto/x/y"), 404)
    refused(forge.api("elf-devops", "DELETE", "git/refs/heads/auto/x/y"), 422, "Reference does not exist")


def test_a_branch_must_start_at_a_commit(forge: Forge) -> None:
    for sha in ("0" * 40, "f" * 40, "main", "", "--all"):
        answer = forge.api("elf-devops", "POST", "git/refs", {"ref": "refs/heads/auto/x", "sha": sha})
        refused(answer, 422, "Object does not exist")


def test_a_branch_with_an_impossible_name_is_not_made(forge: Forge) -> None:
    sha = forge.repository.resolve("main")
    for tail, status in {"../main": 422, "": 403, "a b": 403, "x.lock": 422, "a..b": 422, "$(id)": 403}.items():
        answer = forge.api("elf-devops", "POST", "git/refs", {"ref": f"refs/heads/auto/{tail}", "sha": sha})
        refused(answer, status)
    assert list(forge.repository.refs("refs/")) == ["refs/heads/main"]


def test_commits_and_contents_come_from_git(forge: Forge) -> None:
    (first,) = forge.api("owner", "GET", "commits").json()
    assert first["commit"]["message"].strip() == "The company begins"
    assert forge.api("owner", "GET", "commits/main").json()["sha"] == first["sha"]
    assert forge.api("owner", "GET", f"git/commits/{first['sha']}").json()["tree"] == first["commit"]["tree"]
    assert forge.api("owner", "GET", "contents/README.md").json()["encoding"] == "base64"
    assert [item["name"] for item in forge.api("owner", "GET", "contents/teams").json()] == ["__init__.py"]
    refused(forge.api("owner", "GET", "contents/none.md"), 404)
    refused(forge.api("owner", "GET", "contents/README.md?ref=none"), 404, "No commit found")


# ---------------------------------------------------------------- pull requests


def test_one_branch_has_one_open_pull_request(forge: Forge) -> None:
    open_pull(forge)
    again = {"title": "T2", "head": f"elf:{BRANCH}", "base": "main"}
    refused(
        forge.api("elf-devops", "POST", "pulls", again),
        422,
        "A pull request already exists for elf:auto/new-team/hand-1.",
    )


def test_a_pull_request_needs_branches_a_title_and_something_to_merge(forge: Forge) -> None:
    push(forge, BRANCH, {"a": b"x"})
    wrong: list[tuple[dict[str, object], str]] = [
        ({"head": "auto/none"}, "head"),
        ({"base": "none"}, "base"),
        ({"head": "main"}, "No commits between"),
        ({"title": ""}, "title"),
        ({"title": "x" * 257}, "title"),
        ({"body": "x" * 65537}, "too long"),
        ({"title": 5}, "title"),
        ({"head": None}, "head"),
    ]
    for change, word in wrong:
        answer = forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main", **change})
        refused(answer, 422, word)
    assert forge.api("owner", "GET", "pulls?state=all").json() == []


def test_head_files_and_mergeability_follow_every_push(forge: Forge) -> None:
    number = open_pull(forge)["number"]
    assert forge.api("owner", "GET", f"pulls/{number}").json()["mergeable"] is True
    head = push(forge, BRANCH, {"README.md": b"# Mine\n"}, parent=BRANCH)
    pull = forge.api("owner", "GET", f"pulls/{number}").json()
    assert (pull["head"]["sha"], pull["mergeable"]) == (head, True)
    files = forge.api("owner", "GET", f"pulls/{number}/files").json()
    assert [(item["filename"], item["status"]) for item in files] == [
        ("README.md", "modified"),
        ("teams/hand/README.md", "added"),
    ]
    assert len(forge.api("owner", "GET", f"pulls/{number}/commits").json()) == 2
    push(forge, "main", {"README.md": b"# Ours\n"})
    assert forge.api("owner", "GET", f"pulls/{number}").json()["mergeable_state"] == "dirty"


def test_lists_are_filtered_and_paged_with_links_to_the_same_host(forge: Forge) -> None:
    for index in range(5):
        open_pull(forge, f"auto/x/{index}")
    forge.api("elf-devops", "PATCH", "pulls/2", {"state": "closed"})
    assert [pull["number"] for pull in forge.api("owner", "GET", "pulls").json()] == [5, 4, 3, 1]
    assert [pull["number"] for pull in forge.api("owner", "GET", "pulls?state=closed").json()] == [2]
    assert [pull["number"] for pull in forge.api("owner", "GET", "pulls?state=all&head=elf:auto/x/3").json()] == [4]
    page = forge.api("owner", "GET", "pulls?state=all&direction=asc&per_page=2&page=2")
    assert [pull["number"] for pull in page.json()] == [3, 4]
    assert set(page.links) == {"prev", "next", "first", "last"}
    assert all(
        link["url"].startswith(f"http://127.0.0.1:{forge.port}/forge/api/v3/repos/elf/company/pulls?")
        for link in page.links.values()
    )
    with Github(
        base_url=f"{forge.url}/api/v3",
        auth=Auth.Token(forge.token("owner")),
        per_page=2,
        retry=None,
        seconds_between_requests=None,
    ) as client:
        repo = client.get_repo("elf/company")
        assert [pull.number for pull in repo.get_pulls(state="all", direction="asc")] == [1, 2, 3, 4, 5]
        assert repo.default_branch == "main"
        assert client.get_user().login == "owner"
        assert client.get_rate_limit().rate.remaining > 0


def test_odd_page_numbers_do_no_harm(forge: Forge) -> None:
    open_pull(forge)
    for query in ("page=0", "page=-1", "per_page=1000000", "page=99999999999999999999", "page=\u0663", "per_page=x"):
        assert forge.api("owner", "GET", f"pulls?{query}").status_code == 200


def test_a_closed_pull_request_keeps_its_head_and_can_be_reopened(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    assert forge.api("owner", "PATCH", "pulls/1", {"state": "closed"}).json()["state"] == "closed"
    push(forge, BRANCH, {"a": b"later"}, parent=BRANCH)
    assert forge.api("owner", "GET", "pulls/1").json()["head"]["sha"] == head
    assert forge.api("elf-devops", "PATCH", "pulls/1", {"state": "open"}).json()["state"] == "open"
    assert forge.api("owner", "GET", "pulls/1").json()["head"]["sha"] != head


def test_deleting_the_branch_closes_its_pull_request(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    assert forge.api("elf-devops", "DELETE", f"git/refs/heads/{BRANCH}").status_code == 204
    pull = forge.api("owner", "GET", "pulls/1").json()
    assert (pull["state"], pull["head"]["sha"], pull["merged"]) == ("closed", head, False)
    refused(forge.api("elf-devops", "PATCH", "pulls/1", {"state": "open"}), 422)


# ---------------------------------------------------------------- reviews


def review(forge: Forge, login: str, head: str | None, event: str = "APPROVE", body: str = "") -> httpx.Response:
    return forge.api(login, "POST", "pulls/1/reviews", {"event": event, "commit_id": head, "body": body})


@pytest.mark.rows("F106")
def test_nobody_approves_their_own_pull_request(forge: Forge) -> None:
    push(forge, BRANCH, {"a": b"x"})
    forge.api("owner", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"})
    head = forge.repository.resolve(BRANCH)
    refused(review(forge, "owner", head), 422, "Can not approve your own pull request")
    refused(review(forge, "owner", head, "REQUEST_CHANGES", "no"), 422, "your own pull request")
    assert forge.api("owner", "GET", "pulls/1/reviews").json() == []


def test_a_push_dismisses_an_earlier_approval_and_the_old_commit_cannot_be_approved(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    assert review(forge, "owner", head).json()["state"] == "APPROVED"
    moved = push(forge, BRANCH, {"b": b"sneaked in"}, parent=BRANCH)
    (shown,) = forge.api("owner", "GET", "pulls/1/reviews").json()
    assert (shown["state"], shown["commit_id"]) == ("DISMISSED", head)
    refused(review(forge, "owner", head), 422, f"the head is {moved} now")
    assert review(forge, "owner", moved).json()["state"] == "APPROVED"


def test_asking_for_changes_needs_words_and_outlives_a_push(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    refused(review(forge, "owner", head, "REQUEST_CHANGES"), 422, "body cannot be blank")
    assert review(forge, "owner", head, "REQUEST_CHANGES", "Cheaper, please").status_code == 200
    push(forge, BRANCH, {"b": b"x"}, parent=BRANCH)
    assert [shown["state"] for shown in forge.api("owner", "GET", "pulls/1/reviews").json()] == ["CHANGES_REQUESTED"]


def test_a_closed_pull_request_takes_no_review(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    forge.api("owner", "PATCH", "pulls/1", {"state": "closed"})
    refused(review(forge, "owner", head), 422, "closed")


# ---------------------------------------------------------------- comments, labels, statuses


def test_comments_are_edited_by_their_author_alone(forge: Forge) -> None:
    open_pull(forge)
    made = forge.api("elf-gate", "POST", "issues/1/comments", {"body": "one"}).json()
    below = f"issues/comments/{made['id']}"
    refused(forge.api("elf-devops", "PATCH", below, {"body": "forged"}), 403)
    assert forge.api("elf-gate", "PATCH", below, {"body": "two"}).json()["body"] == "two"
    assert [comment["body"] for comment in forge.api("owner", "GET", "issues/1/comments").json()] == ["two"]
    refused(forge.api("owner", "POST", "issues/1/comments", {"body": " "}), 422, "blank")
    refused(forge.api("owner", "POST", "issues/1/comments", {"body": "x" * 65537}), 422, "too long")
    refused(forge.api("owner", "POST", "issues/9/comments", {"body": "x"}), 404)


def test_labels_come_to_be_when_they_are_first_used(forge: Forge) -> None:
    open_pull(forge)
    forge.api("elf-devops", "POST", "issues/1/labels", ["automated", "new-team"])
    forge.api("elf-devops", "POST", "issues/1/labels", {"labels": ["new-team", "needs-review"]})
    names = ["automated", "new-team", "needs-review"]
    assert [label["name"] for label in forge.api("owner", "GET", "pulls/1").json()["labels"]] == names
    assert [label["name"] for label in forge.api("owner", "GET", "labels").json()] == sorted(names)
    refused(forge.api("elf-devops", "POST", "labels", {"name": "automated", "color": "ff0000"}), 422, "already_exists")
    refused(forge.api("other-bot", "POST", "issues/1/labels", ["approved"]), 403)
    refused(forge.api("elf-devops", "DELETE", "issues/1/labels/none"), 404)
    assert forge.api("elf-devops", "DELETE", "issues/1/labels/automated").status_code == 200


def test_the_combined_status_is_the_latest_of_each_context(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    assert forge.api("owner", "GET", f"commits/{head}/status").json()["state"] == "pending"
    for context, state in (("gate", "pending"), ("gate", "success"), ("sandbox", "failure"), ("sandbox", "success")):
        forge.api("elf-gate", "POST", f"statuses/{head}", {"state": state, "context": context})
    combined = forge.api("owner", "GET", f"commits/{BRANCH}/status").json()
    assert (combined["state"], combined["total_count"]) == ("success", 2)
    forge.api("elf-gate", "POST", f"statuses/{head}", {"state": "error", "context": "gate"})
    assert forge.api("owner", "GET", f"commits/{head}/status").json()["state"] == "failure"
    assert len(forge.api("owner", "GET", f"commits/{head}/statuses").json()) == 5


def test_a_status_needs_a_commit_and_a_known_state(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    wrong = [
        (head, {"state": "approved"}),
        (head, {"state": "success", "description": "x" * 141}),
        ("0" * 40, {"state": "success"}),
        ("main", {"state": "success"}),
    ]
    for sha, body in wrong:
        refused(forge.api("elf-gate", "POST", f"statuses/{sha}", body), 422)


# ---------------------------------------------------------------- bad input


def raw(forge: Forge, content: bytes, path: str = "pulls/1") -> httpx.Response:
    headers = {"Authorization": f"token {forge.token('elf-devops')}", "Content-Type": "application/json"}
    with httpx.Client(timeout=20) as client:
        return client.request("PATCH", f"{forge.url}/api/v3/repos/elf/company/{path}", content=content, headers=headers)


def test_a_body_that_is_not_json_is_a_bad_request(forge: Forge) -> None:
    open_pull(forge)
    refused(raw(forge, b"{not json"), 400, "Problems parsing JSON")
    refused(raw(forge, b"[]"), 422)
    assert raw(forge, b'{"title": "\xff"}').status_code in {400, 422}


def test_a_body_of_megabytes_is_refused_while_it_is_read(forge: Forge) -> None:
    open_pull(forge)
    refused(raw(forge, b'{"title": "' + b"x" * 2_000_000 + b'"}'), 413, "too large")


def test_a_store_that_takes_no_writes_says_so_in_a_sentence(forge: Forge) -> None:
    open_pull(forge)
    store = sqlite3.connect(forge.root / "forge.sqlite3")
    # Whatever is wrong with the file, to the store it is an operational error.
    store.execute("ALTER TABLE comments RENAME TO elsewhere")
    store.close()
    answer = forge.api("elf-devops", "POST", "issues/1/comments", {"body": "Hello"})
    refused(answer, 503, "takes no writes now", "free some room")
