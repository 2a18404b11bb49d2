"""`server.yaml`: read strictly, written canonically. `load_server(dump_server(spec)) == spec`, and writing again gives the same bytes."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from mcp_servers.factories.spec_files import BadSpec, Canonical, explain
from mcp_servers.server_spec import ServerSpec
from policies.strict_yaml import BadYaml, load

__all__ = ["BadSpec", "dump_server", "load_server", "parse_server"]


def load_server(text: str | bytes) -> ServerSpec:
    """The spec in a `server.yaml`. `BadSpec` says everything that is wrong with it."""
    try:
        found = load(text)
    except BadYaml as error:
        raise BadSpec([str(error)]) from error
    return parse_server(found)


def parse_server(found: object) -> ServerSpec:
    """The spec in plain data (JSON or YAML). `BadSpec` says everything that is wrong with it."""
    if not isinstance(found, dict):
        raise BadSpec(["a server spec is a mapping with name, kind, purpose, description, owner, tools"])
    try:
        return ServerSpec.model_validate(found)
    except ValidationError as error:
        raise BadSpec(explain(error)) from error
    except RecursionError as error:
        raise BadSpec(["the spec is nested too deeply; make it flatter"]) from error


def dump_server(spec: ServerSpec) -> str:
    """The canonical text: fields in the order of the model, absent values left out."""
    data: dict[str, Any] = spec.model_dump(mode="json", exclude_none=True, exclude={"tools", "credentials", "command"})
    if spec.command:
        data["command"] = list(spec.command)
    if spec.credentials:
        data["credentials"] = [one.model_dump(mode="json", exclude_defaults=True) for one in spec.credentials]
    # A step's `do` and an unset `input_schema` decide what it is; defaults alone are left out.
    data["tools"] = [tool.model_dump(mode="json", exclude_defaults=True) for tool in spec.tools]
    return yaml.dump(data, Dumper=Canonical, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)
