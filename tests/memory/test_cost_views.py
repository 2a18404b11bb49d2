"""The costs page's figures: exactly the usage rows, who is near a limit, and advice that data supports."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bootstrap.office.spending import Spending
from memory import budgets, cost_views, usage
from memory.budgets import Hold, Limits
from memory.cost_advice import Use, advise
from memory.gateway_tables import UsageRow
from memory.session import Database

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
PRICES = {"openai/large": (2_000_000, 10_000_000), "openai/small": (100_000, 400_000)}


def record(database: Database, day: datetime, **changes: Any) -> None:
    call = usage.Usage(
        day=budgets.day_of(day),
        at=day,
        team="marketing-team",
        member="editor",
        model="openai/large",
        purpose="member-work",
        run="r",
        tokens_in=1000,
        tokens_out=50,
        usd_micro=2500,
        latency_ms=10,
        outcome="ok",
    )
    with database.begin() as session:
        usage.record(session, replace(call, **changes))


def page(database: Database, limits: Limits | None = None) -> dict[str, Any]:
    limits = limits or Limits()
    return Spending(database, lambda _team, _member: limits, lambda: set(PRICES), PRICES.get, lambda: NOW).page()


@pytest.mark.rows("F44", "F47", "F48", "F51")
def test_every_figure_is_the_sum_of_usage_rows_to_the_micro_dollar(database: Database) -> None:
    rng = random.Random(3)
    for _ in range(120):
        day = NOW - timedelta(days=rng.randrange(0, 20))
        record(
            database,
            day,
            team=rng.choice(("a-team", "b-team")),
            model=rng.choice(("m", "n")),
            usd_micro=rng.randrange(10**6),
        )
    found = page(database)

    def total(*where: Any) -> int:
        with database.read() as session:
            return int(session.scalar(select(func.sum(UsageRow.usd_micro)).where(*where)) or 0)

    today = UsageRow.day == "2026-11-20"
    assert found["total_usd_micro"] == total(today) == sum(row["usd_micro"] for row in found["rows"])
    for row in found["rows"]:
        assert row["usd_micro"] == total(today, UsageRow.team == row["team"], UsageRow.model == row["model"])
    assert len(found["trend"]) == 14
    for day in found["trend"]:
        assert day["usd_micro"] == total(UsageRow.day == day["day"])
    assert found["forecast"]["spent_usd_micro"] == total(UsageRow.day >= "2026-11-01")
    assert found["calls"] == sum(row["calls"] for row in found["rows"]) == found["trend"][-1]["calls"]


@pytest.mark.rows("F47")
def test_an_empty_company_has_a_page_that_says_it_cannot_tell(sqlite: Database) -> None:
    found = page(sqlite)
    assert (found["rows"], found["total_usd"], found["near_limits"], found["recommendations"]) == ([], "0.00", [], [])
    assert "0 whole days" in found["forecast"]["cannot_tell"]


@pytest.mark.rows("F46", "F47")
def test_who_has_committed_most_of_a_budget_is_named_with_spent_and_held_money(database: Database) -> None:
    limits = Limits({"company": 1000, "team:a-team": 100}, {"company": 10_000, "team:a-team": 82})
    with database.begin() as session:
        hold = Hold("h1", "a-team", "ann", "m", "p", "r", 79, timedelta(minutes=1))
        budgets.reserve(session, hold, limits, NOW)
    assert [(one["scope"], one["period"], one["percent"]) for one in page(database, limits)["near_limits"]] == [
        ("team:a-team", "month", 96)
    ]
    with database.begin() as session:
        budgets.reserve(session, replace(hold, id="h2", usd_micro=3), limits, NOW)
    found = page(database, limits)["near_limits"]
    assert [(one["period"], one["percent"], one["committed_usd_micro"]) for one in found] == [
        ("month", 100, 82),
        ("day", 82, 82),
    ]
    with database.read() as session:
        assert cost_views.spenders(session, NOW) == [("a-team", "ann")]


USE = Use("member-work", "openai/large", 100, 100, 100_000, 5_000, 250_000, 0)


@pytest.mark.rows("F50")
def test_a_cheaper_model_is_recommended_for_short_answers_with_what_the_same_tokens_would_save() -> None:
    [advice] = advise([USE], 3, PRICES, PRICES.get)
    # 100,000 tokens in and 5,000 out cost 12,000 micro-dollars with the small one.
    assert (advice.to, advice.saving_usd_micro) == ("openai/small", (250_000 - 12_000) * 10)
    assert "100 calls in 3 days, answers of 50 tokens" in advice.why


@pytest.mark.rows("F50")
@pytest.mark.parametrize(
    "use",
    [
        replace(USE, calls=19, answered=19),
        replace(USE, tokens_out=31_000),
        replace(USE, model="openai/small", usd_micro=12_000),
        replace(USE, usd_micro=100),
        replace(USE, usd_micro=0),
    ],
    ids=["too few calls", "long answers", "the cheapest already", "not worth it", "free"],
)
def test_what_data_does_not_support_is_not_recommended(use: Use) -> None:
    assert advise([use], 3, PRICES, PRICES.get) == []


@pytest.mark.rows("F50")
def test_nothing_is_recommended_at_a_price_nobody_knows() -> None:
    assert advise([USE], 3, PRICES, lambda _: None) == []
    assert advise([USE], 0, PRICES, PRICES.get) == []


@pytest.mark.rows("F50")
def test_money_for_calls_that_gave_no_answer_is_named_before_a_cheaper_model_is() -> None:
    failing = replace(USE, answered=80, wasted_usd_micro=50_000)
    [advice] = advise([failing], 3, PRICES, PRICES.get)
    assert (advice.kind, advice.to, advice.saving_usd_micro) == ("failing_model", None, 500_000)
    assert advice.why.startswith("20 of 100 calls gave no answer")
