"""Webhooks: who wants to be told of what, and the outbox. A delivery is written in the same transaction as what it tells of."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from mcp_servers.git.forge.identity import number_of
from mcp_servers.git.forge.store import Row

#: What a webhook can ask for; `*` is everything. A ping goes to every new webhook, asked for or not.
EVENTS = frozenset(
    {"push", "create", "delete", "pull_request", "pull_request_review", "issue_comment", "label", "status", "ping"}
)
HOOKS_AN_EVENT = 20
#: As GitHub: what was delivered is kept this long, to be looked at and sent again.
KEPT_DAYS = 3
ANSWER_KEPT = 4096


def has_hooks(connection: sqlite3.Connection, repo: str) -> bool:
    return connection.execute("SELECT 1 FROM hooks WHERE repo = ? LIMIT 1", (repo,)).fetchone() is not None


def tell(
    connection: sqlite3.Connection, repo: str, event: str, payload: Callable[[], Mapping[str, Any]], at: str
) -> None:
    """Put the event into the outbox of every webhook that asked for it; `payload` is only made if there is one."""
    rows = connection.execute("SELECT id, events FROM hooks WHERE repo = ? AND active = 1 ORDER BY id", (repo,))
    wanting = [row["id"] for row in rows if {"*", event} & set(json.loads(row["events"]))]
    if wanting:
        made, guid = payload(), str(uuid4())
        for hook in wanting:
            enqueue(connection, repo, hook, event, made, guid, at)


def enqueue(
    connection: sqlite3.Connection,
    repo: str,
    hook: int,
    event: str,
    payload: Mapping[str, Any],
    guid: str,
    at: str,
    *,
    again: bool = False,
) -> int:
    """One delivery to one webhook, to be made by the courier; its number."""
    cursor = connection.execute(
        "INSERT INTO deliveries (repo, hook, guid, event, action, payload, redelivery, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (repo, hook, guid, event, payload.get("action"), json.dumps(payload, separators=(",", ":")), int(again), at),
    )
    return int(cursor.lastrowid or 0)


def waiting(connection: sqlite3.Connection) -> list[Row]:
    """The deliveries still to be made, oldest first, each with its webhook's address and secret."""
    return connection.execute(
        "SELECT d.*, h.url, h.secret, h.content_type FROM deliveries d JOIN hooks h ON h.id = d.hook"
        " WHERE d.delivered_at IS NULL ORDER BY d.id"
    ).fetchall()


def body_of(row: Row) -> bytes:
    """The bytes that go out: JSON, or a form with the JSON in its field `payload`."""
    if row["content_type"] == "json":
        return str(row["payload"]).encode()
    return urlencode({"payload": row["payload"]}).encode()


def headers_of(row: Row, body: bytes) -> dict[str, str]:
    """The headers GitHub sends, with both signatures where the webhook has a secret."""
    kind = "application/json" if row["content_type"] == "json" else "application/x-www-form-urlencoded"
    headers = {
        "Accept": "*/*",
        "Content-Type": kind,
        "User-Agent": "GitHub-Hookshot/elf",
        "X-GitHub-Delivery": str(row["guid"]),
        "X-GitHub-Event": str(row["event"]),
        "X-GitHub-Hook-ID": str(row["hook"]),
        "X-GitHub-Hook-Installation-Target-ID": str(number_of(row["repo"])),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if row["secret"]:
        headers["X-Hub-Signature"] = f"sha1={_signed(row['secret'], body, 'sha1')}"
        headers["X-Hub-Signature-256"] = signature(row["secret"], body)
    return headers


def signature(secret: str, body: bytes) -> str:
    """What `X-Hub-Signature-256` holds. Whoever receives compares it in constant time."""
    return f"sha256={_signed(secret, body, 'sha256')}"


def _signed(secret: str, body: bytes, digest: str) -> str:
    return hmac.new(secret.encode(), body, getattr(hashlib, digest)).hexdigest()
