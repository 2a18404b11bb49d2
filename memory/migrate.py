"""Brings a database to the schema this version needs; both databases by the same versioned steps."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import memory.change_tables  # pyright: ignore[reportUnusedImport] (imported for the tables it declares)
import memory.gateway_tables  # pyright: ignore[reportUnusedImport]
import memory.money_tables  # pyright: ignore[reportUnusedImport]
import memory.watch_tables  # noqa: F401  # pyright: ignore[reportUnusedImport]
from memory.session import Database
from memory.tables import Base

_MIGRATIONS = Path(__file__).parent / "migrations"
#: Serialises migrations on Postgres. Any constant will do that nobody else locks.
_MIGRATION_LOCK = 7_070_002


def upgrade(database: Database) -> list[str]:
    """Runs the missing steps, each in one transaction with its stamp; returns their names. None missing: an empty list."""
    with database.engine.connect() as connection:
        # Many starts at once: all but the first wait here, and then find everything done.
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        before = version(connection)
        missing = _steps_after(before)
        if missing:
            command.upgrade(_config(connection), "head")
        connection.commit()
    return missing


def version(connection: Connection) -> str | None:
    """The last step this database has run; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def drift(database: Database) -> list[str]:
    """What differs between the tables that the code knows and those that are there, in words."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return [str(difference) for difference in compare_metadata(context, Base.metadata)]


def _steps_after(before: str | None) -> list[str]:
    script = ScriptDirectory.from_config(_config(None))
    return [step.revision for step in reversed(list(script.iterate_revisions("head", before or "base")))]


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
