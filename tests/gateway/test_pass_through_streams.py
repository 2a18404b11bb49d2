"""Streams of one server at /mcp/{server}: they break, hang, flood, are resumed, and end when they have to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.gateway.event_stream import Event, EventReader, frame
from mcp_servers.gateway.pass_through_exchange import Exchange
from mcp_servers.gateway.pass_through_sessions import Session
from mcp_servers.gateway.pass_through_stream import Passage
from mcp_servers.gateway.rpc_server import UpstreamFailed
from policies.access import ServerGrant
from tests.doubles.gateway import Office
from tests.doubles.talking import (
    CAPABILITIES,
    WRITER,
    Member,
    Message,
    Stream,
    Talking,
    event,
    message_in,
    note,
    question,
    result,
    talking,
    text,
)

Both = tuple[Office, Talking]
LOGGING = (ServerGrant(to="marketing-team/*", server="outside", allow=("logging", "elicitation")),)


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Both]:
    with talking(tmp_path, monkeypatch, max_result_bytes=5000) as found:
        found[0].world.servers = LOGGING
        yield found


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Both]:
    """A server that may be silent for a second."""
    with talking(tmp_path, monkeypatch, timeout_seconds=1) as found:
        found[0].world.servers = LOGGING
        yield found


def opened(gateway: Office, **more: Any) -> Member:
    member = Member(gateway, **more)
    member.opens(CAPABILITIES)
    return member


def said(message: Message) -> str:
    return message["result"]["content"][0]["text"]


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def listening(member: Member, **headers: str) -> Generator[httpx.Response]:
    wanted = member.headers(Accept="text/event-stream", **headers)
    with httpx.stream("GET", member.url, headers=wanted, timeout=15) as stream:
        yield stream


def ends(stream: httpx.Response, seconds: float = 10.0) -> bool:
    """Whether the stream ends by then."""
    deadline = time.monotonic() + seconds
    return all(time.monotonic() < deadline for _ in stream.iter_raw())


def looks_away(*_: object) -> None:
    """In place of a control."""


def _cancelled(server: Talking) -> list[Any]:
    return [it["params"]["requestId"] for it in server.sent("notifications/cancelled")]


# --- broken, hanging, flooding ---


@pytest.mark.rows("F38")
def test_a_server_that_dies_in_mid_stream_leaves_an_answer_and_a_row(both: Both) -> None:
    gateway, server = both

    async def dies(_server: Talking, _call: Message) -> Stream:
        yield event(note("notifications/message", data="so far so good"))
        raise ConnectionResetError

    async def stops(_server: Talking, _call: Message) -> Stream:
        yield event(note("notifications/message", data="so far so good"))

    member = opened(gateway)
    for answers, why in ((dies, "broke off"), (stops, "ended before the answer")):
        server.answers = answers
        log, last = member.calls()
        assert log["params"]["data"] == "so far so good"
        assert last["result"]["isError"] and why in said(last)
    assert [row[3] for row in gateway.ledger("tool.result")] == ["error", "error"]
    server.down = 500
    assert "answered 500" in said(member.calls()[0])


@pytest.mark.rows("F38")
def test_a_server_that_hangs_is_given_up_and_told(hasty: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, server = hasty

    async def hangs(_server: Talking, _call: Message) -> Stream:
        yield event(note("notifications/message", data="one moment"))
        await asyncio.sleep(30)

    server.answers = hangs
    member = opened(gateway)
    began = time.monotonic()
    assert "did not finish in time" in said(member.calls()[-1]) and time.monotonic() - began < 8
    assert eventually(lambda: _cancelled(server) == [1])
    assert gateway.ledger("tool.result")[0][3] == "timeout"
    monkeypatch.setattr(Passage, "_in_time", looks_away)
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "look"}}
    with httpx.stream("POST", member.url, json=call, headers=member.headers(), timeout=15) as stream:
        assert not ends(stream, 1.5), "the deadline alone stood in the way"


def test_while_a_person_thinks_about_a_question_the_server_is_not_blamed(hasty: Both) -> None:
    gateway, server = hasty

    async def asks(this: Talking, call: Message) -> Stream:
        yield event(question("q", "elicitation/create", message="Sure?"))
        while not this.answered("q"):
            await asyncio.sleep(0.01)
        yield event(result(call, text(this.answered("q")[0]["result"]["action"])))

    server.answers = asks
    member = opened(gateway)
    answer = {"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}}
    threading.Timer(1.6, lambda: member.post(answer)).start()
    assert said(member.calls()[-1]) == "accept"


@pytest.mark.rows("F39")
def test_what_is_too_large_is_no_answer(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, server = both

    def gives(size: int, times: int = 1) -> None:
        async def much(_server: Talking, call: Message) -> Stream:
            for _ in range(times - 1):
                yield event(note("notifications/message", data="x" * size))
            yield event(result(call, text("x" * size)))

        server.answers = much

    member = opened(gateway)
    gives(4000)
    assert said(member.calls()[0]) == "x" * 4000
    gives(6000)
    assert "5000 are allowed" in said(member.calls()[0])
    gives(200_000)
    assert "more than the 69000 bytes" in said(member.calls()[0])
    gives(60_000, times=100)
    assert "in a minute" in said(member.calls()[-1])
    too_much = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x" * 3_000_000}}
    assert member.post(too_much).status_code == 413
    monkeypatch.setattr(Passage, "_count", looks_away)
    gives(2_000, times=1000)
    assert said(member.calls()[-1]) == "x" * 2000, "the count alone stood in the way"


def test_what_is_no_message_ends_the_stream_with_a_reason(both: Both) -> None:
    gateway, server = both
    member = opened(gateway)
    for wrong in (
        b"data: {\n\n",
        b"data: []\n\n",
        b'data: {"jsonrpc":"2.0","id":1,"result":5}\n\n',
        b'data: {"a": NaN}\n\n',
    ):

        async def answers(_server: Talking, _call: Message, wrong: bytes = wrong) -> Stream:
            yield wrong

        server.answers = answers
        [last] = member.calls()
        assert last["result"]["isError"], wrong


def test_a_client_that_leaves_is_written_down_and_its_stream_closed(both: Both) -> None:
    gateway, server = both
    closed: list[bool] = []

    async def slow(_server: Talking, _call: Message) -> Stream:
        try:
            for _ in range(100):
                yield event(note("notifications/message", data="still at it"))
                await asyncio.sleep(0.02)
        finally:
            closed.append(True)

    server.answers = slow
    member = opened(gateway)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look"}}
    with httpx.stream("POST", member.url, json=call, headers=member.headers()) as stream:
        next(stream.iter_raw())
    assert eventually(lambda: [row[3] for row in gateway.ledger("tool.result")] == ["gone"]) and eventually(
        lambda: bool(closed)
    )


def test_a_call_that_the_client_cancels_ends_as_cancelled(both: Both) -> None:
    gateway, server = both

    begun = threading.Event()

    async def slow(this: Talking, _call: Message) -> Stream:
        yield event(note("notifications/message", data="begun"))
        begun.set()
        await asyncio.sleep(30)

    server.answers = slow
    member = opened(gateway)

    def cancels() -> None:
        assert begun.wait(15)
        member.post(note("notifications/cancelled", requestId=1, reason="enough"))

    member.post(note("notifications/cancelled", requestId=99))
    threading.Thread(target=cancels).start()
    assert [it.get("method") for it in member.calls()] == ["notifications/message"]
    assert eventually(lambda: _cancelled(server) == [1])
    assert [row[3] for row in gateway.ledger("tool.result")] == ["cancelled"]


# --- streams that stay open ---


@pytest.mark.rows("F39", "F103")
def test_a_retired_member_s_open_stream_ends(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, _ = both
    member = opened(gateway)
    with listening(member) as stream:
        gateway.world.alive.discard("d-marketing")
        assert ends(stream)
    assert eventually(lambda: len(gateway.ledger("mcp.stream")) == 2)
    assert [(row[3], row[4].get("why")) for row in gateway.ledger("mcp.stream")] == [
        ("allowed", None),
        ("refused", "its token ended, or its team was retired"),
    ]
    gateway.world.alive.add("d-marketing")

    async def never(*_: object) -> None:
        """Looks away."""

    monkeypatch.setattr(Exchange, "_may_go_on", never)
    with listening(member) as stream:
        gateway.world.alive.discard("d-marketing")
        assert not ends(stream, 1.5), "the second look alone stood in the way"


@pytest.mark.rows("F39")
def test_an_open_stream_ends_with_its_grant_its_session_and_its_server(both: Both) -> None:
    gateway, _ = both
    member = opened(gateway)
    with listening(member) as stream:
        httpx.delete(member.url, headers=member.headers())
        assert ends(stream)
    member.opens()
    with listening(member) as stream:
        gateway.world.grants = gateway.world.servers = ()
        assert ends(stream)
    whys = {"its session was closed", "nothing of the server is granted any more"}
    assert eventually(lambda: {row[4].get("why") for row in gateway.ledger("mcp.stream")} >= whys)


def test_on_its_own_stream_a_server_says_what_is_granted(both: Both) -> None:
    gateway, server = both

    async def talks(_server: Talking) -> Stream:
        yield event(note("notifications/resources/list_changed"))
        yield event(question("q", "sampling/createMessage"))
        yield event(note("notifications/message", data="hello"))
        await asyncio.sleep(30)

    server.listens = talks
    with listening(opened(gateway)) as stream:
        first = next(found for line in stream.iter_lines() if (found := message_in(line)) is not None)
    assert first["params"]["data"] == "hello" and server.answered("q")[0]["error"]["code"] == -32601


def test_a_server_without_a_stream_of_its_own_says_so(both: Both) -> None:
    gateway, server = both
    member = opened(gateway)
    for theirs, ours in ((405, 405), (409, 409), (500, 502), (404, 404)):
        server.no_stream = theirs
        with listening(member) as stream:
            assert stream.status_code == ours
    assert member.calls()[0]["error"]["message"].startswith("There is no such session"), "404: the server forgot it"


def test_an_answer_is_fetched_by_coming_back_after_the_last_event(both: Both) -> None:
    gateway, server = both
    calls: list[Message] = []

    async def polls(_server: Talking, call: Message) -> Stream:
        calls.append(call)
        yield b"id: secret-place-7\nretry: 50\ndata:\n\n"

    async def resumes(_server: Talking) -> Stream:
        yield event(result(calls[0], text("later")), "secret-place-8")

    server.answers, server.listens = polls, resumes
    member = opened(gateway)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look"}}
    first = member.post(call)
    assert "secret-place" not in first.text and "retry: 50" in first.text
    [last] = [line[4:] for line in first.text.splitlines() if line.startswith("id: ")]
    with listening(member, **{"Last-Event-ID": last}) as stream:
        found = [message for line in stream.iter_lines() if (message := message_in(line)) is not None]
    assert said(found[0]) == "later" and found[0]["result"]["_meta"] == {"elf/untrusted": True}
    assert server.requests[-1][1]["last-event-id"] == "secret-place-7"
    assert [row[3] for row in gateway.ledger("tool.result")] == ["ok"]


def test_an_answer_for_which_nobody_comes_back_is_written_down_as_broken(hasty: Both) -> None:
    gateway, server = hasty

    async def polls(_server: Talking, _call: Message) -> Stream:
        yield b"id: 1\ndata:\n\n"

    server.answers = polls
    member = opened(gateway)
    assert member.calls() == [] and gateway.ledger("tool.result") == []
    assert eventually(lambda: [row[3] for row in gateway.ledger("tool.result")] == ["broken"])


@pytest.mark.rows("F39")
def test_nobody_resumes_what_another_session_was_sent(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, server = both
    mine, theirs = opened(gateway), opened(gateway, address=WRITER)
    for guess in ("1", "theirs-1", "secret-place-7"):
        with listening(theirs, **{"Last-Event-ID": guess}) as stream:
            assert stream.status_code == 400
    assert all("last-event-id" not in headers for _, headers in server.requests)
    assert gateway.ledger("mcp.stream")[0][3] == "refused" and mine.session != theirs.session

    def as_given(_self: Session, ours: str) -> str:
        return ours

    monkeypatch.setattr(Session, "their_event_id", as_given)
    with listening(theirs, **{"Last-Event-ID": "secret-place-7"}) as stream:
        assert stream.status_code == 200
    assert server.requests[-1][1]["last-event-id"] == "secret-place-7", "the mapping alone stood in the way"


# --- events ---

WIRE = b': hi\r\n\r\nid: 1\r\nretry: 5\r\ndata: a\r\ndata:b\r\n\r\ndata: {"x": "\xc3\xa9"}\r\rdata:\n\nretry: 99999999\n\nevent: x\n\n'
EVENTS = [
    Event("1", 5, b"a\nb"),
    Event(None, None, b'{"x": "\xc3\xa9"}'),
    Event(None, None, b""),
    Event(None, 60_000, b""),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    reader = EventReader(1000)
    found = [one for start in range(0, len(WIRE), size) for one in reader.feed(WIRE[start : start + size])]
    assert found == EVENTS


def test_an_event_without_an_end_is_not_kept() -> None:
    reader = EventReader(100)
    assert reader.feed(b"data: 0123456789\n" * 5) == []
    with pytest.raises(UpstreamFailed, match="100 bytes"):
        reader.feed(b"data: 0123456789\n")
    with pytest.raises(UpstreamFailed, match="512 characters"):
        EventReader(10_000).feed(b"id: " + b"x" * 600 + b"\n\n")


def test_an_event_is_written_as_it_is_read() -> None:
    assert EventReader(100).feed(frame(b'{"a":1}', "7", 50)) == [Event("7", 50, b'{"a":1}')]


def test_of_questions_without_an_answer_the_oldest_are_forgotten() -> None:
    nothing: Any = None
    session = Session("id", nothing, "outside", nothing, nothing, {}, {}, 0.0)
    for number in range(1000):
        session.ask(number, "roots/list", float(number))
        session.event_id(f"theirs-{number}")
    assert list(session.asked) == list(range(936, 1000))
    assert session.their_event_id("1000") == "theirs-999"
