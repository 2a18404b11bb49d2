"""A value that fits a JSON schema: taken from hints where they fit, else made from the request's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mcp_servers.gateway.rehearsal.words import clip, slug

_DEEPEST = 12


def fill(schema: Mapping[str, Any], hint: object, text: str) -> Any:
    """`hint` is what is known for this place (a mapping by property name, a list, a scalar or None); `text` the request."""
    return _Filler(schema, text).value(schema, hint, 0)


class _Filler:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root, self._text = root, " ".join(text[:2000].split()) or "as asked"

    def value(self, schema: Mapping[str, Any], hint: object, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if choices := schema.get("enum"):
            return hint if hint in choices else choices[0]
        for key in ("anyOf", "oneOf"):
            if options := schema.get(key):
                return self._choice(options, hint, depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._choice([{**schema, "type": one} for one in kind], hint, depth)
        match kind or ("object" if "properties" in schema else "string"):
            case "object":
                return self._object(schema, hint, depth)
            case "array":
                return self._array(schema, hint, depth)
            case "boolean":
                return hint if isinstance(hint, bool) else bool(schema.get("default", False))
            case "integer" | "number":
                return _number(schema, hint)
            case "null":
                return None
            case _:
                return self._string(schema, hint)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(_DEEPEST):
            if isinstance(every := schema.get("allOf"), list) and every:
                merged = dict[str, Any]()
                for part in every:
                    merged |= self._resolved(part)
                schema = merged | {key: value for key, value in schema.items() if key != "allOf"}
            reference = schema.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#"):
                return schema
            target: Any = self._root
            for part in reference.lstrip("#/").split("/") if reference != "#" else []:
                target = target.get(part, {}) if isinstance(target, Mapping) else {}
            schema = target
        return {}

    def _choice(self, options: list[Mapping[str, Any]], hint: object, depth: int) -> Any:
        resolved = [self._resolved(option) for option in options]
        fitting = [option for option in resolved if _fits(option, hint)]
        if not fitting and depth >= _DEEPEST // 2:
            fitting = [option for option in resolved if option.get("type") == "null"]
        return self.value((fitting or resolved)[0], hint, depth + 1)

    def _object(self, schema: Mapping[str, Any], hint: object, depth: int) -> dict[str, Any]:
        known: Mapping[str, Any] = hint if isinstance(hint, Mapping) else {}
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = schema.get("required") or []
        if not properties and schema.get("additionalProperties") is not False:
            return dict(known) or ({"text": self._text} if depth == 0 else {})
        wanted = [name for name in properties if name in required or (name in known and depth < _DEEPEST)]
        return {name: self.value(properties[name], known.get(name), depth + 1) for name in wanted}

    def _array(self, schema: Mapping[str, Any], hint: object, depth: int) -> list[Any]:
        items: Mapping[str, Any] = schema.get("items") if isinstance(schema.get("items"), Mapping) else {}  # pyright: ignore[reportAssignmentType] - checked in the same expression
        known = list(hint)[: schema.get("maxItems", 100)] if isinstance(hint, list | tuple) else []
        missing = max(0, int(schema.get("minItems", 0)) - len(known))
        return [self.value(items, one, depth + 1) for one in [*known, *([None] * missing)]]

    def _string(self, schema: Mapping[str, Any], hint: object) -> str:
        known = str(hint) if isinstance(hint, str | int | float) and not isinstance(hint, bool) else ""
        longest, pattern = int(schema.get("maxLength", 400)), str(schema.get("pattern", ""))
        default = schema.get("default")
        candidates = [known, default if isinstance(default, str) else "", self._text]
        candidates += [slug(known or self._text), slug(known or self._text).replace("-", "_"), "team__work", "1", "a"]
        for candidate in candidates:
            short = clip(candidate, longest)
            if short and (not pattern or _matches(pattern, short)):
                return short.ljust(int(schema.get("minLength", 0)), ".")
        return ""


def _number(schema: Mapping[str, Any], hint: object) -> float | int:
    known = hint if isinstance(hint, int | float) and not isinstance(hint, bool) else schema.get("default")
    value = known if isinstance(known, int | float) else schema.get("minimum", 1)
    low, high = schema.get("minimum"), schema.get("maximum")
    value = value if low is None else max(low, value)
    value = value if high is None else min(high, value)
    if (above := schema.get("exclusiveMinimum")) is not None and value <= above:
        value = above + 1
    return int(value) if schema.get("type") == "integer" else value


def _fits(schema: Mapping[str, Any], hint: object) -> bool:
    if "const" in schema or "enum" in schema:
        return hint in schema.get("enum", [schema.get("const")])
    kind = schema.get("type", "object" if "properties" in schema else None)
    match hint:
        case None:
            return kind == "null"
        case bool():
            return kind == "boolean"
        case int():
            return kind in ("integer", "number")
        case float():
            return kind == "number"
        case str():
            return kind in ("string", None)
        case list() | tuple():
            return kind == "array"
        case _:
            return kind == "object" and isinstance(hint, Mapping) and _is_of_its_kind(schema, hint)


def _is_of_its_kind(schema: Mapping[str, Any], hint: Mapping[str, Any]) -> bool:
    """Where one of the options is told by a constant (`do: http_get`), the hint has that very one."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    told = {name: one["const"] for name, one in properties.items() if isinstance(one, Mapping) and "const" in one}
    return all(hint.get(name, value) == value for name, value in told.items())


def _matches(pattern: str, text: str) -> bool:
    """Whether the text has the pattern. Both are short; a pattern that is not Python's counts as no match."""
    try:
        return re.search(pattern, text[:200]) is not None
    except re.error:
        return False
