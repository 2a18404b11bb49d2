"""The JSON Schemas of the policy files, for editors: generated from the very models that read the files."""

from __future__ import annotations

import json
from typing import Any

from policies.law import FILES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """File name (`limits.json`) -> JSON text. Equal models give equal text."""
    return {f"{name}.json": _text(name) for name in FILES}


def _text(name: str) -> str:
    schema: dict[str, Any] = {"$schema": _DIALECT} | FILES[name].model_json_schema(mode="validation")
    schema["title"] = f"policies/{name}.yaml"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
