"""The contract: who one is, what is left of the hour, conditional requests, and pages."""

from __future__ import annotations

import pytest

from tests.git.contract.place import Place


def test_a_token_says_who_one_is(place: Place) -> None:
    me = place.api("author", "GET", "/user").json()
    other = place.api("author", "GET", f"/users/{me['login']}").json()
    assert (other["login"], other["id"]) == (me["login"], me["id"])


def test_a_wrong_token_is_401_with_bad_credentials(place: Place) -> None:
    answer = place.client.get(f"{place.api_url}/user", headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_no_token_is_401_with_requires_authentication(place: Place) -> None:
    answer = place.client.get(f"{place.api_url}/user")
    assert (answer.status_code, answer.json()["message"]) == (401, "Requires authentication")


def test_the_repository_says_what_one_may_do_there(place: Place) -> None:
    found = place.api("author", "GET", "").json()
    assert (found["full_name"], found["default_branch"]) == (place.repo, "main")
    assert (found["permissions"]["push"], found["permissions"]["pull"]) == (True, True)
    assert place.api("admin", "GET", "").json()["permissions"]["admin"] is True


def test_the_permission_of_an_account_is_one_word(place: Place) -> None:
    login = place.login("admin")
    found = place.api("admin", "GET", f"collaborators/{login}/permission").json()
    assert (found["permission"], found["user"]["login"]) == ("admin", login)


def test_what_does_not_exist_is_404(place: Place) -> None:
    owner = place.repo.partition("/")[0]
    for path in (f"/repos/{owner}/no-such-repository-here/pulls", "pulls/999999", "git/ref/heads/none"):
        answer = place.client.get(
            place.api_url + (path if path.startswith("/") else f"/repos/{place.repo}/{path}"),
            headers={"Authorization": f"Bearer {place.tokens['author']}"},
        )
        assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


def test_a_body_is_json_whatever_its_type_says(place: Place) -> None:
    number = place.open_pull()["number"]
    answer = place.client.post(
        f"{place.api_url}/repos/{place.repo}/issues/{number}/comments",
        content=b'{"body": "By curl -d"}',
        headers={
            "Authorization": f"Bearer {place.tokens['author']}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert (answer.status_code, answer.json()["body"]) == (201, "By curl -d")


def test_every_answer_says_what_is_left_of_the_hour(place: Place) -> None:
    headers = place.api("author", "GET", "/user").headers
    left = {name: int(headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "used", "reset")}
    assert left["remaining"] + left["used"] == left["limit"]
    assert headers["x-ratelimit-resource"] == "core"
    again = place.api("author", "GET", "/rate_limit").json()["resources"]["core"]
    assert (again["limit"], again["reset"]) == (left["limit"], left["reset"])


def test_an_answer_that_is_still_the_same_is_304_and_does_not_count(place: Place) -> None:
    place.open_pull()
    first = place.api("author", "GET", "pulls?state=open")
    again = place.api("author", "GET", "pulls?state=open", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]


def test_an_answer_that_changed_comes_whole_with_another_tag(place: Place) -> None:
    number = place.open_pull()["number"]
    first = place.api("author", "GET", f"issues/{number}/comments")
    place.api("author", "POST", f"issues/{number}/comments", {"body": "Something new"})
    tag = first.headers["etag"]
    again = place.api("author", "GET", f"issues/{number}/comments", headers={"If-None-Match": tag})
    assert (again.status_code, again.headers["etag"] != tag, len(again.json())) == (200, True, 1)


def test_pages_link_to_each_other(place: Place) -> None:
    number = place.open_pull()["number"]
    for index in range(5):
        place.api("author", "POST", f"issues/{number}/comments", {"body": f"{index}"})
    page = place.api("author", "GET", f"issues/{number}/comments?per_page=2&page=2")
    assert [comment["body"] for comment in page.json()] == ["2", "3"]
    assert set(page.links) == {"prev", "next", "first", "last"}
    assert all(link["url"].startswith(place.api_url) for link in page.links.values())
    last = place.client.get(page.links["last"]["url"], headers={"Authorization": f"Bearer {place.tokens['author']}"})
    assert [comment["body"] for comment in last.json()] == ["4"]
    assert set(last.links) == {"prev", "first"}


def test_a_list_that_fits_one_page_has_no_link(place: Place) -> None:
    number = place.open_pull()["number"]
    answer = place.api("author", "GET", f"issues/{number}/comments")
    assert "link" not in answer.headers


@pytest.mark.parametrize("query", ["per_page=1000", "page=0", "page=1000"])
def test_odd_page_numbers_are_answered(place: Place, query: str) -> None:
    assert place.api("author", "GET", f"pulls?state=all&{query}").status_code == 200
