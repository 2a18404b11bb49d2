"""What the exceptions of LangChain's classes mean, whatever SDK and HTTP library a class stands on.

Most of those libraries are not installed, so their exceptions cannot be named here: they are known by what all of them have, a status,
and by how all of them call a connection that was never made or took too long. What is not known is an answer that makes no sense.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from langchain_core import exceptions as langchain

from mcp_servers.gateway.chat import ProviderFailed
from mcp_servers.gateway.failures import status_failure

#: Nothing was sent, as httpx, aiohttp, botocore and urllib3 say it.
_NEVER_CONNECTED = frozenset(
    (
        *("ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionTimeoutError", "ConnectTimeoutError"),
        *("EndpointConnectionError", "NewConnectionError", "ConnectionRefusedError", "gaierror"),
    )
)
#: Packages whose exceptions, other than for a status, say that a connection broke.
_CONNECTIONS = frozenset(
    ("httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "botocore", "urllib3", "requests", "grpc")
)
#: For classes that say it in LangChain's words alone.
_STATUS_OF: Mapping[type[Exception], int] = {
    langchain.ModelRateLimitError: 429,
    langchain.ModelAuthenticationError: 401,
    langchain.ModelPermissionDeniedError: 403,
    langchain.ModelNotFoundError: 404,
    langchain.ModelInvalidRequestError: 400,
    langchain.ContextOverflowError: 400,
    langchain.ModelAPIError: 500,
}


def failure(name: str, error: Exception, *, started: bool = False) -> ProviderFailed:
    """What a class's exception means. `started`: part of an answer had come already."""
    causes = list(_causes(error))
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    if kinds & _NEVER_CONNECTED:
        return ProviderFailed(f"{name} cannot be reached; check its address and the network.", "unreachable", free=True)
    if any("Timeout" in kind for kind in kinds):
        return ProviderFailed(f"{name} did not answer in time; ask again later.", "timeout", free=False)
    status = next((found for found in map(_status, causes) if found is not None), None)
    if status is not None and not started:
        if status < 400:
            # An error event at the head of a stream that was accepted; what it charged is not known.
            return ProviderFailed(
                f"{name} is failing; ask again later (it says so in its stream).", "outage", free=False
            )
        said = " ".join(f"{getattr(cause, 'body', '')} {cause}" for cause in causes)
        return status_failure(name, status, said)
    if started or any(_of_a_connection(cause) for cause in causes):
        return ProviderFailed(f"The connection to {name} broke; ask again.", "broken", free=False)
    what = type(error).__name__
    return ProviderFailed(
        f"{name} sent an answer that does not follow its own format ({what}).", "malformed", free=False
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception carries: as the SDKs of most providers, as httpx, as Google's and as Amazon's have it."""
    response: Any = getattr(error, "response", None)
    found: list[Any] = [
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        getattr(error, "code", None),
    ]
    if isinstance(response, dict):
        found.append(cast("dict[str, Any]", response).get("ResponseMetadata", {}).get("HTTPStatusCode"))
    found += [status for kind, status in _STATUS_OF.items() if isinstance(error, kind)]
    return next((one for one in found if isinstance(one, int) and 200 <= one < 600), None)


def _of_a_connection(error: BaseException) -> bool:
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, ConnectionError | langchain.ModelConnectionError) or bool(packages & _CONNECTIONS)
