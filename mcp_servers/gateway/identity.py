"""Who is calling: a signed token a team member, one operator token for the person, tokens for the kernel's own hands.

Tokens are signed with Ed25519 (EdDSA), by a key that is made of the company's secret and never leaves it; whoever has the public half
(`public_keys`) can check one, and can make none. A bad token gets the same refusal whatever is wrong with it, before anything is looked
up: a guesser learns nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mcp_servers.gateway.refusals import Refused
from memory.rows import Rows

AUDIENCE = ISSUER = "elf-gateway"
ALGORITHM = "EdDSA"
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
_CLAIMS = ["sub", "iss", "aud", "role", "deployment", "jti", "iat", "exp"]


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


#: Whether the deployment of that id has not ended: read in the transaction that is given, or else in one of its own.
IsAlive = Callable[[str, Rows | None], bool]


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a token says whose signature and form are good, and from when until when that counts (seconds since 1970)."""

    caller: Caller
    issued: int
    expires: int


class Identity:
    """Issues and checks tokens with the keys made of one secret, `key`. `deployment_is_alive` may read a database; it is asked last."""

    def __init__(self, key: bytes, operator_sha256: str, deployment_is_alive: IsAlive) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the kernel's signing key has {len(key)} bytes; it needs at least {MIN_KEY_BYTES}")
        if not re.fullmatch(r"[0-9a-f]{64}", operator_sha256):
            raise ValueError("the operator token's hash must be a SHA-256 in lower-case hex")
        self._private = signing_key(key)
        self._public = self._private.public_key()
        self._kid = _thumbprint(self._x)
        self._operator_sha256 = operator_sha256
        self._deployment_is_alive = deployment_is_alive
        self._signed: dict[str, _Signed] = {}

    @property
    def public_keys(self) -> dict[str, Any]:
        """The JWK set by which others check our tokens. No secret."""
        key = {"kty": "OKP", "crv": "Ed25519", "x": self._x, "use": "sig", "alg": ALGORITHM, "kid": self._kid}
        return {"keys": [key]}

    @property
    def _x(self) -> str:
        return _base64url(self._public.public_bytes_raw())

    def issue(
        self, team: str, member: str, *, manager: bool, deployment_id: str, jti: str, now: datetime, lifetime: timedelta
    ) -> str:
        """A token for one member of one deployment."""
        role = "manager" if manager else "member"
        return self._sign(_checked(_MEMBER, f"{team}/{member}"), role, deployment_id, jti, now, lifetime)

    def issue_kernel(self, hand: str, *, jti: str, now: datetime, lifetime: timedelta) -> str:
        """A token for one of the kernel's own hands, such as `reconciler`."""
        return self._sign(_checked(_HAND, f"kernel:{hand}"), "kernel", "", jti, now, lifetime)

    def identify(self, authorization: str | None, now: datetime, rows: Rows | None = None) -> Caller:
        """Who sent this header. Raises `Refused` (unauthenticated). May read a database: through `rows`, where that is given."""
        caller = self.claimed(authorization, now)
        if caller.deployment_id is not None and not self._deployment_is_alive(caller.deployment_id, rows):
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
        signed, moment = self._known(token, sha256), now.timestamp()
        if moment >= signed.expires or signed.issued > moment + CLOCK_LEEWAY.total_seconds():
            raise no_valid_token()
        return signed.caller

    def _sign(self, subject: str, role: str, deployment_id: str, jti: str, now: datetime, lifetime: timedelta) -> str:
        claims = {
            "sub": subject,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "role": role,
            "deployment": deployment_id,
            "jti": jti,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
        }
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self._kid})

    def _known(self, token: str, sha256: str) -> _Signed:
        """What a token says whose signature holds. That it holds is remembered; whether it still counts is not."""
        if (known := self._signed.get(sha256)) is not None:
            return known
        signed = _read(self._checked_claims(token))
        if len(self._signed) >= REMEMBERED_TOKENS:
            self._signed.clear()
        self._signed[sha256] = signed
        return signed

    def _checked_claims(self, token: str) -> Mapping[str, Any]:
        # Times are checked at each call, against our own idea of now.
        options: Any = {"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            return jwt.decode(
                token, self._public, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=options
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise no_valid_token() from error


def signing_key(secret: bytes) -> Ed25519PrivateKey:
    """The private key that is made of the company's secret: always the same one."""
    seed = HKDF(SHA256(), length=32, salt=None, info=b"elf-gateway tokens, Ed25519").derive(secret)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _thumbprint(x: str) -> str:
    """The key's id, as RFC 7638 and RFC 8037 make it."""
    return _base64url(hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


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


def _read(claims: Mapping[str, Any]) -> _Signed:
    issued, expires = claims["iat"], claims["exp"]
    if not (isinstance(issued, int) and isinstance(expires, int)):
        raise no_valid_token()
    return _Signed(_caller(claims["sub"], claims["role"], claims["deployment"]), issued, expires)


def _caller(subject: object, role: object, deployment: object) -> Caller:
    if not isinstance(deployment, str):
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
