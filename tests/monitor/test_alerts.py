"""People are told by a real message to a real receiver: once for one cause, never with a secret, never in anybody's way."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from datetime import timedelta

import pytest

from mcp_servers.gateway.redaction import MARK
from mcp_servers.monitor.alerts import Alerts, AppriseSender, BadAlertUrl
from mcp_servers.monitor.redact import Redactor
from mcp_servers.monitor.telling import Message
from memory import watching
from memory.session import Database
from policies.watch import AlertLaw
from tests.monitor.world import NOW, Receiver, cause, receiver

LAW = AlertLaw()
SECRET = "an-operator-key-of-this-company-0123456789"


@pytest.fixture
def people() -> Generator[Receiver]:
    with receiver() as it:
        yield it


def alerts(database: Database, people: Receiver, redact: Callable[[str], str] | None = None) -> Alerts:
    hide = redact or Redactor(lambda: [SECRET])
    return Alerts(database, AppriseSender([people.apprise]), hide, "http://127.0.0.1:7070")


@pytest.mark.rows("F57", "F100")
async def test_a_cause_is_told_once_until_it_clears_or_a_day_has_passed(database: Database, people: Receiver) -> None:
    told = alerts(database, people)
    assert await told.tell([cause()], LAW, NOW) == "sent to 1 of 1"
    assert "its import fails" in people.said and "critical" in people.said
    for minutes in range(1, 24 * 60, 30):
        await told.tell([cause(text=f"still, after {minutes}")], LAW, NOW + timedelta(minutes=minutes))
    assert len(people.got) == 1
    await told.tell([cause()], LAW, NOW + timedelta(hours=24))
    assert len(people.got) == 2
    later = NOW + timedelta(hours=25)
    await told.tell([], LAW, later)
    assert "over" in people.got[2]["title"] and "- Over: Something is the matter" in people.got[2]["message"]
    await told.tell([], LAW, later + timedelta(minutes=10))
    assert len(people.got) == 3, "that it is over is told once"
    await told.tell([cause()], LAW, later + timedelta(minutes=30))
    assert len(people.got) == 4, "it was gone for half an hour: that is a new one"


@pytest.mark.rows("F57", "F100")
async def test_that_it_is_over_is_told_of_faults_only_once_also_across_a_restart_and_again_if_it_arrived_nowhere(
    database: Database, people: Receiver
) -> None:
    many = [cause("circuit:openai/x"), cause("budget:company today:2026-11-20:80"), cause("change:7")]
    many += [cause("incident:a"), cause("incident:a:held")]
    await alerts(database, people).tell(many, LAW, NOW)
    people.status, later = 500, NOW + timedelta(minutes=11)
    assert await alerts(database, people).tell([], LAW, later) == "failed: none of 1 addresses took it"
    people.status = 200
    assert await alerts(database, people).tell([], LAW, later + timedelta(minutes=1)) is None
    assert await alerts(database, people).tell([], LAW, later + timedelta(minutes=11)) == "sent to 1 of 1"
    assert await alerts(database, people).tell([], LAW, later + timedelta(minutes=30)) is None
    assert people.got[-1]["title"].endswith("2 things are over")
    assert people.got[-1]["message"].count("Over: ") == 2


@pytest.mark.rows("F100")
async def test_what_nobody_was_told_of_is_not_over_either(database: Database, people: Receiver) -> None:
    people.status = 500
    await alerts(database, people).tell([cause()], LAW, NOW)
    people.status = 200
    assert await alerts(database, people).tell([], LAW, NOW + timedelta(hours=2)) is None
    assert len(people.got) == 1


@pytest.mark.rows("F100")
async def test_a_restart_does_not_tell_again_what_was_told(database: Database, people: Receiver) -> None:
    await alerts(database, people).tell([cause()], LAW, NOW)
    await alerts(database, people).tell([cause()], LAW, NOW + timedelta(minutes=1))
    assert len(people.got) == 1


@pytest.mark.rows("F100")
async def test_what_flickers_is_one_cause_and_a_storm_of_causes_is_few_messages(
    database: Database, people: Receiver
) -> None:
    told = alerts(database, people)
    for second in range(0, 600, 15):
        there = [cause()] if second % 30 == 0 else []
        await told.tell(there, LAW, NOW + timedelta(seconds=second))
    assert len(people.got) == 1
    people.got.clear()
    for second in range(0, 1800, 15):
        many = [cause(f"incident:team-{second}-{number}") for number in range(20)]
        await told.tell(many, LAW, NOW + timedelta(hours=3, seconds=second))
    assert len(people.got) == LAW.at_most_an_hour, "2,400 causes in half an hour"
    assert all(one["message"].count("\n- ") <= 9 for one in people.got)


@pytest.mark.rows("F100")
async def test_planted_hole_without_the_rows_memory_the_storm_comes_through(
    database: Database, people: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(rows: list[watching.Standing], *_rest: object, **_more: object) -> list[watching.Cause]:
        return [cause(row.cause) for row in rows]

    monkeypatch.setattr("mcp_servers.monitor.alerts.due", forgetful)
    told = alerts(database, people)
    for second in range(0, 600, 30):
        await told.tell([cause()], LAW, NOW + timedelta(seconds=second))
    assert len(people.got) == 20


@pytest.mark.rows("F76", "F100")
async def test_a_secret_in_a_cause_neither_leaves_nor_is_kept_and_the_planted_hole_shows_why(
    database: Database, people: Receiver
) -> None:
    token = "sk-" + "proj-" + "a1B2" * 8
    leaky = cause(text=f"start failed: KEY={SECRET} and {token}")
    await alerts(database, people).tell([leaky], LAW, NOW)
    with database.read() as session:
        kept = "".join(f"{one.title}{one.text}" for one in watching.standing(session))
    for place in (people.said, kept):
        assert SECRET not in place and token not in place and MARK in place
    people.got.clear()
    open_ = alerts(database, people, redact=str)
    await open_.tell([cause("another", leaky.text)], LAW, NOW)
    assert SECRET in people.said, "without the redactor it goes out: the test above tests something"


@pytest.mark.rows("F100")
async def test_a_message_that_arrives_nowhere_is_written_down_not_raised_and_tried_again_later(
    database: Database, people: Receiver
) -> None:
    told, people.status = alerts(database, people), 500
    assert await told.tell([cause()], LAW, NOW) == "failed: none of 1 addresses took it"
    await told.tell([cause()], LAW, NOW + timedelta(minutes=1))
    assert len(people.got) == 1
    people.status = 200
    assert await told.tell([cause()], LAW, NOW + timedelta(minutes=11)) == "sent to 1 of 1"
    with database.read() as session:
        assert watching.standing(session)[0].outcome == "sent to 1 of 1"


class Messenger:
    """Hangs, or breaks with a secret on its lips."""

    addresses = 1

    def __init__(self, error: str | None) -> None:
        self.error = error

    def send(self, text: Message) -> int:
        if self.error is not None:
            raise RuntimeError(self.error)
        time.sleep(0.5)
        return 1


@pytest.mark.rows("F100")
async def test_a_messenger_that_hangs_or_breaks_is_nobodys_end(database: Database) -> None:
    hide = Redactor(lambda: [SECRET])
    hanging = Alerts(database, Messenger(None), hide, "x", send_seconds=0.05)
    began = time.monotonic()
    assert await hanging.tell([cause("a")], LAW, NOW) == "failed: no answer in 0.05 s"
    assert time.monotonic() - began < 0.4
    broken = Alerts(database, Messenger(f"cannot reach https://user:{SECRET}@host"), hide, "x")
    outcome = await broken.tell([cause("b")], LAW, NOW)
    assert outcome is not None and outcome.startswith("failed: RuntimeError") and SECRET not in outcome


async def test_without_an_address_causes_are_kept_and_told_as_soon_as_there_is_one(
    database: Database, people: Receiver
) -> None:
    silent = Alerts(database, None, Redactor(list), "x")
    assert await silent.tell([cause()], LAW, NOW) is None
    assert await alerts(database, people).tell([cause()], LAW, NOW + timedelta(minutes=1)) == "sent to 1 of 1"


def test_an_address_that_cannot_be_used_is_named_by_its_number_only() -> None:
    with pytest.raises(BadAlertUrl, match="number 2") as error:
        AppriseSender(["json://127.0.0.1:1/x", f"nosuch://{SECRET}"])
    assert SECRET not in str(error.value)
