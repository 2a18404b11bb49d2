"""The export for the agentgateway project: a backend a server, its grants as authorization, no secret, nothing wider than our law."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mcp_servers.gateway.agentgateway import check, resources
from policies.access import Access, Grant
from tests.factories.server_specs import internal, spec, wrapped

TOOL: dict[str, Any] = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
OUTSIDE = wrapped(
    [TOOL],
    url="https://tools.example/mcp",
    credentials=[{"name": "OUT_KEY", "header": "Authorization", "prefix": "Bearer "}],
)
ACCESS = Access(
    grants=(
        Grant(to="a-team/*", tools=("weather__*",)),
        Grant(to="*/*", tools=("outside__look",), managers_only=True),
        Grant(to="b-team/lead", tools=("outside__look",), arguments={"what": "a+"}),
    ),
    calls_per_minute=60,
)


def made() -> dict[str, dict[str, Any]]:
    found = resources([spec(internal()), spec(OUTSIDE)], ACCESS)
    return {resource["metadata"]["name"]: resource["spec"] for resource in found}


@pytest.mark.rows("F36")
def test_servers_grants_and_limits_become_resources_of_the_right_shape() -> None:
    found = made()
    assert set(found) == {"weather", "weather-grants", "outside", "outside-grants", "elf-tools-limits"}
    static = found["outside"]["mcp"]["targets"][0]["static"]
    assert (static["host"], static["port"], static["path"]) == ("tools.example", 443, "/mcp")
    assert static["policies"]["auth"]["secretRef"] == {"name": "outside-secrets", "key": "OUT_KEY"}
    assert found["elf-tools-limits"]["traffic"]["rateLimit"]["local"] == [{"requests": 60, "unit": "Minutes"}]


@pytest.mark.rows("F36")
def test_grants_are_said_exactly_and_one_that_depends_on_arguments_is_not_widened() -> None:
    def rules(name: str) -> list[str]:
        return made()[name]["backend"]["mcp"]["authorization"]["policy"]["matchExpressions"]

    assert 'jwt.sub.startsWith("a-team/") && mcp.tool.name == "current"' in rules("weather-grants")
    assert rules("outside-grants") == ['has(jwt.sub) && jwt.role == "manager" && mcp.tool.name == "look"']


def test_a_server_nobody_may_call_is_open_to_nobody() -> None:
    [_, policy] = resources([spec(internal())], Access(grants=()))
    assert policy["spec"]["backend"]["mcp"]["authorization"]["policy"]["matchExpressions"] == ["false"]


def test_a_resource_of_another_shape_is_not_printed() -> None:
    [backend, _] = resources([spec(internal())], Access(grants=()))
    backend["spec"]["mcp"]["targets"][0]["static"]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        check(backend)
