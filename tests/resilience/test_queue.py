"""The queue: bounded, a line for each thing, teams in turn, and nobody is left behind in it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mcp_servers.resilience.queue import Bounds, End, NotYet, Queue, SentAway

BOUNDS = Bounds(at_most=6, each_team_at_most=3)


class Place:
    """Something that one at a time may have; whoever is let in leaves again at once, unless it is shut."""

    def __init__(self) -> None:
        self.open, self.served, self.tries = False, list[str](), 0
        self.ends: list[End] = []
        self.queue = Queue(lambda end, _seconds: self.ends.append(end))

    def wait(self, who: str, seconds: float = 5.0, bounds: Bounds = BOUNDS) -> asyncio.Task[str]:
        async def attempt() -> str:
            self.tries += 1
            if not self.open:
                raise NotYet(60)
            self.served.append(who)
            await asyncio.sleep(0)
            return who

        return asyncio.create_task(self.queue.turn("place", who.split("-")[0], seconds, bounds, attempt))


@pytest.fixture
async def place() -> Place:
    return Place()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.rows("F54")
async def test_teams_are_served_in_turn_and_each_team_s_calls_in_their_order(place: Place) -> None:
    tasks = [place.wait(who) for who in ("a-1", "a-2", "a-3", "b-1", "c-1")]
    await settled()
    assert (place.queue.waiting, place.queue.lines(), place.tries) == (5, {"place": 5}, 1), "only the first one tries"
    place.open = True
    place.queue.freed()
    assert await asyncio.gather(*tasks) == ["a-1", "a-2", "a-3", "b-1", "c-1"]
    assert place.served == ["a-1", "b-1", "c-1", "a-2", "a-3"], (
        "a team that sends much does not keep the others waiting"
    )
    assert (place.queue.waiting, place.queue.lines(), set(place.ends)) == (0, {}, {"passed"})


@pytest.mark.rows("F54")
async def test_a_full_queue_refuses_at_once_and_a_team_has_only_its_share(place: Place) -> None:
    tasks = [place.wait(who) for who in ("a-1", "a-2", "a-3", "a-4", "b-1", "b-2", "b-3", "c-1")]
    await settled()
    for task, said in ((tasks[3], "3 of a wait already, and 3 of a team may"), (tasks[7], "6 wait already, and 6 may")):
        with pytest.raises(SentAway, match=said) as away:
            await task
        assert away.value.end == "full"
    place.open = True
    place.queue.freed()
    assert len(await asyncio.gather(*tasks, return_exceptions=True)) == 8 and len(place.served) == 6
    again = place.wait("c-2")
    assert await again == "c-2", "what was served has made room"


@pytest.mark.rows("F54")
async def test_planted_hole_without_bounds_one_team_fills_the_queue(place: Place) -> None:
    tasks = [place.wait(f"a-{number}", bounds=Bounds(10_000, 10_000)) for number in range(500)]
    await settled()
    assert place.queue.waiting == 500
    place.queue.stop()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.rows("F54")
async def test_whoever_s_time_is_up_goes_and_the_next_one_is_first(place: Place) -> None:
    hasty, patient = place.wait("a-1", seconds=0.02), place.wait("b-1")
    with pytest.raises(SentAway, match=r"its turn did not come within 0\.02 s") as away:
        await hasty
    assert away.value.end == "late"
    place.open = True
    assert await patient == "b-1", "it became first, so it tried, with nothing freed"


@pytest.mark.rows("F54")
async def test_what_opens_by_itself_is_looked_at_again_in_time() -> None:
    queue, tries = Queue(), 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise NotYet(0.01)
        return "in"

    assert await queue.turn("circuit", "a", 5, BOUNDS, attempt) == "in"
    assert tries == 3


@pytest.mark.rows("F54")
async def test_stopping_sends_everybody_away_also_from_another_thread_and_whoever_comes_later(place: Place) -> None:
    tasks = [place.wait(who) for who in ("a-1", "a-2", "b-1")]
    await settled()
    thread = threading.Thread(target=place.queue.stop)
    thread.start()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    thread.join()
    assert [end.end for end in ends if isinstance(end, SentAway)] == ["stopped"] * 3
    with pytest.raises(SentAway, match="stopping"):
        await place.wait("c-1")
    assert (place.queue.waiting, place.served) == (0, [])


async def test_a_caller_that_is_cancelled_or_that_stumbles_makes_room_for_the_next(place: Place) -> None:
    first, second = place.wait("a-1"), place.wait("b-1")
    await settled()
    first.cancel()
    await settled()

    async def stumbles() -> str:
        raise ValueError("over budget")

    third = asyncio.create_task(place.queue.turn("place", "c", 5, BOUNDS, stumbles))
    place.open = True
    place.queue.freed()
    assert await second == "b-1"
    with pytest.raises(ValueError, match="over budget"):
        await third
    assert (place.queue.waiting, place.ends) == (0, ["gone", "passed", "passed"])
