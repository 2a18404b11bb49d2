"""Who is calling the forge, and what each may do."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Right = Literal["read", "push_auto", "open_pull", "review", "status", "merge", "comment", "admin"]

#: What the three identities of a company may do. Nobody has a right to push main: only a merge moves it. `admin` is for
#: webhooks and rulesets, which can add to the protection and never take from it.
PROPOSER: frozenset[Right] = frozenset({"read", "push_auto", "open_pull", "comment"})
GATE: frozenset[Right] = frozenset({"read", "status", "merge", "comment"})
PERSON: frozenset[Right] = frozenset({"read", "push_auto", "open_pull", "review", "comment", "admin"})


@dataclass(frozen=True)
class Identity:
    """One account. `token_sha256` is the hex digest of its token; the token itself is nowhere in the forge."""

    login: str
    token_sha256: str
    may: frozenset[Right]

    @property
    def is_bot(self) -> bool:
        """Whether it stands for an App (`elf-…`, `…[bot]`), whose id is then its own number."""
        return self.login.startswith("elf-") or self.login.endswith("[bot]")

    def __post_init__(self) -> None:
        if not self.login.removesuffix("[bot]").replace("-", "").isalnum() or not self.login.isascii():
            raise ValueError(f"the login {self.login!r} must be letters, digits and dashes only")


def number_of(name: str) -> int:
    """The id that GitHub's shapes want next to a name: the same in every run."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def token_sha256(token: str) -> str:
    """The digest by which an identity knows its token."""
    return hashlib.sha256(token.encode()).hexdigest()


def presented_token(authorization: str) -> str | None:
    """The token inside an `Authorization` header: `token X`, `Bearer X`, or the password of `Basic`. None if there is none."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() in {"token", "bearer"}:
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password or None


def identify(identities: Iterable[Identity], token: str) -> Identity | None:
    """Whose token it is. Compares with every identity in constant time, so that timing tells nothing."""
    digest = token_sha256(token)
    found: Identity | None = None
    for identity in identities:
        if hmac.compare_digest(identity.token_sha256, digest):
            found = identity
    return found
