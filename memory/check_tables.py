"""The table behind `memory/checks.py`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Float, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from memory.tables import Base


class CheckRunRow(Base):
    """That a folder of exactly these bytes was run in a sandbox, by checks of this version, and what came of it."""

    __tablename__ = "check_runs"

    path: Mapped[str] = mapped_column(String(120), primary_key=True)
    tree: Mapped[str] = mapped_column(String(40), primary_key=True)
    #: Of everything that decides but the folder itself.
    version: Mapped[str] = mapped_column(String(40), primary_key=True)
    passed: Mapped[bool] = mapped_column(Boolean)
    #: For the verdict: what passed, or the first thing that did not.
    said: Mapped[str] = mapped_column(Text)
    sandbox: Mapped[str] = mapped_column(String(120))
    seconds: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime]
