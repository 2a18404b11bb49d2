"""Where tool servers are found: files at main, the environment, the cluster. Finding is not admitting: only main admits.

Pure but for `ServicesFile`. What cannot be read is found with its problem, so that it can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic_core import from_json

from mcp_servers.factories.server_files import BadSpec, load_server
from mcp_servers.server_spec import WORD, ServerSpec, fixed_host

CATALOG = "mcp_servers/catalog"
#: The label by which a Kubernetes Service says that it is a tool server; its value is the server's name.
LABEL = "elf.automations/mcp-server"
_FILE = re.compile(r"mcp_servers/(?:catalog/)?([a-z][a-z0-9_]*)/server\.yaml")
_MAX_FILE = 256_000


@dataclass(frozen=True)
class Found:
    """A server somewhere. `where` is for people: `mcp_servers/catalog/weather/server.yaml`, `ELF_MCP_SERVERS`, `service ns/name`."""

    name: str
    where: str
    spec: ServerSpec | None = None
    url: str | None = None
    problem: str | None = None


class ClusterServices(Protocol):
    """The cluster's services that carry the label, as Kubernetes describes them."""

    def labelled(self) -> Sequence[Mapping[str, Any]]: ...


class ServicesFile:
    """The services in a file, as `kubectl get services -A -l elf.automations/mcp-server -o json` writes it; none if there is no file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def labelled(self) -> Sequence[Mapping[str, Any]]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return []
        listed: Any = from_json(text)
        items: Any = cast("dict[str, Any]", listed).get("items", []) if isinstance(listed, dict) else []
        return [cast("dict[str, Any]", item) for item in cast("list[Any]", items) if isinstance(item, dict)]


def in_files(files: Mapping[str, bytes]) -> list[Found]:
    """The servers of `server.yaml` files, by path in the repository."""
    return [_in_file(path, data, match[1]) for path, data in sorted(files.items()) if (match := _FILE.fullmatch(path))]


def in_environment(text: str) -> list[Found]:
    """The servers of `name=url,name=url`."""
    found: list[Found] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, url = (half.strip() for half in part.partition("="))
        found.append(_addressed(name, "ELF_MCP_SERVERS", url))
    return found


def in_cluster(services: ClusterServices) -> list[Found]:
    """The servers that the cluster names by label. A cluster that cannot be read is one find, with its problem."""
    try:
        listed = services.labelled()
    except (OSError, ValueError) as error:
        return [Found("cluster", "the cluster's services", problem=f"cannot be read ({type(error).__name__})")]
    return [_service(one) for one in listed]


def _in_file(path: str, data: bytes, folder: str) -> Found:
    if len(data) > _MAX_FILE:
        return Found(folder, path, problem=f"is larger than {_MAX_FILE} bytes; shorten it")
    try:
        spec = load_server(data)
    except BadSpec as error:
        return Found(folder, path, problem=error.errors[0])
    in_catalog = path.startswith(f"{CATALOG}/")
    if in_catalog == (spec.kind == "builtin"):
        return Found(
            folder, path, problem=f"a server of kind {spec.kind} does not live here; builtin ones live in mcp_servers/"
        )
    if in_catalog and spec.name != folder:
        return Found(folder, path, problem=f"names the server '{spec.name}'; name and folder must agree")
    return Found(spec.name, path, spec, spec.url)


def _addressed(name: str, where: str, url: str) -> Found:
    if not re.fullmatch(WORD, name) or len(name) > 40:
        return Found(
            name[:40] or "(no name)",
            where,
            problem="a name is lower-case letters, digits and underscores: weather=https://…",
        )
    try:
        return Found(name, where, url=fixed_host(url))
    except ValueError as error:
        return Found(name, where, problem=str(error))


def _service(service: Mapping[str, Any]) -> Found:
    """http://name.namespace.svc:port/mcp of a Service; annotations may say another path."""
    meta, spec = _part(service, "metadata"), _part(service, "spec")
    name = str(_part(meta, "labels").get(LABEL, ""))
    place = f"service {str(meta.get('namespace'))[:63]}/{str(meta.get('name'))[:63]}"
    ports: Any = spec.get("ports")
    if not isinstance(ports, list) or not ports:
        return Found(name[:40], place, problem="has no port")
    port = cast("dict[str, Any]", ports[0]).get("port")
    path = str(_part(meta, "annotations").get(f"{LABEL}-path", "/mcp"))
    return _addressed(name, place, f"http://{meta.get('name')}.{meta.get('namespace')}.svc:{port}{path}")


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
