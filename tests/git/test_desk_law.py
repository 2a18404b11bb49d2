"""The law changed by hand in a company of one person; overrides, replays, staleness and dry runs at a real forge."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from mcp_servers.git.changes import Change, HeadMoved, NotAllowed, NotMergeable, Proposal, Refused
from mcp_servers.git.merge_desk import Closed, Merged, NotYet
from mcp_servers.git.replaying import MARKER
from memory import decisions, overrides
from memory.change_tables import FactsRow, ReplayRow, SlotRow, VerdictRow
from memory.tables import AuditRow
from policies.case import Case
from policies.facts import Facts
from policies.replay import as_json
from policies.simulated import Options
from policies.verdict import Outcome
from tests.git.desk_world import OWNER, World, seeded, team_files

WHY = "I am alone here, and want fewer new teams"
LIMITS = "policies/limits.yaml"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    seeded(root, team_files("old-team"))
    return root


def edited(
    world: World, old: bytes = b"at_most: 5", new: bytes = b"at_most: 0", path: str = LIMITS
) -> dict[str, bytes | None]:
    text = world.repository.read("main", path)
    assert old in text
    return {path: text.replace(old, new, 1)}


def by_hand(world: World, files: dict[str, bytes | None], who: str = "owner", branch: str = "auto/law/mine") -> Change:
    change = world.changes(who).propose(Proposal(branch, "Fewer teams", "", (), files, "Fewer teams\n"))
    world.desk.judge(change.number)
    return world.gate.get(change.number)


def rows(world: World, action: str) -> list[tuple[str, str, dict[str, Any]]]:
    with world.database.read() as session:
        found = session.scalars(select(AuditRow).where(AuditRow.action == action).order_by(AuditRow.seq))
        return [(it.actor, it.subject, json.loads(it.detail)) for it in found]


def always(_case: Case, _override: object) -> bool:
    return True


def comment(world: World, number: int) -> str:
    return next(it.body for it in world.gate.comments(number) if MARKER in it.body)


@pytest.mark.rows("F104", "F106", "L3")
def test_one_person_changes_the_law_by_hand_and_the_ledger_names_them(world: World) -> None:
    change = by_hand(world, edited(world))
    with pytest.raises(NotAllowed, match="cannot approve it"):
        world.desk.approve(change.number, OWNER, change.head)
    waiting = world.desk.merge_if_allowed(change.number)
    assert isinstance(waiting, NotYet) and "elf override" in waiting.verdict.reason
    done = world.desk.override(change.number, OWNER, change.head, WHY, timedelta(hours=1))
    assert isinstance(done, Merged)
    assert b"at_most: 0" in world.repository.read("main", LIMITS)
    [(actor, subject, detail)] = rows(world, "change.override")
    assert (actor, subject, detail["head"], detail["rules"]) == (
        "person:owner", f"change:{change.number}", change.head, ["approvals"],
    )  # fmt: skip
    assert detail["reason"] == WHY
    with world.database.read() as session:
        last = session.scalars(select(VerdictRow).order_by(VerdictRow.id.desc())).first()
    assert last is not None and WHY in json.dumps(last.verdict) and "by override" in json.dumps(last.verdict)


@pytest.mark.rows("F104", "F106")
def test_nobody_but_a_named_person_overrides_and_only_with_a_reason_in_time_of_the_head_they_saw(world: World) -> None:
    change = by_hand(world, edited(world))
    for who in ("elf-devops", "person:elf-gate", "second", "devops/delivery-lead"):
        with pytest.raises(NotAllowed):
            world.desk.override(change.number, who, change.head, WHY, None)
    with pytest.raises(Refused, match="say why"):
        world.desk.override(change.number, OWNER, change.head, "because", None)
    with pytest.raises(Refused, match="at the most 24 hours"):
        world.desk.override(change.number, OWNER, change.head, WHY, timedelta(hours=25))
    with pytest.raises(HeadMoved):
        world.desk.override(change.number, OWNER, "a" * 40, WHY, None)
    assert rows(world, "change.override") == []


@pytest.mark.rows("F106")
def test_a_second_person_in_the_law_ends_the_own_approval(world: World) -> None:
    two = edited(world, b"people:\n  - owner", b"people:\n  - owner\n  - second", "policies/changes.yaml")
    world.commit_to("main", two)
    change = by_hand(world, edited(world))
    with pytest.raises(Refused, match="nothing that owner could lift"):
        world.desk.override(change.number, OWNER, change.head, WHY, None)
    assert isinstance(world.desk.approve(change.number, "second", change.head), Merged)


@pytest.mark.rows("F106", "L3")
@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({LIMITS: b"new_teams: 5\n"}, "law_readable"),
        ({"policies/more.yaml": b"a: 1\n"}, "law_readable"),
        ({"README.md": b"# Mine\n", LIMITS: b"{}\n"}, "authority"),
    ],
)
def test_a_law_nobody_could_read_or_that_does_not_travel_alone_is_refused_and_not_overridden(
    world: World, files: dict[str, bytes | None], rule: str
) -> None:
    change = by_hand(world, files)
    verdict = world.desk.judge(change.number)
    assert {child.rule for child in verdict.children if child.outcome is Outcome.DENY} >= {rule}
    with pytest.raises(Refused, match="a no is not overridden"):
        world.desk.override(change.number, OWNER, change.head, WHY, None)


@pytest.mark.rows("F106", "L3")
@pytest.mark.parametrize("bound", [True, False])
def test_an_override_does_not_follow_the_branch_to_another_commit(
    world: World, monkeypatch: pytest.MonkeyPatch, bound: bool
) -> None:
    """And where it is not held against the head (the planted hole), what nobody saw is merged."""
    change = by_hand(world, edited(world))
    hour = timedelta(hours=1)
    given = overrides.Given(
        change.number, "owner", change.head, ("approvals",), WHY, world.clock(), world.clock() + hour
    )
    with world.database.begin() as session:
        overrides.record(session, given)
    world.commit_to("auto/law/mine", edited(world, new=b"at_most: 500"))
    if not bound:
        monkeypatch.setattr(Case, "_stands", always)
    after = world.desk.merge_if_allowed(change.number)
    assert isinstance(after, NotYet if bound else Merged)
    assert (b"at_most: 500" in world.repository.read("main", LIMITS)) is not bound


@pytest.mark.rows("F104")
def test_an_override_lifts_the_cooldown_of_an_approved_team_and_runs_out(world: World) -> None:
    first, second = world.propose("first-team"), world.propose("second-team")
    assert isinstance(world.desk.approve(first.number, OWNER, first.head), Merged)
    waiting = world.desk.approve(second.number, OWNER, second.head)
    assert isinstance(waiting, NotYet) and waiting.verdict.outcome is Outcome.PENDING and waiting.verdict.retry_at
    assert rows(world, "change.judge")[-1][2]["retry_at"] == waiting.verdict.retry_at.isoformat()
    done = world.desk.override(second.number, OWNER, second.head, "both are wanted for the same launch", None)
    assert isinstance(done, Merged)
    assert rows(world, "change.override")[0][2]["rules"] == ["cooldown"]


@pytest.mark.rows("F104")
def test_an_override_of_one_rule_does_not_lift_what_came_later(world: World) -> None:
    """Given while the cooldown ran; a freeze that begins afterwards was not what its giver saw."""
    first, second = world.propose("first-team"), world.propose("second-team")
    world.desk.approve(first.number, OWNER, first.head)
    world.desk.approve(second.number, OWNER, second.head)
    frozen = edited(world, b"stale:\n", b"freeze:\n  reason: the audit looks at the company\nstale:\n")
    seen = rows(world, "change.judge")[-1]
    assert seen[2]["verdict"]["outcome"] == "pending"
    with world.database.begin() as session:
        overrides.record(
            session,
            overrides.Given(
                second.number,
                "owner",
                second.head,
                ("cooldown",),
                WHY,
                world.clock(),
                world.clock() + timedelta(hours=1),
            ),
        )
    world.commit_to("main", frozen)
    after = world.desk.merge_if_allowed(second.number)
    assert isinstance(after, NotYet)
    assert {it.rule for it in after.verdict.children if not it.allowed} == {"freeze"}


@pytest.mark.rows("L3")
def test_a_change_to_the_law_carries_a_replay_of_past_decisions(world: World) -> None:
    kept = world.propose("first-team")
    world.desk.approve(kept.number, OWNER, kept.head)
    refused = world.propose("second-team")
    world.desk.reject(refused.number, OWNER, "not needed now")
    change = by_hand(world, edited(world))
    page = comment(world, change.number)
    assert "2 of 2 past decisions would turn out otherwise" in page
    assert f"| #{kept.number} |" in page and "| allow | deny |" in page
    before = (rows(world, "law.replay"), world.gate.comments(change.number))
    for _ in range(3):
        world.desk.tick()
    assert before == (rows(world, "law.replay"), world.gate.comments(change.number))
    assert rows(world, "law.replay")[0][2]["turned"] == [kept.number, refused.number]
    harmless = by_hand(world, edited(world, b"# How fast", b"# How very fast"), branch="auto/law/words")
    assert "0 of 3 past decisions" in comment(world, harmless.number)


@pytest.mark.rows("L3", "F103")
def test_a_verdict_s_row_names_head_base_law_facts_and_ledger_and_its_facts_come_back_equal(world: World) -> None:
    change = world.propose()
    [(_, _, detail)] = rows(world, "change.judge")
    assert detail["head"] == change.head and detail["base"] == world.main()
    assert detail["policy_tree"] == world.repository.tree("main", "policies") and detail["ledger_seq"] >= 2
    with world.database.read() as session:
        kept = session.get(FactsRow, detail["facts"])
        [past] = decisions.past(session)
    assert kept is not None and past.facts is not None and decisions.facts_sha(past.facts) == detail["facts"]
    facts = Facts.model_validate(past.facts)
    assert facts.head == change.head and as_json(facts) == past.facts


@pytest.mark.rows("F104", "F102")
def test_what_nothing_moves_in_is_closed_and_its_place_is_free_again(world: World) -> None:
    changes = [world.propose(f"team-{letter}") for letter in "abcde"]
    with pytest.raises(Exception, match="5 of 5 new teams"):
        world.propose("team-f")
    world.clock.tick(days=10)
    head = world.head(changes[0].number)
    world.changes("owner").approve(changes[0].number, head, "looks fine, wait for the others")
    world.clock.tick(days=5)
    done = world.desk.tick()
    assert sorted(done.closed) == [it.number for it in changes[1:]] and done.merged == [changes[0].number]
    with world.database.read() as session:
        states = sorted(session.scalars(select(SlotRow.state)))
    assert states == ["consumed", *["released"] * 4]
    assert world.propose("team-g").state == "open"
    closed = world.gate.get(changes[1].number)
    assert closed.state == "closed" and isinstance(world.desk.merge_if_allowed(closed.number), Closed)


def test_a_review_keeps_a_change_from_going_stale_for_as_long_again(world: World) -> None:
    change = world.propose()
    world.clock.tick(days=10)
    world.changes("owner").approve(change.number, change.head, "wait for it")
    world.clock.tick(days=5)
    assert world.desk.what_if(change.number, Options()).allowed
    later = world.desk.what_if(change.number, Options(at=world.clock() + timedelta(days=10)))
    assert not later.allowed and "nothing moved" in later.reason


def test_a_dry_run_writes_nothing_and_says_what_would_be(world: World) -> None:
    change = world.propose()

    def everything() -> list[int]:
        with world.database.read() as session:
            return [session.query(table).count() for table in (AuditRow, VerdictRow, FactsRow, SlotRow, ReplayRow)]

    before = everything()
    assert world.desk.what_if(change.number, Options(approved_by=("owner",))).allowed
    assert not world.desk.what_if(change.number, Options(approved_by=("elf-devops",))).allowed
    assert not world.desk.what_if(change.number, Options(overridden_by="owner")).allowed
    doubted = Options(("owner",), without_reviews_of=("owner",))
    assert world.desk.what_if(change.number, doubted).allowed, "what is supposed comes after what is taken away"
    assert everything() == before
    mine = by_hand(world, edited(world))
    assert world.desk.what_if(mine.number, Options(overridden_by="owner")).allowed
    assert not world.desk.what_if(mine.number, Options(overridden_by="second")).allowed


def test_nothing_is_supposed_of_a_change_that_has_ended(world: World) -> None:
    change = world.propose()
    world.desk.approve(change.number, "owner", change.head)
    with pytest.raises(NotMergeable, match="is merged: nothing can become of it any more"):
        world.desk.what_if(change.number, Options(approved_by=("owner",)))


@pytest.mark.rows("L8")
def test_an_override_written_past_the_ledger_is_none(world: World) -> None:
    """There is no table to write one into; and the ledger's row cannot be altered to become one."""
    change = by_hand(world, edited(world))
    with pytest.raises(Exception, match="append-only"), world.database.begin() as session:
        session.execute(update(AuditRow).values(action=overrides.ACTION))
    with world.database.read() as session:
        assert overrides.of_change(session, change.number) == []
