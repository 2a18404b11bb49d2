"""The same tool servers, grants and limits as resources of the agentgateway project (agentgateway.dev/v1alpha1). Pure.

A token of ours is checked there by its signature: the policy of the route holds the public keys, and what a grant says of a member is
said of the token's claims. Nothing is granted there that the law does not grant here; what cannot be said there is in `unsaid`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mcp_servers.gateway.agentgateway_schema import (
    GROUP,
    MOST_CREDENTIALS,
    MOST_EXPRESSIONS,
    MOST_RULES,
    MOST_TARGETS,
    ROUTES,
    VERSIONS,
    check,
)
from mcp_servers.gateway.identity import AUDIENCE, ISSUER
from mcp_servers.server_spec import Credential, ServerSpec
from policies.access import Access, Grant

NAMESPACE, ROUTE = "elf-system", "elf-tools"
#: The Gateway that the routes hang on; it is the cluster's own, and not written here.
GATEWAY = "elf-gateway"
_ANY_MEMBER = 'jwt.role in ["manager", "member"]'


@dataclass(frozen=True)
class Company:
    """What main and the keys say. `named`: what each member's team.yaml names, by `team/member`; `public_keys`: a JWK set."""

    specs: Sequence[ServerSpec]
    access: Access
    public_keys: Mapping[str, Any]
    named: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])


@dataclass
class Export:
    """The resources, and in `unsaid`, a sentence each, what of the company they do not say."""

    resources: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    unsaid: list[str] = field(default_factory=list[str])


def exported(company: Company) -> Export:
    """A backend and its grants a server, the routes to them, and who may come that way. Raises `jsonschema.ValidationError`."""
    export = Export(unsaid=_unsaid(company.access))
    rules: list[dict[str, Any]] = []
    for spec in sorted(company.specs, key=lambda one: one.name):
        target = _target(spec)
        if isinstance(target, str):
            export.unsaid.append(f"{spec.name} is left out: {target}.")
            continue
        name = _dns(spec.name)
        mcp = {"targets": [target], "failureMode": "FailOpen"}
        export.resources.append(_resource("AgentgatewayBackend", name, {"mcp": mcp}))
        export.resources.append(_grants(spec, name, company, export.unsaid))
        rules.append(_rule(spec, name))
    export.resources += _routes(rules, company)
    for resource in export.resources:
        check(resource)
    return export


def _unsaid(access: Access) -> list[str]:
    """What of the law has no words there, as far as it is used."""
    found = [
        "A token is good there until it expires, also after its team was retired.",
        "A tool whose definition changed is not put in quarantine, and nothing is written into the company's ledger.",
        "Results are not cut to size, and not freed of secrets.",
    ]
    if access.calls_per_minute:
        found.append(
            f"calls_per_minute ({access.calls_per_minute} of each member and tool) is there a limit of all callers together."
        )
    if any(line.calls_per_minute for line in access.rates) or access.calls_per_minute == 0:
        found.append("The limits in `rates` are left out; who may call nothing by them is refused there too.")
    if access.servers:
        found.append(
            "What `servers` grants beside tools (resources, prompts, sampling, logging) is not told apart there."
        )
    found += [
        f"The grant of {', '.join(one.tools)} to {one.to} depends on arguments, and is left out."
        for one in access.grants
        if one.arguments
    ]
    return found


def _target(spec: ServerSpec) -> dict[str, Any] | str:
    """Where the server is in a cluster, its address or its own Service; or why it is nowhere there."""
    name = _dns(spec.name)
    if spec.kind == "builtin":
        return "it is a part of the company's own process"
    if spec.kind == "stdio":
        return "it is a program, which the company's own gateway runs"
    if spec.kind == "internal":
        # Its credentials are for its sources: it adds them itself.
        static: dict[str, Any] = {"host": f"{name}.elf-servers.svc.cluster.local", "port": 8080, "path": "/mcp"}
        return {"name": name, "static": static | {"protocol": "StreamableHTTP"}}
    if spec.url is None:
        return "its address is not in main but in ELF_MCP_SERVERS or on a Service of the cluster; write it into `url`"
    parts = urlsplit(spec.url)
    if parts.query:
        return "its address has a query, for which there is no field"
    if len(spec.credentials) > MOST_CREDENTIALS + 1:
        return f"it takes {len(spec.credentials)} credentials, and {MOST_CREDENTIALS + 1} are possible"
    secure = parts.scheme == "https"
    static = {"host": parts.hostname, "port": parts.port or (443 if secure else 80), "path": parts.path or "/"}
    policies: dict[str, Any] = {"tls": {}} if secure else {}
    if spec.credentials:
        first, *others = [_credential(name, one) for one in spec.credentials]
        policies["auth"] = first | ({"credentials": others} if others else {})
    static |= {"protocol": "StreamableHTTP"} | ({"policies": policies} if policies else {})
    return {"name": name, "static": static}


def _credential(server: str, one: Credential) -> dict[str, Any]:
    header = {"name": one.header} | ({"prefix": one.prefix} if one.prefix else {})
    return {"secretRef": {"name": f"{server}-secrets", "key": one.name}, "location": {"header": header}}


def _grants(spec: ServerSpec, name: str, company: Company, unsaid: list[str]) -> dict[str, Any]:
    rules = _expressions(spec, company)
    if len(rules) > MOST_EXPRESSIONS:
        unsaid.append(
            f"{spec.name}: {len(rules) - MOST_EXPRESSIONS} of its grants are more than there may be, and are left out."
        )
    authorization = {"action": "Allow", "policy": {"matchExpressions": rules[:MOST_EXPRESSIONS] or ["false"]}}
    reference = {"group": GROUP, "kind": "AgentgatewayBackend", "name": name}
    policy = {"targetRefs": [reference], "backend": {"mcp": {"authorization": authorization}}}
    return _resource("AgentgatewayPolicy", f"{name}-grants", policy)


def _expressions(spec: ServerSpec, company: Company) -> list[str]:
    """Who may call which tool, as CEL over the token's subject (`team/member`), its role and the tool. None of them: nobody."""
    access = company.access
    if 0 in (access.calls_per_minute, spec.calls_per_minute):
        return []
    never = "".join(
        f" && !({_who(line.to)} && {_is_one_of(tools)})"
        for line in access.rates
        if line.calls_per_minute == 0 and (tools := _tools_of(spec, line.tools))
    )
    found: list[str] = []
    for grant in access.grants:
        # A grant that depends on arguments cannot be said there, and a wider one must not be: it is left out.
        if (tools := _tools_of(spec, grant.tools)) and not grant.arguments:
            found.append(_granted(grant, tools) + never)
    if access.named_in_team:
        for member, named in sorted(company.named.items()):
            if tools := _tools_of(spec, named):
                found.append(f"{_who(member)} && {_is_one_of(tools)}{never}")
    return found


def _tools_of(spec: ServerSpec, patterns: Collection[str]) -> list[str]:
    every = f"{spec.name}__*" in patterns
    return [tool.name for tool in spec.tools if every or f"{spec.name}__{tool.name}" in patterns]


def _granted(grant: Grant, tools: Sequence[str]) -> str:
    manager = ' && jwt.role == "manager"' if grant.managers_only else ""
    return f"{_who(grant.to)}{manager} && {_is_one_of(tools)}"


def _who(to: str) -> str:
    team, member = to.split("/")
    if team == "*":
        return _ANY_MEMBER
    return f'jwt.sub.startsWith("{team}/")' if member == "*" else f'jwt.sub == "{to}"'


def _is_one_of(tools: Sequence[str]) -> str:
    return f"mcp.tool.name in [{', '.join(json.dumps(tool) for tool in tools)}]"


def _rule(spec: ServerSpec, name: str) -> dict[str, Any]:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": f"/mcp/{spec.name}"}}],
        "backendRefs": [{"group": GROUP, "kind": "AgentgatewayBackend", "name": name}],
        "timeouts": {"request": f"{int(spec.timeout_seconds * 1000)}ms"},
    }


def _routes(rules: Sequence[dict[str, Any]], company: Company) -> list[dict[str, Any]]:
    """The routes, as many rules in each as it may have, and the policies that let only our tokens pass on them."""
    names: list[str] = []
    made: list[dict[str, Any]] = []
    for start in range(0, len(rules), MOST_RULES):
        names.append(ROUTE if not names else f"{ROUTE}-{len(names) + 1}")
        spec = {"parentRefs": [{"name": GATEWAY}], "rules": list(rules[start : start + MOST_RULES])}
        made.append(_resource("HTTPRoute", names[-1], spec))
    for start in range(0, len(names), MOST_TARGETS):
        references = [{"group": ROUTES, "kind": "HTTPRoute", "name": it} for it in names[start : start + MOST_TARGETS]]
        policy = f"{ROUTE}-callers" + (f"-{start // MOST_TARGETS + 1}" if start else "")
        made.append(_resource("AgentgatewayPolicy", policy, {"targetRefs": references, "traffic": _traffic(company)}))
    return made


def _traffic(company: Company) -> dict[str, Any]:
    jwks = {"inline": json.dumps(company.public_keys, separators=(",", ":"))}
    provider = {"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": jwks}
    traffic: dict[str, Any] = {"jwtAuthentication": {"mode": "Strict", "providers": [provider]}}
    if company.access.calls_per_minute:
        traffic["rateLimit"] = {"local": [{"requests": company.access.calls_per_minute, "unit": "Minutes"}]}
    return traffic


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "elf"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": metadata, "spec": spec}


def _dns(name: str) -> str:
    return name.replace("_", "-")
