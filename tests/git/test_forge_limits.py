"""The forge's rate limits are GitHub's, and our client keeps to them: it waits, asks again for nothing, and says when to come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

import pytest
from fastapi import FastAPI, Response

from mcp_servers.git import github_courtesy
from mcp_servers.git.changes import NotAllowed, RateLimited
from mcp_servers.git.forge import Identity, Limits, create_forge, token_sha256
from mcp_servers.git.github import Account, GitHubChanges
from mcp_servers.git.github_api import GitHubApi
from mcp_servers.git.github_courtesy import Courtesy
from mcp_servers.git.github_rights import probed, readers
from tests.git.conftest import RIGHTS, START, Forge, Loopback, proposal_of

Restart = Callable[[Limits], None]


@dataclass
class Clock:
    """Time that passes when somebody sleeps."""

    at: datetime = START
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(forge: Forge, loopback: Loopback, clock: Clock) -> Restart:
    """Serve the same forge with these limits, by the test's clock."""

    def serve(limits: Limits) -> None:
        identities = [Identity(login, token_sha256(forge.token(login)), may) for login, may in RIGHTS.items()]
        app = FastAPI()
        app.mount("/forge", create_forge(forge.root, identities, forge.url, clock, limits))
        loopback.app = app

    return serve


def client(forge: Forge, clock: Clock, login: str = "elf-gate", writes_a_minute: int | None = 80) -> GitHubChanges:
    account = Account(
        f"{forge.url}/api/v3", forge.git_url, "elf/company", login, forge.token(login), "", writes_a_minute
    )
    made = GitHubChanges(account, clock)
    made._courtesy = Courtesy(writes_a_minute, clock, clock.sleep)  # pyright: ignore[reportPrivateUsage] - time is the test's
    forge.changes_made.append(made)
    return made


# ---------------------------------------------------------------- the forge's limits


def test_an_hours_requests_run_out_with_403_and_come_back(forge: Forge, limited: Restart, clock: Clock) -> None:
    limited(Limits(requests_an_hour=2))
    left = [forge.api("owner", "GET", "/user").headers["x-ratelimit-remaining"] for _ in range(2)]
    refused = forge.api("owner", "GET", "/user")
    assert (left, refused.status_code, refused.headers["x-ratelimit-remaining"]) == (["1", "0"], 403, "0")
    assert refused.json()["message"].startswith("API rate limit exceeded")
    assert int(refused.headers["x-ratelimit-reset"]) == int(START.timestamp()) + 3600
    assert forge.api("elf-gate", "GET", "/user").status_code == 200
    assert forge.api("owner", "GET", "/rate_limit").json()["rate"]["remaining"] == 0
    clock.at += timedelta(hours=1)
    assert forge.api("owner", "GET", "/user").status_code == 200


def test_too_many_changes_in_a_minute_are_403_with_a_time_to_wait(forge: Forge, limited: Restart, clock: Clock) -> None:
    limited(Limits(writes_a_minute=3))
    body = {"name": "x", "color": "000000"}
    assert [forge.api("elf-gate", "POST", "labels", body).status_code for _ in range(4)] == [201, 422, 422, 403]
    refused = forge.api("elf-gate", "POST", "labels", body)
    assert refused.json()["message"].startswith("You have exceeded a secondary rate limit")
    assert int(refused.headers["retry-after"]) == 61
    assert forge.api("elf-gate", "GET", "labels").status_code == 200
    clock.at += timedelta(seconds=61)
    assert forge.api("elf-gate", "POST", "labels", body).status_code == 422


def test_who_is_nobody_is_not_counted_for_somebody(forge: Forge, limited: Restart) -> None:
    limited(Limits(requests_an_hour=1))
    for _ in range(3):
        assert forge.api(None, "GET", "/user").status_code == 401
    assert forge.api("owner", "GET", "/user").status_code == 200


# ---------------------------------------------------------------- our client


def test_looking_again_at_what_did_not_change_costs_nothing(forge: Forge, limited: Restart, clock: Clock) -> None:
    change = forge.changes("elf-devops").propose(proposal_of())
    limited(Limits(requests_an_hour=5000))
    gate = client(forge, clock)

    def used() -> int:
        return int(forge.api("elf-gate", "GET", "/rate_limit").json()["rate"]["used"])

    first = (gate.open(), gate.get(change.number), gate.reviews(change.number), gate.comments(change.number))
    cost = used()
    for _ in range(5):
        again = (gate.open(), gate.get(change.number), gate.reviews(change.number), gate.comments(change.number))
        assert again == first
    assert used() == cost
    gate.comment(change.number, "verdict", "Something new")
    assert len(gate.comments(change.number)) == 1


def test_one_identity_is_never_shown_what_another_was_told(forge: Forge, clock: Clock) -> None:
    assert client(forge, clock).open() == []
    stranger = Account(f"{forge.url}/api/v3", forge.git_url, "elf/company", "elf-gate", "wrong")
    changes = GitHubChanges(stranger, clock)
    with pytest.raises(NotAllowed):
        changes.open()
    changes.close()


def test_changes_keep_githubs_pace_and_wait_for_their_turn(forge: Forge, clock: Clock) -> None:
    change = forge.changes("elf-devops").propose(proposal_of())
    gate = client(forge, clock, writes_a_minute=3)
    for index in range(3):
        gate.publish_status(change.head, f"elf/{index}", "success", "")
    clock.at += timedelta(seconds=50)
    gate.publish_status(change.head, "elf/late", "success", "")
    assert clock.slept == [10.0]


def test_changes_keep_githubs_pace_of_the_hour_too(forge: Forge, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github_courtesy, "WRITES_AN_HOUR", 3)
    change = forge.changes("elf-devops").propose(proposal_of())
    gate = client(forge, clock)
    for index in range(3):
        gate.publish_status(change.head, f"elf/{index}", "success", "")
        clock.at += timedelta(minutes=5)
    with pytest.raises(RateLimited) as caught:
        gate.publish_status(change.head, "elf/late", "success", "")
    assert caught.value.retry_at == START + timedelta(hours=1)
    clock.at = START + timedelta(hours=1)
    gate.publish_status(change.head, "elf/late", "success", "")


def test_two_clients_of_one_identity_take_turns(forge: Forge, clock: Clock) -> None:
    change = forge.changes("elf-devops").propose(proposal_of())
    url, token = f"{forge.url}/api/v3", forge.token("elf-gate")
    api = GitHubApi(Account(url, forge.git_url, "elf/company", "elf-gate", token, "", 1), clock)
    changes = GitHubChanges(api.account, clock, api.courtesy)
    changes.publish_status(change.head, "elf/0", "success", "")
    with pytest.raises(RateLimited):
        api.ask("POST", f"statuses/{change.head}", {"state": "success", "context": "elf/1"})
    changes.close()
    api.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((403, "Upgrade to GitHub Pro or make this repository public to enable this feature."), None),
        ((403, "Resource not accessible by integration"), False),
        ((422, "Validation Failed"), True),
    ],
)
def test_a_refusal_for_want_of_a_plan_says_nothing_of_rights(said: tuple[int, str], told: bool | None) -> None:
    class Answering:
        def answer(self, _verb: str, _path: str, _body: object) -> tuple[int, str]:
            return said

    assert probed(cast(GitHubApi, Answering()))["administration"] is told


def test_a_person_who_may_not_write_is_named(forge: Forge, clock: Clock) -> None:
    api = GitHubApi(Account(f"{forge.url}/api/v3", forge.git_url, "elf/company", "owner", forge.token("owner")), clock)
    assert [text.split(" ")[0] for text in readers(api, ("owner", "a-stranger"))] == ["a-stranger"]
    api.close()


def test_a_wait_that_is_too_long_is_an_error_that_says_when_to_come_back(forge: Forge, clock: Clock) -> None:
    change = forge.changes("elf-devops").propose(proposal_of())
    gate = client(forge, clock, writes_a_minute=1)
    gate.publish_status(change.head, "elf/0", "success", "")
    with pytest.raises(RateLimited, match="nothing is asked before 12:01:00 UTC") as caught:
        gate.publish_status(change.head, "elf/1", "success", "")
    assert (caught.value.next_step, caught.value.retry_at) == ("try_again_later", START + timedelta(minutes=1))
    assert gate.get(change.number).number == change.number
    assert clock.slept == []


def test_planted_hole_without_a_pace_of_our_own_the_server_has_to_refuse(
    forge: Forge, limited: Restart, clock: Clock
) -> None:
    change = forge.changes("elf-devops").propose(proposal_of())
    limited(Limits(writes_a_minute=3))
    hasty = client(forge, clock, writes_a_minute=None)
    for index in range(3):
        hasty.publish_status(change.head, f"elf/{index}", "success", "")
    with pytest.raises(RateLimited):
        hasty.publish_status(change.head, "elf/3", "success", "")
    clock.at += timedelta(minutes=2)
    polite = client(forge, clock, writes_a_minute=3)
    for index in range(3):
        polite.publish_status(change.head, f"elf/{index}", "success", "")


class Limiting:
    """A server that refuses so often, and counts what it is asked."""

    def __init__(self, loopback: Loopback, refusals: int, status: int, headers: dict[str, str], message: str) -> None:
        self.asked = 0
        app = FastAPI()

        @app.get("/{path:path}")
        def answer(path: str) -> Response:  # pyright: ignore[reportUnusedFunction]
            self.asked += 1
            if self.asked <= refusals:
                return Response(f'{{"message": "{message}"}}', status, headers, "application/json")
            return Response("[]", media_type="application/json")

        loopback.app = app


def test_a_short_retry_after_is_waited_for_and_the_call_goes_through(
    forge: Forge, loopback: Loopback, clock: Clock
) -> None:
    server = Limiting(loopback, 1, 429, {"Retry-After": "7"}, "slow down")
    assert client(forge, clock).open() == []
    assert (server.asked, clock.slept) == (2, [7.0])


@pytest.mark.parametrize(
    ("status", "headers", "message", "seconds"),
    [
        (403, {"Retry-After": "600"}, "You have exceeded a secondary rate limit.", 600),
        (429, {}, "slow down", 60),
        (403, {}, "You have exceeded a secondary rate limit.", 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(START.timestamp()) + 900)}, "no", 900),
    ],
)
def test_while_a_limit_lasts_nothing_is_asked_at_all(
    forge: Forge, loopback: Loopback, clock: Clock, status: int, headers: dict[str, str], message: str, seconds: int
) -> None:
    server = Limiting(loopback, 1, status, headers, message)
    gate = client(forge, clock)
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            gate.open()
        assert caught.value.retry_at == START + timedelta(seconds=seconds)
    assert server.asked == 1
    clock.at += timedelta(seconds=seconds)
    assert gate.open() == []


def test_a_plain_no_is_not_taken_for_a_limit(forge: Forge, loopback: Loopback, clock: Clock) -> None:
    Limiting(loopback, 9, 403, {"X-RateLimit-Remaining": "17"}, "Resource not accessible by integration")
    with pytest.raises(NotAllowed, match="not accessible"):
        client(forge, clock).open()
    assert clock.slept == []
