"""Every budget at the door: a call too many is refused with the time it opens again; switched off, the call is bought."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.gateway.allowance import Allowance
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.prices import Prices
from memory import budgets, usage
from memory.session import Database
from policies.budgets import Budgets
from policies.models import Economy, ModelsLaw
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

#: What the provider's answer costs, and what the request may cost at the most, in US dollars; a budget between admits one call.
ONE_CALL = "0.0030"
MIDNIGHT, DECEMBER = "2026-11-21T00:00:00+00:00", "2026-12-01T00:00:00+00:00"
TEAM = "marketing-team"
#: The law that has only this budget -> what the refusal calls it, and when it opens again.
LAWS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "company, day": ({"company_usd_day": ONE_CALL}, "daily budget of company", MIDNIGHT),
    "company, month": ({"company_usd_month": ONE_CALL}, "monthly budget of company", DECEMBER),
    "team, day": ({"teams": {TEAM: {"usd_day": ONE_CALL}}}, f"daily budget of team:{TEAM}", MIDNIGHT),
    "team, month": ({"team_usd_month": ONE_CALL}, f"monthly budget of team:{TEAM}", DECEMBER),
    "member, day": ({"member_usd_day": ONE_CALL}, f"daily budget of member:{TEAM}/editor", MIDNIGHT),
    "member, month": ({"member_usd_month": ONE_CALL}, f"monthly budget of member:{TEAM}/editor", DECEMBER),
    "run": ({"run_usd": ONE_CALL}, f"budget of one run of team:{TEAM}", None),
}
NO_LIMITS: dict[str, Any] = {
    "company_usd_day": None,
    "company_usd_month": None,
    "team_usd_day": None,
    "member_usd_day": None,
    "run_usd": None,
}


@pytest.fixture
def provider() -> Provider:
    return Provider(Reply(tokens_in=1_000, tokens_out=1_000))


@pytest.fixture
def gateway(tmp_path: Path, provider: Provider) -> Generator[Office]:
    with ExitStack() as stack:
        url = stack.enter_context(serving(provider.app()))
        settings = ModelSettings(openai_api_key="sk-test", openai_url=f"{url}/v1", timeout_seconds=20)
        found = stack.enter_context(office(tmp_path, settings))
        found.world.models_law = ModelsLaw(chains={"standard": ("openai",)}, economy=Economy(chain=None))
        yield found


def ask(gateway: Office, **more: str) -> httpx.Response:
    body = {"model": "default", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1_000}
    headers = gateway.headers() | {"X-Elf-Run": "task-7"} | more
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


@pytest.mark.rows("F45", "L4")
@pytest.mark.parametrize("which", LAWS)
def test_a_call_over_any_budget_is_refused_before_it_is_made_and_opens_when_it_says(
    gateway: Office, provider: Provider, which: str
) -> None:
    law, name, opens = LAWS[which]
    gateway.world.budgets = Budgets.model_validate(NO_LIMITS | law)
    assert ask(gateway).status_code == 200
    refused = ask(gateway)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["opens_at"]) == (402, "insufficient_quota", opens)
    assert name in error["message"] and "policies/budgets.yaml" in error["message"]
    assert ("retry-after" in refused.headers) == (opens is not None) and len(provider.journal) == 1
    assert gateway.ledger("model.call")[-1][3] == "refused"
    if opens is None:
        assert ask(gateway, **{"X-Elf-Run": "task-8"}).status_code == 200
    else:
        gateway.world.now += timedelta(seconds=int(refused.headers["retry-after"]))
        assert ask(gateway).status_code == 200


@pytest.mark.rows("F45", "L4")
@pytest.mark.parametrize("which", LAWS)
def test_planted_hole_without_that_limit_the_call_is_bought(
    gateway: Office, provider: Provider, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> budgets.Limits:
        return budgets.Limits()

    monkeypatch.setattr(Allowance, "limits", none)
    gateway.world.budgets = Budgets.model_validate(NO_LIMITS | LAWS[which][0])
    assert [ask(gateway).status_code for _ in range(2)] == [200, 200]
    assert len(provider.journal) == 2


@pytest.mark.rows("F46")
def test_the_warning_at_80_percent_is_written_once_a_day_for_each_account_and_not_before(gateway: Office) -> None:
    gateway.world.budgets = Budgets.model_validate(NO_LIMITS | {"team_usd_day": "0.0075", "member_usd_month": "0.0075"})
    for _ in range(3):
        ask(gateway)
    warned = [(row[2], row[4]["period"]) for row in gateway.ledger("budget.warning")]
    assert warned == [], "6.75 of 7.50 thousandths are spent only after the third"
    for _ in range(2):
        ask(gateway)
    warned = [(row[2], row[4]["period"]) for row in gateway.ledger("budget.warning")]
    assert sorted(warned) == [(f"member:{TEAM}/editor", "month"), (f"team:{TEAM}", "day")]


@pytest.mark.rows("L4")
def test_planted_hole_an_unknown_price_taken_for_nothing_is_bought_for_nothing(
    gateway: Office, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.world.models[f"{TEAM}/editor"] = {"openai/gpt-unheard-of"}
    gateway.world.models_law = gateway.world.models_law.model_copy(update={"after_a_named_model": None})
    body = {"model": "openai/gpt-unheard-of", "messages": [{"role": "user", "content": "Hello"}]}
    url = f"{gateway.url}/v1/chat/completions"
    refused = httpx.post(url, json=body, headers=gateway.headers())
    assert (refused.status_code, refused.json()["error"]["code"], provider.journal) == (403, "price_unknown", [])
    assert gateway.ledger("model.call")[-1][3] == "refused"

    def nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr(Prices, "upper_bound", nothing)
    monkeypatch.setattr(Prices, "cost", nothing)
    monkeypatch.setattr(Prices, "basis", lambda *_: "free")  # pyright: ignore[reportUnknownLambdaType]
    assert httpx.post(url, json=body, headers=gateway.headers()).status_code == 200
    assert len(provider.journal) == 1


def lost_call(database: Database, gateway: Office) -> None:
    """The gateway was killed after it held the money."""
    with database.begin() as session:
        hold = budgets.Hold("lost", TEAM, "editor", "openai/gpt-5-mini", "p", "none", 3_000, timedelta(minutes=3))
        budgets.reserve(session, hold, budgets.Limits(), gateway.world.now)


@pytest.mark.rows("F45", "L4", "L5")
def test_a_call_that_never_came_back_is_spent_with_its_rows_and_gives_nothing_back(gateway: Office) -> None:
    gateway.world.budgets = Budgets.model_validate(NO_LIMITS | {"team_usd_day": "0.0050"})
    lost_call(gateway.database, gateway)
    gateway.world.now += timedelta(minutes=4)
    assert ask(gateway).status_code == 402, "before the sweep"
    assert gateway.gateway.door.sweep() == 1 and gateway.gateway.door.sweep() == 0
    assert ask(gateway).status_code == 402, "and after it"
    assert [row[3] for row in gateway.ledger("model.result")] == ["expired"]
    with gateway.database.read() as session:
        assert usage.total(session).usd_micro == 3_000 == budgets.committed(session, f"team:{TEAM}", gateway.world.now)


@pytest.mark.rows("F45")
def test_planted_hole_a_sweep_that_gives_the_money_back_is_a_second_helping(
    gateway: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = budgets.settle

    def generous(session: Any, reservation: str, _spent: int, now: Any) -> int:
        return settle(session, reservation, 0, now - timedelta(days=1))

    gateway.world.budgets = Budgets.model_validate(NO_LIMITS | {"team_usd_day": "0.0050"})
    lost_call(gateway.database, gateway)
    gateway.world.now += timedelta(minutes=4)
    monkeypatch.setattr(budgets, "settle", generous)
    gateway.gateway.door.sweep()
    assert ask(gateway).status_code == 200


@pytest.mark.rows("F45")
def test_a_clock_turned_back_is_no_second_helping_at_the_door_either(gateway: Office) -> None:
    gateway.world.budgets = Budgets.model_validate(NO_LIMITS | {"company_usd_day": ONE_CALL})
    assert ask(gateway).status_code == 200
    gateway.world.now -= timedelta(days=1)
    refused = ask(gateway)
    assert refused.status_code == 402 and "money was spent on 2026-11-20 already" in refused.json()["error"]["message"]
    assert refused.json()["error"]["opens_at"] == MIDNIGHT
