"""GitHub's webhooks: signed or refused, and never more than a nudge."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import httpx
import pytest

from bootstrap.office import github_hook as hook_module
from bootstrap.office.github_hook import Waker, github_hook
from mcp_servers.git import github_webhook
from mcp_servers.git.github_webhook import LARGEST, is_signed, signature_of
from tests.doubles.serving import serving

pytestmark = pytest.mark.rows("F102", "F106")
SECRET = "a webhook's secret, long enough"
MERGED = json.dumps({"action": "closed", "pull_request": {"number": 1, "merged": True}}).encode()


@dataclass
class Office:
    url: str
    nudges: list[int] = field(default_factory=list[int])

    def deliver(self, body: bytes, signature: str | None, **headers: str) -> int:
        words = {"X-GitHub-Event": "pull_request", "Content-Type": "application/json", **headers}
        if signature is not None:
            words["X-Hub-Signature-256"] = signature
        given = {name.encode(): value.encode() for name, value in words.items()}
        return httpx.post(f"{self.url}/hook", content=body, headers=given, trust_env=False).status_code


@pytest.fixture
def office() -> Generator[Office]:
    nudges: list[int] = []
    with serving(github_hook(SECRET, lambda: nudges.append(1))) as url:
        yield Office(url, nudges)


def test_a_signed_delivery_nudges(office: Office) -> None:
    assert office.deliver(MERGED, signature_of(SECRET, MERGED)) == 202
    assert len(office.nudges) == 1


def test_the_signature_is_githubs_own() -> None:
    """The example of GitHub's page on validating deliveries: its secret, its payload, its signature."""
    said = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature_of("It's a Secret to Everybody", b"Hello, World!") == said


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        "sha1=" + "0" * 40,
        signature_of("another secret", MERGED),
        signature_of(SECRET, MERGED + b" "),
        signature_of(SECRET, MERGED).removeprefix("sha256="),
        signature_of(SECRET, MERGED).upper(),
        "sha256=\u00e9",
    ],
)
def test_a_forged_delivery_is_refused_and_nudges_nobody(office: Office, signature: str | None) -> None:
    assert office.deliver(MERGED, signature) == 401
    assert office.nudges == []


def test_without_the_check_a_forged_delivery_would_nudge(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(_secret: str, _body: bytes, _signature: str | None) -> bool:
        return True

    monkeypatch.setattr(hook_module, "is_signed", believe)
    assert office.deliver(MERGED, "sha256=" + "0" * 64) == 202
    assert office.nudges == [1]


def test_an_empty_secret_signs_nothing() -> None:
    assert not is_signed("", MERGED, signature_of("", MERGED))


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(github_webhook.hmac, "compare_digest", compare)
    assert is_signed(SECRET, MERGED, signature_of(SECRET, MERGED))
    assert not is_signed(SECRET, MERGED, "sha256=" + "0" * 64)
    assert len(compared) == 2 and hmac.compare_digest is compare


def test_a_delivery_that_is_too_large_is_not_read_to_its_end(office: Office) -> None:
    body = b"x" * (LARGEST + 1)
    assert office.deliver(body, signature_of(SECRET, body)) == 413
    assert office.nudges == []


def test_nothing_of_what_a_delivery_says_is_read(office: Office) -> None:
    for body in (b"", b"\xff\xfe", b"[" * 100_000, b'{"action": "' + b"a" * 10_000):
        assert office.deliver(body, signature_of(SECRET, body)) == 202
    assert office.deliver(MERGED, signature_of(SECRET, MERGED), **{"X-GitHub-Event": "no such event"}) == 202


def test_a_repeated_delivery_is_a_nudge_again_and_no_more(office: Office) -> None:
    for _ in range(20):
        assert office.deliver(MERGED, signature_of(SECRET, MERGED), **{"X-GitHub-Delivery": "the same"}) == 202
    assert len(office.nudges) == 20


async def test_a_nudge_ends_the_wait_of_a_round_and_a_flood_ends_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_module, "BETWEEN_S", 0.05)
    waker = Waker()
    waiting = asyncio.create_task(waker.sleep(30))
    await asyncio.sleep(0)
    began = time.monotonic()
    for _ in range(1000):
        waker.wake()
    assert await waiting
    assert time.monotonic() - began < 5
    assert not await waker.sleep(0.05)


async def test_without_a_nudge_the_round_comes_in_its_own_time() -> None:
    assert not await Waker().sleep(0.02)
