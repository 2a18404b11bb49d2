"""A yes is to what was shown: `./elf approve` and `override` decide on the commit that was printed, and on no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bootstrap import cli, terminal
from bootstrap.client import CompanyError
from bootstrap.home import Home
from bootstrap.seen import Seen

pytestmark = pytest.mark.rows("F106", "L3")
FIRST, SECOND = "a" * 40, "b" * 40


@dataclass
class Office:
    """A company with one change, whose branch can be pushed to; it refuses a yes to another commit, as the real one does."""

    head: str = FIRST
    agreed_to: list[str] = field(default_factory=list[str])

    def get(self, path: str, **_asked: str) -> dict[str, Any]:
        change = {"number": 7, "head": self.head, "title": "A team", "state": "open", "progress": "judged"}
        change |= {"branch": "auto/x", "kind": "new_team", "author": "elf-devops", "requester": "devops/delivery-lead"}
        change |= {"body": "", "files": [], "verdict": None, "replay": None, "labels": [], "on_behalf_of": None}
        change |= {"team": "x-team", "server": None, "rejected_because": None, "rolled_back_by": None, "created_at": ""}
        return {"changes": [change]} if path == "/changes" else change

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/say":
            evidence = {"kind": "change", "change": 7, "head": self.head, "team": "x-team", "text": "change #7 is open"}
            return {"answer": "Done.", "state": "completed", "rehearsal": True, "evidence": [evidence]}
        if not self.head.startswith(body["head"]):
            raise CompanyError("change 7 is at another commit by now: ./elf show 7, then decide")
        self.agreed_to.append(body["head"])
        return {"number": 7, "merged": True, "by_itself": False, "text": "merged", "state": "merged", "verdict": None}


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    here = Office()
    monkeypatch.setenv("ELF_HOME", str(tmp_path))
    monkeypatch.setattr(terminal, "company", lambda: here)
    return here


def elf(*words: str) -> int:
    done = CliRunner().invoke(cli.app, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit | CompanyError), done.exception
    return 1 if isinstance(done.exception, CompanyError) else done.exit_code


DECIDE = [("approve", "7"), ("override", "7", "--why", "we launch on Monday")]
SHOWN = [("show", "7"), ("changes",), ("say", "We need a team"), ("show", "7", "--json")]


@pytest.mark.parametrize("decide", DECIDE)
def test_what_was_never_shown_is_not_agreed_to(office: Office, decide: tuple[str, ...]) -> None:
    assert elf(*decide) == 1
    assert office.agreed_to == []
    assert elf(*decide, "--head", FIRST[:12]) == 0, "whoever names the commit has it from somewhere"


@pytest.mark.parametrize("show", SHOWN)
def test_a_push_between_the_look_and_the_yes_is_not_agreed_to(office: Office, show: tuple[str, ...]) -> None:
    assert elf(*show) == 0
    office.head = SECOND
    for decide in DECIDE:
        assert elf(*decide) == 1
    assert office.agreed_to == []
    assert elf("show", "7") == 0
    assert elf("approve", "7") == 0
    assert office.agreed_to == [SECOND]


def test_planted_hole_a_yes_to_whatever_is_there_now_agrees_to_what_nobody_saw(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    elf("show", "7")
    office.head = SECOND

    def now_there(_seen: Seen, _number: int) -> str:
        return office.head

    monkeypatch.setattr(Seen, "head", now_there)
    assert elf("approve", "7") == 0
    assert office.agreed_to == [SECOND]


@pytest.mark.parametrize("left", [b"", b"not json", b"[]", b'{"7": 5}'])
def test_a_damaged_memory_of_what_was_shown_costs_another_look_and_no_more(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "seen.json").write_bytes(left)
    seen = Seen(Home(tmp_path))
    assert seen.head(7) is None
    seen.note({7: FIRST})
    seen.note({8: SECOND})
    assert (seen.head(7), seen.head(8)) == (FIRST, SECOND)
    assert [file.name for file in tmp_path.iterdir()] == ["seen.json"]
