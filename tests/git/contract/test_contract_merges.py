"""The contract: a merge is of the commit one names, by merge commit or squashed, once; and it is undone by another one."""

from __future__ import annotations

from tests.git.contract.place import Place


def test_a_merge_commit_has_both_parents_and_the_words(place: Place) -> None:
    before, made = place.main(), place.open_pull()
    number, head = made["number"], made["head"]["sha"]
    answer = place.merge(number, sha=head, commit_title="Merge it", commit_message="Because", merge_method="merge")
    done = answer.json()
    assert (answer.status_code, done["merged"], done["message"]) == (200, True, "Pull Request successfully merged")
    commit = place.api("author", "GET", f"git/commits/{done['sha']}").json()
    assert [it["sha"] for it in commit["parents"]] == [before, head]
    assert commit["message"] == "Merge it\n\nBecause"
    assert place.main() == done["sha"]
    found = place.pull(number)
    assert (found["state"], found["merged"], found["merge_commit_sha"]) == ("closed", True, done["sha"])
    assert found["merged_by"]["login"] == place.login("gate")
    assert place.api("author", "GET", f"pulls/{number}/merge").status_code == 204


def test_a_squash_is_one_commit_on_the_base_by_the_author_of_the_change(place: Place) -> None:
    before, made = place.main(), place.open_pull()
    number = made["number"]
    head = place.push(place.branch(), {place.file("more"): b"2"}, onto=place.branch())
    place.pull(number, lambda it: it["head"]["sha"] == head)
    author = place.api("author", "GET", f"git/commits/{head}").json()
    done = place.merge(number, sha=head, commit_title="Both at once", commit_message="", merge_method="squash").json()
    commit = place.api("author", "GET", f"git/commits/{done['sha']}").json()
    assert ([it["sha"] for it in commit["parents"]], commit["message"]) == ([before], "Both at once")
    assert commit["tree"]["sha"] == author["tree"]["sha"]
    found = place.pull(number)
    assert (found["merged"], found["merge_commit_sha"], found["head"]["sha"]) == (True, done["sha"], head)


def test_a_squash_without_words_takes_the_title_and_the_number(place: Place) -> None:
    made = place.open_pull()
    done = place.merge(made["number"], merge_method="squash").json()
    message = place.api("author", "GET", f"git/commits/{done['sha']}").json()["message"]
    assert message.splitlines()[0] == f"Contract change (#{made['number']})"


def test_a_head_that_is_not_the_one_named_is_409(place: Place) -> None:
    before, made = place.main(), place.open_pull()
    place.push(place.branch(), {place.file("more"): b"2"}, onto=place.branch())
    place.pull(made["number"], lambda it: it["head"]["sha"] != made["head"]["sha"])
    answer = place.merge(made["number"], sha=made["head"]["sha"])
    assert answer.status_code == 409
    assert answer.json()["message"] == "Head branch was modified. Review and try the merge again."
    assert place.main() == before


def test_a_conflict_is_405(place: Place) -> None:
    first = place.open_pull("first", {place.file(): b"mine\n"})["number"]
    second = place.open_pull("second", {place.file(): b"yours\n"})["number"]
    place.merge(first)
    place.pull(second, lambda it: it["mergeable"] is False)
    answer = place.merge(second)
    assert (answer.status_code, answer.json()["message"]) == (405, "Pull Request is not mergeable")


def test_what_is_closed_is_405(place: Place) -> None:
    number = place.open_pull()["number"]
    place.api("author", "PATCH", f"pulls/{number}", {"state": "closed"})
    assert place.merge(number).status_code == 405


def test_a_draft_is_405(place: Place) -> None:
    number = place.open_pull(draft=True)["number"]
    answer = place.merge(number)
    assert (answer.status_code, answer.json()["message"]) == (405, "Pull Request is still a draft")


def test_what_is_merged_is_not_merged_again_and_not_reopened(place: Place) -> None:
    number = place.open_pull()["number"]
    place.merge(number)
    after = place.main()
    assert place.merge(number).status_code == 405
    assert place.api("author", "PATCH", f"pulls/{number}", {"state": "open"}).status_code == 422
    assert place.main() == after


def test_what_is_not_merged_is_404(place: Place) -> None:
    number = place.open_pull()["number"]
    assert place.api("author", "GET", f"pulls/{number}/merge").status_code == 404


def test_a_method_that_is_none_is_422(place: Place) -> None:
    number = place.open_pull()["number"]
    assert place.merge(number, merge_method="octopus").status_code == 422


def test_a_merge_is_undone_by_a_pull_request_that_git_reverted(place: Place) -> None:
    before = place.api("author", "GET", f"git/commits/{place.main()}").json()["tree"]["sha"]
    place.merge(place.open_pull()["number"])
    clone, branch = place.clone(), place.branch("revert")
    for step in (
        ("revert", "--no-edit", "-m", "1", "HEAD"),
        ("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}"),
    ):
        done = place.git("author", *step, folder=clone)
        assert done.returncode == 0, done.stderr
    opened = place.api("author", "POST", "pulls", {"title": "Revert", "head": branch, "base": "main"}).json()
    assert place.merge(opened["number"]).status_code == 200
    assert place.api("author", "GET", f"git/commits/{place.main()}").json()["tree"]["sha"] == before
