"""Checks in the life of a change: begun when it is judged, run once in the background, remembered, not taken for passed before."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mcp_servers.checks.runs import Ran
from mcp_servers.git import desk_records
from mcp_servers.git.changes import Comment
from mcp_servers.git.checking import TRY_AGAIN, BackgroundChecks, Folder
from mcp_servers.git.merge_desk import Merged, NotYet
from mcp_servers.git.proposer import Refusal
from mcp_servers.sandbox.choice import Chosen
from mcp_servers.sandbox.port import Job, Outcome, SandboxFailed
from memory import ledger
from memory.change_tables import FactsRow, VerdictRow
from memory.decisions import unpacked
from memory.migrate import upgrade
from memory.session import Database
from memory.tables import AuditRow
from policies.facts import CheckRun
from policies.verdict import Outcome as Said
from policies.verdict import Verdict
from tests.git.desk_world import (
    LEAD,
    OWN_SECRET,
    OWNER,
    Clock,
    Server,
    World,
    running_world,
    seeded,
    spec_data,
    team_files,
)

pytestmark = pytest.mark.rows("F18", "F105")


class Nowhere:
    """A sandbox that is never asked."""

    name = "nowhere: nothing"

    def run(self, job: Job) -> Outcome:
        raise SandboxFailed("nobody runs anything here")


class Counting:
    """Runs that only count; each waits for `go`."""

    version = "v1"

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.result = Ran(True, "linted, typed, 5 tests passed", 0.1)
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()

    def run(self, sandbox: object, path: str, files: Mapping[str, bytes]) -> Ran:
        assert self.go.wait(10)
        self.ran.append(path)
        if self.error is not None:
            raise self.error
        return self.result


@pytest.fixture
def runs() -> Counting:
    return Counting()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'company.db'}")
    upgrade(made)
    yield made
    made.close()


@pytest.fixture
def checks(database: Database, runs: Counting, clock: Clock) -> Iterator[BackgroundChecks]:
    made = BackgroundChecks(database, runs, lambda: Chosen(Nowhere(), "nowhere"), clock)
    yield made
    runs.go.set()
    made.close()


FOLDER = Folder("teams/marketing_team", "a" * 40, lambda: {"team.yaml": b""})


def test_the_first_answer_is_running_and_the_second_is_what_came_of_it(
    checks: BackgroundChecks, runs: Counting
) -> None:
    runs.go.clear()
    assert checks.ask(1, FOLDER).state == "running"
    assert checks.ask(1, FOLDER).state == "running"
    runs.go.set()
    checks.wait(10)
    assert checks.ask(1, FOLDER) == CheckRun(state="passed", said="linted, typed, 5 tests passed")
    assert (runs.ran, checks.finished) == (["teams/marketing_team"], 1)


def test_a_failed_run_stays_failed(checks: BackgroundChecks, runs: Counting) -> None:
    runs.result = Ran(False, "test_it failed", 0.1)
    checks.ask(1, FOLDER)
    checks.wait(10)
    assert checks.ask(1, FOLDER) == CheckRun(state="failed", said="test_it failed")
    assert len(runs.ran) == 1


def test_a_restart_finds_the_answer_and_other_bytes_or_checks_are_run_anew(
    checks: BackgroundChecks, runs: Counting, database: Database, clock: Clock
) -> None:
    checks.ask(1, FOLDER)
    checks.wait(10)
    later = Counting()
    again = BackgroundChecks(database, later, lambda: Chosen(Nowhere(), "nowhere"), clock)
    assert again.ask(2, FOLDER).state == "passed"
    assert later.ran == []
    assert again.ask(3, Folder(FOLDER.path, "b" * 40, FOLDER.files)).state == "running"
    later.version = "v2"
    assert again.ask(2, FOLDER).state == "running"
    again.wait(10)
    again.close()
    assert len(later.ran) == 2


def test_what_was_not_begun_for_a_change_that_ended_is_not_begun(checks: BackgroundChecks, runs: Counting) -> None:
    runs.go.clear()
    checks.ask(1, FOLDER)
    checks.ask(2, Folder("teams/other_team", "b" * 40, FOLDER.files))
    checks.forget(2)
    runs.go.set()
    checks.wait(10)
    assert runs.ran == ["teams/marketing_team"]


def test_a_change_that_is_pushed_again_and_again_holds_up_nobody_else(checks: BackgroundChecks, runs: Counting) -> None:
    runs.go.clear()
    for letter in "abcdef":
        checks.ask(1, Folder("teams/busy_team", letter * 40, FOLDER.files))
    checks.ask(2, FOLDER)
    for letter in "012345":
        checks.ask(1, Folder("teams/busy_team", letter * 40, FOLDER.files))
    runs.go.set()
    checks.wait(10)
    assert runs.ran[-2:] == ["teams/marketing_team", "teams/busy_team"] and len(runs.ran) <= 3


def test_each_run_is_in_the_ledger(checks: BackgroundChecks, database: Database) -> None:
    checks.ask(7, FOLDER)
    checks.wait(10)
    with database.read() as session:
        rows = [row for row in ledger.latest(session, 10) if row.action == "change.check"]
    assert [(row.actor, row.subject, row.outcome) for row in rows] == [("kernel:checks", "change:7", "passed")]


@pytest.mark.parametrize("error", [SandboxFailed("no namespaces"), RuntimeError("a bug"), OSError("disk full")])
def test_what_could_not_be_run_is_not_executed_and_is_tried_again(
    checks: BackgroundChecks, runs: Counting, clock: Clock, error: Exception
) -> None:
    runs.error = error
    checks.ask(1, FOLDER)
    checks.wait(10)
    answer = checks.ask(1, FOLDER)
    assert answer.state == "not_executed"
    assert str(error) in answer.said
    runs.error = None
    clock.at += TRY_AGAIN
    checks.ask(1, FOLDER)
    checks.wait(10)
    assert checks.ask(1, FOLDER).state == "passed"


def test_where_there_is_no_sandbox_nothing_is_run(database: Database, runs: Counting, clock: Clock) -> None:
    checks = BackgroundChecks(database, runs, lambda: Chosen(None, "none: install bubblewrap"), clock)
    checks.ask(1, FOLDER)
    checks.wait(10)
    answer = checks.ask(1, FOLDER)
    checks.close()
    assert (answer.state, runs.ran) == ("not_executed", [])
    assert "install bubblewrap" in answer.said


# ---------------------------------------------------------------------- at the desk


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "forge"
    seeded(root)
    return root


@pytest.fixture
def world(tmp_path: Path, server: Server, database: Database, template: Path) -> Iterator[World]:
    with running_world(tmp_path, server, database, template) as it:
        yield it


def rule(verdict: Verdict, name: str) -> Verdict:
    return next(child for child in verdict.children if child.rule == name)


def test_a_change_waits_for_its_checks_and_an_approval_given_meanwhile_counts(world: World) -> None:
    world.checks.run = CheckRun(state="running", said="checks are running")
    change = world.propose()
    assert rule(world.desk.judge(change.number), "checks").outcome is Said.PENDING
    result = world.desk.approve(change.number, "owner", change.head)
    assert isinstance(result, NotYet)
    assert result.verdict.outcome is Said.PENDING
    world.checks.run = CheckRun(state="passed", said="linted, typed, tested")
    world.checks.finished += 1
    assert world.desk.tick().merged == [change.number]


def test_the_end_of_a_run_has_the_change_judged_at_the_next_round(world: World) -> None:
    from datetime import timedelta

    world.checks.run = CheckRun(state="running", said="checks are running")
    world.propose()
    assert world.desk.tick(timedelta(hours=1)).waiting == [1]
    assert world.desk.tick(timedelta(hours=1)).waiting == []
    world.checks.finished += 1
    assert world.desk.tick(timedelta(hours=1)).waiting == [1]


def test_an_approval_waits_for_the_checks_to_end(world: World) -> None:
    world.checks.run = CheckRun(state="running", said="checks are running")
    change = world.propose()

    def wait(_seconds: float) -> None:
        world.checks.run = CheckRun(state="passed", said="linted, typed, tested")

    world.checks.wait = wait
    assert isinstance(world.desk.approve(change.number, "owner", change.head), Merged)


def test_no_approval_helps_a_change_whose_checks_failed(world: World) -> None:
    world.checks.run = CheckRun(state="failed", said="test_it failed")
    change = world.propose()
    result = world.desk.approve(change.number, "owner", change.head, "unchecked accepted: I looked at it myself")
    assert isinstance(result, NotYet)
    assert rule(result.verdict, "checks").outcome is Said.DENY


def test_what_was_not_executed_passes_only_with_a_persons_words(world: World) -> None:
    world.checks.run = CheckRun(state="not_executed", said="there is no sandbox (none)")
    change = world.propose()
    assert isinstance(result := world.desk.approve(change.number, "owner", change.head), NotYet)
    assert "not executed" in rule(result.verdict, "checks").reason
    words = "unchecked accepted: I read the files myself"
    assert isinstance(world.desk.approve(change.number, "owner", change.head, words), Merged)


def test_a_folder_that_is_not_the_factorys_is_never_run(world: World) -> None:
    files: dict[str, bytes | None] = {**team_files(), "teams/marketing_team/conftest.py": b"import os\n"}
    head = world.commit_to("auto/new-team/by-hand", files)
    opened = world.gate.all("open")
    assert opened == []
    made = world.changes("elf-devops").propose(_proposal(files))
    verdict = world.desk.judge(made.number)
    assert head != made.head
    assert rule(verdict, "rerender").outcome is Said.DENY
    assert world.checks.asked == []
    assert "not run" in rule(verdict, "checks").reason


def _proposal(files: Mapping[str, bytes | None], letter: str = "a") -> Any:
    from mcp_servers.git.changes import Proposal

    return Proposal(
        branch=f"auto/new-team/marketing-team-0{letter}1b2c3d",
        title="New team: marketing-team",
        body="Because.",
        labels=(),
        files=files,
        message="Add it\n",
    )


# ---------------------------------------------------------------------- secrets on the road


def all_that_was_written(world: World) -> str:
    with world.database.read() as session:
        rows = [f"{row.subject} {row.outcome} {row.detail}" for row in session.query(AuditRow)]
        rows += [json.dumps(unpacked(row.packed), ensure_ascii=False) for row in session.query(FactsRow)]
        rows += [json.dumps(row.verdict) for row in session.query(VerdictRow)]
    pages = [comment.body for number in range(1, 3) for comment in _comments(world, number)]
    return "\n".join([*rows, *pages])


def _comments(world: World, number: int) -> list[Comment]:
    try:
        return [it for it in world.gate.comments(number) if it.author == "elf-gate"]
    except Exception:  # noqa: BLE001 (there is no such change)
        return []


@pytest.mark.rows("F76")
@pytest.mark.parametrize("where", ["gap", "rationale", "purpose"])
def test_a_proposal_with_a_key_in_it_is_refused_before_anything_is_written_down(world: World, where: str) -> None:
    spec = spec_data(purpose=f"Use {OWN_SECRET}") if where == "purpose" else spec_data()
    words = {"gap": "Nobody writes.", "rationale": "No team."} | (
        {where: f"Use {OWN_SECRET}"} if where != "purpose" else {}
    )
    with pytest.raises(Refusal) as refused:
        world.proposer.propose_team(spec, words["gap"], words["rationale"], "wish", LEAD, OWNER)
    assert "key of the test" in str(refused.value)
    assert OWN_SECRET not in str(refused.value)
    assert OWN_SECRET not in all_that_was_written(world)
    assert world.gate.all() == []


@pytest.mark.rows("F76")
def test_a_key_in_a_comment_stops_the_change_and_is_not_repeated(world: World) -> None:
    change = world.propose()
    world.changes("second").comment(change.number, "a-remark", f"Try {OWN_SECRET.encode().hex()} here")
    verdict = world.desk.judge(change.number)
    assert rule(verdict, "secrets").outcome is Said.DENY
    assert "a comment by second" in rule(verdict, "secrets").reason
    assert OWN_SECRET.encode().hex() not in verdict.text() + all_that_was_written(world)


@pytest.mark.rows("F76")
def test_a_key_in_a_branch_pushed_by_hand_is_found_and_no_rule_quotes_it(world: World) -> None:
    """Its `team.yaml` cannot be read, and the reason why would quote it."""
    files: dict[str, bytes | None] = {**team_files()}
    files["teams/marketing_team/team.yaml"] = f"framework: {OWN_SECRET}\n".encode()
    made = world.changes("elf-devops").propose(_proposal(files))
    verdict = world.desk.judge(made.number)
    assert {"spec", "secrets"} <= {child.rule for child in verdict.children if child.outcome is Said.DENY}
    assert OWN_SECRET not in verdict.text() + all_that_was_written(world)


@pytest.mark.rows("F76")
def test_a_key_in_a_path_or_in_a_persons_words_stands_in_no_fact_and_in_no_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shaped = "AKIA" + "Z7Q3" * 4
    made = world.changes("elf-devops").propose(_proposal({**team_files(), f"teams/marketing_team/{shaped}.md": b"x"}))
    world.desk.judge(made.number)
    world.desk.approve(made.number, OWNER, made.head, f"cost accepted: paid with {OWN_SECRET}")
    world.desk.reject(made.number, OWNER, f"it holds {OWN_SECRET}")
    world.desk.tick()
    written = all_that_was_written(world)
    assert OWN_SECRET not in written and shaped not in written
    with world.database.read() as session:
        given = [row.detail for row in session.query(AuditRow) if row.action == "change.approve"]
    assert len(given) == 1 and "[redacted]" in given[0], "a hidden word is known again, and written once"

    def as_it_is(value: object, _hide: object) -> object:
        return value

    monkeypatch.setattr(desk_records, "without_secrets", as_it_is)
    again = world.changes("elf-devops").propose(
        _proposal({**team_files("b-team"), f"teams/b_team/{shaped}.md": b"x"}, "b")
    )
    world.desk.judge(again.number)
    assert shaped in all_that_was_written(world), "the hiding alone stood in the way"


def test_without_its_scanner_the_gate_says_no(world: World) -> None:
    """Keys that cannot be read cannot be looked for."""
    change = world.propose()

    def unreadable() -> dict[str, str]:
        raise OSError("the keys cannot be read")

    object.__setattr__(world.desk.inspector.scanner, "known", unreadable)
    verdict = world.desk.judge(change.number)
    assert verdict.outcome is Said.DENY
