"""What each of fifty processes does that start at once: bring the schema up, take money from one budget, write in one ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError

from memory import budgets, ledger, migrate
from memory.migrate import upgrade
from memory.session import Database

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LIMITS = budgets.Limits(day={budgets.COMPANY: 10_000})


def start(job: tuple[str, int]) -> tuple[int, bool]:
    """How many steps it migrated, and whether it got its tenth of the budget. Whatever happens is in the ledger."""
    url, number = job
    database = Database(url)
    try:
        steps = len(upgrade(database))
        with database.begin() as session:
            hold = budgets.Hold(f"r{number}", "a-team", "b", "m", "p", "none", 1_000, timedelta(minutes=5))
            got = True
            try:
                budgets.reserve(session, hold, LIMITS, NOW)
            except budgets.OverBudget:
                got = False
            outcome = "allowed" if got else "refused"
            ledger.append(session, ledger.Entry(f"process:{number}", "model.call", "m", outcome, NOW))
        return steps, got
    finally:
        database.close()


def start_unlocked(url: str) -> str:
    """The same beginning without the lock: `done`, or the error that it met."""

    def no_lock(_statement: str) -> TextClause:
        return text("SELECT CAST(:key AS integer)")

    migrate.text = no_lock
    database = Database(url)
    try:
        migrate.upgrade(database)
    except DBAPIError as error:
        return type(error).__name__
    finally:
        database.close()
    return "done"
