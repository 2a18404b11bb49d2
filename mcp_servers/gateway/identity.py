"""Who is calling: a signed token a team member, one operator token for the person, tokens for the kernel's own hands.

A bad token gets the same refusal whatever is wrong with it, before anything is looked up: a guesser learns nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import jwt

from mcp_servers.gateway.refusals import Refused

AUDIENCE = "elf-gateway"
ALGORITHM = "HS256"
MIN_KEY_BYTES = 32
MAX_HEADER_CHARACTERS = 4096
#: Good signatures remembered at most; then all are forgotten and checked again.
REMEMBERED_TOKENS = 10_000
#: How far an issuing clock may run ahead of ours.
CLOCK_LEEWAY = timedelta(seconds=60)
REFUSAL = (
    "No valid token. Send 'Authorization: Bearer <token>' with a token that this gateway issued and that has not ended."
)

_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_MEMBER = re.compile(rf"({_NAME})/({_NAME})")
_HAND = re.compile(rf"kernel:({_NAME})")
_CLAIMS = ["sub", "aud", "role", "deployment", "jti", "iat", "exp"]


@dataclass(frozen=True)
class Caller:
    """Somebody known. A person is team `person`, member `owner`; a hand of the kernel is team `kernel`, member its name."""

    team: str
    member: str
    manager: bool
    deployment_id: str | None
    kind: Literal["member", "person", "kernel"]

    @property
    def address(self) -> str:
        """`team/member`, `person:owner` or `kernel:<hand>`."""
        return f"{self.team}{'/' if self.kind == 'member' else ':'}{self.member}"


PERSON = Caller("person", "owner", manager=True, deployment_id=None, kind="person")


class Identity:
    """Issues and checks tokens with one key. `deployment_is_alive` may read a database; it is asked last."""

    def __init__(self, key: bytes, operator_sha256: str, deployment_is_alive: Callable[[str], bool]) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the kernel's signing key has {len(key)} bytes; it needs at least {MIN_KEY_BYTES}")
        if not re.fullmatch(r"[0-9a-f]{64}", operator_sha256):
            raise ValueError("the operator token's hash must be a SHA-256 in lower-case hex")
        self._key = key
        self._operator_sha256 = operator_sha256
        self._deployment_is_alive = deployment_is_alive
        self._signed: dict[str, Mapping[str, Any]] = {}

    def issue(
        self, team: str, member: str, *, manager: bool, deployment_id: str, jti: str, now: datetime, lifetime: timedelta
    ) -> str:
        """A token for one member of one deployment."""
        role = "manager" if manager else "member"
        return self._sign(_checked(_MEMBER, f"{team}/{member}"), role, deployment_id, jti, now, lifetime)

    def issue_kernel(self, hand: str, *, jti: str, now: datetime, lifetime: timedelta) -> str:
        """A token for one of the kernel's own hands, such as `reconciler`."""
        return self._sign(_checked(_HAND, f"kernel:{hand}"), "kernel", "", jti, now, lifetime)

    def identify(self, authorization: str | None, now: datetime) -> Caller:
        """Who sent this header. Raises `Refused` (unauthenticated). May read a database."""
        caller = self.claimed(authorization, now)
        if caller.deployment_id is not None and not self._deployment_is_alive(caller.deployment_id):
            raise no_valid_token()
        return caller

    def claimed(self, authorization: str | None, now: datetime) -> Caller:
        """Who its token says it is, by signature and time alone: nothing is looked up. Its deployment may have ended.

        Raises `Refused` (unauthenticated).
        """
        token = bearer(authorization)
        if token is None:
            raise no_valid_token()
        sha256 = sha256_hex(token)
        if hmac.compare_digest(sha256, self._operator_sha256):
            return PERSON
        return _caller(self._claims(token, sha256), now)

    def _sign(self, subject: str, role: str, deployment_id: str, jti: str, now: datetime, lifetime: timedelta) -> str:
        claims = {
            "sub": subject,
            "aud": AUDIENCE,
            "role": role,
            "deployment": deployment_id,
            "jti": jti,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def _claims(self, token: str, sha256: str) -> Mapping[str, Any]:
        """What a token says whose signature holds. That it holds is remembered; nothing else about it is."""
        if (known := self._signed.get(sha256)) is not None:
            return known
        claims = self._checked_claims(token)
        if len(self._signed) >= REMEMBERED_TOKENS:
            self._signed.clear()
        self._signed[sha256] = claims
        return claims

    def _checked_claims(self, token: str) -> Mapping[str, Any]:
        # Times are checked by `_caller`, against our own idea of now.
        options: Any = {"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            return jwt.decode(token, self._key, algorithms=[ALGORITHM], audience=AUDIENCE, options=options)
        except (jwt.PyJWTError, ValueError) as error:
            raise no_valid_token() from error


def operator_token_hash(token: str) -> str:
    """What is kept of the operator's token. The token itself is random and long (32 bytes or more)."""
    return sha256_hex(token)


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def bearer(authorization: str | None) -> str | None:
    """The token in a header; None if there is none, or none that could be one."""
    if authorization is None or len(authorization) > MAX_HEADER_CHARACTERS:
        return None
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token and token.isascii() else None


def in_time(claims: Mapping[str, Any], now: datetime) -> bool:
    """Whether a token that was issued `iat` and ends `exp` counts now."""
    issued, expires, moment = claims["iat"], claims["exp"], now.timestamp()
    known = isinstance(issued, int) and isinstance(expires, int)
    return known and moment < expires and issued <= moment + CLOCK_LEEWAY.total_seconds()


def _caller(claims: Mapping[str, Any], now: datetime) -> Caller:
    subject, role, deployment = claims["sub"], claims["role"], claims["deployment"]
    if not (in_time(claims, now) and isinstance(deployment, str)):
        raise no_valid_token()
    if role == "kernel" and (hand := _HAND.fullmatch(str(subject))):
        return Caller("kernel", hand[1], manager=True, deployment_id=None, kind="kernel")
    if role in ("manager", "member") and deployment and (member := _MEMBER.fullmatch(str(subject))):
        return Caller(member[1], member[2], role == "manager", deployment, "member")
    raise no_valid_token()


def _checked(pattern: re.Pattern[str], subject: str) -> str:
    if not pattern.fullmatch(subject):
        raise ValueError(f"no token can be issued to {subject!r}: not a valid address")
    return subject


def no_valid_token() -> Refused:
    """The same words whatever is wrong with it."""
    return Refused("unauthenticated", REFUSAL)
