"""What befalls a whole company reaches its people: once for one cause, with no secret in it, and once more when it is over."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from bootstrap import show
from bootstrap.home import KEYS
from memory import deployments
from tests.doubles.kernel import Turned, kernel_by_hand
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving
from tests.monitor.world import Receiver, receiver

KEY = "sk-a-key-of-the-model-server-0123456789"
TICK = timedelta(seconds=15)


@dataclass
class Street:
    """The company, its model server, and its people's messenger."""

    company: Turned
    provider: Provider
    people: Receiver

    async def rounds(self, minutes: float) -> None:
        """The monitor's and the reconciler's rounds of so long, at their pace."""
        for _ in range(int(timedelta(minutes=minutes) / TICK)):
            self.company.clock.now += TICK
            await self.company.kernel.monitor.round()

    async def ask(self) -> int:
        url, token = self.company.kernel.office.person.url, self.company.home.key("operator")
        body = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
        async with httpx.AsyncClient(trust_env=False) as http:
            sent = {"Authorization": f"Bearer {token}"}
            return (await http.post(f"{url}/v1/chat/completions", json=body, headers=sent, timeout=30)).status_code

    def told(self, words: str) -> list[str]:
        """The lines of all messages that say so."""
        return [line for one in self.people.got for line in str(one["message"]).splitlines() if words in line]


@pytest.fixture
async def street(tmp_path: Path) -> AsyncGenerator[Street]:
    with ExitStack() as stack:
        provider = Provider()
        people = stack.enter_context(receiver())
        url = stack.enter_context(serving(provider.app()))
        async with kernel_by_hand(
            tmp_path,
            teams=False,
            alert_urls=(f"{people.apprise}/hook-secret-4711",),
            model_base_url=f"{url}/v1",
            model_name="llama",
            model_api_key=KEY,
        ) as company:
            yield Street(company, provider, people)


@pytest.mark.rows("F55", "F57", "F100")
async def test_an_outage_of_the_provider_is_told_once_and_so_is_its_end(street: Street) -> None:
    street.provider.default = Reply(status=503)
    assert [await street.ask() for _ in range(6)] == [502] * 6
    assert len(street.provider.journal) == 5, "the sixth was not asked any more: the circuit is open"
    for _ in range(3):
        await street.rounds(20)
        assert await street.ask() == 502, "it is tried, and fails again: one cause goes on"
    assert len(street.told("local/llama fails and is left alone: 5 calls")) == 1
    assert len(street.told("local/llama")) == 1
    report = await asyncio.to_thread(street.company.kernel.monitor.report)
    assert list(report["links_left_alone"]) == ["local/llama"]
    assert (
        datetime.fromisoformat(report["links_left_alone"]["local/llama"]["tried_again_at"]) > street.company.clock.now
    )
    await street.rounds(20)
    report = await asyncio.to_thread(street.company.kernel.monitor.report)
    assert report["links_left_alone"]["local/llama"] == {"failures": 8, "tried_again_at": None}, "no time that is past"
    show.health(page := Console(file=io.StringIO(), width=200), report)
    assert "local/llama failed 8 times in a row and the next call tries it again" in page.file.getvalue()  # type: ignore[attr-defined]
    street.provider.default = Reply()
    await street.rounds(1)
    assert await street.ask() == 200
    await street.rounds(9)
    assert street.told("Over: local/llama") == [], "it may flicker yet"
    await street.rounds(60)
    assert len(street.told("Over: local/llama fails and is left alone (from 10:00 to ")) == 1
    assert len(street.told("local/llama")) == 2
    said = street.people.said
    secrets = [KEY, "hook-secret-4711", *(street.company.home.key(name) for name in KEYS)]
    assert not [secret for secret in secrets if secret in said]


@pytest.mark.rows("F76", "F100", "F119")
async def test_an_incident_is_told_once_without_the_secret_in_its_reason_and_its_end_too(street: Street) -> None:
    secret, kernel = street.company.home.key("gateway"), street.company.kernel
    with kernel.database.begin() as session:
        reason = f"its start failed: cannot sign with {secret} (api_key={KEY})"
        deployments.open_incident(session, "legal-team", "a" * 40, reason, street.company.clock.now)
    await street.rounds(5)
    assert len(street.told("The team legal-team is ill")) == 1
    assert secret not in street.people.said and KEY not in street.people.said
    # Main has no such team (any more), so the next round of the reconciler closes it.
    await kernel.reconciler.tick()
    await street.rounds(30)
    assert len(street.told("Over: The team legal-team is ill")) == 1
    assert len(street.told("legal-team")) == 2
    kernel.monitor.alerts._redact = str  # pyright: ignore[reportPrivateUsage] - the hole
    with kernel.database.begin() as session:
        deployments.open_incident(session, "sales-team", "b" * 40, f"the key is {secret}", street.company.clock.now)
    await street.rounds(1)
    assert secret in street.people.said, "without the redactor it goes out: the test above tests something"
