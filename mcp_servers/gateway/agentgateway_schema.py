"""The fields that the export for the agentgateway project writes, kind by kind, as its CRDs of August 2026 and the Gateway API have them.

Strict: what is not named here is not written. `tests/gateway/test_agentgateway_export.py` holds the same resources against the CRDs
themselves, where ELF_AGENTGATEWAY_CRDS names a folder that has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema

GROUP, VERSION, ROUTES = "agentgateway.dev", "v1alpha1", "gateway.networking.k8s.io"
#: How many each may have.
MOST_RULES, MOST_TARGETS, MOST_CREDENTIALS, MOST_EXPRESSIONS = 16, 16, 8, 256


def _object(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": items}


def _text(most: int, pattern: str | None = None) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most} | ({"pattern": pattern} if pattern else {})


_NAME = _text(253, "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_SECRET = {
    "secretRef": _object(["name", "key"], name=_NAME, key=_text(253)),
    "location": _object(
        ["header"],
        header=_object(["name"], name=_text(256, r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$"), prefix=_text(256)),
    ),
}
_AUTH = _object(
    ["secretRef", "location"], **_SECRET, credentials=_list(_object(list(_SECRET), **_SECRET), MOST_CREDENTIALS)
)
_TARGET = _object(
    ["name", "static"],
    name=_NAME,
    static=_object(
        ["host", "port"],
        host=_text(256),
        port={"type": "integer", "minimum": 1, "maximum": 65535},
        path=_text(1024),
        protocol={"enum": ["StreamableHTTP", "SSE"]},
        policies=_object([], auth=_AUTH, tls={"type": "object", "maxProperties": 0}),
    ),
)
_BACKEND = _object(
    ["mcp"], mcp=_object(["targets"], targets=_list(_TARGET, 32), failureMode={"enum": ["FailClosed", "FailOpen"]})
)
_ROUTE = _object(
    ["parentRefs", "rules"],
    parentRefs=_list(_object(["name"], name=_NAME), 32),
    rules=_list(
        _object(
            ["matches", "backendRefs"],
            matches=_list(
                _object(["path"], path=_object(["type", "value"], type={"const": "PathPrefix"}, value=_text(1024))), 8
            ),
            backendRefs=_list(
                _object(
                    ["group", "kind", "name"], group={"const": GROUP}, kind={"const": "AgentgatewayBackend"}, name=_NAME
                ),
                16,
            ),
            timeouts=_object(["request"], request=_text(30, "^([0-9]{1,5}(h|m|s|ms)){1,4}$")),
        ),
        MOST_RULES,
    ),
)
_TARGET_REF = _object(
    ["group", "kind", "name"],
    group={"enum": [GROUP, ROUTES]},
    kind={"enum": ["AgentgatewayBackend", "HTTPRoute"]},
    name=_NAME,
)
_PROVIDER = _object(
    ["issuer", "audiences", "jwks"],
    issuer=_text(256),
    audiences=_list(_text(256), 64),
    jwks=_object(["inline"], inline=_text(65536)),
)
_EXPRESSIONS = _list(_text(16384), MOST_EXPRESSIONS)
_POLICY = _object(
    ["targetRefs"],
    targetRefs=_list(_TARGET_REF, MOST_TARGETS),
    backend=_object(
        ["mcp"],
        mcp=_object(
            ["authorization"],
            authorization=_object(
                ["action", "policy"],
                action={"const": "Allow"},
                policy=_object(["matchExpressions"], matchExpressions=_EXPRESSIONS),
            ),
        ),
    ),
    traffic=_object(
        ["jwtAuthentication"],
        # Whoever shows no token, or a bad one, gets no further.
        jwtAuthentication=_object(["mode", "providers"], mode={"const": "Strict"}, providers=_list(_PROVIDER, 64)),
        rateLimit=_object(
            ["local"],
            local=_list(
                _object(["unit", "requests"], requests={"type": "integer", "minimum": 1}, unit={"const": "Minutes"}), 16
            ),
        ),
    ),
)
_META = _object(["name", "namespace"], name=_NAME, namespace=_NAME, labels={"type": "object"})
#: Kind -> its API version.
VERSIONS: Mapping[str, str] = {
    "AgentgatewayBackend": f"{GROUP}/{VERSION}",
    "AgentgatewayPolicy": f"{GROUP}/{VERSION}",
    "HTTPRoute": f"{ROUTES}/v1",
}
SCHEMA: Mapping[str, Any] = {
    kind: _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": VERSIONS[kind]},
        kind={"const": kind},
        metadata=_META,
        spec=spec,
    )
    for kind, spec in {"AgentgatewayBackend": _BACKEND, "AgentgatewayPolicy": _POLICY, "HTTPRoute": _ROUTE}.items()
}


def check(resource: Mapping[str, Any]) -> None:
    """Raises `jsonschema.ValidationError` unless the resource has the shape of its kind."""
    jsonschema.Draft202012Validator(SCHEMA[resource["kind"]]).validate(resource)
