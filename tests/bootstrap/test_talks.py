"""What clients say to the CEO is carried to its end, and the same words said again never do a thing twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bootstrap.office.talks import MOST_OPEN, REPEATED_FOR, Earlier, Talks, Words, next_step
from mcp_servers.gateway.refusals import Refused
from memory import messages
from memory.migrate import upgrade
from memory.session import Database
from teams.messages import PersonMessage
from teams.runtime.gateway_client import GatewayError
from tests.doubles.gateway import World
from tests.doubles.own_clients import BETWEEN, Ceo

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
WISH = Words("v1.t.", "k1", PersonMessage(text="We need a marketing team"))


def earlier(state: str | None = "completed", *, led_on: bool = False, ago: timedelta = timedelta(minutes=1)) -> Earlier:
    return Earlier("v1.t.k1.3", NOW - ago if state else None, state, led_on)


@pytest.mark.rows("L5")
@pytest.mark.parametrize(
    ("before", "lost_answer", "expected"),
    [
        (None, False, ("say", "v1.t.k1.1")),
        (earlier(), False, ("say", "v1.t.k1.4")),
        (earlier(), True, ("repeat", "v1.t.k1.3")),
        (earlier(led_on=True), False, ("repeat", "v1.t.k1.3")),
        (earlier("input_required", led_on=True), False, ("repeat", "v1.t.k1.3")),
        (earlier(led_on=True, ago=REPEATED_FOR), False, ("say", "v1.t.k1.4")),
        (earlier(ago=REPEATED_FOR), True, ("say", "v1.t.k1.4")),
        (earlier(None, led_on=True), False, ("say", "v1.t.k1.3")),
        (earlier("lost", led_on=True), False, ("say", "v1.t.k1.3")),
        (earlier("unreachable"), True, ("say", "v1.t.k1.3")),
        (earlier("failed", led_on=True, ago=timedelta(days=9)), False, ("say", "v1.t.k1.3")),
    ],
)
def test_the_same_words_are_said_anew_or_go_on_or_have_their_answer_again(
    before: Earlier | None, lost_answer: bool, expected: tuple[str, str]
) -> None:
    assert next_step(WISH, before, NOW, lost_answer=lost_answer) == expected


class Desk:
    """Talks over a real database, and what was written down."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.database = Database(f"sqlite:///{folder / 'talks.db'}")
        upgrade(self.database)
        self.ceo = Ceo(self.database, self.world)
        self.noted: list[tuple[str, str]] = []
        self.talks = self.opened()

    def opened(self) -> Talks:
        return Talks(self.ceo.tell, self.database, BETWEEN, lambda: True, lambda: self.world.now)

    async def note(self, outcome: str, correlation_id: str) -> None:
        self.noted.append((outcome, correlation_id))

    async def say(self, words: Words = WISH) -> str:
        talk = await self.talks.say(words, self.note)
        await asyncio.wait({talk.said})
        return talk.outcome()["answer"] + (" (again)" if talk.repeated else "")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.rows("L5")
async def test_whoever_says_the_same_while_it_is_under_way_listens_to_it(desk: Desk) -> None:
    desk.ceo.takes_s = 0.05
    answers = await asyncio.gather(*(desk.say() for _ in range(5)))
    assert answers == ["All is well."] * 5
    assert [outcome for outcome, _ in desk.noted] == ["allowed", *["joined"] * 4]
    assert len(desk.ceo.told) == 1
    await asyncio.gather(desk.say(Words("v1.t.", "k2", WISH.message)), desk.say(Words("v1.u.", "k1", WISH.message)))
    assert len(desk.ceo.told) == 3, "other words, and another client's, are other talks"


@pytest.mark.rows("L5")
async def test_a_wish_that_led_to_something_is_answered_again_also_after_a_restart_and_later_is_a_new_wish(
    desk: Desk,
) -> None:
    desk.ceo.wish = True
    assert await desk.say() == "All is well."
    assert await desk.say() == "All is well. (again)"
    desk.talks = desk.opened()
    talk = await desk.talks.say(WISH, desk.note)
    assert talk.repeated is not None and talk.outcome()["rehearsal"]
    assert talk.outcome()["evidence"] == [{"kind": "message", "text": "devops answered: input_required"}]
    assert [one for one, _ in desk.ceo.told] == ["v1.t.k1.1"]
    desk.world.now += REPEATED_FOR
    assert await desk.say() == "All is well."
    assert [one for one, _ in desk.ceo.told] == ["v1.t.k1.1", "v1.t.k1.2"]


@pytest.mark.rows("L5")
async def test_without_a_look_at_what_was_said_before_the_same_wish_would_be_wished_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.ceo.wish, numbers = True, iter(range(9))

    def careless(words: Words, *_: object, **__: object) -> tuple[str, str]:
        return "say", f"{words.conversation}{words.key}.{next(numbers)}"

    monkeypatch.setattr("bootstrap.office.talks.next_step", careless)
    await desk.say()
    await desk.say()
    assert len({one for one, _ in desk.ceo.told}) == 2


async def test_a_question_is_asked_anew(desk: Desk) -> None:
    await desk.say()
    desk.ceo.answer = "A team is ill."
    assert await desk.say() == "A team is ill."


@pytest.mark.rows("L5", "L6")
async def test_what_was_lost_when_the_company_stopped_goes_on_under_its_own_id(desk: Desk) -> None:
    desk.ceo.wish, desk.ceo.takes_s = True, 60.0
    talk = await desk.talks.say(WISH, desk.note)
    while not desk.ceo.told:
        await asyncio.sleep(0)
    await desk.talks.close()
    with pytest.raises(Refused, match="say it again"):
        talk.outcome()
    with desk.database.begin() as session:
        messages.close_unanswered(session, desk.world.now)
    desk.talks, desk.ceo.takes_s = desk.opened(), 0.0
    found = await desk.talks.find(talk.correlation_id)
    assert found is not None
    with pytest.raises(Refused, match="was lost; say the same again"):
        found.outcome()
    assert await desk.say() == "All is well."
    assert [one for one, _ in desk.ceo.told] == ["v1.t.k1.1", "v1.t.k1.1"], "one id is one pull request"
    assert await desk.talks.find("v1.t.k1") is None


async def test_a_failure_says_why_and_the_next_try_goes_on(desk: Desk) -> None:
    desk.ceo.state, desk.ceo.answer = "failed", "the model gave no answer"
    with pytest.raises(Refused, match="the model gave no answer"):
        await desk.say()

    async def unreachable(_message: PersonMessage, _correlation_id: str) -> dict[str, object]:
        raise GatewayError("the team executive cannot be reached now")

    desk.talks = Talks(unreachable, desk.database, BETWEEN, lambda: True, lambda: desk.world.now)
    with pytest.raises(Refused, match="cannot be reached"):
        await desk.say()
    assert {one for _, one in desk.noted} == {"v1.t.k1.1"}


async def test_only_so_many_messages_wait_at_once(desk: Desk) -> None:
    desk.ceo.takes_s = 60.0
    for number in range(MOST_OPEN):
        await desk.talks.say(Words("v1.t.", f"k{number}", WISH.message), desk.note)
    with pytest.raises(Refused, match="wait for the CEO's answer"):
        await desk.talks.say(Words("v1.t.", "one-more", WISH.message), desk.note)
    await desk.talks.close()
