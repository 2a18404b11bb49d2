"""The REST routes about webhooks: make, look at, change, remove, ping; and what was delivered, to look at and to send again.

For who looks after the repository; everybody else is told 404, as GitHub does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mcp_servers.addresses import AddressRefused, check
from mcp_servers.git.forge import events, hooks
from mcp_servers.git.forge.courier import THIS_MACHINE
from mcp_servers.git.forge.errors import ForgeError, not_found
from mcp_servers.git.forge.identity import number_of
from mcp_servers.git.forge.paging import paged
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.store import LARGEST_NUMBER, Row
from mcp_servers.git.forge.wire import Json, repository, user


def _administering(visit: Visiting) -> Visit:
    visit.administer()
    return visit


Administering = Annotated[Visit, Depends(_administering)]
router = APIRouter(prefix="/repos/{owner}/{repo}/hooks")
ZEN = "Nothing an agent says is believed."


class Config(BaseModel):
    url: str | None = Field(default=None, max_length=2000)
    content_type: str | None = None
    secret: str | None = Field(default=None, max_length=1000)
    insecure_ssl: str | int | None = None


class NewHook(BaseModel):
    name: str = "web"
    config: Config = Config()
    events: list[str] = ["push"]
    active: bool = True


class HookEdit(BaseModel):
    config: Config | None = None
    events: list[str] | None = None
    add_events: list[str] = []
    remove_events: list[str] = []
    active: bool | None = None


@router.get("")
def list_hooks(request: Request, visit: Administering) -> JSONResponse:
    with visit.site.store.read() as connection:
        rows: list[Row] = connection.execute("SELECT * FROM hooks WHERE repo = ? ORDER BY id", (visit.repo,)).fetchall()
    return paged(request, visit, rows, lambda row: _shape(visit, row), "/hooks")


@router.post("", status_code=201)
def create_hook(visit: Administering, new: NewHook) -> Json:
    """A webhook, which is pinged at once."""
    if new.name != "web":
        raise _wrong("name", "name must be 'web'")
    url = _checked_url(new.config.url)
    kind, wanted, at = _content_type(new.config), _checked_events(new.events), visit.site.time()
    with visit.site.store.write() as connection:
        others = connection.execute("SELECT * FROM hooks WHERE repo = ?", (visit.repo,)).fetchall()
        _check_others(others, url, wanted)
        if not others:
            events.remember_refs(visit, connection)
        cursor = connection.execute(
            "INSERT INTO hooks (repo, url, content_type, secret, events, active, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (visit.repo, url, kind, new.config.secret or "", json.dumps(wanted), int(new.active), at, at),
        )
        row: Row = connection.execute("SELECT * FROM hooks WHERE id = ?", (cursor.lastrowid,)).fetchone()
        if new.active:
            _ping(visit, connection, row)
    visit.site.courier.wake()
    return _shape(visit, row)


@router.get("/{hook}")
def get_hook(visit: Administering, hook: int) -> Json:
    return _shape(visit, _hook(visit, hook))


@router.patch("/{hook}")
def edit_hook(visit: Administering, hook: int, edit: HookEdit) -> Json:
    """What is not given stays; a config that is given is the whole of it, but for the secret's stars."""
    row = _hook(visit, hook)
    wanted = set(json.loads(row["events"]) if edit.events is None else edit.events)
    names = _checked_events(sorted((wanted | set(edit.add_events)) - set(edit.remove_events)))
    url, kind, secret = row["url"], row["content_type"], row["secret"]
    if edit.config is not None:
        url, kind = _checked_url(edit.config.url or url), _content_type(edit.config)
        secret = secret if edit.config.secret == _STARS else edit.config.secret or ""
    active = row["active"] if edit.active is None else int(edit.active)
    with visit.site.store.write() as connection:
        connection.execute(
            "UPDATE hooks SET url = ?, content_type = ?, secret = ?, events = ?, active = ?, updated_at = ? WHERE id = ?",
            (url, kind, secret, json.dumps(names), active, visit.site.time(), hook),
        )
    return _shape(visit, _hook(visit, hook))


@router.delete("/{hook}", status_code=204)
def delete_hook(visit: Administering, hook: int) -> Response:
    _hook(visit, hook)
    with visit.site.store.write() as connection:
        connection.execute("DELETE FROM deliveries WHERE hook = ?", (hook,))
        connection.execute("DELETE FROM hooks WHERE id = ?", (hook,))
    return Response(status_code=204)


@router.post("/{hook}/pings", status_code=204)
def ping(visit: Administering, hook: int) -> Response:
    row = _hook(visit, hook)
    with visit.site.store.write() as connection:
        _ping(visit, connection, row)
    visit.site.courier.wake()
    return Response(status_code=204)


@router.get("/{hook}/deliveries")
def list_deliveries(visit: Administering, hook: int, per_page: int = 30, cursor: str = "") -> JSONResponse:
    """The newest first; the `Link` to the next page carries a cursor."""
    _hook(visit, hook)
    size = min(max(per_page, 1), 100)
    below = int(cursor) if cursor.isdigit() and len(cursor) < 18 else LARGEST_NUMBER
    with visit.site.store.read() as connection:
        rows: list[Row] = connection.execute(
            "SELECT * FROM deliveries WHERE hook = ? AND delivered_at IS NOT NULL AND id < ? ORDER BY id DESC LIMIT ?",
            (hook, below, size + 1),
        ).fetchall()
    headers: dict[str, str] = {}
    if len(rows) > size:
        after = rows[size - 1]["id"]
        headers["Link"] = f'<{visit.url}/hooks/{hook}/deliveries?per_page={size}&cursor={after}>; rel="next"'
    return JSONResponse([_delivery(row) for row in rows[:size]], headers=headers)


@router.get("/{hook}/deliveries/{delivery}")
def get_delivery(visit: Administering, hook: int, delivery: int) -> Json:
    row = _delivered(visit, hook, delivery)
    answered = json.loads(row["answered"] or "{}")
    return {
        **_delivery(row),
        "url": _hook(visit, hook)["url"],
        "request": {"headers": json.loads(row["sent"] or "{}"), "payload": json.loads(row["payload"])},
        "response": {"headers": answered, "payload": row["answer"] or ""},
    }


@router.post("/{hook}/deliveries/{delivery}/attempts", status_code=202)
def deliver_again(visit: Administering, hook: int, delivery: int) -> Json:
    """The same event with the same id, once more."""
    row = _delivered(visit, hook, delivery)
    with visit.site.store.write() as connection:
        payload = json.loads(row["payload"])
        hooks.enqueue(
            connection, visit.repo, hook, row["event"], payload, row["guid"], visit.site.time(), again=True
        )  # fmt: skip
    visit.site.courier.wake()
    return {}


_STARS = "********"


def _shape(visit: Visit, row: Row) -> Json:
    url = f"{visit.url}/hooks/{row['id']}"
    config = {"url": row["url"], "content_type": row["content_type"], "insecure_ssl": "0"}
    return {
        "type": "Repository",
        "id": row["id"],
        "name": "web",
        "active": bool(row["active"]),
        "events": json.loads(row["events"]),
        "config": config | ({"secret": _STARS} if row["secret"] else {}),
        "updated_at": row["updated_at"],
        "created_at": row["created_at"],
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": {"code": row["last_code"], "status": row["last_status"], "message": row["last_message"]},
    }


def _delivery(row: Row) -> Json:
    return {
        "id": row["id"],
        "guid": row["guid"],
        "delivered_at": row["delivered_at"],
        "redelivery": bool(row["redelivery"]),
        "duration": row["duration"],
        "status": row["status"],
        "status_code": row["code"],
        "event": row["event"],
        "action": row["action"],
        "installation_id": None,
        "repository_id": number_of(row["repo"]),
        "throttled_at": None,
    }


def _ping(visit: Visit, connection: sqlite3.Connection, row: Row) -> None:
    payload: dict[str, Any] = {"zen": ZEN, "hook_id": row["id"], "hook": _shape(visit, row)}
    payload |= {"repository": repository(visit), "sender": user(visit.site, visit.identity.login)}
    hooks.enqueue(connection, visit.repo, row["id"], "ping", payload, str(uuid4()), visit.site.time())


def _hook(visit: Visit, hook: int) -> Row:
    return _one(visit, "SELECT * FROM hooks WHERE repo = ? AND id = ?", (visit.repo, hook))


def _delivered(visit: Visit, hook: int, delivery: int) -> Row:
    query = "SELECT * FROM deliveries WHERE repo = ? AND hook = ? AND id = ? AND delivered_at IS NOT NULL"
    return _one(visit, query, (visit.repo, hook, delivery))


def _one(visit: Visit, query: str, values: Sequence[str | int]) -> Row:
    if any(isinstance(value, int) and not 0 < value <= LARGEST_NUMBER for value in values):
        raise not_found()
    with visit.site.store.read() as connection:
        row: Row | None = connection.execute(query, values).fetchone()
    if row is None:
        raise not_found()
    return row


def _wrong(field: str, message: str) -> ForgeError:
    problem = {"resource": "Hook", "code": "custom", "field": field, "message": message}
    return ForgeError(422, "Validation Failed", [problem])


def _checked_url(url: str | None) -> str:
    """An address that may be reached: the name is judged again, with what it resolves to, at each delivery."""
    if not url:
        raise _wrong("url", "url cannot be blank")
    try:
        parts = urlsplit(url)
        host, usable = parts.hostname or "", parts.scheme in {"http", "https"} and parts.username is None
        _ = parts.port
    except ValueError as error:
        raise _wrong("url", "url is not a usable address") from error
    if not host or not usable:
        raise _wrong("url", "url must be http://… or https://…, without a user or a password")
    if host[-1].isdigit() or ":" in host:
        try:
            check(host, THIS_MACHINE)
        except AddressRefused as error:
            raise _wrong(
                "url", f"url is not supported because it isn't reachable ({str(error).partition(';')[0]})"
            ) from error
    return url


def _content_type(config: Config) -> str:
    if str(config.insecure_ssl or "0") != "0":
        raise _wrong("insecure_ssl", "insecure_ssl must be '0': certificates are always checked here")
    if config.content_type not in (None, "json", "form"):
        raise _wrong("content_type", "content_type must be 'json' or 'form'")
    return config.content_type or "form"


def _checked_events(names: list[str]) -> list[str]:
    unknown = sorted(set(names) - hooks.EVENTS - {"*"})
    if unknown or not names:
        raise _wrong("events", f"events has what is not told here: {', '.join(unknown)[:200] or 'nothing'}")
    return sorted(set(names))


def _check_others(rows: Sequence[Row], url: str, wanted: list[str]) -> None:
    for row in rows:
        if row["url"] == url and set(json.loads(row["events"])) == set(wanted):
            problem = {"resource": "Hook", "code": "custom", "message": "Hook already exists on this repository"}
            raise ForgeError(422, "Validation Failed", [problem])
    for name in wanted:
        if sum(name in json.loads(row["events"]) for row in rows) >= hooks.HOOKS_AN_EVENT:
            raise _wrong("events", f"the event {name!r} has {hooks.HOOKS_AN_EVENT} webhooks already")
