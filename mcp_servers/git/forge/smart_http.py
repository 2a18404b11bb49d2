"""Git's smart HTTP protocol, by `git http-backend`: a CGI program whose input and output are streamed through.

A raw ASGI app, for it must read the request and write the response at the same time. Nothing of the request reaches the
program's environment but checked names, the protocol version and the encoding of the body.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from mcp_servers.git.command import environment
from mcp_servers.git.forge import events
from mcp_servers.git.forge.errors import ForgeError
from mcp_servers.git.forge.identity import Identity
from mcp_servers.git.forge.protection import ProtectionMissing, check_hook, closures, hooks_path
from mcp_servers.git.forge.rulesets import closed_refs, of_row
from mcp_servers.git.forge.site import Site, Visit
from mcp_servers.git.forge.store import ruleset_rows

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: The largest request body, and the largest unpacked push, in bytes.
BODY_LIMIT = 64 * 1024 * 1024
TIMEOUT_SECONDS = 120.0
GRACE_SECONDS = 3.0
CHUNK = 64 * 1024

_PATH = re.compile(r"/([^/]+)/([^/]+)\.git/(info/refs|git-upload-pack|git-receive-pack)")
_PROTOCOL = re.compile(r"version=[012]")


class Refusal(Exception):
    """An answer before git is started: the status and one sentence, which the git client prints."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Disconnected(Exception):
    """The client went away in the middle."""


class SmartHttp:
    """The ASGI app at `<base_url>/git`. A new git process serves each request and never outlives it."""

    def __init__(self, site: Site) -> None:
        self.site = site

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        reply = Reply(send)
        try:
            visit, service = self._visit(scope, headers)
            given = self._request_environment(visit, scope, headers)
            try:
                await asyncio.wait_for(self._serve(given, receive, reply), TIMEOUT_SECONDS)
            finally:
                if service == "git-receive-pack" and scope["method"] == "POST":
                    # The answer has gone out; however it ended, refs may have moved.
                    await asyncio.to_thread(events.notice, visit)
        except Refusal as refusal:
            await reply.refuse(refusal)
        except TimeoutError:
            await reply.refuse(Refusal(503, f"Git needed more than {TIMEOUT_SECONDS:g} s; try again."))
        except Disconnected:
            return  # Nobody is left to answer, and git was stopped.

    def _visit(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Visit, str]:
        """Decide: who is this, may it, and which of git's services is it. `Refusal` if not."""
        try:
            identity = self.site.identity(headers.get("authorization"))
        except ForgeError as error:
            raise Refusal(401, f"{error.message}. Use a forge token as the password.") from error
        found = _PATH.fullmatch(_path(scope))
        service = _service(str(scope["method"]), found.group(3) if found else "", _query(scope))
        repository = self.site.repository(found.group(1), found.group(2)) if found else None
        if found is None or repository is None or "read" not in identity.may:
            raise Refusal(404, "There is no such repository here.")
        if service is None:
            raise Refusal(403, "Only git clone, fetch and push are served here.")
        if service == "git-receive-pack":
            self._check_push(identity)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_LIMIT:
            raise Refusal(413, f"A request may have {BODY_LIMIT} bytes; push less at once.")
        return Visit(self.site, identity, found.group(1), found.group(2), repository), service

    def _request_environment(
        self, visit: Visit, scope: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, str]:
        """What git is told of this request."""
        with self.site.store.read() as connection:
            rules = [of_row(row) for row in ruleset_rows(connection, visit.repo)]
        return {
            **_cgi(scope, headers, _path(scope), _query(scope)),
            **_settings(self.site.root, visit.repository.git_dir),
            **_who(visit.identity),
            **closures(closed_refs(rules, visit.identity)),
        }

    def _check_push(self, identity: Identity) -> None:
        if "push_auto" not in identity.may:
            raise Refusal(403, f"{identity.login} may not push here.")
        try:
            check_hook(self.site.root)
        except ProtectionMissing as error:
            raise Refusal(503, f"Refused: {error}.") from error

    async def _serve(self, given: Mapping[str, str], receive: Receive, reply: Reply) -> None:
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", stdin=PIPE, stdout=PIPE, env=environment(given), start_new_session=True
        )
        feeding = asyncio.create_task(self._feed(process, receive))
        answering = asyncio.create_task(_answer(process, reply))
        try:
            await asyncio.wait({feeding, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                feeding.result()
            await answering
        finally:
            for task in (feeding, answering):
                task.cancel()
            await asyncio.gather(feeding, answering, return_exceptions=True)
            await _stop(process)

    async def _feed(self, process: Process, receive: Receive) -> None:
        """The request's body to git; then wait for the client, which ends this only by going away."""
        assert process.stdin is not None
        total = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            total += len(message.get("body", b""))
            if total > BODY_LIMIT:
                raise Refusal(413, f"A request may have {BODY_LIMIT} bytes; push less at once.")
            if process.stdin.is_closing():
                return  # git has all it wants; its answer tells why.
            try:
                process.stdin.write(message.get("body", b""))
                await process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                return
            if not message.get("more_body", False):
                process.stdin.close()


class Reply:
    """The response, which starts once: a refusal that comes too late cuts it short instead."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def body(self, chunk: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def refuse(self, refusal: Refusal) -> None:
        if self._started:
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="forge", charset="UTF-8"'))
        await self.start(refusal.status, headers)
        await self.body(f"{refusal.sentence}\n".encode(), more=False)


async def _answer(process: Process, reply: Reply) -> None:
    """Git's answer to the client: the CGI headers, then the body as it comes."""
    assert process.stdout is not None
    try:
        head = await process.stdout.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise Refusal(500, "Git gave no answer; try again.") from error
    lines = [line.partition(b":") for line in head.strip().split(b"\r\n")]
    fields = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    status = next((int(value[:3]) for name, value in fields if name == b"status"), 200)
    await reply.start(status, [(name, value) for name, value in fields if name != b"status"])
    while chunk := await process.stdout.read(CHUNK):
        await reply.body(chunk, more=True)
    await reply.body(b"", more=False)


async def _stop(process: Process) -> None:
    """End git and what it started. A signal first that lets it remove its lock files; a lock left behind would stay."""
    if process.returncode is None:
        try:
            await asyncio.wait_for(process.wait(), 0.2)
            return
        except TimeoutError:
            os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _path(scope: Mapping[str, Any]) -> str:
    return str(scope["path"]).removeprefix(str(scope.get("root_path", "")))


def _query(scope: Mapping[str, Any]) -> str:
    return scope["query_string"].decode("latin-1")


def _service(method: str, endpoint: str, query: str) -> str | None:
    """Which of git's two services is asked for; None for anything else, the old dumb protocol included."""
    if method == "POST" and endpoint in {"git-upload-pack", "git-receive-pack"}:
        return endpoint
    if method == "GET" and endpoint == "info/refs":
        return {"service=git-upload-pack": "git-upload-pack", "service=git-receive-pack": "git-receive-pack"}.get(query)
    return None


def _cgi(scope: Mapping[str, Any], headers: Mapping[str, str], path: str, query: str) -> dict[str, str]:
    given = {
        "REQUEST_METHOD": str(scope["method"]),
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "REMOTE_ADDR": "127.0.0.1",
        "GIT_HTTP_EXPORT_ALL": "1",
    }
    if headers.get("content-length", "").isdigit():
        given["CONTENT_LENGTH"] = headers["content-length"]
    if headers.get("content-encoding") in {"gzip", "x-gzip"}:
        given["HTTP_CONTENT_ENCODING"] = "gzip"
    if _PROTOCOL.fullmatch(headers.get("git-protocol", "")):
        given["HTTP_GIT_PROTOCOL"] = given["GIT_PROTOCOL"] = headers["git-protocol"]
    return given


def _who(identity: Identity) -> dict[str, str]:
    """The identity for the reflog (by which a branch knows its creator) and for the hook."""
    return {
        "REMOTE_USER": identity.login,
        "GIT_COMMITTER_NAME": identity.login,
        "GIT_COMMITTER_EMAIL": f"{identity.login}@elf.local",
        "ELF_LOGIN": identity.login,
        "ELF_MAY_PUSH": "yes" if "push_auto" in identity.may else "no",
    }


def _settings(root: Path, bare: Path) -> dict[str, str]:
    """Git's settings for this one process, above whatever the repository's own file says."""
    settings = {
        "core.hooksPath": str(hooks_path(root)),
        "core.logAllRefUpdates": "always",
        "gc.auto": "0",
        "gc.reflogExpire": "never",
        "http.getanyfile": "false",
        "http.receivepack": "true",
        "receive.autogc": "false",
        "receive.denyDeletes": "true",
        "receive.fsckObjects": "true",
        "receive.hideRefs": "refs/pull",
        "receive.maxInputSize": str(BODY_LIMIT),
        "safe.directory": str(bare),
        "uploadpack.allowFilter": "true",
    }
    given = {"GIT_PROJECT_ROOT": str(root), "GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings.items()):
        given |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return given
