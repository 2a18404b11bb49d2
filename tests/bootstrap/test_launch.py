"""Whoever starts a company is told its steps, and is not left waiting for one that hangs."""

from __future__ import annotations

import os
from io import StringIO

import pytest
from rich.console import Console

from bootstrap.launch import follow


def told(*pieces: bytes, closes: bool) -> tuple[bool, str]:
    """What `follow` returns and prints of a kernel that says these pieces, and then ends or falls silent."""
    read_end, write_end = os.pipe()
    for piece in pieces:
        os.write(write_end, piece)
    if closes:
        os.close(write_end)
    shown = StringIO()
    ready = follow(read_end, Console(file=shown, width=200), silent_s=0.2)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read_end)
    if not closes:
        os.close(write_end)
    return ready, shown.getvalue()


@pytest.mark.rows("F66")
def test_steps_are_shown_as_they_end_until_the_company_serves() -> None:
    ready, shown = told(
        b'{"step": "home", "seconds": 0.5}\n{"step": "data', b'base", "seconds": 1}\n{"ready": true}\n', closes=False
    )
    assert ready
    assert [line.split()[1] for line in shown.splitlines()] == ["home", "database"]


@pytest.mark.rows("F66")
def test_a_company_that_hangs_in_the_middle_of_its_start_is_given_up_and_said_to_be_silent() -> None:
    ready, shown = told(b'{"step": "home", "seconds": 0.5}\n', closes=False)
    assert not ready
    assert "said nothing" in shown
    assert "log/kernel.log" in shown


@pytest.mark.rows("F66")
def test_a_company_that_ends_or_gives_up_says_so() -> None:
    assert told(b'{"step": "home", "seconds": 0.5}\n', closes=True)[1].endswith("its log says why.\n")
    assert told(b'{"failed": "port 7070 is taken"}\n', closes=True) == (False, "port 7070 is taken\n")
