"""The gateway's directory of tool servers, put together: main, the environment, the cluster, and where secrets lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime

from bootstrap.home import Home
from bootstrap.known_secrets import known_secrets
from bootstrap.lawbook import LawBook
from bootstrap.main_line import MainLine
from bootstrap.settings import Settings
from mcp_servers.cluster.kube_api import KubeApi
from mcp_servers.gateway.cluster_services import ApiServices, ClusterServices, ServicesFile
from mcp_servers.gateway.directory import Directory, Secrets, Sources
from mcp_servers.gateway.discovery import Found
from mcp_servers.gateway.looking import Looker
from mcp_servers.gateway.program_log import ProgramLog
from mcp_servers.git.repository import Repository
from mcp_servers.monitor.redact import Redactor
from mcp_servers.safe_http import SafeHttp
from mcp_servers.server_spec import ServerSpec
from memory import ledger
from memory.session import Database

#: How long one look at a namespace's services may take.
LOOK_SECONDS = 5.0
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,59}")


def server_catalogue(
    settings: Settings,
    home: Home,
    repository: Repository,
    law: LawBook,
    database: Database,
    now: Callable[[], datetime],
) -> Directory:
    """Reads nothing yet: the first call that is made looks."""

    def admitted(spec: ServerSpec, found: Found, commit: str) -> None:
        detail = {
            "where": found.where,
            "address": found.url,
            "commit": commit,
            "kind": spec.kind,
            "definitions": dict(spec.admitted),
        }
        with database.begin() as session:
            ledger.append(session, ledger.Entry("kernel:gateway", "server.admit", spec.name, "admitted", now(), detail))

    return Directory(
        MainLine(repository),
        Sources(settings.mcp_servers, _cluster_services(settings, now)),
        SafeHttp(lambda: law.law().access.own_networks),
        server_secrets(settings, home),
        home.path / "servers",
        admitted,
        lambda name, given: _log(settings, home, name, given, now),
    )


def _log(
    settings: Settings, home: Home, name: str, given: Callable[[], Collection[str]], now: Callable[[], datetime]
) -> ProgramLog:
    """`log/servers/<name>.log` of the home, where nothing stands that looks like a secret or is one of the company's."""
    redact = Redactor(lambda: [*known_secrets(settings, home).values(), *given()])
    path = home.log.parent / "servers" / f"{name}.log"
    return ProgramLog(path, redact, now, f"{path.relative_to(home.path)} of the company's home")


def _cluster_services(settings: Settings, now: Callable[[], datetime]) -> ClusterServices | None:
    if (given := settings.kube) is not None:
        return ApiServices(KubeApi(given.access, LOOK_SECONDS), given.namespaces, now)
    file = settings.mcp_services_file
    return ServicesFile(file) if file is not None else None


def looker(home: Home, law: LawBook) -> Looker:
    """What looks at servers elsewhere, by the law as main has it at that moment."""
    return Looker(lambda: law.law().access.own_networks, lambda: law.law().access.programs, home.path / "servers")


def server_secrets(settings: Settings, home: Home) -> Secrets:
    """A secret by its name: from the environment, else from `keys/servers/<NAME>` of the home, read anew each time."""

    def secret(name: str) -> str | None:
        if name in settings.server_secrets:
            return settings.server_secrets[name]
        if not _NAME.fullmatch(name):
            return None
        try:
            return (home.path / "keys" / "servers" / name).read_text().strip() or None
        except FileNotFoundError:
            return None

    return secret
