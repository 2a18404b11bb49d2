"""Asking a Kubernetes API server for services by label: one GET a page, whole or not at all, and a reason where there is no answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote

import aiohttp
from pydantic_core import from_json

from mcp_servers.cluster.kube_access import Access, BadAccess, mapping

PAGE = 100
_MAX_PAGE_BYTES = 8_000_000
_MOST_SAID = 200


class KubeFailed(Exception):
    """No list of services. `word` is short and names nothing of the cluster; the text is for a person, with what to do."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason)
        self.word = word


class _Expired(Exception):
    """The list that the pages were of is no longer kept (410)."""


class KubeApi:
    """`access` is asked at each list, in a thread: it reads files."""

    def __init__(self, access: Callable[[], Access], seconds: float) -> None:
        self._access, self._seconds = access, seconds
        self._tls: tuple[Access, ssl.SSLContext | None] | None = None

    async def services(self, namespace: str, label: str, most: int) -> list[Mapping[str, Any]]:
        """The namespace's services that carry the label, more than `most` only so far that one sees it. Raises `KubeFailed`."""
        try:
            access, tls = await asyncio.to_thread(self._ready)
        except BadAccess as error:
            raise KubeFailed("no access", str(error)) from error
        try:
            async with asyncio.timeout(self._seconds), _session(access, tls) as session:
                try:
                    return await self._pages(session, access, namespace, label, most)
                except _Expired:
                    return await self._pages(session, access, namespace, label, most)
        except _Expired as error:
            raise KubeFailed("410", "the list expired while it was read (410), twice") from error
        except TimeoutError as error:
            raise KubeFailed("slow", f"{access.server} did not answer in {self._seconds:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise KubeFailed(
                "tls", f"the certificate of {access.server} is not one that the given CA signed for this name"
            ) from error
        except aiohttp.ClientSSLError as error:
            raise KubeFailed("tls", f"{access.server} could not be spoken to by TLS") from error
        except (aiohttp.ClientError, OSError) as error:
            raise KubeFailed("unreachable", f"{access.server} is not reached ({type(error).__name__})") from error

    def _ready(self) -> tuple[Access, ssl.SSLContext | None]:
        """What the files say now. The context is kept while they say the same: to make one takes 20 ms."""
        access = self._access()
        if self._tls is None or self._tls[0] != access:
            self._tls = access, access.tls()
        return self._tls

    async def _pages(
        self, session: aiohttp.ClientSession, access: Access, namespace: str, label: str, most: int
    ) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        after = ""
        while len(found) <= most:
            query = {"labelSelector": label, "limit": str(PAGE)} | ({"continue": after} if after else {})
            url = f"{access.server}/api/v1/namespaces/{quote(namespace, safe='')}/services"
            async with session.get(url, params=query, allow_redirects=False, server_hostname=access.tls_name) as answer:
                said = await asyncio.to_thread(_parsed, await _body(answer))
                if answer.status == 410 and after:
                    raise _Expired
                if answer.status != 200:
                    raise _refused(answer.status, said, namespace)
            items: Any = said.get("items")
            if said.get("kind") != "ServiceList" or not isinstance(items, list | None):
                raise KubeFailed("not kubernetes", f"{access.server} answered with what is no list of services")
            found += [mapping(item) for item in cast("list[Any]", items or [])]
            after = str(mapping(said.get("metadata")).get("continue") or "")
            if not after:
                break
        return found


def _session(access: Access, tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    headers = {"Accept": "application/json"}
    if access.token is not None:
        headers["Authorization"] = f"Bearer {access.token}"
    connector = aiohttp.TCPConnector(ssl=tls or True, use_dns_cache=False)
    return aiohttp.ClientSession(
        connector=connector, headers=headers, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    )


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in answer.content.iter_any():
        found += chunk
        if len(found) > _MAX_PAGE_BYTES:
            raise KubeFailed("too large", f"a page of {PAGE} services has more than {_MAX_PAGE_BYTES} bytes")
    return bytes(found)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        return mapping(from_json(body))
    except ValueError:
        return {}


def _refused(status: int, said: Mapping[str, Any], namespace: str) -> KubeFailed:
    message = "".join(letter for letter in str(said.get("message") or "") if letter.isprintable())[:_MOST_SAID]
    its_words = f" It says: {message}" if message else ""
    if status == 401:
        return KubeFailed("401", f"the credentials are not taken (401): expired, or another cluster's.{its_words}")
    if status == 403:
        return KubeFailed(
            "403",
            f"services in {namespace} may not be listed (403). What is missing is a Role with apiGroups [''], resources "
            f"[services], verbs [list] in {namespace}, and a RoleBinding to it; docs/tool-servers.md has both.{its_words}",
        )
    return KubeFailed(str(status), f"the API server answers {status}.{its_words}")
