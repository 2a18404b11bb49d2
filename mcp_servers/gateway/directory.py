"""The servers beside the kernel's own: found in several places, admitted by main alone, kept while main stays the same.

A `server.yaml` of the catalogue at main admits a server. One that the environment or the cluster names is served once main holds a
`server.yaml` of kind http under that name without a `url`; until then it is seen, and not served.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import anyio
from anyio import to_thread

from mcp_servers.catalog_runtime.server import InternalServer
from mcp_servers.gateway.admission import Terms
from mcp_servers.gateway.claims import Settled, settle
from mcp_servers.gateway.cluster_services import ClusterServices
from mcp_servers.gateway.discovery import Found, Listing, in_cluster, in_environment, in_files
from mcp_servers.gateway.http_server import HttpServer
from mcp_servers.gateway.program_log import ProgramLog
from mcp_servers.gateway.redaction import SHORTEST
from mcp_servers.gateway.served import Served
from mcp_servers.gateway.stdio_server import StdioServer
from mcp_servers.safe_http import SafeHttp
from mcp_servers.server_spec import ServerSpec

log = logging.getLogger(__name__)
_LIST_BYTES = 2_000_000


class Main(Protocol):
    """The company's main branch, as far as servers are concerned. Both may block."""

    def commit(self) -> str: ...
    def server_files(self, commit: str) -> Mapping[str, bytes]: ...


#: The secret of that name; None if nobody set it. May read a file.
Secrets = Callable[[str], str | None]
#: Told of each admission: the spec, where it stands and at which address it is served, at which commit.
OnAdmitted = Callable[[ServerSpec, Found, str], None]
#: Where the program of the server of that name writes what goes wrong; the secrets it is given are to be kept out of it.
LogOf = Callable[[str, Callable[[], Collection[str]]], ProgramLog]


@dataclass(frozen=True)
class Sources:
    """Where to look, besides main. `environment` is the text of ELF_MCP_SERVERS."""

    environment: str = ""
    cluster: ClusterServices | None = None


class Directory:
    """Looked at before each call; costs a comparison of commits while main stays where it is."""

    def __init__(
        self,
        main: Main,
        sources: Sources,
        http: SafeHttp,
        secrets: Secrets,
        folder: Path,
        on_admitted: OnAdmitted | None = None,
        log_of: LogOf | None = None,
    ) -> None:
        self._main, self._sources, self._http, self._secrets, self._folder = main, sources, http, secrets, folder
        self._on_admitted, self._log_of = on_admitted, log_of
        self._commit: str | None = None
        self._served: dict[str, Served] = {}
        self._made_of: dict[str, tuple[ServerSpec, str | None]] = {}
        self._builtin: dict[str, Terms] = {}
        self._settled = Settled((), {})
        self._cluster: Sequence[Listing] = ()
        self._turn = anyio.Lock()

    async def served(self) -> Mapping[str, Served]:
        """The admitted servers by name."""
        commit = self._main.commit()
        if commit != self._commit:
            async with self._turn:
                if commit != self._commit:
                    await self._read(commit)
        return self._served

    def terms_of(self, builtin: str) -> Terms | None:
        """What main's `server.yaml` says of one of the kernel's own; None if it says nothing."""
        return self._builtin.get(builtin)

    @property
    def found(self) -> Sequence[Found]:
        """Everything that was found, admitted or not, as of the last look."""
        return self._settled.found

    @property
    def cluster(self) -> Sequence[Listing]:
        """What was asked of the cluster, as of the last look; empty if it is not asked."""
        return self._cluster

    def placed_by(self, name: str) -> Found | None:
        """The find that gives the server of this name its address; None if it has none."""
        return self._settled.placed.get(name)

    async def refresh(self) -> None:
        """Looks everywhere again, whether or not main moved: the environment's and the cluster's servers may have."""
        if self._sources.cluster is not None:
            await self._sources.cluster.look()
        async with self._turn:
            await self._read(self._main.commit())

    async def follow(self) -> None:
        """Asks the cluster again, and serves what it now says, unless nobody has asked for anything yet."""
        cluster = self._sources.cluster
        if cluster is None:
            return
        await cluster.look()
        listings = await to_thread.run_sync(cluster.listings)
        if self._commit is None:
            self._cluster = listings
        elif listings != self._cluster:
            async with self._turn:
                await self._read(self._main.commit())

    async def close(self) -> None:
        for one in self._served.values():
            await one.close()
        await self._http.close()

    async def _read(self, commit: str) -> None:
        files = await to_thread.run_sync(self._main.server_files, commit)
        cluster = self._sources.cluster
        listings = await to_thread.run_sync(cluster.listings) if cluster else []
        at_main = in_files(files)
        settled = settle(at_main, in_environment(self._sources.environment), in_cluster(listings))
        self._builtin = {
            one.spec.name: Terms.of(one.spec, one.where) for one in at_main if one.spec and one.spec.kind == "builtin"
        }
        await self._serve(commit, at_main, settled.placed)
        self._settled, self._cluster = settled, listings
        self._commit = commit

    async def _serve(self, commit: str, at_main: Sequence[Found], placed: Mapping[str, Found]) -> None:
        wanted = {one.name: one for one in at_main if one.spec is not None and one.spec.kind != "builtin"}
        for name in [name for name in self._served if name not in wanted]:
            await self._drop(name)
        for name, found in wanted.items():
            assert found.spec is not None
            address = placed[name].url if name in placed else None
            if self._made_of.get(name) == (found.spec, address):
                continue
            await self._drop(name)
            if found.spec.kind == "http" and address is None:
                continue
            self._served[name] = self._made(found.spec, found.where, address)
            self._made_of[name] = (found.spec, address)
            if self._on_admitted is not None:
                await to_thread.run_sync(self._on_admitted, found.spec, replace(found, url=address), commit)

    async def _drop(self, name: str) -> None:
        self._made_of.pop(name, None)
        if (gone := self._served.pop(name, None)) is not None:
            await gone.close()

    def _made(self, spec: ServerSpec, where: str, address: str | None) -> Served:
        terms = Terms.of(spec, where, lambda: self._values(spec))
        # A list of tools may be longer than any one result.
        most = spec.max_result_bytes + _LIST_BYTES
        if spec.kind == "internal":
            return Served(InternalServer(spec, self._http, lambda: self._headers(spec)), terms)
        if spec.kind == "http":
            assert address is not None
            server = HttpServer(
                spec.name,
                address,
                self._http,
                lambda: self._headers(spec),
                timeout_seconds=spec.timeout_seconds,
                max_bytes=most,
            )
            return Served(server, terms)
        folder = self._folder / spec.name
        stdio = StdioServer(
            spec.name,
            spec.command,
            folder,
            lambda: self._variables(spec),
            timeout_seconds=spec.timeout_seconds,
            max_bytes=most,
            log=self._log_of(spec.name, terms.secrets) if self._log_of else None,
        )
        return Served(stdio, terms)

    def _headers(self, spec: ServerSpec) -> dict[str, str]:
        return {
            one.header: one.prefix + value
            for one in spec.credentials
            if one.header and (value := self._value(one.name))
        }

    def _variables(self, spec: ServerSpec) -> dict[str, str]:
        return {one.variable: value for one in spec.credentials if one.variable and (value := self._value(one.name))}

    def _values(self, spec: ServerSpec) -> Collection[str]:
        return {value for one in spec.credentials if (value := self._value(one.name))}

    def _value(self, name: str) -> str | None:
        value = self._secrets(name)
        if value is not None and (len(value) < SHORTEST or not value.isascii() or not value.isprintable()):
            log.warning("the secret %s is not used: it must have %d or more printable ASCII characters", name, SHORTEST)
            return None
        return value

    def missing_secrets(self, spec: ServerSpec) -> list[str]:
        """The names that its `server.yaml` asks for and nobody set."""
        return [one.name for one in spec.credentials if self._value(one.name) is None]
