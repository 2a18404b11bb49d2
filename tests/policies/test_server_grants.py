"""`servers` in access.yaml: what of a tool server beside its tools, for whom; nothing that is not written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from policies.access import Access, Grant, ServerGrant
from policies.server_use import EVERYTHING, ServerUse


def access(*lines: dict[str, Any]) -> Access:
    grants = (Grant(to="a/*", tools=("lib__*",)),)
    return Access(grants=grants, servers=tuple(ServerGrant.model_validate({"server": "lib"} | it) for it in lines))


@pytest.mark.rows("F39")
def test_a_grant_of_tools_grants_nothing_else() -> None:
    use = access().use_of("a", "b", "lib")
    assert use == ServerUse(tools=True) and use
    assert not use.resource("lib://x") and not use.prompt("x") and not use.feature("sampling")
    assert not access().use_of("z", "b", "lib") and not access().use_of("a", "b", "library")


@pytest.mark.rows("F39")
def test_lines_add_up_for_the_member_and_the_server_that_they_name() -> None:
    law = access(
        {"to": "a/*", "resources": ["lib://public/.*"]},
        {"to": "a/b", "prompts": ["sum.*"], "allow": ["logging"]},
        {"to": "a/*", "managers_only": True, "allow": ["sampling"]},
        {"to": "*/*", "server": "other", "resources": [".*"]},
    )
    mine, managers = law.use_of("a", "b", "lib"), law.use_of("a", "c", "lib", manager=True)
    assert mine.resource("lib://public/x") and mine.prompt("summary") and mine.feature("logging")
    assert not mine.resource("lib://private/x") and not mine.feature("sampling")
    assert managers.feature("sampling") and not managers.prompt("summary")
    assert not law.use_of("z", "b", "lib") and law.use_of("z", "b", "other").resource("x")


def test_a_manager_s_grant_of_tools_opens_the_server_to_managers_alone() -> None:
    law = Access(grants=(Grant(to="*/*", managers_only=True, tools=("lib__x",)),))
    assert law.use_of("a", "b", "lib", manager=True) and not law.use_of("a", "b", "lib")


@pytest.mark.parametrize(
    "uri",
    [
        *("a/..", "../a", "a/%2E%2e/b", "a%2f..%2fb", "a/%252e%252e/b", "a\\..\\b", "a/./b", "x?../b", "a" * 5000),
        # A reader that follows the URL standard leaves tabs and line feeds out; others end a step at `;` or at a zero byte.
        *("a/.\t./b", "a/.\n.\r/b", "a/%2e%09./b", "a/..;x=1/b", "a/..%00/b", "a/..%00x", "a/.. /b"),
    ],
)
def test_no_pattern_fits_an_address_that_climbs_or_has_no_end(uri: str) -> None:
    assert not ServerUse(resources=(r"(?s:.*)",)).resource(uri) and not EVERYTHING.resource(uri)


@pytest.mark.parametrize("uri", ["lib://a/..b/c", "file:///a...b", "lib://a?x=..y", "a\nb", "a;v=1/b;..c"])
def test_dots_that_lead_nowhere_are_only_dots(uri: str) -> None:
    assert EVERYTHING.resource(uri)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "a"},
        {"to": "*/*", "server": "*"},
        {"to": "a/*", "allow": ["everything"]},
        {"to": "a/*", "resources": ["(a"]},
        {"to": "a/*", "tools": ["lib__x"]},
    ],
)
def test_what_cannot_be_meant_cannot_be_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        access(wrong)
