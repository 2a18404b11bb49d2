"""What every test stands on: no socket but loopback, and the rows of the mission a test proves."""

from __future__ import annotations

import re

import pytest
from pytest_socket import socket_allow_hosts

pytest_plugins = ("tests.fixtures_database",)

_ROW = re.compile(r"F\d{2,3}|L\d|B-project-messages|K-[a-z-]+")


@pytest.fixture(autouse=True)
def _loopback_only() -> None:  # pyright: ignore[reportUnusedFunction]
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A marked row must look like one; `tests/test_rows.py` checks that the mission has it and that each row asked for is proved."""
    for item in items:
        for mark in item.iter_markers("rows"):
            wrong = [row for row in mark.args if not _ROW.fullmatch(str(row))]
            if wrong:
                raise pytest.UsageError(f"{item.nodeid}: no such row: {wrong}")
