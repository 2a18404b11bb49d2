"""Tokens for a person's own clients (chat clients, editors, MCP clients): they talk with the CEO and read, and do nothing else.

Signed with the kernel's key for an audience of their own, under a name of their own, so that no other door knows them: neither the
office, where changes are approved, nor /mcp, nor /a2a, nor the models. They end by themselves, and by being revoked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt

from mcp_servers.gateway.identity import MIN_KEY_BYTES, bearer, in_time, no_valid_token

AUDIENCE = "elf-ceo"
#: Nobody but this kernel checks these.
ALGORITHM = "HS256"
#: What each begins with: people and programs see what it is, and it is no web token to whoever expects one.
PREFIX = "elf-client-"
_ROLE = "client"
_ID = re.compile(r"[0-9a-f]{8,32}")
_CLAIMS = ["sub", "aud", "role", "iat", "exp"]


class ClientTokens:
    """Issues and checks them. `is_open` says of an id whether it was issued and not revoked; it may read a database."""

    def __init__(self, key: bytes, is_open: Callable[[str], bool]) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the kernel's signing key has {len(key)} bytes; it needs at least {MIN_KEY_BYTES}")
        self._key, self._is_open = key, is_open

    def issue(self, id_: str, *, now: datetime, lifetime: timedelta) -> str:
        """The token itself, which is kept nowhere."""
        if not _ID.fullmatch(id_):
            raise ValueError(f"no client token can have the id {id_!r}: 8 to 32 hex digits")
        ends = int((now + lifetime).timestamp())
        claims = {"sub": id_, "aud": AUDIENCE, "role": _ROLE, "iat": int(now.timestamp()), "exp": ends}
        return PREFIX + jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def identify(self, authorization: str | None, now: datetime) -> str:
        """The id of the token in this header. Raises `Refused` (unauthenticated), the same for every fault. May read a database."""
        token = bearer(authorization)
        if token is None or not token.startswith(PREFIX):
            raise no_valid_token()
        claims = self._claims(token.removeprefix(PREFIX))
        id_ = str(claims["sub"])
        if claims["role"] != _ROLE or not _ID.fullmatch(id_) or not in_time(claims, now) or not self._is_open(id_):
            raise no_valid_token()
        return id_

    def _claims(self, token: str) -> Mapping[str, Any]:
        # Times are checked against our own idea of now.
        options: Any = {"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            return jwt.decode(token, self._key, algorithms=[ALGORITHM], audience=AUDIENCE, options=options)
        except (jwt.PyJWTError, ValueError) as error:
            raise no_valid_token() from error


def looks_like_one(authorization: str | None) -> bool:
    """Whether a header claims to bear such a token: by its first characters, nothing is checked."""
    return (bearer(authorization) or "").startswith(PREFIX)
