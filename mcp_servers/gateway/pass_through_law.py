"""What may pass between a member and one tool server, beside tools: by `ServerUse`, both ways. Pure.

Each message is made anew from the fields that are known here; what else stood in it goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from mcp_servers.gateway.jsonrpc import METHOD_NOT_FOUND, RpcError
from mcp_servers.gateway.refusals import Refused
from policies.server_use import ServerUse

#: What a server may ask of a client, and what `access.yaml` calls it.
ASKS: Mapping[str, str] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
_LISTED = {
    "resources": ("uri", "name", "title", "description", "mimeType", "size"),
    "resourceTemplates": ("uriTemplate", "name", "title", "description", "mimeType"),
    "prompts": ("name", "title", "description", "arguments"),
}
_ADDRESS = 4096


def request_params(server: str, method: str, params: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    """The parameters to send on. Raises `Refused`: not granted; `RpcError`: no method that passes here."""
    check = _REQUESTS.get(method)
    if check is None:
        raise RpcError(
            METHOD_NOT_FOUND,
            f"The method {method[:60]!r} does not pass here. These do: {', '.join(sorted(_REQUESTS))}, tools/list, "
            "tools/call, ping.",
        )
    return check(server, params, use)


def client_capabilities(given: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    """What the server is told that the client can do: what it may be asked."""
    return {name: given[name] for name in ASKS.values() if isinstance(given.get(name), dict) and use.feature(name)}


def server_greeting(result: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    """A server's answer to `initialize`, without its instructions and without what is not granted."""
    given, info = _object(result.get("capabilities")), _object(result.get("serverInfo"))
    granted = {
        "tools": True,
        "resources": bool(use.resources),
        "prompts": bool(use.prompts),
        "completions": bool(use.resources or use.prompts),
        "logging": use.feature("logging"),
    }
    return {
        "protocolVersion": result.get("protocolVersion"),
        "capabilities": {name: _switches(given[name]) for name, yes in granted.items() if yes and name in given},
        "serverInfo": {key: str(info.get(key, ""))[:200] for key in ("name", "version")},
    }


def granted_part(method: str, result: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    """A server's result, of lists only what is granted."""
    if method not in _LISTS:
        return {key: value for key, value in result.items() if key != "_meta"}
    cursor = result.get("nextCursor")
    kept: dict[str, Any] = {"nextCursor": cursor} if isinstance(cursor, str) else {}
    for name, fields in _LISTED.items():
        if isinstance(found := result.get(name), list):
            items = [_object(one) for one in cast("list[object]", found)]
            kept[name] = [{key: one[key] for key in fields if key in one} for one in items if _listed(name, one, use)]
    return kept


def may_ask(method: str, offered: Mapping[str, Any], use: ServerUse) -> bool:
    """Whether the server may put this question to the client, which said at the beginning what it can."""
    return method == "ping" or (
        (feature := ASKS.get(method)) is not None and feature in offered and use.feature(feature)
    )


def may_notify(method: str, params: Mapping[str, Any], use: ServerUse) -> bool:
    """Whether a server's notification goes on. Progress and cancellations are decided by what is under way."""
    uri = params.get("uri")
    return {
        "notifications/message": use.feature("logging"),
        "notifications/tools/list_changed": True,
        "notifications/resources/list_changed": bool(use.resources),
        "notifications/resources/updated": isinstance(uri, str) and use.resource(uri),
        "notifications/prompts/list_changed": bool(use.prompts),
        "notifications/elicitation/complete": use.feature("elicitation"),
    }.get(method, False)


def progress_token(params: Mapping[str, Any]) -> str | int | None:
    """The token by which a client wants to hear of a request's progress."""
    token = _object(params.get("_meta")).get("progressToken")
    return token if isinstance(token, str | int) and not isinstance(token, bool) else None


def _list(server: str, params: Mapping[str, Any], granted: bool, what: str) -> dict[str, Any]:
    if not granted:
        raise _not_granted(server, what)
    return {"cursor": _text(params, "cursor")} if "cursor" in params else {}


def _resource(server: str, params: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    uri = _text(params, "uri")
    if not use.resource(uri):
        raise _not_granted(server, f"resource {uri[:120]!r}")
    return {"uri": uri}


def _prompt(server: str, params: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    name = _text(params, "name")
    if not use.prompt(name):
        raise _not_granted(server, f"prompt {name[:60]!r}")
    return {"name": name, "arguments": _texts(params.get("arguments"))}


def _completion(server: str, params: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    reference, argument = _object(params.get("ref")), _object(params.get("argument"))
    if reference.get("type") == "ref/prompt":
        name = _text(reference, "name")
        granted, meant = use.prompt(name), {"type": "ref/prompt", "name": name}
    else:
        uri = _text(reference, "uri")
        granted, meant = use.resource(uri), {"type": "ref/resource", "uri": uri}
    if not granted:
        raise _not_granted(server, f"completion for {str(meant)[:120]}")
    made: dict[str, Any] = {
        "ref": meant,
        "argument": {"name": _text(argument, "name"), "value": _text(argument, "value")},
    }
    if context := _texts(_object(params.get("context")).get("arguments")):
        made["context"] = {"arguments": context}
    return made


def _level(server: str, params: Mapping[str, Any], use: ServerUse) -> dict[str, Any]:
    if not use.feature("logging"):
        raise _not_granted(server, "log")
    return {"level": _text(params, "level")}


_REQUESTS: Mapping[str, Callable[[str, Mapping[str, Any], ServerUse], dict[str, Any]]] = {
    "resources/list": lambda server, params, use: _list(server, params, bool(use.resources), "resources"),
    "resources/templates/list": lambda server, params, use: _list(server, params, bool(use.resources), "resources"),
    "prompts/list": lambda server, params, use: _list(server, params, bool(use.prompts), "prompts"),
    "resources/read": _resource,
    "resources/subscribe": _resource,
    "resources/unsubscribe": _resource,
    "prompts/get": _prompt,
    "completion/complete": _completion,
    "logging/setLevel": _level,
}
_LISTS = frozenset(method for method in _REQUESTS if method.endswith("/list"))


def _listed(kind: str, one: Mapping[str, Any], use: ServerUse) -> bool:
    """A template is shown where its own text fits a pattern: what it leads to is decided when it is read."""
    key = _LISTED[kind][0]
    text = one.get(key)
    return isinstance(text, str) and (use.prompt(text) if kind == "prompts" else use.resource(text))


def _not_granted(server: str, what: str) -> Refused:
    return Refused(
        "not_allowed",
        f"No line of `servers` in policies/access.yaml grants you this of {server}: {what}. "
        "A person can grant it there by a pull request.",
    )


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or len(value) > _ADDRESS:
        raise Refused("bad_request", f"params: {name} must be a text of at most {_ADDRESS} characters.")
    return value


def _texts(value: object) -> dict[str, str]:
    if value is not None and not isinstance(value, dict):
        raise Refused("bad_request", "params: arguments must be an object of texts.")
    found = cast("dict[str, object]", value or {})
    if not all(isinstance(one, str) for one in found.values()):
        raise Refused("bad_request", "params: each argument must be a text.")
    return cast("dict[str, str]", found)


def _switches(value: object) -> dict[str, bool]:
    """Of a capability what says yes or no; there is no room for words in it."""
    return {key: one for key, one in _object(value).items() if isinstance(one, bool)}


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
