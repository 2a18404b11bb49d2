"""What the gate must know of a tool server's folder: its `server.yaml`, and whether the folder is what the factory makes of it.

Nothing of the folder is executed or imported. The factory is the very one that proposals are made with.
"""

from __future__ import annotations

from collections.abc import Iterable

from mcp_servers.addresses import refused_host
from mcp_servers.factories.mcp_server import render_server
from mcp_servers.factories.server_files import BadSpec, load_server
from mcp_servers.git.compared import compare
from mcp_servers.git.repository import Repository
from mcp_servers.server_spec import ServerSpec
from policies.facts import ServerFacts
from policies.kinds import CATALOG

SPEC_FILE = "server.yaml"
MAX_FILE = 256_000


def server_facts(
    repository: Repository, base: str, tree: str, folder: str, own_networks: Iterable[str] = ()
) -> ServerFacts:
    """The folder before (at `base`) and after (in `tree`). `own_networks` as the law at the base has them."""
    path = f"{CATALOG}{folder}"
    after = repository.tree(tree, path)
    read = ServerFacts(folder=folder, tree_before=repository.tree(base, path), tree_after=after)
    if after is None:
        return read
    try:
        spec = _spec(repository, tree, path)
        expected = render_server(spec)
    except Exception as error:  # noqa: BLE001 (whatever the factory does with a stranger's text, it is the text's problem)
        return read.model_copy(update={"problem": f"{type(error).__name__}: {str(error)[:1000]}"})
    missing, extra, different = compare(expected, repository.listing(tree, path), path)
    return told(read, spec, own_networks).model_copy(
        update={"missing": missing, "extra": extra, "different": different}
    )


def told(read: ServerFacts, spec: ServerSpec, own_networks: Iterable[str] = ()) -> ServerFacts:
    """The facts, with what the spec says."""
    networks = tuple(own_networks)
    said = {
        "name": spec.name,
        "kind": spec.kind,
        "hosts": spec.hosts,
        "secrets": tuple(one.name for one in spec.credentials),
        "tools": tuple(tool.name for tool in spec.tools),
        "command": spec.command,
        "forbidden_hosts": tuple(why for host in spec.hosts if (why := refused_host(host, networks))),
    }
    return read.model_copy(update=said)


def catalogue_tools(repository: Repository, base: str, wanted: Iterable[str]) -> frozenset[str]:
    """Of these tools (`server__tool`), the ones that a server of the catalogue has at `base`."""
    asked = frozenset(wanted)
    found: set[str] = set()
    for server in {tool.partition("__")[0] for tool in asked}:
        try:
            spec = _spec(repository, base, f"{CATALOG}{server}")
        except (BadSpec, ValueError):
            # No server of the catalogue, or none that is served.
            continue
        found |= {f"{spec.name}__{tool.name}" for tool in spec.tools if spec.name == server}
    return asked & found


def _spec(repository: Repository, tree: str, path: str) -> ServerSpec:
    name = f"{path}/{SPEC_FILE}"
    entry = next((it for it in repository.listing(tree, name) if it.path == name), None)
    if entry is None or entry.kind != "blob" or entry.size is None:
        raise ValueError(f"{name} is missing; add it")
    if entry.size > MAX_FILE:
        raise ValueError(f"{name} has {entry.size} bytes; {MAX_FILE} are allowed")
    return load_server(repository.blobs([entry.sha])[0])
