"""The export for the agentgateway project: who may come, where to, and what they may call; no secret, nothing wider than our law."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import jsonschema
import jwt
import pytest
import yaml

from mcp_servers.gateway.agentgateway import ROUTE, Company, Export, exported
from mcp_servers.gateway.agentgateway_schema import VERSIONS, check
from mcp_servers.gateway.identity import Identity, operator_token_hash
from mcp_servers.server_spec import ServerSpec
from policies.access import Access, CallRate, Grant, ServerGrant
from tests.factories.server_specs import internal, spec, wrapped

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
IDENTITY = Identity(b"k" * 32, operator_token_hash("an-operator-token-of-32-characters"), lambda _id, _rows: True)
TOOL: dict[str, Any] = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
OTHER = TOOL | {"name": "put"}
OUTSIDE = wrapped(
    [TOOL, OTHER],
    url="https://tools.example/mcp",
    credentials=[
        {"name": "OUT_KEY", "header": "Authorization", "prefix": "Bearer "},
        {"name": "OUT_ACCOUNT", "header": "X-Account"},
    ],
)
PROGRAM = wrapped([TOOL], name="program", kind="stdio", url=None, command=["x"])
ACCESS = Access(
    grants=(
        Grant(to="a-team/*", tools=("weather__*",)),
        Grant(to="*/*", tools=("outside__look",), managers_only=True),
        Grant(to="b-team/lead", tools=("outside__look",), arguments={"what": "a+"}),
    ),
    servers=(ServerGrant(to="a-team/*", server="outside", allow=("logging",)),),
    calls_per_minute=60,
    named_in_team=True,
)
NAMED = {"c-team/ann": ("outside__put", "weather__none"), "c-team/bob": ()}


def export(access: Access = ACCESS, specs: list[ServerSpec] | None = None) -> Export:
    given = specs if specs is not None else [spec(internal()), spec(OUTSIDE), spec(PROGRAM)]
    return exported(Company(given, access, IDENTITY.public_keys, NAMED))


def made(access: Access = ACCESS, specs: list[ServerSpec] | None = None) -> dict[str, dict[str, Any]]:
    return {f"{it['kind']} {it['metadata']['name']}": it["spec"] for it in export(access, specs).resources}


def rules(name: str, access: Access = ACCESS) -> list[str]:
    policy = made(access)[f"AgentgatewayPolicy {name}-grants"]
    return policy["backend"]["mcp"]["authorization"]["policy"]["matchExpressions"]


@pytest.mark.rows("F36")
def test_servers_routes_and_limits_become_resources_that_fit_together() -> None:
    found = made()
    assert set(found) == {
        "AgentgatewayBackend weather", "AgentgatewayPolicy weather-grants",
        "AgentgatewayBackend outside", "AgentgatewayPolicy outside-grants",
        "HTTPRoute elf-tools", "AgentgatewayPolicy elf-tools-callers",
    }  # fmt: skip
    static = found["AgentgatewayBackend outside"]["mcp"]["targets"][0]["static"]
    assert (static["host"], static["port"], static["path"]) == ("tools.example", 443, "/mcp")
    callers = found["AgentgatewayPolicy elf-tools-callers"]
    assert callers["traffic"]["rateLimit"]["local"] == [{"requests": 60, "unit": "Minutes"}]
    names = {(it["kind"], it["name"]) for spec_ in found.values() for it in spec_.get("targetRefs", ())}
    names |= {(it["kind"], it["name"]) for rule in found[f"HTTPRoute {ROUTE}"]["rules"] for it in rule["backendRefs"]}
    assert {f"{kind} {name}" for kind, name in names} <= set(found), "what is named is written"
    paths = [it["matches"][0]["path"]["value"] for it in found[f"HTTPRoute {ROUTE}"]["rules"]]
    assert paths == ["/mcp/outside", "/mcp/weather"]


@pytest.mark.rows("F36", "F39")
def test_whoever_comes_that_way_shows_a_token_of_ours_which_is_checked_by_the_public_key_alone() -> None:
    authentication = made()["AgentgatewayPolicy elf-tools-callers"]["traffic"]["jwtAuthentication"]
    [provider] = authentication["providers"]
    assert authentication["mode"] == "Strict", "without a token there is no jwt.sub, and nobody passes"
    [key] = json.loads(provider["jwks"]["inline"])["keys"]
    token = IDENTITY.issue(
        "a-team", "ann", manager=True, deployment_id="d", jti="j", now=NOW, lifetime=timedelta(hours=1)
    )
    options: Any = {"verify_exp": False, "verify_iat": False}
    said = jwt.decode(
        token,
        jwt.PyJWK(key),
        algorithms=[key["alg"]],
        audience=provider["audiences"],
        issuer=provider["issuer"],
        options=options,
    )
    assert (said["sub"], said["role"]) == ("a-team/ann", "manager"), "the claims that the rules speak of"
    assert "d" not in key, "the private part stays here"


@pytest.mark.rows("F36", "F40")
def test_every_credential_is_named_and_none_is_there() -> None:
    auth = made()["AgentgatewayBackend outside"]["mcp"]["targets"][0]["static"]["policies"]["auth"]
    assert auth["secretRef"] == {"name": "outside-secrets", "key": "OUT_KEY"}
    assert auth["location"] == {"header": {"name": "Authorization", "prefix": "Bearer "}}
    [second] = auth["credentials"]
    assert second["secretRef"]["key"] == "OUT_ACCOUNT" and second["location"] == {"header": {"name": "X-Account"}}
    many = OUTSIDE | {"credentials": [{"name": f"KEY_{n}", "header": f"X-{n}"} for n in range(10)]}
    found = export(specs=[spec(many)])
    assert found.resources == [] and "outside is left out: it takes 10 credentials, and 9 are possible." in found.unsaid


@pytest.mark.rows("F36")
def test_grants_are_said_exactly_also_those_that_a_team_s_own_file_gives() -> None:
    assert rules("weather") == ['jwt.sub.startsWith("a-team/") && mcp.tool.name in ["current", "about"]']
    assert rules("outside") == [
        'jwt.role in ["manager", "member"] && jwt.role == "manager" && mcp.tool.name in ["look"]',
        'jwt.sub == "c-team/ann" && mcp.tool.name in ["put"]',
    ]
    assert len(rules("outside", ACCESS.model_copy(update={"named_in_team": False}))) == 1


@pytest.mark.rows("F36")
def test_who_may_call_nothing_here_may_call_nothing_there() -> None:
    assert rules("weather", Access(grants=())) == ["false"]
    assert rules("weather", ACCESS.model_copy(update={"calls_per_minute": 0})) == ["false"]
    never = CallRate(to="a-team/bob", tools=("weather__current",), calls_per_minute=0)
    [rule] = rules("weather", ACCESS.model_copy(update={"rates": (never,)}))
    assert rule.endswith(' && !(jwt.sub == "a-team/bob" && mcp.tool.name in ["current"])')
    shut = spec(OUTSIDE | {"calls_per_minute": 0})
    policy = made(specs=[shut])["AgentgatewayPolicy outside-grants"]
    assert policy["backend"]["mcp"]["authorization"]["policy"]["matchExpressions"] == ["false"]


@pytest.mark.rows("F36")
def test_what_cannot_be_said_there_is_said_plainly() -> None:
    found = " ".join(export().unsaid)
    for words in (
        "program is left out: it is a program",
        "The grant of outside__look to b-team/lead depends on arguments",
        "What `servers` grants beside tools",
        "60 of each member and tool",
        "after its team was retired",
    ):
        assert words in found
    nowhere = export(specs=[spec(OUTSIDE | {"url": None})])
    assert nowhere.resources == [] and "outside is left out: its address is not in main" in " ".join(nowhere.unsaid)


def test_many_servers_are_more_routes_than_one() -> None:
    many = [spec(OUTSIDE | {"name": f"outside_{chr(97 + n)}"}) for n in range(20)]
    found = made(specs=many)
    assert [len(found[f"HTTPRoute {name}"]["rules"]) for name in (ROUTE, f"{ROUTE}-2")] == [16, 4]
    assert [it["name"] for it in found["AgentgatewayPolicy elf-tools-callers"]["targetRefs"]] == [ROUTE, f"{ROUTE}-2"]


def test_a_resource_of_another_shape_is_not_printed() -> None:
    backend = export(specs=[spec(internal())]).resources[0]
    backend["spec"]["mcp"]["targets"][0]["static"]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        check(backend)


# --- against the CRDs themselves: ELF_AGENTGATEWAY_CRDS=<a folder that has them> ---


def crds() -> dict[str, dict[str, Any]]:
    """`kind version` -> its schema, where nothing may be written that it does not know. Empty: none was given."""
    folder = os.environ.get("ELF_AGENTGATEWAY_CRDS")
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(folder).rglob("*.yaml")) if folder else ():
        text = path.read_text(errors="replace")
        if "\nkind: CustomResourceDefinition\n" not in f"\n{text}":
            continue
        for one in cast("list[dict[str, Any]]", [it for it in yaml.safe_load_all(text) if it]):
            group, kind = one["spec"]["group"], one["spec"]["names"]["kind"]
            for version in one["spec"]["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                found[f"{kind} {group}/{version['name']}"] = closed(schema)
    return found


def closed(schema: Any) -> Any:
    """The schema, refusing fields that an API server would drop in silence."""
    if isinstance(schema, list):
        return [closed(it) for it in cast("list[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    made_ = {key: closed(value) for key, value in cast("Mapping[str, Any]", schema).items()}
    if isinstance(made_.get("properties"), dict) and not made_.get("x-kubernetes-preserve-unknown-fields"):
        # The root names its metadata without the fields.
        made_.setdefault("additionalProperties", False)
    return made_


@pytest.mark.rows("F36")
def test_the_project_s_own_schemas_take_every_resource_and_refuse_a_wrong_one() -> None:
    schemas = crds()
    if not schemas:
        pytest.skip(
            "ELF_AGENTGATEWAY_CRDS names no folder with agentgateway's CRDs (agentgateway/agentgateway has them)"
        )
    checked: set[str] = set()
    for resource in export().resources:
        name = f"{resource['kind']} {VERSIONS[resource['kind']]}"
        if resource["kind"] == "HTTPRoute" and name not in schemas:
            continue  # The Gateway API's CRDs lie elsewhere; they count where they were given too.
        validator = jsonschema.Draft202012Validator(schemas[name])
        validator.validate(resource)
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(resource | {"spec": resource["spec"] | {"surprise": 1}})
        checked.add(resource["kind"])
    assert checked >= {"AgentgatewayBackend", "AgentgatewayPolicy"}
