"""The contract: pull requests, from opening to closing, and how they follow what git does."""

from __future__ import annotations

import pytest

from tests.git.contract.place import Place


def test_a_pull_request_is_opened_with_its_words_and_sides(place: Place) -> None:
    head = place.push(place.branch(), {place.file(): b"1\n"})
    body = {"title": "A title", "head": place.branch(), "base": "main", "body": "Some words", "draft": True}
    made = place.api("author", "POST", "pulls", body)
    it = made.json()
    assert (made.status_code, it["state"], it["draft"], it["merged"]) == (201, "open", True, False)
    assert (it["title"], it["body"], it["user"]["login"]) == ("A title", "Some words", place.login("author"))
    assert (it["head"]["ref"], it["head"]["sha"], it["base"]["ref"]) == (place.branch(), head, "main")
    assert (it["commits"], it["changed_files"], it["additions"], it["deletions"]) == (1, 1, 1, 0)


def test_one_branch_has_one_open_pull_request(place: Place) -> None:
    place.open_pull()
    owner = place.repo.partition("/")[0]
    again = {"title": "Again", "head": f"{owner}:{place.branch()}", "base": "main"}
    answer = place.api("author", "POST", "pulls", again)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
    (error,) = answer.json()["errors"]
    assert (error["resource"], error["code"]) == ("PullRequest", "custom")
    assert error["message"] == f"A pull request already exists for {owner}:{place.branch()}."


@pytest.mark.parametrize("side", ["head", "base"])
def test_a_pull_request_needs_both_its_branches(place: Place, side: str) -> None:
    place.push(place.branch(), {place.file(): b"1"})
    body = {"title": "T", "head": place.branch(), "base": "main", side: f"none-{place.case}"}
    answer = place.api("author", "POST", "pulls", body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["resource"], error["field"], error["code"]) == (
        422, "PullRequest", side, "invalid",
    )  # fmt: skip


def test_a_pull_request_needs_something_to_merge(place: Place) -> None:
    place.api("author", "POST", "git/refs", {"ref": f"refs/heads/{place.branch()}", "sha": place.main()})
    answer = place.api("author", "POST", "pulls", {"title": "T", "head": place.branch(), "base": "main"})
    assert answer.status_code == 422
    assert f"No commits between main and {place.branch()}" in answer.text


def test_a_branch_that_shares_no_history_is_no_pull_request(place: Place) -> None:
    place.push(place.branch(), {place.file(): b"1"}, None)
    answer = place.api("author", "POST", "pulls", {"title": "T", "head": place.branch(), "base": "main"})
    assert answer.status_code == 422
    assert f"The {place.branch()} branch has no history in common with main" in answer.text


def test_what_is_not_given_or_of_another_type_is_422(place: Place) -> None:
    place.push(place.branch(), {place.file(): b"1"})
    for body in ({"head": place.branch(), "base": "main"}, {"title": 5, "head": place.branch(), "base": "main"}):
        answer = place.api("author", "POST", "pulls", body)
        assert (answer.status_code, answer.json()["message"][:16]) == (422, "Invalid request.")
    assert place.api("author", "POST", "pulls", {"title": "T", "base": "main"}).json()["message"] == (
        'Invalid request.\n\n"head" wasn\'t supplied.'
    )


def test_lists_are_filtered_by_state_head_and_base_newest_first(place: Place) -> None:
    one, two = (place.open_pull(name)["number"] for name in ("one", "two"))
    place.api("author", "PATCH", f"pulls/{one}", {"state": "closed"})
    owner = place.repo.partition("/")[0]

    def numbers(query: str) -> list[int]:
        found = place.api("author", "GET", f"pulls?per_page=100&{query}").json()
        return [it["number"] for it in found if it["number"] in {one, two}]

    assert numbers("") == [two]
    assert numbers("state=closed") == [one]
    assert numbers("state=all") == [two, one]
    assert numbers("state=all&direction=asc&sort=created") == [one, two]
    assert numbers(f"state=all&head={owner}:{place.branch('one')}") == [one]
    assert numbers(f"state=all&base={place.branch('one')}") == []


def test_words_are_edited_and_labels_stay(place: Place) -> None:
    number = place.open_pull()["number"]
    place.api("author", "PATCH", f"pulls/{number}", {"title": "Better", "body": "Clearer"})
    found = place.pull(number)
    assert (found["title"], found["body"], found["state"]) == ("Better", "Clearer", "open")


def test_head_and_files_follow_plain_git_pushes_also_forced_ones(place: Place) -> None:
    clone, branch = place.clone(), place.branch()
    (clone / "one.txt").write_text("one\n")

    def push(*options: str) -> str:
        for step in (("add", "."), ("commit", "--quiet", "-m", "c", *options)):
            done = place.git("author", *step, folder=clone)
            assert done.returncode == 0, done.stderr
        done = place.git("author", "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}", folder=clone)
        assert done.returncode == 0, done.stderr
        return place.git("author", "rev-parse", "HEAD", folder=clone).stdout.strip()

    first = push()
    number = place.api("author", "POST", "pulls", {"title": "T", "head": branch, "base": "main"}).json()["number"]
    assert place.pull(number)["head"]["sha"] == first
    (clone / "two.txt").write_text("one\ntwo\n")
    second = push()
    assert place.pull(number, lambda it: it["head"]["sha"] == second)["commits"] == 2
    files = place.api("author", "GET", f"pulls/{number}/files").json()
    shown = [(it["filename"], it["status"], it["additions"], it["changes"]) for it in files]
    assert shown == [("one.txt", "added", 1, 1), ("two.txt", "added", 2, 2)]
    listed = place.api("author", "GET", f"pulls/{number}/commits").json()
    assert [it["sha"] for it in listed] == [first, second]
    (clone / "two.txt").write_text("two\n")
    third = push("--amend")
    found = place.pull(number, lambda it: it["head"]["sha"] == third)
    assert (found["head"]["sha"], found["commits"], found["state"]) == (third, 2, "open")


def test_conflicts_are_told(place: Place) -> None:
    first = place.open_pull("first", {place.file(): b"mine\n"})["number"]
    second = place.open_pull("second", {place.file(): b"yours\n"})["number"]
    assert place.merge(first).status_code == 200
    found = place.pull(second, lambda it: it["mergeable"] is False)
    assert (found["mergeable"], found["mergeable_state"]) == (False, "dirty")


def test_a_closed_pull_request_stays_closed_and_keeps_its_head(place: Place) -> None:
    made = place.open_pull()
    number = made["number"]
    closed = place.api("author", "PATCH", f"pulls/{number}", {"state": "closed"}).json()
    assert (closed["state"], closed["merged"], closed["closed_at"] is not None) == ("closed", False, True)
    place.push(place.branch(), {place.file("later"): b"1"}, onto=place.branch())
    found = place.pull(number)
    assert (found["state"], found["head"]["sha"]) == ("closed", made["head"]["sha"])


def test_a_closed_pull_request_is_reopened(place: Place) -> None:
    number = place.open_pull()["number"]
    place.api("author", "PATCH", f"pulls/{number}", {"state": "closed"})
    found = place.api("author", "PATCH", f"pulls/{number}", {"state": "open"}).json()
    assert (found["state"], found["closed_at"]) == ("open", None)
    told = place.api("author", "GET", f"issues/{number}/events").json()
    login = place.login("author")
    turns = [(it["event"], it["actor"]["login"]) for it in told if it["event"] in {"closed", "reopened"}]
    assert turns == [("closed", login), ("reopened", login)]


def test_deleting_the_branch_closes_its_pull_request_for_good(place: Place) -> None:
    made = place.open_pull()
    number = made["number"]
    assert place.api("author", "DELETE", f"git/refs/heads/{place.branch()}").status_code == 204
    found = place.pull(number, lambda it: it["state"] == "closed")
    assert (found["state"], found["merged"], found["head"]["sha"]) == ("closed", False, made["head"]["sha"])
    assert place.api("author", "PATCH", f"pulls/{number}", {"state": "open"}).status_code == 422


def test_a_pull_request_is_an_issue_too(place: Place) -> None:
    number = place.open_pull()["number"]
    place.api("author", "POST", f"issues/{number}/comments", {"body": "One"})
    found = place.api("author", "GET", f"issues/{number}").json()
    assert (found["number"], found["comments"], "pull_request" in found) == (number, 1, True)
