"""Sends to teams through a gateway for tests, and reads what was written down of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy.orm import Session

from memory import messages
from memory.messages import Carried
from tests.doubles.gateway import Office

BOSS = "executive/ceo"


def task(text: str = "Write a headline", **changes: Any) -> dict[str, Any]:
    return {"kind": "task", "correlation_id": "c-1", "payload": {"text": text}} | changes


def send(text: str = "Write a headline", data: Any = None, **message: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": text}] + ([{"data": data}] if data is not None else [])
    whole = {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": parts} | message
    return {"jsonrpc": "2.0", "id": "1", "method": "SendMessage", "params": {"message": whole}}


def post(
    gateway: Office,
    body: Any,
    address: str = BOSS,
    *,
    team: str = "marketing-team",
    manager: bool = True,
    version: str = "1.0",
) -> dict[str, Any]:
    headers = gateway.headers(address, manager=manager) | {"A2A-Version": version}
    return httpx.post(f"{gateway.url}/a2a/{team}", json=body, headers=headers, timeout=20).json()


def carried(gateway: Office) -> list[Carried]:
    def query(session: Session) -> list[Carried]:
        return list(reversed(messages.latest(session)))

    with gateway.database.read() as session:
        return query(session)


def only(gateway: Office) -> Carried:
    [one] = carried(gateway)
    return one
