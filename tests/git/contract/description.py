"""GitHub's whole description of its REST API (an OpenAPI file), to hold every answer of the contract against.

`ELF_CONTRACT_OPENAPI=…/api.github.com.json`; the file comes with the npm package `@octokit/openapi`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.git.contract.documented import route_of

_HERE = "urn:description"


class Description:
    """The schemas of one file, by route and status."""

    def __init__(self, path: Path) -> None:
        self._whole = _with_nulls(json.loads(path.read_text()))
        resource = Resource(contents=self._whole, specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(_HERE, resource)

    def problems(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What of the answer's body does not have the type that was described."""
        route = route_of(method, path)
        if route is None or status >= 400:
            return []
        at = "/repos/{owner}/{repo}" if route.partition(" ")[2].startswith("{repo}") else ""
        return self.of_path(method, at + route.partition(" ")[2].removeprefix("{repo}"), status, body)

    def of_path(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """The same for a path as the description writes it: `/repos/{owner}/{repo}/installation`."""
        operation = self._whole["paths"][path][method.lower()]
        answer = operation["responses"].get(str(status), {})
        while "$ref" in answer:
            answer = self._at(answer["$ref"])
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return []
        validator = Draft202012Validator(schema, registry=self._registry)
        return [
            f"{method} {path} {status}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for error in validator.iter_errors(body)
        ]

    def _at(self, reference: str) -> Any:
        found = self._whole
        for part in reference.removeprefix(f"{_HERE}#/").split("/"):
            found = found[part]
        return found


def _with_nulls(node: Any) -> Any:
    """The same in JSON Schema's words: OpenAPI says `nullable`, and refers within its own file."""
    if isinstance(node, list):
        return [_with_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _with_nulls(value) for key, value in node.items()}
    if isinstance(made.get("$ref"), str) and made["$ref"].startswith("#/"):
        made["$ref"] = f"{_HERE}{made['$ref']}"
    if made.pop("nullable", False) is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made
