"""Where tool servers are found: files at main, the environment, the cluster. Finding is not admitting: only main admits.

Pure. What cannot be read is found with its problem, so that it can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mcp_servers.factories.server_files import BadSpec, load_server
from mcp_servers.server_spec import WORD, ServerSpec, fixed_host

CATALOG = "mcp_servers/catalog"
#: The label by which a Kubernetes Service says that it is a tool server; its value is the server's name.
LABEL = "elf.automations/mcp-server"
_FILE = re.compile(r"mcp_servers/(?:catalog/)?([a-z][a-z0-9_]*)/server\.yaml")
_MAX_FILE = 256_000
#: The path at that service, if it is not /mcp: the one annotation of ours.
PATH = f"{LABEL}-path"
#: So many services of one place are looked at.
MOST_SERVICES = 100
_DNS = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]{1,80}){0,8}/?")


@dataclass(frozen=True)
class Found:
    """A server somewhere. `where` is for people: `mcp_servers/catalog/weather/server.yaml`, `ELF_MCP_SERVERS`, `service ns/name`."""

    name: str
    where: str
    spec: ServerSpec | None = None
    url: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Listing:
    """The services that carry the label in one place of the cluster, as Kubernetes describes them, and how the last look went."""

    #: For people: `namespace tools`, `ELF_MCP_SERVICES_FILE`.
    where: str
    services: Sequence[Mapping[str, Any]] = ()
    #: Why the last look failed, what to do, and until when the services of the one before count.
    problem: str | None = None
    #: The problem in a word that names nothing of the cluster; `ok`.
    word: str = "ok"


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


def in_cluster(listings: Sequence[Listing]) -> list[Found]:
    """The servers that the cluster names by label. One that is refused is found with the reason."""
    found: list[Found] = []
    for listing in listings:
        found += [_service(one) for one in listing.services[:MOST_SERVICES]]
        if len(listing.services) > MOST_SERVICES:
            why = f"more than {MOST_SERVICES} services there carry the label; the others are not looked at"
            found.append(Found("(more)", listing.where, problem=why))
    return found


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
            _shown(name)[:40] or "(no name)",
            where,
            problem="a name is lower-case letters, digits and underscores: weather=https://…",
        )
    try:
        return Found(name, where, url=fixed_host(url))
    except ValueError as error:
        return Found(name, where, problem=str(error))


def _service(service: Mapping[str, Any]) -> Found:
    """http://name.namespace.svc:port/mcp of a Service. Whoever labelled it is nobody we know: each part of the address is checked."""
    meta, spec = _part(service, "metadata"), _part(service, "spec")
    name, namespace = str(meta.get("name")), str(meta.get("namespace"))
    said, annotations = str(_part(meta, "labels").get(LABEL, "")), _part(meta, "annotations")
    called, place = _shown(said) or "(no name)", f"service {_shown(namespace)}/{_shown(name)}"
    path, port = annotations.get(PATH, "/mcp"), _port(spec)
    if why := _unusable(name, namespace, spec, annotations):
        return Found(called, place, problem=why)
    if not isinstance(path, str) or not _PATH.fullmatch(path) or ".." in path:
        return Found(called, place, problem=f"the annotation {PATH} is no path, such as /mcp")
    if port is None:
        return Found(called, place, problem="its first port is no TCP port from 1 to 65535")
    return _addressed(said, place, f"http://{name}.{namespace}.svc:{port}{path}")


def _unusable(name: str, namespace: str, spec: Mapping[str, Any], annotations: Mapping[str, Any]) -> str | None:
    if not _DNS.fullmatch(name) or not _DNS.fullmatch(namespace):
        return "its name and namespace are not those of a service"
    if spec.get("type") == "ExternalName":
        return "it is another name for a host outside (ExternalName); name that host in a server.yaml instead"
    if more := sorted(key for key in annotations if key.startswith(LABEL) and key != PATH):
        return (
            f"the annotation {_shown(more[0])} is not one of ours; what a server is given (credentials, limits) stands in the "
            "server.yaml that admits it"
        )
    return None


def _port(spec: Mapping[str, Any]) -> int | None:
    ports: Any = spec.get("ports")
    first = cast("list[Any]", ports)[0] if isinstance(ports, list) and ports else None
    port = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
    number = port.get("port")
    usable = type(number) is int and 1 <= number <= 65_535 and port.get("protocol", "TCP") == "TCP"
    return number if usable else None


def _shown(text: str) -> str:
    """What a stranger wrote, as far as it can be shown."""
    return "".join(letter for letter in text[:63] if letter.isprintable())


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
