"""What of a tool server is in quarantine, old beside new, and the file that would admit it: for `./elf gateway admit`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from mcp_servers.factories.server_files import dump_server
from mcp_servers.gateway.admitting import Difference, NotAdmissible, admitted_anew, differences
from mcp_servers.gateway.directory import Directory
from mcp_servers.gateway.upstreams import Upstreams
from mcp_servers.server_spec import ServerSpec


async def admission(upstreams: Upstreams, directory: Directory, server: str, also: Sequence[str]) -> dict[str, Any]:
    """`{server, tools, path, data, title, why}`: `data` is the new `server.yaml` in base64, for a proposal. Raises `NotAdmissible`.

    The server is looked at now. Nothing is written and nothing admitted.
    """
    one = (await upstreams.survey(patient=True)).get(server)
    if one is None:
        raise NotAdmissible(f"no tool server {server[:60]!r} is served; ./elf gateway servers names them")
    spec = next((it.spec for it in directory.found if it.spec is not None and it.where == one.terms.where), None)
    if spec is None or spec.kind in ("builtin", "internal"):
        raise NotAdmissible(f"{server} is the company's own: what it serves is what main says, and never in quarantine")
    if one.problem is not None or one.compared is None:
        raise NotAdmissible(f"{server} {one.problem or 'was not seen yet'}: what it is now cannot be seen")
    if unknown := sorted(set(also) - set(one.compared.quarantined) - set(spec.admitted)):
        raise NotAdmissible(f"{server} has no tool {unknown[0][:60]!r} that main does not admit")
    found = differences(spec, one.compared, also)
    new = admitted_anew(spec, one.compared, found)
    return {
        "server": server,
        "tools": [it.as_json() for it in found],
        "path": one.terms.where,
        "data": base64.b64encode(dump_server(new).encode()).decode(),
        "title": _title(server, found),
        "why": _why(new, found),
    }


def _title(server: str, found: Sequence[Difference]) -> str:
    names = [it.tool for it in found if it.chosen]
    named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"Admit {server} as it is now: {named}"[:200]


def _why(new: ServerSpec, found: Sequence[Difference]) -> str:
    lines = ["A definition is read by models: an order in it is an order to them. What is admitted anew:", ""]
    for one in found:
        if one.chosen:
            lines += [f"- `{one.tool}` ({one.why}), from here on `{new.admitted[one.tool][:16]}…`"]
    return "\n".join([*lines, "", "The difference stands in server.yaml."])
