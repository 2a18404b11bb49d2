"""What every request to the forge stands on: the site, and one visit of an identity to one repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request

from mcp_servers.git.forge.courier import Courier
from mcp_servers.git.forge.errors import ForgeError, forbidden, not_found
from mcp_servers.git.forge.identity import Identity, Right, identify, presented_token
from mcp_servers.git.forge.limits import Limits
from mcp_servers.git.forge.store import Store
from mcp_servers.git.repository import Repository

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}")
STORE_NAME = "forge.sqlite3"


@dataclass(frozen=True)
class Site:
    """The forge as configured. `base_url` is where its app is mounted (`http://127.0.0.1:7070/forge`), without final slash."""

    root: Path
    identities: tuple[Identity, ...]
    base_url: str
    now: Callable[[], datetime]
    store: Store
    courier: Courier
    limits: Limits

    @property
    def api_url(self) -> str:
        return f"{self.base_url}/api/v3"

    def repository(self, owner: str, repo: str) -> Repository | None:
        """The bare repository of that name, None if there is none."""
        path = bare_path(self.root, owner, repo)
        return Repository(path) if path is not None and (path / "HEAD").exists() else None

    def repositories(self) -> list[tuple[str, str, Repository]]:
        """Every repository with its owner and name."""
        found = sorted(self.root.glob("[A-Za-z0-9]*/[A-Za-z0-9]*.git/HEAD"))
        names = [(head.parent.parent.name, head.parent.name.removesuffix(".git")) for head in found]
        return [(*name, repository) for name in names if (repository := self.repository(*name))]

    def time(self) -> str:
        """Now, as GitHub writes it."""
        return self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def identity(self, authorization: str | None) -> Identity:
        """Who presents this header. 401 if nobody we know."""
        token = presented_token(authorization or "")
        if token is None:
            raise ForgeError(401, "Requires authentication")
        identity = identify(self.identities, token)
        if identity is None:
            raise ForgeError(401, "Bad credentials")
        return identity


@dataclass(frozen=True)
class Visit:
    """One request: this identity at this repository."""

    site: Site
    identity: Identity
    owner: str
    name: str
    repository: Repository

    @property
    def repo(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def url(self) -> str:
        """The repository's address in the API."""
        return f"{self.site.api_url}/repos/{self.repo}"

    @property
    def began(self) -> str:
        """When the repository was made, as GitHub writes it; it stays the same, so that equal answers are equal bytes."""
        made = (self.repository.git_dir / "HEAD").stat().st_mtime
        return datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def html_url(self) -> str:
        return f"{self.site.base_url}/{self.repo}"

    @property
    def git_url(self) -> str:
        return f"{self.site.base_url}/git/{self.repo}.git"

    def demand(self, *rights: Right) -> None:
        """403 unless the identity has one of these rights."""
        if not self.identity.may.intersection(rights):
            raise forbidden(f"{self.identity.login} lacks the right to {' or '.join(rights)}")

    def administer(self) -> None:
        """404, as GitHub has it, for who may not look after the repository."""
        if "admin" not in self.identity.may:
            raise not_found()


def bare_path(root: Path, owner: str, repo: str) -> Path | None:
    """Where a repository lives below the forge's folder; None if the names are not names."""
    if not _NAME.fullmatch(owner) or not _NAME.fullmatch(repo):
        return None
    return root / owner / f"{repo}.git"


def site_of(request: Request) -> Site:
    return cast(Site, request.app.state.site)


def signed_in(request: Request) -> Identity:
    return site_of(request).identity(request.headers.get("authorization"))


def visit(request: Request, owner: str, repo: str) -> Visit:
    """The visit of this request; 404 for what does not exist and for what the caller may not read."""
    site = site_of(request)
    identity = signed_in(request)
    repository = site.repository(owner, repo)
    if repository is None or "read" not in identity.may:
        raise not_found()
    return Visit(site, identity, owner, repo, repository)


SiteOf = Annotated[Site, Depends(site_of)]
SignedIn = Annotated[Identity, Depends(signed_in)]
Visiting = Annotated[Visit, Depends(visit)]
