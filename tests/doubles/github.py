"""A stand-in for GitHub: the embedded forge for what it has, and around it what only GitHub has, with a memory of its own.

That is: an empty repository and the first push to it, Apps with keys and installation tokens that end, and permissions that are
granted to each identity by name and can be changed behind its back. No answer here was recorded from GitHub: they are written
after GitHub's published description of its REST API.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_servers.git.command import environment
from mcp_servers.git.forge import GATE, PERSON, PROPOSER, Identity, create_forge, token_sha256
from mcp_servers.git.forge.identity import Right, number_of, presented_token
from mcp_servers.git.repository import Repository
from tests.doubles.serving import free_port, serving

REPO = "acme/company"
NOTHING = "0" * 40
PROPOSER_RIGHTS = {"contents": "write", "pull_requests": "write", "metadata": "read"}
GATE_RIGHTS = {**PROPOSER_RIGHTS, "statuses": "write"}
PERSON_RIGHTS = {**GATE_RIGHTS, "administration": "write", "repository_hooks": "write", "workflows": "write"}
_FORGE: dict[str, frozenset[Right]] = {"proposer": PROPOSER, "gate": GATE, "person": PERSON}
#: Requests -> the permission they need.
_GUARDED = {
    "git/refs": "contents",
    "pulls": "pull_requests",
    f"statuses/{NOTHING}": "statuses",
    "rulesets": "administration",
}


def _of_nothing(path: str, body: dict[str, Any]) -> bool:
    """Whether the request speaks of something that does not exist."""
    if path == "rulesets":
        return any(rule["type"].startswith("elf_") for rule in body.get("rules", []))
    return NOTHING in (path.split("/")[-1], body.get("sha")) or str(body.get("head", "")).endswith("no-such-branch")


@dataclass
class Someone:
    """An account: its forge token is known to nobody outside; `token` is what it signs in with."""

    login: str
    role: str
    permissions: dict[str, str]
    token: str = field(default_factory=lambda: f"github_pat_{secrets.token_urlsafe(40)}")
    inner: str = field(default_factory=lambda: secrets.token_urlsafe(20))
    #: An App's private key in PEM; None for an account with a token.
    key: str | None = None

    @property
    def app_id(self) -> int:
        return number_of(self.login)


def someone(login: str, role: str, **more: str) -> Someone:
    rights = {"proposer": PROPOSER_RIGHTS, "gate": GATE_RIGHTS, "person": PERSON_RIGHTS}[role]
    return Someone(login, role, {**rights, **more})


def an_app(login: str, role: str) -> Someone:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = someone(login, role)
    made.key = pem.decode()
    return made


@dataclass
class GitHub:
    """`requests` is what was asked: verb and path."""

    root: Path
    url: str
    people: dict[str, Someone]
    now: Callable[[], datetime]
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    #: Installation tokens given out: token -> (login, end).
    issued: dict[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])
    forge: ASGIApp | None = None

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v3"

    @property
    def git_site(self) -> str:
        return f"{self.url}/git"

    @property
    def bare(self) -> Path:
        return self.root / f"{REPO}.git"

    @property
    def repository(self) -> Repository:
        return Repository(self.bare)

    def writes(self) -> list[tuple[str, str]]:
        return [(verb, path) for verb, path in self.requests if verb not in {"GET", "HEAD"}]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self.forge is None:
            identities = [Identity(it.login, token_sha256(it.inner), _FORGE[it.role]) for it in self.people.values()]
            self.forge = create_forge(self.root, identities, self.url, self.now)
        request = Request(scope, receive)
        path = str(scope["path"])
        self.requests.append((request.method, path))
        body = await request.body() if "/git/acme" not in path else b""
        answer = await self._own(request, path, body)
        if answer is not None:
            await answer(scope, receive, send)
            return
        inner = self._inner(request.headers.get("authorization", ""))
        headers = [(k, v) for k, v in scope["headers"] if k != b"authorization"]
        if inner is not None:
            headers.append((b"authorization", f"token {inner}".encode()))
        sent = False

        async def again() -> Any:
            nonlocal sent
            if "/git/acme" in path or sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.forge({**scope, "headers": headers}, again, send)

    # --- who ---

    def _who(self, authorization: str) -> Someone | None:
        token = presented_token(authorization) or ""
        if token in self.issued:
            login, end = self.issued[token]
            return self._named(login) if self.now() < end else None
        return next((it for it in self.people.values() if it.key is None and it.token == token), None)

    def _inner(self, authorization: str) -> str | None:
        who = self._who(authorization)
        return who.inner if who else "nobody's" if authorization else None

    def _named(self, login: str) -> Someone:
        return next(it for it in self.people.values() if it.login == login)

    def _app(self, authorization: str) -> Someone | None:
        """The App whose key signed this."""
        _, _, token = authorization.partition(" ")
        for it in self.people.values():
            if it.key is None:
                continue
            private = serialization.load_pem_private_key(it.key.encode(), None)
            try:
                claims = jwt.decode(token, private.public_key(), algorithms=["RS256"])  # pyright: ignore[reportArgumentType]
            except jwt.PyJWTError:
                continue
            return it if str(claims["iss"]) == str(it.app_id) else None
        return None

    # --- what only GitHub has ---

    async def _own(self, request: Request, path: str, body: bytes) -> Response | None:
        below = path.removeprefix("/api/v3")
        authorization = request.headers.get("authorization", "")
        if below == "/app" or below == f"/repos/{REPO}/installation" or below.startswith("/app/installations/"):
            return self._of_app(below, authorization)
        if path.startswith(f"/git/{REPO}.git") and not self._has_main():
            return await self._first_push(request, authorization)
        if request.method == "POST" and below.startswith(f"/repos/{REPO}/"):
            return self._guarded(below.removeprefix(f"/repos/{REPO}/"), authorization, body)
        return None

    def _of_app(self, below: str, authorization: str) -> Response:
        app = self._app(authorization)
        if app is None:
            return JSONResponse({"message": "A JSON web token could not be decoded"}, 401)
        if below == "/app":
            return JSONResponse({"id": app.app_id, "slug": app.login.removesuffix("[bot]"), "name": app.login})
        if below.endswith("/installation"):
            return JSONResponse({"id": app.app_id + 1, "app_id": app.app_id, "permissions": app.permissions})
        end = self.now() + timedelta(hours=1)
        token = f"ghs_{secrets.token_urlsafe(27)}"
        self.issued[token] = (app.login, end)
        shape = {"token": token, "expires_at": end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        return JSONResponse({**shape, "permissions": app.permissions}, 201)

    def _guarded(self, below: str, authorization: str, body: bytes) -> Response | None:
        if below not in _GUARDED:
            return None
        right = _GUARDED[below]
        who = self._who(authorization)
        if who is None:
            return JSONResponse({"message": "Bad credentials"}, 401)
        if who.permissions.get(right) != "write":
            return JSONResponse({"message": "Resource not accessible by personal access token"}, 403)
        if _of_nothing(below, json.loads(body)):
            return JSONResponse({"message": "Validation Failed", "errors": ["there is no such thing"]}, 422)
        return None

    def _has_main(self) -> bool:
        return "refs/heads/main" in self.repository.refs("refs/heads/")

    async def _first_push(self, request: Request, authorization: str) -> Response:
        """Git's own backend, for who may administer an empty repository."""
        who = self._who(authorization)
        if who is None or who.role != "person":
            return Response("no", 401, {"www-authenticate": "Basic"})
        given = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.url.path.removeprefix("/git"),
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.url.query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "REMOTE_USER": who.login,
        }
        done = await asyncio.to_thread(
            subprocess.run,
            ["git", "http-backend"],
            input=await request.body(),
            env=environment(given) | {"PATH": os.environ["PATH"]},
            capture_output=True,
            check=True,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n")]
        headers = {name.lower(): value for name, value in lines}
        status = int(headers.pop("status", "200 OK").split()[0])
        return Response(body, status, headers)


@contextmanager
def running_github(folder: Path, now: Callable[[], datetime], *people: Someone) -> Generator[GitHub]:
    """An empty repository at `acme/company`, on loopback, with these accounts and a person who administers it."""
    port = free_port()
    bare = folder / f"{REPO}.git"
    bare.parent.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    everyone = {it.login: it for it in (someone("ada", "person"), *people)}
    made = GitHub(folder, f"http://127.0.0.1:{port}", everyone, now)
    with serving(made, port):
        yield made
