"""The client that reaches tool servers: what it takes for an answer, when a connection is used again, and what it never sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_servers import http_connection, http_pool, safe_http
from mcp_servers.safe_http import Answer, HttpFailed, SafeHttp

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello"


@dataclass
class Server:
    """Answers each request with the next of `says`, and with the last of them for ever."""

    says: list[bytes] = field(default_factory=lambda: [OK])
    close_after: bool = False
    connections: int = 0
    requests: list[bytes] = field(default_factory=list[bytes])
    busy: int = 0
    busiest: int = 0
    answer: Callable[[], Awaitable[object]] | None = None
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((it for it in head.split(b"\r\n") if it.lower().startswith(b"content-length:")), b":0")
                body = await reader.readexactly(int(length.split(b":")[1]))
                self.requests.append(head + body)
                self.busy += 1
                self.busiest = max(self.busiest, self.busy)
                if self.answer is not None:
                    await self.answer()
                self.busy -= 1
                writer.write(self.says.pop(0) if len(self.says) > 1 else self.says[0])
                await writer.drain()
                if self.close_after:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def standing(server: Server) -> AsyncGenerator[SafeHttp]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/a?b=c"
    http = SafeHttp(lambda: ("127.0.0.0/8",))
    try:
        yield http
    finally:
        await http.close()
        listening.close()
        await listening.wait_closed()


async def asked(http: SafeHttp, server: Server, **more: Any) -> Answer:
    given: dict[str, Any] = {"body": b"{}", "timeout_seconds": 5, "max_bytes": 1_000_000}
    return await http.request("POST", server.url, **(given | more))


async def test_a_request_goes_out_as_it_was_meant_and_the_next_one_on_the_same_connection() -> None:
    server = Server()
    async with standing(server) as http:
        for _ in range(3):
            answer = await asked(http, server, headers={"X-Key": "secret"})
            assert (answer.status, answer.content_type, answer.body) == (200, "text/plain", b"hello")
            assert answer.headers.get("Content-Length") == "5", "names are found however they are written"
    assert server.connections == 1
    authority = server.url.split("/")[2].encode()
    assert server.requests[0].startswith(b"POST /a?b=c HTTP/1.1\r\nHost: " + authority + b"\r\nX-Key: secret\r\n")
    assert server.requests[0].endswith(b"\r\nContent-Length: 2\r\n\r\n{}")


ANSWERS = {
    "in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-After: all\r\n\r\n",
        1,
    ),
    "after an informational one": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, 1),
    "that closes": (OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 2),
    "that goes on after its end": (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", 2),
}


@pytest.mark.parametrize(("said", "connections"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_is_read_to_its_end_and_no_further(said: bytes, connections: int) -> None:
    server = Server([said])
    async with standing(server) as http:
        assert [(await asked(http, server)).body for _ in range(2)] == [b"hello", b"hello"]
    assert server.connections == connections


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    server = Server([b"HTTP/1.1 200 OK\r\n\r\nhello"], close_after=True)
    async with standing(server) as http:
        assert (await asked(http, server)).body == b"hello"


BROKEN = {
    "cut off": (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "broke off"),
    "cut off in a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello", "broke off"),
    "nothing": (b"", "broke off"),
    "no HTTP": (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "no HTTP"),
    "a length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "no HTTP",
    ),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "no HTTP"),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 10_000, "bytes of headers allowed"),
    "packed": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "compressed"),
    "too long": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000,
        "more than the 1000000 bytes",
    ),
}


@pytest.mark.rows("F34")
@pytest.mark.parametrize(("said", "why"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_answer_fails_with_its_reason_and_the_next_request_is_answered(said: bytes, why: str) -> None:
    server = Server([said, OK], close_after=True)
    async with standing(server) as http:
        with pytest.raises(HttpFailed, match=why):
            await asked(http, server)
        assert (await asked(http, server)).body == b"hello", "on a connection of its own"


async def test_a_connection_that_its_server_closed_or_that_is_old_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(close_after=True)
    async with standing(server) as http:
        await asked(http, server)
        await asyncio.sleep(0.05)
        await asked(http, server)
        assert server.connections == 2
        server.close_after = False
        await asyncio.sleep(0.05)
        await asked(http, server)
        monkeypatch.setattr(http_pool, "IDLE_SECONDS", -1.0)
        await asked(http, server)
    assert server.connections == 4


async def test_a_server_that_speaks_before_it_is_asked_is_not_believed() -> None:
    """What it says then would be taken for the answer to the next question, which may be another member's."""
    server = Server([OK + b"HTTP/1.1 200 OK\r\n", OK])
    async with standing(server) as http:
        await asked(http, server)
        await asyncio.sleep(0.05)
        assert (await asked(http, server)).body == b"hello"
    assert server.connections == 2


async def test_a_server_that_hangs_is_left_in_time_and_what_it_says_later_answers_nobody() -> None:
    late = asyncio.Event()
    server = Server([OK.replace(b"hello", b"later"), OK], answer=late.wait)
    async with standing(server) as http:
        with pytest.raises(TimeoutError):
            await asked(http, server, timeout_seconds=0.05)
        late.set()
        assert (await asked(http, server)).body == b"hello"
    assert server.connections == 2


async def test_no_more_than_so_many_are_asked_of_one_server_at_a_time_and_all_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_pool, "MOST_TO_ONE", 3)
    server = Server(answer=lambda: asyncio.sleep(0.01))
    async with standing(server) as http:
        calls = [asyncio.create_task(asked(http, server)) for _ in range(20)]
        # Some go away while they wait: their turn is the others'.
        await asyncio.sleep(0.005)
        for call in calls[5:10]:
            call.cancel()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(it, Answer) for it in found) == 15
        assert (await asked(http, server)).status == 200
    assert server.busiest == 3 and server.connections == 3


async def test_a_slow_reader_makes_the_server_wait() -> None:
    much = http_connection.READ_AHEAD_BYTES * 40
    server = Server([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % much + b"x" * much])
    async with standing(server) as http, http.stream("GET", server.url, headers={}, body=None, seconds=5) as opened:
        await asyncio.sleep(0.2)
        first = len(await opened.next())
        assert 0 < first < much / 4, "the rest was not read ahead"
        assert first + len(await opened.whole(much)) == much


INJECTED = {
    "a line's end in a value": {"X-Key": "a\r\nX-Other: b"},
    "a name that is none": {"X Key": "a"},
    "a length of its own": {"Content-Length": "9"},
    "another host": {"Host": "elsewhere.example"},
    "no latin letter": {"X-Key": "\u20ac"},
}


@pytest.mark.rows("F34")
@pytest.mark.parametrize("headers", INJECTED.values(), ids=INJECTED.keys())
async def test_no_header_can_end_another_or_speak_for_the_client(headers: dict[str, str]) -> None:
    server = Server()
    async with standing(server) as http:
        with pytest.raises(HttpFailed, match="header is not usable"):
            await asked(http, server, headers=headers)
    assert server.requests == []


async def test_without_that_look_the_header_would_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(method: str, _target: object, headers: dict[str, str], body: bytes) -> bytes:
        lines = [f"{method} / HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    monkeypatch.setattr(safe_http, "request_bytes", careless)
    server = Server()
    async with standing(server) as http:
        await asked(http, server, headers=INJECTED["a line's end in a value"])
    assert b"\r\nX-Other: b\r\n" in server.requests[0]


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://user:word@example.com/", "http:///x", "nothing"])
async def test_what_is_no_plain_address_is_not_asked(url: str) -> None:
    with pytest.raises(HttpFailed, match="not usable"):
        await SafeHttp(lambda: ()).request("GET", url, timeout_seconds=1, max_bytes=10)
