"""What GitHub's webhooks are to us: a nudge to look again. Nothing of their content is believed, and so nothing of it is read.

A signature covers neither headers nor time: a delivery can come late, twice, or again from whoever once saw it. All that any of
them does is that the state is read a little earlier than it would have been.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterable

#: GitHub's own limit is 25 MB; what is larger than this is heard of at the next look.
LARGEST = 5_000_000


class TooLarge(Exception):
    """The body is larger than any that is listened to."""


async def body_of(stream: AsyncIterable[bytes], largest: int = LARGEST) -> bytes:
    """The whole body. `TooLarge` as soon as it is, without the rest."""
    found = bytearray()
    async for part in stream:
        found += part
        if len(found) > largest:
            raise TooLarge
    return bytes(found)


def signature_of(secret: str, body: bytes) -> str:
    """What `X-Hub-Signature-256` says of these bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(secret: str, body: bytes, signature: str | None) -> bool:
    """Whether the signature is of these bytes and by whoever has the secret; compared in constant time."""
    if not secret or signature is None:
        return False
    return hmac.compare_digest(signature_of(secret, body).encode(), signature.encode("utf-8", "replace"))
