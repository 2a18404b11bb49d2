"""Webhooks of the embedded forge: signed, told of everything, in the background, at least once, and to safe addresses only."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from fastapi import FastAPI

from mcp_servers import safe_http
from mcp_servers.git.forge import Identity, courier, create_forge, events, token_sha256
from mcp_servers.git.forge.courier import Courier
from mcp_servers.git.forge.site import Visit
from mcp_servers.git.objects import ANY, RefUpdate, Signature
from tests.git.conftest import RIGHTS, START, Forge, Loopback
from tests.git.receiver import Got, Receiver

BRANCH = "auto/new-team/told-1"
SECRET = "a shared secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def hook(forge: Forge, url: str, **more: Any) -> int:
    config = {"url": url, "content_type": "json", "secret": SECRET, **more.pop("config", {})}
    made = forge.api("owner", "POST", "hooks", {"events": ["*"], "config": config, **more})
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


def deliveries(forge: Forge, number: int, count: int) -> list[dict[str, Any]]:
    """Newest first, once there are so many."""
    deadline = time.monotonic() + 15
    while True:
        found: list[dict[str, Any]] = forge.api("owner", "GET", f"hooks/{number}/deliveries").json()
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def move(forge: Forge, branch: str, text: bytes, parent: str = "main") -> str:
    """A branch at a new commit, behind the forge's back."""
    tip = forge.repository.resolve(parent)
    tree = forge.repository.write_tree(tip, {"told.txt": text})
    who = Signature("elf-devops", "elf-devops@elf.local")
    commit = forge.repository.commit_tree(tree, [tip], "Tell\n", who, START)
    forge.repository.update_refs([RefUpdate(f"refs/heads/{branch}", commit, ANY)], login="elf-devops")
    return commit


def start_again(forge: Forge, loopback: Loopback) -> None:
    """The forge's process ends and another one begins over the same folder."""
    identities = [Identity(login, token_sha256(forge.token(login)), may) for login, may in RIGHTS.items()]
    app = FastAPI()
    app.mount("/forge", create_forge(forge.root, identities, forge.url, lambda: START))
    loopback.app = app


def signed(got: Got, secret: str) -> bool:
    """What every receiver has to do: compare the signature of the bytes that came, in constant time."""
    wanted = "sha256=" + hmac.new(secret.encode(), got.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, got.headers.get("x-hub-signature-256", ""))


# ---------------------------------------------------------------- what is told


def test_the_whole_life_of_a_change_is_told_in_order(forge: Forge, receiver: Receiver, tmp_path: Path) -> None:
    hook(forge, receiver.url)
    work = forge.clone("elf-devops", tmp_path / "work")
    (work / "told.txt").write_text("one\n")
    for step in (
        ("checkout", "--quiet", "-b", "mine"),
        ("add", "."),
        ("commit", "--quiet", "-m", "Tell"),
        ("push", "--quiet", "origin", f"mine:{BRANCH}"),
    ):
        assert forge.git("elf-devops", work, *step).returncode == 0
    first = forge.git("elf-devops", work, "rev-parse", "HEAD").stdout.strip()
    receiver.wait_for(3)
    forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"})
    forge.api("elf-devops", "POST", "issues/1/labels", ["automated"])
    forge.api("owner", "POST", "pulls/1/reviews", {"event": "APPROVE", "commit_id": first})
    (work / "told.txt").write_text("two\n")
    forge.git("elf-devops", work, "commit", "--quiet", "-a", "-m", "More")
    forge.git("elf-devops", work, "push", "--quiet", "origin", f"mine:{BRANCH}")
    head = forge.git("elf-devops", work, "rev-parse", "HEAD").stdout.strip()
    receiver.wait_for(9)
    forge.api("elf-gate", "POST", "issues/1/comments", {"body": "A verdict"})
    forge.api("elf-gate", "POST", f"statuses/{head}", {"state": "success", "context": "elf/gate"})
    forge.api("elf-gate", "PUT", "pulls/1/merge", {"sha": head})
    got = receiver.wait_for(13)
    told = [(it.event, it.payload.get("action"), it.payload["sender"]["login"]) for it in got]
    assert told == [
        ("ping", None, "owner"),
        ("create", None, "elf-devops"),
        ("push", None, "elf-devops"),
        ("pull_request", "opened", "elf-devops"),
        ("pull_request", "labeled", "elf-devops"),
        ("pull_request_review", "submitted", "owner"),
        ("pull_request_review", "dismissed", "elf-devops"),
        ("push", None, "elf-devops"),
        ("pull_request", "synchronize", "elf-devops"),
        ("issue_comment", "created", "elf-gate"),
        ("status", None, "elf-gate"),
        ("push", None, "elf-gate"),
        ("pull_request", "closed", "elf-gate"),
    ]
    assert (got[8].payload["before"], got[8].payload["after"]) == (first, head)
    assert [(it["message"], it["modified"]) for it in got[7].payload["commits"]] == [("More", ["told.txt"])]
    assert (got[11].payload["ref"], got[12].payload["pull_request"]["merged"]) == ("refs/heads/main", True)
    assert all(it.payload["repository"]["full_name"] == "elf/company" for it in got)


def test_a_branch_that_goes_closes_its_pull_request_and_both_are_told(forge: Forge, receiver: Receiver) -> None:
    move(forge, BRANCH, b"1")
    forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"})
    hook(forge, receiver.url)
    forge.api("elf-gate", "DELETE", f"git/refs/heads/{BRANCH}")
    got = receiver.wait_for(4)
    assert [(it.event, it.payload.get("action")) for it in got] == [
        ("ping", None), ("delete", None), ("push", None), ("pull_request", "closed"),
    ]  # fmt: skip
    assert (got[2].payload["deleted"], got[2].payload["after"]) == (True, "0" * 40)
    assert got[3].payload["pull_request"]["merged"] is False


def test_only_what_was_asked_for_is_told_and_an_inactive_webhook_hears_nothing(
    forge: Forge, receiver: Receiver
) -> None:
    one = hook(forge, receiver.url, events=["issue_comment"])
    other = hook(forge, receiver.url + "/other", active=False)
    move(forge, BRANCH, b"1")
    forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"})
    forge.api("elf-devops", "POST", "issues/1/comments", {"body": "Hello"})
    assert [it.event for it in receiver.wait_for(2)] == ["ping", "issue_comment"]
    assert len(deliveries(forge, one, 2)) == 2
    assert forge.api("owner", "GET", f"hooks/{other}/deliveries").json() == []


def test_what_was_before_the_first_webhook_is_not_told(forge: Forge, receiver: Receiver) -> None:
    move(forge, BRANCH, b"1")
    hook(forge, receiver.url)
    forge.api("elf-devops", "POST", "git/refs", {"ref": "refs/heads/auto/x", "sha": forge.repository.resolve("main")})
    assert [it.payload.get("ref") for it in receiver.wait_for(3)] == [None, "auto/x", "refs/heads/auto/x"]


# ---------------------------------------------------------------- how it is signed


def test_a_delivery_carries_githubs_headers_and_a_signature_of_its_bytes(forge: Forge, receiver: Receiver) -> None:
    number = hook(forge, receiver.url)
    (got,) = receiver.wait_for(1)
    (listed,) = deliveries(forge, number, 1)
    assert got.headers["x-github-delivery"] == listed["guid"]
    assert (got.headers["x-github-event"], got.headers["x-github-hook-id"]) == ("ping", str(number))
    assert got.headers["user-agent"].startswith("GitHub-Hookshot/")
    assert got.headers["x-github-hook-installation-target-type"] == "repository"
    assert got.headers["content-type"] == "application/json"
    assert signed(got, SECRET)
    assert (listed["status"], listed["status_code"]) == ("OK", 200)
    assert forge.api("owner", "GET", f"hooks/{number}").json()["last_response"]["code"] == 200


def test_the_signature_fails_for_another_secret_and_for_changed_bytes(forge: Forge, receiver: Receiver) -> None:
    hook(forge, receiver.url)
    (got,) = receiver.wait_for(1)
    assert not signed(got, "another secret")
    assert not signed(Got(got.headers, got.body.replace(b"elf/company", b"elf/another")), SECRET)


def test_planted_hole_a_receiver_that_does_not_compare_takes_a_forged_event_for_real(receiver: Receiver) -> None:
    """The bytes of an attacker who knows no secret: only comparing tells them from the forge's."""
    forged = b'{"action":"closed","pull_request":{"merged":true}}'
    with httpx.Client() as client:
        client.post(receiver.url, content=forged, headers={"X-GitHub-Event": "pull_request"})
    (got,) = receiver.wait_for(1)
    assert got.payload["pull_request"]["merged"] is True
    assert not signed(got, SECRET)


def test_without_a_secret_nothing_is_signed_and_a_form_is_a_form(forge: Forge, receiver: Receiver) -> None:
    hook(forge, receiver.url, config={"content_type": "form", "secret": ""})
    (got,) = receiver.wait_for(1)
    assert "x-hub-signature-256" not in got.headers
    assert '"hook_id":1' in parse_qs(got.body.decode())["payload"][0]


# ---------------------------------------------------------------- in the background, at least once


def test_a_receiver_that_hangs_holds_nobody_up(forge: Forge, receiver: Receiver) -> None:
    receiver.open.clear()
    hook(forge, receiver.url)
    move(forge, BRANCH, b"1")
    assert forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"}).status_code == 201
    assert receiver.got == []
    receiver.open.set()
    assert [it.event for it in receiver.wait_for(2)] == ["ping", "pull_request"]


def test_what_a_killed_forge_did_not_bring_its_successor_brings(
    forge: Forge, loopback: Loopback, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Courier, "wake", lambda self: None)  # pyright: ignore[reportUnknownLambdaType]
        hook(forge, receiver.url)
    start_again(forge, loopback)
    assert [it.event for it in receiver.wait_for(1)] == ["ping"]


def test_a_delivery_whose_outcome_was_not_written_down_is_made_again_with_the_same_id(
    forge: Forge, loopback: Loopback, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Courier, "_note", killed)
        hook(forge, receiver.url)
        receiver.wait_for(1)
        time.sleep(0.1)
    start_again(forge, loopback)
    one, other = receiver.wait_for(2)[:2]
    assert one.headers["x-github-delivery"] == other.headers["x-github-delivery"]


def test_refs_that_moved_while_nobody_looked_are_told_at_the_next_start(
    forge: Forge, loopback: Loopback, receiver: Receiver
) -> None:
    hook(forge, receiver.url)
    receiver.wait_for(1)
    head = move(forge, BRANCH, b"1")
    start_again(forge, loopback)
    start_again(forge, loopback)
    got = receiver.wait_for(3)
    assert [(it.event, it.payload["sender"]["login"]) for it in got[1:]] == [
        ("create", "elf-devops"), ("push", "elf-devops"),
    ]  # fmt: skip
    assert got[2].payload["after"] == head


def test_planted_hole_without_comparing_refs_a_push_that_was_cut_short_is_never_told(
    forge: Forge, loopback: Loopback, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = hook(forge, receiver.url)
    receiver.wait_for(1)
    move(forge, BRANCH, b"1")

    def blind(visit: Visit) -> None:
        """Looks at no ref."""

    monkeypatch.setattr(events, "notice", blind)
    start_again(forge, loopback)
    forge.api("owner", "POST", f"hooks/{number}/pings")
    assert [it.event for it in receiver.wait_for(2)] == ["ping", "ping"]


def test_a_removed_webhook_hears_nothing_more(forge: Forge, receiver: Receiver) -> None:
    number = hook(forge, receiver.url)
    receiver.wait_for(1)
    assert forge.api("owner", "DELETE", f"hooks/{number}").status_code == 204
    other = hook(forge, receiver.url + "/other")
    move(forge, BRANCH, b"1")
    forge.api("elf-devops", "POST", "pulls", {"title": "T", "head": BRANCH, "base": "main"})
    got = receiver.wait_for(3)
    assert {it.headers["x-github-hook-id"] for it in got[1:]} == {str(other)}


# ---------------------------------------------------------------- only to safe addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3/x", "http://169.254.169.254/latest/meta-data", "http://[fd00::1]/", "http://192.168.0.1:8080/",
        "ftp://127.0.0.1/", "file:///etc/passwd", "http://user:word@127.0.0.1/", "http://", "127.0.0.1:80",
        "http://0.0.0.0/", "http://[::ffff:10.0.0.1]/",
    ],
)  # fmt: skip
def test_an_unsafe_address_is_no_webhook(forge: Forge, url: str) -> None:
    answer = forge.api("owner", "POST", "hooks", {"events": ["push"], "config": {"url": url}})
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")


def names_lead_inside(host: str, port: int) -> list[str]:
    return ["10.1.2.3"]


def test_a_name_that_leads_inside_is_not_reached(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_http, "_ask_the_system", names_lead_inside)
    number = hook(forge, "http://trap.example/x")
    (one,) = deliveries(forge, number, 1)
    told = forge.api("owner", "GET", f"hooks/{number}/deliveries/{one['id']}").json()
    assert (one["status"], one["status_code"]) == ("failed to connect to host", 0)
    assert "10.1.2.3 is private" in told["response"]["payload"]


def test_planted_hole_with_that_network_our_own_the_inside_is_reached_for(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the judgement of addresses widened the connection is tried: the refusal was the judgement's."""
    monkeypatch.setattr(safe_http, "_ask_the_system", names_lead_inside)
    monkeypatch.setattr(courier, "THIS_MACHINE", ("10.0.0.0/8",))
    monkeypatch.setattr(courier, "TIMEOUT_SECONDS", 0.3)
    number = hook(forge, "http://trap.example/x")
    (one,) = deliveries(forge, number, 1)
    told = forge.api("owner", "GET", f"hooks/{number}/deliveries/{one['id']}").json()
    # The test's own fence was the next that stood in its way.
    assert told["response"]["payload"] in {"SocketConnectBlockedError", "UserWarning"}


def test_a_redirect_is_not_followed(forge: Forge, receiver: Receiver) -> None:
    receiver.status, receiver.answer_headers = 302, {"Location": receiver.url + "/elsewhere"}
    number = hook(forge, receiver.url)
    (one,) = deliveries(forge, number, 1)
    assert (one["status_code"], len(receiver.got)) == (0, 1)


def test_a_failed_delivery_is_written_down_and_not_tried_again_by_itself(forge: Forge, receiver: Receiver) -> None:
    receiver.status = 500
    number = hook(forge, receiver.url)
    (one,) = deliveries(forge, number, 1)
    assert (one["status"], one["status_code"]) == ("Invalid HTTP Response: 500", 500)
    assert forge.api("owner", "GET", f"hooks/{number}").json()["last_response"]["status"] == "inactive"
    receiver.status = 200
    forge.api("owner", "POST", f"hooks/{number}/deliveries/{one['id']}/attempts")
    assert [it["redelivery"] for it in deliveries(forge, number, 2)] == [True, False]
