"""Eight resources, each with its marks; probes against the real machine, real sockets and a real database."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from mcp_servers.monitor import probes
from mcp_servers.monitor.readings import REMEDIES, UNITS, Found, Level, Streak, level_of, settle, worst
from memory.session import Database
from policies.watch import Marks, MarksOfAll, Target, Watch
from tests.doubles.serving import serving
from tests.policies.cases import policy_files, the_law

MARKS = Marks(warning=80, critical=95, in_a_row=2)


@pytest.mark.rows("F53")
def test_eight_resources_have_marks_a_unit_and_a_remedy() -> None:
    assert len(UNITS) == 8
    assert set(UNITS) == set(REMEDIES) == set(MarksOfAll.model_fields)
    assert all(the_law().watch.marks.of(one).warning is not None for one in UNITS)
    assert the_law().watch == Watch(), "a company founded without the file is watched all the same"
    assert b"every_seconds" in policy_files()["watch.yaml"]


@pytest.mark.rows("F53")
def test_a_reading_is_judged_by_its_marks() -> None:
    levels = {79.9: Level.OK, 80: Level.WARNING, 95: Level.CRITICAL, 1e9: Level.CRITICAL, float("nan"): Level.CRITICAL}
    for value, level in levels.items():
        assert level_of(Found(value, ""), MARKS) is level, value
    assert level_of(Found(None, "nothing here"), MARKS) is Level.ABSENT
    assert level_of(Found(None, "", broken=True), Marks()) is Level.CRITICAL
    assert level_of(Found(1, "", warns=True), MARKS) is Level.WARNING
    assert worst([Level.ABSENT, Level.OK, Level.WARNING]) is Level.WARNING
    assert worst([]) is Level.OK


@pytest.mark.rows("F53", "F57")
def test_one_bad_look_is_not_yet_bad_and_one_good_look_is_good() -> None:
    def after(*looks: Level) -> Level:
        streak = Streak()
        for look in looks:
            streak = settle(streak, look, MARKS)
        return streak.level

    bad, ok, warn = Level.CRITICAL, Level.OK, Level.WARNING
    assert after(bad) is ok
    assert after(bad, bad) is bad
    assert after(bad, ok, bad) is ok
    assert after(warn, bad) is warn, "both looks agree that it is at least a warning"
    assert after(bad, bad, warn) is warn
    assert after(bad, bad, ok) is ok
    assert after(warn, warn, bad, bad) is bad


def test_marks_that_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="critical lies below warning"):
        Marks(warning=90, critical=80)


@pytest.mark.rows("F53")
def test_the_machine_is_measured() -> None:
    memory, cpu = probes.memory(), probes.cpu()
    assert memory.value is not None and 0 < memory.value <= 100 and "MB free" in memory.text
    assert cpu.value is not None and 0 <= cpu.value <= 100
    assert probes.own_memory() > 10_000_000


@pytest.mark.rows("F53")
def test_the_fullest_budget_counts_and_one_of_nothing_is_not_full() -> None:
    found = probes.api_quota({"company today": (10, 100), "team:a today": (90, 100), "team:b today": (0, 0)})
    assert (found.value, found.text) == (90.0, "team:a today: 90 % of the budget spent or held")
    assert probes.api_quota({}).value is None


@pytest.mark.rows("F53")
def test_the_database_is_asked_and_weighed_and_one_that_is_gone_raises(database: Database, tmp_path: Path) -> None:
    found = probes.database(database, 1_000_000)
    assert found.value is not None and found.value < 5000 and not found.warns
    assert probes.database(database, 0 if database.is_sqlite else 1).warns
    gone = Database(f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    with pytest.raises(SQLAlchemyError):
        probes.database(gone, None)
    gone.close()


@contextmanager
def daemon(status: int) -> Generator[str]:
    app = FastAPI()

    @app.get("/_ping", status_code=status)
    def ping() -> str:  # pyright: ignore[reportUnusedFunction] - a route
        return "OK"

    with serving(app) as url:
        yield url.replace("http://", "tcp://")


@pytest.mark.rows("F53")
def test_docker_is_absent_well_or_silent(tmp_path: Path) -> None:
    assert probes.docker(None, tmp_path / "none.sock").value is None
    assert probes.docker("ssh://somewhere").value is None
    with daemon(200) as host:
        assert probes.docker(host).value == 0
    with daemon(503) as host:
        assert probes.docker(host).value == 1
    assert probes.docker(host).value == 1, "nobody listens there any more"
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    assert probes.docker(None, dead).value == 1


@pytest.mark.rows("F53")
def test_only_what_is_configured_is_reached_for() -> None:
    assert probes.network(()).value is None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        here = Target(name="here", host="127.0.0.1", port=port)
        assert probes.network([here]).value == 0
    gone = Target(name="gone", host="127.0.0.1", port=port)
    found = probes.network([gone, Target(name="no such", host="no-such-host.invalid", port=1)])
    assert (found.value, found.text) == (2, "not reached: gone, no such")


@pytest.mark.rows("F53")
def test_servers_and_teams_are_counted_and_named() -> None:
    assert probes.mcp_servers(4, {"git": "did not answer in 5 s"}).text == "git did not answer in 5 s"
    assert probes.mcp_servers(4, {}).value == 0
    found = probes.teams({"a": ("active", None), "b": ("ill", "its import fails"), "c": ("healing", None)})
    assert (found.value, found.text) == (1, "b: its import fails")
    assert probes.teams({"a": ("active", None), "c": ("healing", None)}).text.endswith("being seen to: c")
