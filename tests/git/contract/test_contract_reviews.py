"""The contract: reviews are of one commit, not by the author, and an approval does not outlive a push."""

from __future__ import annotations

import pytest

from tests.git.contract.place import Place

#: What makes GitHub dismiss approvals by itself; the embedded forge always does.
STALE = {
    "type": "pull_request",
    "parameters": {
        "required_approving_review_count": 1,
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
    },
}


def states(place: Place, number: int) -> list[str]:
    return [it["state"] for it in place.api("author", "GET", f"pulls/{number}/reviews").json()]


def test_an_approval_names_its_commit_and_its_author(place: Place) -> None:
    made = place.open_pull()
    answer = place.approve(made["number"], made["head"]["sha"])
    found = answer.json()
    assert (answer.status_code, found["state"], found["commit_id"]) == (200, "APPROVED", made["head"]["sha"])
    assert found["user"]["login"] == place.login("reviewer")
    assert states(place, made["number"]) == ["APPROVED"]


@pytest.mark.rows("F106")
def test_nobody_approves_their_own_pull_request(place: Place) -> None:
    number = place.open_pull()["number"]
    for event, words in (("APPROVE", "approve"), ("REQUEST_CHANGES", "request changes on")):
        body = {"event": event, "body": "I am great"}
        answer = place.api("author", "POST", f"pulls/{number}/reviews", body)
        if answer.status_code == 403:
            # An identity that may not review at all is told so first; a person's own is below.
            continue
        assert answer.status_code == 422
        assert f"Can not {words} your own pull request" in answer.text
    assert states(place, number) == []


@pytest.mark.rows("F106")
def test_the_reviewers_own_pull_request_is_not_approved_by_the_reviewer(place: Place) -> None:
    place.push(place.branch(), {place.file(): b"1"})
    opened = place.api("reviewer", "POST", "pulls", {"title": "Mine", "head": place.branch(), "base": "main"})
    number = opened.json()["number"]
    answer = place.api("reviewer", "POST", f"pulls/{number}/reviews", {"event": "APPROVE"})
    assert (answer.status_code, answer.json()["message"]) == (422, "Unprocessable Entity")
    assert "Can not approve your own pull request" in str(answer.json()["errors"])


def test_a_push_dismisses_an_approval(place: Place) -> None:
    place.ruleset([STALE])
    made = place.open_pull()
    number = made["number"]
    place.approve(number, made["head"]["sha"])
    head = place.push(place.branch(), {place.file("more"): b"sneaked in"}, onto=place.branch())
    place.pull(number, lambda it: it["head"]["sha"] == head and states(place, number) == ["DISMISSED"])
    assert states(place, number) == ["DISMISSED"]
    assert place.approve(number, head).json()["state"] == "APPROVED"
    assert states(place, number) == ["DISMISSED", "APPROVED"]


def test_asking_for_changes_needs_words_and_outlives_a_push(place: Place) -> None:
    made = place.open_pull()
    number, at = made["number"], f"pulls/{made['number']}/reviews"
    assert place.api("reviewer", "POST", at, {"event": "REQUEST_CHANGES"}).status_code == 422
    asked = place.api("reviewer", "POST", at, {"event": "REQUEST_CHANGES", "body": "Cheaper, please"})
    assert (asked.status_code, asked.json()["body"]) == (200, "Cheaper, please")
    place.push(place.branch(), {place.file("more"): b"1"}, onto=place.branch())
    assert states(place, number) == ["CHANGES_REQUESTED"]


def test_a_comment_is_a_review_that_also_the_author_may_give(place: Place) -> None:
    number = place.open_pull()["number"]
    made = place.api("author", "POST", f"pulls/{number}/reviews", {"event": "COMMENT", "body": "By the way"})
    assert (made.status_code, made.json()["state"]) == (200, "COMMENTED")
    found = place.api("author", "GET", f"pulls/{number}/reviews/{made.json()['id']}").json()
    assert found["body"] == "By the way"
    dismissed = place.api("admin", "PUT", f"pulls/{number}/reviews/{found['id']}/dismissals", {"message": "No"})
    assert dismissed.status_code == 422


def test_an_approval_is_dismissed_with_words(place: Place) -> None:
    made = place.open_pull()
    review = place.approve(made["number"], made["head"]["sha"]).json()["id"]
    at = f"pulls/{made['number']}/reviews/{review}/dismissals"
    assert place.api("admin", "PUT", at, {"message": "Too early"}).json()["state"] == "DISMISSED"
    assert states(place, made["number"]) == ["DISMISSED"]


def test_an_event_that_is_none_is_422(place: Place) -> None:
    number = place.open_pull()["number"]
    answer = place.api("reviewer", "POST", f"pulls/{number}/reviews", {"event": "APPLAUD"})
    assert answer.status_code == 422
