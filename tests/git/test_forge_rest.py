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
        assert forge.api("owner", "GET", path).status_code == 200, path


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
    assert forge.api("owner", "GET", "/repos/elf/company").status_code == 200


Attempt = tuple[str, str, str, dict[str, str] | None]

FORBIDDEN: list[Attempt] = [
    ("elf-devops", "POST", "statuses/{head}", {"state": "success", "context": "elf/gate"}),
    ("owner", "POST", "statuses/{head}", {"state": "success", "context": "elf/gate"}),
    ("elf-devops", "PUT", "pulls/1/merge", {"sha": "{head}"}),
    ("owner", "PUT", "pulls/1/merge", {"sha": "{head}", "merge_method": "squash"}),
    ("elf-gate", "POST", "pulls/1/reviews", {"event": "APPROVE", "commit_id": "{head}"}),
    ("elf-devops", "POST", "pulls/1/reviews", {"event": "APPROVE", "commit_id": "{head}"}),
    ("elf-gate", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"}),
    ("elf-gate", "POST", "git/refs", {"ref": "refs/heads/auto/gate/x", "sha": "{main}"}),
    ("elf-gate", "PATCH", "git/refs/heads/main", {"sha": "{head}"}),
    ("elf-gate", "PUT", "contents/x.txt", {"message": "x", "content": "eA==", "branch": BRANCH}),
    ("other-bot", "PATCH", "pulls/1", {"state": "closed"}),
    ("owner", "PATCH", "pulls/1", {"title": "Mine"}),
    ("other-bot", "DELETE", "labels/{label}", None),
]
AGAINST_THE_RULES: list[Attempt] = [
    ("elf-devops", "POST", "git/refs", {"ref": "refs/heads/release", "sha": "{main}"}),
    ("owner", "POST", "git/refs", {"ref": "refs/heads/release", "sha": "{main}"}),
    ("elf-devops", "DELETE", "git/refs/heads/main", None),
    ("elf-gate", "DELETE", "git/refs/heads/main", None),
    ("other-bot", "DELETE", f"git/refs/heads/{BRANCH}", None),
    ("owner", "DELETE", f"git/refs/heads/{BRANCH}", None),
    ("other-bot", "PATCH", f"git/refs/heads/{BRANCH}", {"sha": "{main}"}),
    ("elf-devops", "PATCH", "git/refs/heads/main", {"sha": "{head}"}),
    ("owner", "PATCH", "git/refs/heads/main", {"sha": "{head}"}),
]
CLOSED_FILES: list[Attempt] = [
    ("elf-devops", "PUT", "contents/x.txt", {"message": "x", "content": "eA=="}),
    ("owner", "PUT", "contents/policies/limits.yaml", {"message": "x", "content": "eA=="}),
    ("other-bot", "PUT", "contents/x.txt", {"message": "x", "content": "eA==", "branch": BRANCH}),
]
NOT_FOR_YOU: list[Attempt] = [
    (login, method, path, body)
    for login in ("elf-devops", "elf-gate")
    for method, path, body in (
        ("GET", "hooks", None),
        ("POST", "hooks", {"name": "web"}),
        ("POST", "rulesets", {"name": "x", "enforcement": "disabled"}),
    )
]


@pytest.mark.rows("F99")
@pytest.mark.parametrize(
    ("attempts", "status", "words"),
    [
        (FORBIDDEN, 403, "Resource not accessible by personal access token"),
        (AGAINST_THE_RULES, 422, "Repository rule violations found"),
        (CLOSED_FILES, 409, "Changes must be made through a pull request"),
        (NOT_FOR_YOU, 404, "Not Found"),
    ],
)
def test_each_identity_may_only_do_its_own_part(forge: Forge, attempts: list[Attempt], status: int, words: str) -> None:
    head = open_pull(forge)["head"]["sha"]
    forge.api("elf-devops", "POST", "issues/1/labels", ["automated"])
    known = {"head": head, "main": forge.repository.resolve("main"), "label": "automated"}
    before = forge.repository.refs("refs/")
    for login, method, path, body in attempts:
        filled = {key: value.format(**known) for key, value in body.items()} if body else None
        refused(forge.api(login, method, path.format(**known), filled), status, words)
    assert forge.repository.refs("refs/") == before
    assert forge.api("owner", "GET", f"commits/{head}/statuses").json() == []


def test_who_has_the_right_can_write_the_gates_status_so_nobody_else_may_have_it(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    given = {"state": "success", "context": "elf/gate"}
    assert forge.api("elf-gate", "POST", f"statuses/{head}", given).status_code == 201
    (status,) = forge.api("owner", "GET", f"commits/{head}/statuses").json()
    assert (status["creator"]["login"], status["state"]) == ("elf-gate", "success")


# ---------------------------------------------------------------- refs, commits, files


def test_a_branch_with_an_impossible_name_is_not_made(forge: Forge) -> None:
    sha = forge.repository.resolve("main")
    for tail in ("../main", "", "a b", "x.lock", "a..b", "$(id)"):
        answer = forge.api("elf-devops", "POST", "git/refs", {"ref": f"refs/heads/auto/{tail}", "sha": sha})
        refused(answer, 422)
    assert list(forge.repository.refs("refs/")) == ["refs/heads/main"]


# ---------------------------------------------------------------- pull requests


def test_a_pull_request_has_a_title_and_not_too_many_words(forge: Forge) -> None:
    push(forge, BRANCH, {"a": b"x"})
    wrong: list[tuple[dict[str, object], str]] = [
        ({"title": ""}, "title"),
        ({"title": "x" * 257}, "title"),
        ({"body": "x" * 65537}, "too long"),
        ({"head": None}, "head"),
    ]
    for change, word in wrong:
        answer = forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main", **change})
        refused(answer, 422, word)
    assert forge.api("owner", "GET", "pulls?state=all").json() == []


def test_pygithub_follows_the_links_from_page_to_page(forge: Forge) -> None:
    for index in range(5):
        open_pull(forge, f"auto/x/{index}")
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


# ---------------------------------------------------------------- reviews


def review(forge: Forge, login: str, head: str | None, event: str = "APPROVE", body: str = "") -> httpx.Response:
    return forge.api(login, "POST", "pulls/1/reviews", {"event": event, "commit_id": head, "body": body})


def reviews(forge: Forge) -> list[tuple[str, str]]:
    return [(one["state"], one["commit_id"]) for one in forge.api("owner", "GET", "pulls/1/reviews").json()]


def test_only_the_head_is_reviewed(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    moved = push(forge, BRANCH, {"b": b"sneaked in"}, parent=BRANCH)
    refused(review(forge, "owner", head), 422, f"the head is {moved} now")
    assert reviews(forge) == []
    assert review(forge, "owner", moved).status_code == 200
    assert reviews(forge) == [("APPROVED", moved)]


def test_a_closed_pull_request_takes_no_review(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    forge.api("owner", "PATCH", "pulls/1", {"state": "closed"})
    refused(review(forge, "owner", head), 422, "closed")
    assert reviews(forge) == []
    forge.api("owner", "PATCH", "pulls/1", {"state": "open"})
    assert review(forge, "owner", head).status_code == 200, "it was the closing alone"


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


def test_a_status_is_of_a_commit_and_not_of_a_branch(forge: Forge) -> None:
    head = open_pull(forge)["head"]["sha"]
    for sha in ("0" * 40, "main", forge.repository.resolve("main")[:12]):
        refused(forge.api("elf-gate", "POST", f"statuses/{sha}", {"state": "success"}), 422, "No commit found")
    assert forge.api("owner", "GET", f"commits/{forge.repository.resolve('main')}/statuses").json() == []
    assert forge.api("elf-gate", "POST", f"statuses/{head}", {"state": "success"}).status_code == 201


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
    assert forge.api("owner", "GET", "pulls/1").json()["title"] == "T"
    assert raw(forge, b'{"title": "' + b"x" * 200_000 + b'"}').status_code == 200, "it was the size alone"


def test_a_store_that_takes_no_writes_says_so_in_a_sentence(forge: Forge) -> None:
    open_pull(forge)
    store = sqlite3.connect(forge.root / "forge.sqlite3")
    # Whatever is wrong with the file, to the store it is an operational error.
    store.execute("ALTER TABLE comments RENAME TO elsewhere")
    answer = forge.api("elf-devops", "POST", "issues/1/comments", {"body": "Hello"})
    refused(answer, 503, "takes no writes now", "free some room")
    store.execute("ALTER TABLE elsewhere RENAME TO comments")
    store.close()
    assert forge.api("owner", "GET", "issues/1/comments").json() == []
    assert forge.api("elf-devops", "POST", "issues/1/comments", {"body": "Hello"}).status_code == 201
