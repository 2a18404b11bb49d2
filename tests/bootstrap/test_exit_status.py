"""What a script learns from `./elf approve` and `./elf override`: 0 only where the change is in, or comes in by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from bootstrap import terminal
from bootstrap.cli import app
from bootstrap.office.office import decided
from mcp_servers.git.merge_desk import Closed, Merged, NotYet
from policies.verdict import Verdict, allow, combine, deny, needs_approval, pending

pytestmark = pytest.mark.rows("L3")


@dataclass
class Says:
    """A company with one answer."""

    found: dict[str, Any]

    def post(self, _path: str, _body: dict[str, Any]) -> dict[str, Any]:
        return self.found


def told(result: Merged | NotYet | Closed) -> dict[str, Any]:
    change = {"state": "merged" if isinstance(result, Merged) else "open", "merge_commit": None, "verdict": None}
    return decided(7, result, change, {})


def judged(*children: Verdict) -> NotYet:
    return NotYet(7, combine("gate", children))


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (Merged(7, "a" * 40), 0),
        (judged(pending("checks", "checks are running"), allow("paths", "fine")), 0),
        (judged(allow("paths", "fine")), 0),
        (judged(pending("checks", "checks are running"), needs_approval("approvals", "0 of 1")), 1),
        (judged(deny("paths", "odd"), pending("checks", "checks are running")), 1),
        (Closed(7), 1),
    ],
)
def test_an_approval_ends_well_only_where_nothing_more_is_left_to_do(
    result: Merged | NotYet | Closed, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "company", lambda: Says(told(result)))
    for arguments in (["approve", "7"], ["override", "7", "--why", "because of the launch"]):
        for more in ([], ["--json"]):
            assert CliRunner().invoke(app, [*arguments, "--head", "a" * 40, *more]).exit_code == status


def test_a_change_that_waits_for_its_checks_is_said_to_come_by_itself() -> None:
    assert "merged by itself" in told(judged(pending("checks", "checks are running")))["text"]
    assert "merged by itself" not in told(judged(needs_approval("approvals", "0 of 1")))["text"]
