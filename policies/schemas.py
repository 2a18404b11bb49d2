"""The JSON Schemas of the policy files, for editors: generated from the very models that read the files."""

from __future__ import annotations

import json
from typing import Any, cast

from policies.law import FILES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """File name (`limits.json`) -> JSON text. Equal models give equal text."""
    return {f"{name}.json": _text(name) for name in FILES}


def _text(name: str) -> str:
    schema: dict[str, Any] = {"$schema": _DIALECT} | FILES[name].model_json_schema(mode="validation")
    schema["title"] = f"policies/{name}.yaml"
    _close(schema)
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _close(schema: Any) -> None:
    """Names that fit no pattern of a mapping are refused when the file is read; the schema says so, too."""
    if isinstance(schema, dict):
        found = cast("dict[str, Any]", schema)
        if "patternProperties" in found:
            found.setdefault("additionalProperties", False)
        for below in found.values():
            _close(below)
    elif isinstance(schema, list):
        for below in cast("list[Any]", schema):
            _close(below)
