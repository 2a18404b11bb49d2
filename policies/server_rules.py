"""Rules about tool servers of the catalogue: that a person sees what they approve, and the factory's bytes."""

from __future__ import annotations

from policies.case import Case
from policies.verdict import Verdict, allow, deny, listed, many


def server_spec(case: Case) -> Verdict | None:
    """`server.yaml` is a tool server, and the folder's own; its hosts and secrets stand in the verdict."""
    server = case.server
    if server is None:
        return None
    if server.tree_after is None:
        return allow("server_spec", f"the server {server.folder} goes away")
    if server.problem is not None or server.name is None:
        return deny("server_spec", f"{server.path}/server.yaml: {(server.problem or 'it is missing; add it')[:400]}")
    if server.name != server.folder:
        return deny("server_spec", f"{server.path}/server.yaml names another server; name and folder must agree")
    hosts = listed(server.hosts, 5) or "none"
    secrets = listed(server.secrets, 5) or "none"
    return allow(
        "server_spec",
        f"{server.kind} server with {many(len(server.tools), 'tool')}; hosts: {hosts}; secrets: {secrets}",
    )


def server_rerender(case: Case) -> Verdict | None:
    """Every file of the folder is, byte for byte, what the factory makes of its `server.yaml`."""
    server = case.server
    if server is None or server.tree_after is None:
        return None
    if server.problem is not None:
        return deny("server_rerender", "without a readable server.yaml there is nothing to compare the files with")
    parts = (
        ("edited by hand", server.different),
        ("not made by the factory", server.extra),
        ("missing", server.missing),
    )
    if found := [f"{what}: {listed(names)}" for what, names in parts if names]:
        why = "; ".join(found)
        return deny(
            "server_rerender", f"the folder is not what the factory makes of server.yaml; {why}; render it again"
        )
    return allow("server_rerender", "every file equals what the factory makes of server.yaml")


def server_reach(case: Case) -> Verdict | None:
    """It reaches no address inside, and runs no program that people did not put into the law's catalogue of programs."""
    server = case.server
    if server is None or server.tree_after is None or server.kind is None:
        return None
    if server.forbidden_hosts:
        return deny("server_reach", "; ".join(server.forbidden_hosts[:3]))
    programs = case.law.access.programs
    if server.kind == "stdio" and server.command not in programs.values():
        known = listed(tuple(sorted(programs)), 10) or "none"
        return deny(
            "server_reach",
            f"it runs a program that is not in the catalogue of programs (policies/access.yaml has: {known}); a person adds it there first",
        )
    return allow(
        "server_reach",
        "its addresses are judged again at every connection, and its program is in the catalogue"
        if server.kind == "stdio"
        else "no forbidden address is written in it; names are judged at every connection",
    )
