"""What the gateway remembers of money beyond single calls: the latest day, who was warned, and what each day came to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from memory.tables import Base


class BudgetClockRow(Base):
    """The one row that every reservation takes first: the latest UTC day on which anything was reserved."""

    __tablename__ = "budget_clock"

    #: Always 1.
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    day: Mapped[str] = mapped_column(String(10))


class BudgetWarningRow(Base):
    """A warning that was given, once a day, that a budget is nearly spent."""

    __tablename__ = "budget_warnings"

    scope: Mapped[str] = mapped_column(String(120), primary_key=True)
    #: `day`, `month` or `run`.
    period: Mapped[str] = mapped_column(String(10), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)


class DailySummaryRow(Base):
    """One UTC day of one team's member, model and purpose, added up from its usage rows."""

    __tablename__ = "daily_summaries"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    team: Mapped[str] = mapped_column(String(40), primary_key=True)
    member: Mapped[str] = mapped_column(String(40), primary_key=True)
    model: Mapped[str] = mapped_column(String(120), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(40), primary_key=True)
    calls: Mapped[int]
    #: Those of them that were not answered in full.
    failed: Mapped[int]
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    usd_micro: Mapped[int] = mapped_column(BigInteger)
    #: The sum, for an average over any selection.
    latency_ms: Mapped[int] = mapped_column(BigInteger)
    summed_at: Mapped[datetime]
