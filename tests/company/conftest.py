"""A whole company for tests: a kernel process of its own, real teams, a home that is gone afterwards.

One is shared by all tests of a file, since a start takes seconds: run them with `--dist loadfile`, which keeps a file on one worker.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from rich.console import Console

from bootstrap.demo.stage import Stage, throw_away_company
from bootstrap.settings import read_settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="module")
def stage() -> Generator[Stage]:
    """A running company with the rehearsal model."""
    with throw_away_company(read_settings({}), Console(quiet=True)) as running:
        yield running
