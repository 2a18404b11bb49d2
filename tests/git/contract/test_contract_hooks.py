"""The contract: a repository's webhooks, and what was delivered to them."""

from __future__ import annotations

import time
from typing import Any

from tests.git.contract.place import PATIENCE_SECONDS, Place


def hook(place: Place, *, active: bool = False, **config: str) -> dict[str, Any]:
    """A webhook to nowhere, removed when the case ends."""
    url = f"https://example.com/{place.case}/{len(place.made)}"
    body = {
        "name": "web",
        "active": active,
        "events": ["push", "pull_request"],
        "config": {"url": url, "content_type": "json", "secret": "a secret", **config},
    }
    answer = place.api("admin", "POST", "hooks", body)
    assert answer.status_code == 201, answer.text
    place.made.append(("admin", f"hooks/{answer.json()['id']}"))
    return answer.json()


def test_a_webhook_is_made_and_keeps_its_secret(place: Place) -> None:
    made = hook(place)
    assert (made["type"], made["name"], made["active"]) == ("Repository", "web", False)
    assert sorted(made["events"]) == ["pull_request", "push"]
    assert made["config"]["content_type"] == "json"
    assert made["config"]["secret"] == "********"
    found = place.api("admin", "GET", f"hooks/{made['id']}").json()
    assert (found["config"], found["last_response"]["status"]) == (made["config"], "unused")
    assert made["id"] in [it["id"] for it in place.api("admin", "GET", "hooks").json()]


def test_a_webhook_is_changed(place: Place) -> None:
    at = f"hooks/{hook(place)['id']}"
    changed = place.api("admin", "PATCH", at, {"add_events": ["status"], "remove_events": ["push"]}).json()
    assert sorted(changed["events"]) == ["pull_request", "status"]
    assert place.api("admin", "PATCH", at, {"events": ["push"]}).json()["events"] == ["push"]


def test_a_webhook_is_removed(place: Place) -> None:
    made = hook(place)
    place.made.clear()
    assert place.api("admin", "DELETE", f"hooks/{made['id']}").status_code == 204
    for method in ("GET", "DELETE"):
        assert place.api("admin", method, f"hooks/{made['id']}").status_code == 404


def test_the_same_webhook_is_not_made_twice(place: Place) -> None:
    made = hook(place)
    body = {"config": {"url": made["config"]["url"], "content_type": "json"}, "events": made["events"]}
    answer = place.api("admin", "POST", "hooks", body)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
    assert "Hook already exists on this repository" in answer.text


def test_a_webhook_needs_an_address_and_known_events(place: Place) -> None:
    for body in ({"config": {}}, {"config": {"url": "https://example.com"}, "events": ["applause"]}):
        answer = place.api("admin", "POST", "hooks", body)
        assert (answer.status_code, answer.json()["errors"][0]["resource"]) == (422, "Hook")


def test_a_private_address_is_refused(place: Place) -> None:
    answer = place.api("admin", "POST", "hooks", {"config": {"url": "http://10.0.0.1/x"}})
    assert answer.status_code == 422
    assert "isn't reachable" in answer.text


def test_deliveries_are_listed_read_and_made_again(place: Place) -> None:
    # Nobody listens there; that is a delivery too.
    local = place.api_url.startswith("http://127.0.0.1")
    made = hook(place, url="http://127.0.0.1:9/") if local else hook(place)
    assert place.api("admin", "POST", f"hooks/{made['id']}/pings").status_code == 204
    listed = _deliveries(place, made["id"], 1)
    one = place.api("admin", "GET", f"hooks/{made['id']}/deliveries/{listed[0]['id']}").json()
    assert (one["event"], one["request"]["payload"]["hook_id"]) == ("ping", made["id"])
    assert one["request"]["headers"]["X-GitHub-Event"] == "ping"
    again = place.api("admin", "POST", f"hooks/{made['id']}/deliveries/{one['id']}/attempts")
    assert again.status_code == 202
    newest = _deliveries(place, made["id"], len(listed) + 1)[0]
    assert (newest["redelivery"], newest["guid"], newest["id"] != one["id"]) == (True, one["guid"], True)


def _deliveries(place: Place, number: int, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = place.api("admin", "GET", f"hooks/{number}/deliveries").json()
        if len(found) >= count or time.monotonic() > deadline:
            assert len(found) >= count
            return found
        time.sleep(0.05)
