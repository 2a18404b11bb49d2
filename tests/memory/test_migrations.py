"""Versioned steps bring either database to the schema the code knows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memory.migrate import drift, upgrade
from memory.session import Database


@pytest.mark.rows("F61")
def test_a_migrated_database_has_no_drift_and_needs_nothing_more(database: Database) -> None:
    assert upgrade(database) == []
    assert drift(database) == []


@pytest.mark.rows("F61")
def test_two_starts_at_once_migrate_an_empty_database_once(tmp_path: Path) -> None:
    databases = [Database(f"sqlite:///{tmp_path / 'company.db'}") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        steps = list(pool.map(upgrade, databases))
    assert sorted(map(len, steps))[0] == 0 and len(steps[0] + steps[1]) == len(set(steps[0] + steps[1])) > 0
    for one in databases:
        one.close()
