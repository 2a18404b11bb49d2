"""A server that hangs, is slow to start or is at work keeps nobody waiting but those who want something of it, and them not long."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path

import anyio
import httpx
import pytest
from mcp.types import CallToolResult, TextContent

from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.served import Served
from mcp_servers.gateway.upstreams import Upstreams
from policies.access import Grant
from tests.doubles.gateway import World, office
from tests.doubles.tool_world import LOOK, FakeMain, Outside, admitted, directory, outside, program

CALLER = Caller("devops", "lead", manager=True, deployment_id="d", kind="member")
#: A look that may take this long would fail every test that waits for it.
FOR_EVER = 600.0
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
def other() -> Generator[Outside]:
    with outside() as found:
        yield found
        found.hangs = False


def text(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


async def names(upstreams: Upstreams) -> list[str]:
    with anyio.fail_after(30):
        return [tool.name for tool in (await upstreams.list_tools())[0]]


async def running(folder: Path, seconds: float) -> tuple[Upstreams, Served, Path]:
    """A program that has started, what is known of it, and its own folder."""
    spec, own = program(folder, timeout_seconds=seconds)
    (own / "go").touch()
    main = FakeMain()
    main.merge(spec)
    upstreams = Upstreams([], list_seconds=60, catalogue=directory(main, folder))
    assert await names(upstreams) == ["program__env"]
    one = await upstreams.one("program")
    assert one is not None
    return upstreams, one, own


@pytest.mark.rows("F38", "F39")
def test_a_member_without_a_grant_there_neither_waits_for_a_hanging_server_nor_hears_of_it(
    other: Outside, tmp_path: Path
) -> None:
    main, world = FakeMain(), World()
    main.merge(admitted(other))
    other.hangs = True
    with office(tmp_path, world=world, catalogue=directory(main, tmp_path)) as gateway:

        def listed() -> dict[str, object]:
            answer = httpx.post(f"{gateway.url}/mcp", json=LIST, headers=gateway.headers(), timeout=60)
            return answer.json()["result"]

        assert "_meta" not in listed() and other.listed == 0, "it was not even asked"
        world.grants = (*world.grants, Grant(to="marketing-team/*", tools=("outside__look",)))
        assert listed()["_meta"] == {"elf/unavailable": {"outside": "did not answer in 5 s"}}
        assert other.listed == 1


@pytest.mark.rows("F38")
async def test_a_server_that_begins_to_hang_is_answered_for_from_its_last_look_which_all_share(
    other: Outside, tmp_path: Path
) -> None:
    main = FakeMain()
    main.merge(admitted(other))
    upstreams = Upstreams([], list_seconds=FOR_EVER, catalogue=directory(main, tmp_path))
    assert await names(upstreams) == ["outside__look"]
    other.hangs = True
    for _ in range(3):
        assert await asyncio.gather(*(names(upstreams) for _ in range(5))) == [["outside__look"]] * 5
    assert other.listed == 2, "one look more, for all fifteen"
    other.tools = [LOOK | {"description": "Changed meanwhile."}]
    other.hangs = False
    with anyio.fail_after(30):
        while await names(upstreams):
            await asyncio.sleep(0.02)
    await upstreams.close()


@pytest.mark.rows("F38")
async def test_a_server_s_first_look_is_waited_for_once_and_together(other: Outside, tmp_path: Path) -> None:
    main = FakeMain()
    main.merge(admitted(other))
    other.hangs = True
    upstreams = Upstreams([], list_seconds=0.5, catalogue=directory(main, tmp_path))
    found = await asyncio.gather(*(upstreams.list_tools() for _ in range(10)))
    assert found == [([], {"outside": "did not answer in 0.5 s"})] * 10
    assert other.listed == 1
    with pytest.raises(Refused, match="did not answer"):
        await upstreams.call("outside__look", {}, CALLER)
    other.hangs = False
    with anyio.fail_after(30):
        while await names(upstreams) != ["outside__look"]:
            await asyncio.sleep(0.02)
    await upstreams.close()


@pytest.mark.rows("F38")
async def test_a_call_never_goes_by_an_old_look(other: Outside, tmp_path: Path) -> None:
    main = FakeMain()
    main.merge(admitted(other, timeout_seconds=0.5))
    upstreams = Upstreams([], list_seconds=FOR_EVER, catalogue=directory(main, tmp_path))
    assert await names(upstreams) == ["outside__look"]
    other.hangs = True
    one = await upstreams.one("outside")
    assert one is not None
    one.checked_at -= 1000
    with pytest.raises(Refused, match=r"outside__look: its server"):
        await upstreams.call("outside__look", {}, CALLER)
    assert other.calls == []
    await upstreams.close()


@pytest.mark.rows("F38")
async def test_a_program_may_take_longer_to_start_than_a_look_and_is_started_once(tmp_path: Path) -> None:
    spec, own = program(tmp_path / "servers", timeout_seconds=120)
    main = FakeMain()
    main.merge(spec)
    upstreams = Upstreams([], list_seconds=0.2, catalogue=directory(main, tmp_path / "servers"))
    for _ in range(3):
        assert await upstreams.list_tools() == ([], {"program": "is starting"})
        await asyncio.sleep(0.3)
    (own / "go").touch()
    with anyio.fail_after(60):
        while await names(upstreams) != ["program__env"]:
            await asyncio.sleep(0.05)
    assert (own / "starts").read_text() == "started\n"
    await upstreams.close()


@pytest.mark.rows("F38")
async def test_a_program_that_does_not_start_within_its_own_time_is_given_up(tmp_path: Path) -> None:
    spec, own = program(tmp_path / "servers", timeout_seconds=1.5)
    main = FakeMain()
    main.merge(spec)
    upstreams = Upstreams([], list_seconds=30, catalogue=directory(main, tmp_path / "servers"))
    with anyio.fail_after(30):
        assert await upstreams.list_tools() == ([], {"program": "failed: its program did not start in 1.5 s"})
    one = await upstreams.one("program")
    assert one is not None
    one.server._timeout = 120  # type: ignore[attr-defined] - for this machine may be busy
    (own / "go").touch()
    with anyio.fail_after(60):
        while await names(upstreams) != ["program__env"]:
            await asyncio.sleep(0.05)
    await upstreams.close()


@pytest.mark.rows("F38")
async def test_a_program_at_work_is_not_ill_and_the_next_calls_wait_for_their_turn(tmp_path: Path) -> None:
    upstreams, one, own = await running(tmp_path / "servers", 120)
    one.ms, upstreams._looks.seconds = 0, 0.2  # pyright: ignore[reportPrivateUsage] - how long a look may take
    long = asyncio.create_task(upstreams.call("program__env", {"until": "done", "say": "long"}, CALLER))
    with anyio.fail_after(30):
        while not (await upstreams.list_tools())[0] or one.server.doing is None:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
    # What is known of it is too old for a call: it is looked at in its turn, after the call that is under way.
    one.checked_at -= 1000
    after = [asyncio.create_task(upstreams.call("program__env", {"say": str(n)}, CALLER)) for n in range(3)]
    await asyncio.sleep(1)
    assert await upstreams.list_tools() == ((await upstreams.list_tools())[0], {}) and not long.done()
    assert await names(upstreams) == ["program__env"]
    assert {name: it.problem for name, it in (await upstreams.survey(patient=True)).items()} == {"program": None}
    (own / "done").touch()
    with anyio.fail_after(60):
        assert text(await long) == "long"
        assert [text(await it) for it in after] == ["0", "1", "2"]
    assert (own / "starts").read_text() == "started\n", "nobody killed it"
    await upstreams.close()


@pytest.mark.rows("F38")
async def test_a_call_that_gets_no_turn_says_so_and_leaves_the_program_alone(tmp_path: Path) -> None:
    upstreams, one, own = await running(tmp_path / "servers", 2)
    turn: asyncio.Lock = one.server._turn  # type: ignore[attr-defined]
    async with turn:
        result = await upstreams.call("program__env", {"say": "x"}, CALLER)
    assert result.isError and "had no turn for this one in 2 s" in text(result)
    assert text(await upstreams.call("program__env", {"say": "y"}, CALLER)) == "y"
    assert (own / "starts").read_text() == "started\n"
    await upstreams.close()
