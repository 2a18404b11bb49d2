"""The contract: comments, labels and commit statuses."""

from __future__ import annotations

from tests.git.contract.place import Place

# ---------------------------------------------------------------- comments


def test_a_comment_is_made_edited_listed_and_removed(place: Place) -> None:
    number = place.open_pull()["number"]
    made = place.api("author", "POST", f"issues/{number}/comments", {"body": "One"})
    at = f"issues/comments/{made.json()['id']}"
    assert (made.status_code, made.json()["user"]["login"]) == (201, place.login("author"))
    assert place.api("author", "PATCH", at, {"body": "Two"}).json()["body"] == "Two"
    assert place.api("author", "GET", at).json()["body"] == "Two"
    listed = place.api("author", "GET", f"issues/{number}/comments").json()
    assert [it["body"] for it in listed] == ["Two"]
    assert place.api("author", "DELETE", at).status_code == 204
    assert place.api("author", "GET", at).status_code == 404


def test_a_comment_needs_words_and_a_pull_request(place: Place) -> None:
    number = place.open_pull()["number"]
    empty = place.api("author", "POST", f"issues/{number}/comments", {"body": ""})
    assert (empty.status_code, empty.json()["message"]) == (422, "Validation Failed")
    assert place.api("author", "POST", f"issues/{number}/comments", {"body": "x" * 65537}).status_code == 422
    assert place.api("author", "POST", "issues/999999/comments", {"body": "x"}).status_code == 404


# ---------------------------------------------------------------- labels


def label(place: Place, name: str) -> str:
    """A label's name of this case, removed when it ends."""
    full = f"{name}-{place.case}"
    place.made.append(("admin", f"labels/{full}"))
    return full


def test_a_label_is_made_once_found_and_changed(place: Place) -> None:
    name = label(place, "automated")
    body = {"name": name, "color": "C5DEF5", "description": "Made by agents"}
    made = place.api("author", "POST", "labels", body)
    assert (made.status_code, made.json()["color"], made.json()["description"]) == (201, "c5def5", "Made by agents")
    again = place.api("author", "POST", "labels", body)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "already_exists")
    assert place.api("author", "GET", f"labels/{name}").json()["id"] == made.json()["id"]
    changed = place.api("author", "PATCH", f"labels/{name}", {"color": "000000"}).json()
    assert (changed["color"], changed["description"]) == ("000000", "Made by agents")
    assert name in [it["name"] for it in place.api("author", "GET", "labels?per_page=100").json()]


def test_a_label_that_is_not_there_is_404(place: Place) -> None:
    for method in ("GET", "DELETE"):
        assert place.api("admin", method, f"labels/none-{place.case}").status_code == 404


def test_a_colour_that_is_none_is_422(place: Place) -> None:
    body = {"name": f"odd-{place.case}", "color": "not a colour"}
    assert place.api("author", "POST", "labels", body).status_code == 422


def test_labels_come_to_be_when_a_pull_request_first_gets_them(place: Place) -> None:
    number = place.open_pull()["number"]
    one, two, three = (label(place, name) for name in ("one", "two", "three"))
    at = f"issues/{number}/labels"
    assert len(place.api("author", "POST", at, {"labels": [one, two]}).json()) == 2
    assert {it["name"] for it in place.api("author", "POST", at, [two, three]).json()} == {one, two, three}
    assert {it["name"] for it in place.pull(number)["labels"]} == {one, two, three}
    assert place.api("author", "GET", f"labels/{three}").json()["color"] == "ededed"
    left = place.api("author", "DELETE", f"{at}/{one}").json()
    assert {it["name"] for it in left} == {two, three}
    assert place.api("author", "DELETE", f"{at}/{one}").status_code == 404
    assert [it["name"] for it in place.api("author", "PUT", at, {"labels": [three]}).json()] == [three]
    assert place.api("author", "DELETE", at).status_code == 204
    assert place.api("author", "GET", at).json() == []
    place.api("author", "POST", at, {"labels": [one]})


def test_a_label_that_is_removed_is_off_every_pull_request(place: Place) -> None:
    number = place.open_pull()["number"]
    name = f"gone-{place.case}"
    place.api("author", "POST", f"issues/{number}/labels", {"labels": [name]})
    assert place.api("admin", "DELETE", f"labels/{name}").status_code == 204
    assert place.pull(number)["labels"] == []


# ---------------------------------------------------------------- statuses


def test_the_combined_status_is_of_the_latest_of_each_context(place: Place) -> None:
    head = place.open_pull()["head"]["sha"]

    def say(context: str, state: str) -> None:
        body = {"state": state, "context": context, "description": "D", "target_url": "https://example.com/1"}
        made = place.api("gate", "POST", f"statuses/{head}", body)
        assert (made.status_code, made.json()["creator"]["login"]) == (201, place.login("gate"))

    def combined() -> tuple[str, int]:
        found = place.api("author", "GET", f"commits/{head}/status").json()
        return found["state"], found["total_count"]

    assert combined() == ("pending", 0)
    say("contract/gate", "pending")
    assert combined() == ("pending", 1)
    say("contract/gate", "success")
    say("contract/other", "error")
    assert combined() == ("failure", 2)
    say("contract/other", "success")
    assert combined() == ("success", 2)
    listed = place.api("author", "GET", f"commits/{head}/statuses").json()
    assert [(it["context"], it["state"]) for it in listed] == [
        ("contract/other", "success"), ("contract/other", "error"),
        ("contract/gate", "success"), ("contract/gate", "pending"),
    ]  # fmt: skip


def test_a_status_needs_a_commit_and_a_known_state(place: Place) -> None:
    head = place.open_pull()["head"]["sha"]
    unknown = place.api("gate", "POST", f"statuses/{'f' * 40}", {"state": "success"})
    assert (unknown.status_code, unknown.json()["message"]) == (422, f"No commit found for SHA: {'f' * 40}")
    assert place.api("gate", "POST", f"statuses/{head}", {"state": "approved"}).status_code == 422
    long = {"state": "success", "description": "x" * 141}
    assert place.api("gate", "POST", f"statuses/{head}", long).status_code == 422
