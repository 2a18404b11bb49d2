"""The gateway as a tool server: what is served, what a server elsewhere would bring, and what naming a tool in a team grants."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from mcp_servers.gateway.grants import Grants
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.looking import Looker
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.server import create_gateway_server
from mcp_servers.gateway.upstreams import Upstreams
from policies.access import Access, Grant
from tests.doubles.tool_world import LOOK, FakeMain, Outside, admitted, directory, outside
from tests.factories.server_specs import internal

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def other() -> Generator[Outside]:
    with outside() as double:
        yield double


async def ask(looker: Looker, tool: str, main: FakeMain | None = None, folder: Path = Path(), **arguments: Any) -> Any:
    found = directory(main or FakeMain(), folder)
    upstreams = Upstreams([], catalogue=found)
    try:
        result: Any = await create_gateway_server(lambda: upstreams, found, looker).call_tool(tool, arguments)
    finally:
        await upstreams.close()
    return result[1] if isinstance(result, tuple) else result


def looker(folder: Path, networks: tuple[str, ...] = (), programs: dict[str, list[str]] | None = None) -> Looker:
    return Looker(lambda: networks, lambda: programs or {}, folder)


@pytest.mark.rows("F34", "F38")
async def test_the_list_says_what_is_served_and_how_it_is_from_looking(other: Outside, tmp_path: Path) -> None:
    main = FakeMain()
    main.merge(internal())
    main.merge(admitted(other))
    listed = await ask(looker(tmp_path, programs={"clock": ["c"]}), "list_servers", main, tmp_path)
    rows = {row["server"]: row for row in listed["servers"]}
    assert [tool["tool"] for tool in rows["weather"]["tools"]] == ["weather__current", "weather__about"]
    assert (rows["outside"]["healthy"], rows["weather"]["missing_secrets"]) == (True, ["WEATHER_KEY"])
    assert listed["programs"] == ["clock"]
    other.tools[0]["description"] = "Changed since."
    listed = await ask(looker(tmp_path), "list_servers", main, tmp_path)
    changed = next(row for row in listed["servers"] if row["server"] == "outside")
    assert (changed["tools"], changed["quarantined"]) == ([], ["look"])


@pytest.mark.rows("F34")
async def test_a_look_gives_the_definitions_as_they_would_be_admitted_and_sends_no_secret(
    other: Outside, tmp_path: Path
) -> None:
    other.tools += [{**LOOK, "name": "lookUp"}, {**LOOK, "name": "silent", "description": "Looks.\u202e"}]
    found = (await ask(looker(tmp_path, LOOPBACK), "look_at_server", url=other.url)).structuredContent
    assert found["tools"][0] == {
        "name": LOOK["name"],
        "description": LOOK["description"],
        "input_schema": LOOK["inputSchema"],
    }
    assert [(tool["name"], "problem" in tool) for tool in found["tools"][1:]] == [("lookUp", True), ("silent", True)]
    assert not [headers for headers in other.headers if "authorization" in headers]


@pytest.mark.rows("F34")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
async def test_nothing_inside_is_looked_at_unless_the_law_says_so(other: Outside, tmp_path: Path, host: str) -> None:
    url = other.url.replace("127.0.0.1", host)
    refused = await ask(looker(tmp_path), "look_at_server", url=url)
    assert refused.isError
    assert other.headers == []
    assert not (await ask(looker(tmp_path, LOOPBACK), "look_at_server", url=other.url)).isError, (
        "the law alone was missing"
    )


@pytest.mark.parametrize("address", ["169.254.169.254", "10.1.2.3", "64:ff9b::a01:203", "2002:a00:1::1"])
@pytest.mark.rows("F34")
async def test_a_name_that_leads_inside_is_refused_with_the_range(tmp_path: Path, address: str) -> None:
    inward = Looker(lambda: (), dict, tmp_path, lambda _host, _port: ["93.184.216.34", address])
    refused = await ask(inward, "look_at_server", url="https://wiki.example.com/mcp")
    assert refused.isError
    assert address in refused.structuredContent["reasons"][0]


PROGRAM = (
    "import json,sys\n"
    "for line in sys.stdin:\n"
    "    m=json.loads(line)\n"
    "    if 'id' not in m: continue\n"
    "    r={'protocolVersion':'2025-06-18','capabilities':{},'serverInfo':{'name':'x','version':'1'}}\n"
    "    if m['method']=='tools/list': r={'tools':[{'name':'now','description':'N','inputSchema':{'type':'object'}}]}\n"
    "    print(json.dumps({'jsonrpc':'2.0','id':m['id'],'result':r}),flush=True)\n"
)


@pytest.mark.rows("F34")
async def test_a_program_is_looked_at_only_if_people_listed_it_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    command = ["python3", "-c", PROGRAM]
    refused = await ask(looker(folder), "look_at_server", program="python3")
    assert refused.isError
    assert "a person adds it" in refused.structuredContent["reasons"][0]
    found = await ask(looker(folder, programs={"clock": command}), "look_at_server", program="clock")
    assert not found.isError, found
    assert found.structuredContent["command"] == command
    assert [tool["name"] for tool in found.structuredContent["tools"]] == ["now"]
    assert list(folder.iterdir()) == []


async def test_what_is_no_mcp_server_is_said_so(other: Outside, tmp_path: Path) -> None:
    for url, arguments in ((other.url.replace("/mcp", "/none"), {}), ("ftp://x.example/", {}), ("", {})):
        assert (await ask(looker(tmp_path, LOOPBACK), "look_at_server", url=url, **arguments)).isError
    other.redirect = "http://169.254.169.254/latest"
    assert "redirect" in json.dumps(
        (await ask(looker(tmp_path, LOOPBACK), "look_at_server", url=other.url)).structuredContent
    )


WRITER = Caller("marketing-team", "writer", manager=False, deployment_id="d", kind="member")
EDITOR = Caller("marketing-team", "editor", manager=False, deployment_id="d", kind="member")


def grants(named_in_team: bool, *lines: Grant) -> Grants:
    access = Access(grants=lines, named_in_team=named_in_team)
    named = {"writer": {"weather__current"}}
    return Grants(lambda: access, lambda _t, _m: (), lambda team, member: named.get(member, set()))


@pytest.mark.rows("F39", "F114")
def test_a_member_may_call_the_tool_that_its_team_names_where_the_law_says_that_naming_is_granting() -> None:
    by_team = grants(True)
    assert by_team.may_call(WRITER, "weather__current")
    by_team.check_tool(WRITER, "weather__current", {})
    for caller, tool in ((EDITOR, "weather__current"), (WRITER, "weather__about"), (WRITER, "git__propose_team")):
        assert not by_team.may_call(caller, tool)
        with pytest.raises(Refused):
            by_team.check_tool(caller, tool, {})
    assert not grants(False).may_call(WRITER, "weather__current")


@pytest.mark.rows("F39", "F114")
def test_naming_a_tool_opens_its_server_s_own_address_to_that_member_for_tools_alone() -> None:
    use = grants(True).use_of(WRITER, "weather")
    assert use.tools and not use.resources and not use.prompts and not use.features
    for found in (
        grants(True).use_of(EDITOR, "weather"),
        grants(True).use_of(WRITER, "weat"),
        grants(False).use_of(WRITER, "weather"),
    ):
        assert not found


def test_a_grant_with_patterns_is_not_widened_by_naming_the_tool() -> None:
    narrow = Grant(to="marketing-team/*", tools=("weather__current",), arguments={"city": "Lisbon"})
    both = grants(True, narrow)
    both.check_tool(WRITER, "weather__current", {"city": "Lisbon"})
    with pytest.raises(Refused, match="only with certain arguments"):
        both.check_tool(WRITER, "weather__current", {"city": "Paris"})
