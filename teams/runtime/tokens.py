"""The members' tokens: renewed by the kernel while the team runs, and put into a request only at the moment it is sent.

Frameworks, agents and clients are given a member's name instead of its token. So a run that outlives a token goes on with the
next one, and no framework's log, trace or memory of its own holds anything that opens the gateway.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

import httpx

_NAMED = "Bearer member:"


class Tokens:
    """One token a member. Threads may share it: a renewal replaces all tokens at once."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = dict(tokens)

    @property
    def members(self) -> frozenset[str]:
        return frozenset(self._tokens)

    def of(self, member: str) -> str:
        """The member's token. `KeyError` if this process was given none."""
        return self._tokens[member]

    def renew(self, fresh: Mapping[str, str]) -> None:
        """Replaces every token. `ValueError` unless they are for the very members there are: nobody joins this way."""
        if fresh.keys() != self._tokens.keys():
            raise ValueError(
                f"tokens are wanted for {', '.join(sorted(self._tokens))}, for all of them and nobody else"
            )
        if not all(fresh.values()):
            raise ValueError("an empty token is none")
        self._tokens = dict(fresh)


def stand_in(member: str) -> str:
    """What a client is given as its key in place of the member's token."""
    return f"member:{member}"


class PutInToken(httpx.Auth):
    """Replaces a member's stand-in by its token on the way to the gateway, and on the way to nobody else."""

    def __init__(self, tokens: Tokens, gateway_url: str) -> None:
        self._tokens = tokens
        self._gateway = _origin(httpx.URL(gateway_url))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        shown = request.headers.get("authorization", "")
        if shown.startswith(_NAMED) and _origin(request.url) == self._gateway:
            request.headers["authorization"] = f"Bearer {self._tokens.of(shown.removeprefix(_NAMED))}"
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
