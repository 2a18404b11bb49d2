"""The cluster's labelled services: asked of its API at intervals, or read from a file. Nobody waits for a cluster to serve a tool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic_core import from_json

from mcp_servers.cluster.kube_api import KubeApi, KubeFailed
from mcp_servers.gateway.discovery import LABEL, MOST_SERVICES, Listing

#: How long what was last seen counts while the API gives no answer. Tools need not stop when an API server is renewed.
KEEP = timedelta(minutes=10)

log = logging.getLogger(__name__)


class ClusterServices(Protocol):
    """`look` asks again, for a few seconds at most; `listings` says what is known, at once (may read a file)."""

    async def look(self) -> None: ...
    def listings(self) -> Sequence[Listing]: ...


class ServicesFile:
    """The services in a file, as `kubectl get services -A -l elf.automations/mcp-server -o json` writes it; none if there is no file."""

    def __init__(self, path: Path, where: str = "ELF_MCP_SERVICES_FILE") -> None:
        self._path, self._where = path, where

    async def look(self) -> None:
        """A file is read when it is asked for."""

    def listings(self) -> Sequence[Listing]:
        try:
            listed: Any = from_json(self._path.read_bytes())
        except FileNotFoundError:
            return [Listing(self._where, problem=f"there is no {self._path} yet", word="no file")]
        except (OSError, ValueError) as error:
            return [Listing(self._where, problem=f"cannot be read ({type(error).__name__})", word="unreadable")]
        items: Any = cast("dict[str, Any]", listed).get("items", []) if isinstance(listed, dict) else []
        found = cast("list[Any]", items) if isinstance(items, list) else []
        return [Listing(self._where, [cast("dict[str, Any]", it) for it in found if isinstance(it, dict)])]


class ApiServices:
    """The services of some namespaces, as the API server last said. Not before the first look."""

    def __init__(self, api: KubeApi, namespaces: Sequence[str], now: Callable[[], datetime]) -> None:
        self._api, self._now = api, now
        self._seen: dict[str, Listing] = {it: Listing(_where(it), word="not asked yet") for it in namespaces}
        self._good: dict[str, datetime] = {}
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """Asks for all namespaces at once. One that fails keeps what it had, for `KEEP`."""
        async with self._turn:
            await asyncio.gather(*(self._ask(namespace) for namespace in self._seen))

    def listings(self) -> Sequence[Listing]:
        return list(self._seen.values())

    async def _ask(self, namespace: str) -> None:
        before = self._seen[namespace]
        try:
            services = await self._api.services(namespace, LABEL, MOST_SERVICES)
        except KubeFailed as error:
            if error.word != before.word:
                log.warning("tool servers of %s are not known: %s", _where(namespace), error)
            self._seen[namespace] = self._kept(namespace, before.services, error)
            return
        self._good[namespace] = self._now()
        self._seen[namespace] = Listing(_where(namespace), services)

    def _kept(self, namespace: str, services: Sequence[Mapping[str, Any]], error: KubeFailed) -> Listing:
        until = self._good[namespace] + KEEP if namespace in self._good else None
        if until is None or self._now() >= until or not services:
            return Listing(_where(namespace), (), str(error), error.word)
        problem = f"{str(error).rstrip('.')}. What was seen before counts until {until:%H:%M:%S} UTC."
        return Listing(_where(namespace), services, problem, error.word)


def _where(namespace: str) -> str:
    return f"namespace {namespace}"
