"""The same tool servers, grants and limits as resources of the agentgateway project (agentgateway.dev/v1alpha1). Pure.

What its resources cannot say is left to this gateway and named in a comment of the output: quarantine by hash, limits by member and
tool, the ledger. `SCHEMA` describes the fields written here, as that project's CRDs of August 2026 have them; every resource is
held against it before it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import jsonschema

from mcp_servers.server_spec import ServerSpec
from policies.access import Access, Grant

GROUP, VERSION, NAMESPACE = "agentgateway.dev", "v1alpha1", "elf-system"
ROUTE = "elf-tools"

_NAME: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 253,
    "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
}
_CEL: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 256,
    "items": {"type": "string", "minLength": 1, "maxLength": 16384},
}


def _object(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


_AUTH = _object(
    ["secretRef"],
    secretRef=_object(["name"], name=_NAME, key={"type": "string", "minLength": 1, "maxLength": 253}),
    location=_object(
        ["header"],
        header=_object(
            ["name"],
            name={"type": "string", "maxLength": 256, "pattern": r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$"},
            prefix={"type": "string", "minLength": 1, "maxLength": 256},
        ),
    ),
)
_TARGET = _object(
    ["name", "static"],
    name=_NAME,
    static=_object(
        ["host", "port"],
        host={"type": "string", "minLength": 1, "maxLength": 256},
        port={"type": "integer", "minimum": 1, "maximum": 65535},
        path={"type": "string", "minLength": 1, "maxLength": 1024},
        protocol={"enum": ["StreamableHTTP", "SSE"]},
        policies=_object([], auth=_AUTH, tls={"type": "object", "maxProperties": 0}),
    ),
)
_BACKEND = _object(
    ["mcp"],
    mcp=_object(
        ["targets"],
        targets={"type": "array", "minItems": 1, "maxItems": 32, "items": _TARGET},
        failureMode={"enum": ["FailClosed", "FailOpen"]},
        sessionRouting={"enum": ["Stateful", "Stateless"]},
    ),
)
_TARGET_REF = _object(
    ["group", "kind", "name"], group={"type": "string"}, kind={"enum": ["AgentgatewayBackend", "HTTPRoute"]}, name=_NAME
)
_POLICY = _object(
    ["targetRefs"],
    targetRefs={"type": "array", "minItems": 1, "maxItems": 16, "items": _TARGET_REF},
    backend=_object(
        [],
        mcp=_object(
            ["authorization"],
            authorization=_object(
                ["policy"],
                action={"enum": ["Allow", "Deny", "Require"]},
                policy=_object(["matchExpressions"], matchExpressions=_CEL),
            ),
        ),
    ),
    traffic=_object(
        [],
        rateLimit=_object(
            ["local"],
            local={
                "type": "array",
                "minItems": 1,
                "items": _object(
                    ["unit", "requests"],
                    requests={"type": "integer", "minimum": 1},
                    unit={"enum": ["Hours", "Minutes", "Seconds"]},
                ),
            },
        ),
        timeouts=_object(["request"], request={"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"}),
    ),
)
_META = _object(["name", "namespace"], name=_NAME, namespace=_NAME, labels={"type": "object"})
#: By kind: the fields this file writes.
SCHEMA: Mapping[str, Any] = {
    kind: _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": f"{GROUP}/{VERSION}"},
        kind={"const": kind},
        metadata=_META,
        spec=spec,
    )
    for kind, spec in {"AgentgatewayBackend": _BACKEND, "AgentgatewayPolicy": _POLICY}.items()
}


def resources(specs: Sequence[ServerSpec], access: Access) -> list[dict[str, Any]]:
    """A backend a server, the grants as its authorization, the limits of its route. Raises `jsonschema.ValidationError`."""
    made: list[dict[str, Any]] = []
    for spec in sorted(specs, key=lambda one: one.name):
        if (target := _target(spec)) is None:
            continue
        name = _dns(spec.name)
        made.append(_resource("AgentgatewayBackend", name, {"mcp": {"targets": [target], "failureMode": "FailOpen"}}))
        reference = {"group": GROUP, "kind": "AgentgatewayBackend", "name": name}
        authorization = {"action": "Allow", "policy": {"matchExpressions": _expressions(spec, access.grants)}}
        policy = {"targetRefs": [reference], "backend": {"mcp": {"authorization": authorization}}}
        made.append(_resource("AgentgatewayPolicy", f"{name}-grants", policy))
    if access.calls_per_minute:
        limit = {"requests": access.calls_per_minute, "unit": "Minutes"}
        reference = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": ROUTE}
        traffic = {"rateLimit": {"local": [limit]}, "timeouts": {"request": "300s"}}
        made.append(_resource("AgentgatewayPolicy", f"{ROUTE}-limits", {"targetRefs": [reference], "traffic": traffic}))
    for resource in made:
        check(resource)
    return made


def check(resource: Mapping[str, Any]) -> None:
    """Raises `jsonschema.ValidationError` unless the resource has the shape of its kind."""
    jsonschema.Draft202012Validator(SCHEMA[resource["kind"]]).validate(resource)


def _target(spec: ServerSpec) -> dict[str, Any] | None:
    """Where the server is in a cluster: its address, or its own Service. Built-in ones and programs have none there."""
    if spec.kind in {"builtin", "stdio"}:
        return None
    name = _dns(spec.name)
    if spec.url is None:
        static: dict[str, Any] = {"host": f"{name}.elf-servers.svc.cluster.local", "port": 8080, "path": "/mcp"}
        return {"name": name, "static": static | {"protocol": "StreamableHTTP"}}
    parts = urlsplit(spec.url)
    secure = parts.scheme == "https"
    static = {"host": parts.hostname, "port": parts.port or (443 if secure else 80), "path": parts.path or "/"}
    policies: dict[str, Any] = {"tls": {}} if secure else {}
    if spec.credentials:
        one = spec.credentials[0]
        header = {"name": one.header} | ({"prefix": one.prefix} if one.prefix else {})
        policies["auth"] = {"secretRef": {"name": f"{name}-secrets", "key": one.name}, "location": {"header": header}}
    return {
        "name": name,
        "static": static | {"protocol": "StreamableHTTP"} | ({"policies": policies} if policies else {}),
    }


def _expressions(spec: ServerSpec, grants: Sequence[Grant]) -> list[str]:
    """The grants as CEL over the token's subject (`team/member`), its role and the tool. None of them: nobody."""
    found: list[str] = []
    for grant in grants:
        tools = [
            tool.name
            for tool in spec.tools
            if any(pattern in (f"{spec.name}__{tool.name}", f"{spec.name}__*") for pattern in grant.tools)
        ]
        # A grant that depends on arguments cannot be said there, and a wider one must not be: it is left out.
        if not tools or grant.arguments:
            continue
        who = _subject(grant.to)
        manager = ' && jwt.role == "manager"' if grant.managers_only else ""
        found += [f'{who}{manager} && mcp.tool.name == "{tool}"' for tool in tools]
    return found or ["false"]


def _subject(to: str) -> str:
    team, member = to.split("/")
    if team == "*":
        return "has(jwt.sub)"
    return f'jwt.sub.startsWith("{team}/")' if member == "*" else f'jwt.sub == "{to}"'


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "elf"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, "spec": spec}


def _dns(name: str) -> str:
    return name.replace("_", "-")
