"""A proposal that main outran is made again on top of it: one at a time, three tries, and nobody else's commit is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from mcp_servers.git.merge_desk import Merged
from mcp_servers.git.rebase import TRIES, Rebase
from memory.change_tables import IntentRow
from policies.verdict import Outcome
from tests.git.desk_world import OWNER, World, seeded, team_files

pytestmark = pytest.mark.rows("F102")
EXECUTIVE = team_files("executive", "meta_teams", placement="executive")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    seeded(root, EXECUTIVE)
    return root


def rebase(world: World) -> Rebase:
    bot = world.changes("elf-devops")
    return Rebase(bot, world.desk, world.repository, world.database, world.factory, world.clock)


def outrun(world: World, number: int, step: int) -> None:
    """Main changes a file that the proposal writes, behind everybody's back; the desk sees it."""
    path = "reports/executive/marketing_team.yaml"
    world.commit_to("main", {path: f"manager: somebody-{step}\n".encode()})
    assert world.desk.judge(number).outcome is Outcome.DENY


def test_an_outdated_proposal_is_made_again_judged_and_can_then_be_merged(world: World) -> None:
    lower = world.propose("social-team", placement="marketing.social")
    upper = world.propose(placement="marketing")
    assert isinstance(world.desk.approve(upper.number, OWNER, upper.head), Merged)
    world.desk.tick()
    done = rebase(world).next()
    assert done is not None and (done.number, done.outcome) == (lower.number, "rebased")
    assert done.head == world.head(lower.number) != lower.head
    world.clock.tick(hours=1)
    assert isinstance(world.desk.approve(lower.number, OWNER, done.head), Merged)
    paths = [entry.path for entry in world.repository.listing("main", "reports")]
    assert paths == ["reports/executive/marketing_team.yaml", "reports/marketing_team/social_team.yaml"]


def test_a_proposal_that_nothing_bars_but_a_person_is_left_alone(world: World) -> None:
    change = world.propose()
    assert rebase(world).next() is None
    assert world.head(change.number) == change.head


def test_of_two_outdated_proposals_the_older_goes_first_and_alone(world: World) -> None:
    first, second = (
        world.propose("ads-team", placement="marketing.ads"),
        world.propose("seo-team", placement="marketing.seo"),
    )
    upper = world.propose(placement="marketing")
    world.desk.approve(upper.number, OWNER, upper.head)
    world.desk.tick()
    desk = rebase(world)
    done = desk.next()
    assert done is not None and done.number == first.number
    assert world.head(second.number) == second.head
    again = desk.next()
    assert again is not None and again.number == second.number
    assert desk.next() is None


def test_a_wish_that_nobody_can_read_any_more_holds_up_nobody_else(world: World) -> None:
    first, second = (
        world.propose("ads-team", placement="marketing.ads"),
        world.propose("seo-team", placement="marketing.seo"),
    )
    upper = world.propose(placement="marketing")
    world.desk.approve(upper.number, OWNER, upper.head)
    world.desk.tick()
    with world.database.begin() as session:
        asked = session.scalars(select(IntentRow).where(IntentRow.number == first.number)).one()
        asked.payload = {"spec": {"name": "of another make"}}
    desk = rebase(world)
    done, after = desk.next(), desk.next()
    assert done is not None and (done.number, done.outcome) == (first.number, "needs-rebase")
    assert after is not None and (after.number, after.outcome) == (second.number, "rebased")


def test_an_approval_of_the_outdated_commit_does_not_count_for_the_new_one(world: World) -> None:
    change = world.propose()
    outrun(world, change.number, 0)
    world.changes("owner").approve(change.number, change.head)
    done = rebase(world).next()
    assert done is not None and done.outcome == "rebased"
    assert world.desk.judge(change.number).outcome is Outcome.NEEDS_APPROVAL


def test_after_three_tries_a_person_is_asked_once(world: World) -> None:
    change = world.propose()
    desk = rebase(world)
    for step in range(TRIES):
        outrun(world, change.number, step)
        done = desk.next()
        assert done is not None and done.outcome == "rebased"
    outrun(world, change.number, TRIES)
    head = world.head(change.number)
    for _ in range(3):
        world.restart()
        done = rebase(world).next()
        assert done is not None and done.outcome == "needs-rebase"
    assert world.head(change.number) == head
    said = [comment.body for comment in world.gate.comments(change.number) if "needs-rebase" in comment.body]
    assert len(said) == 1


def test_a_branch_with_somebody_elses_commit_is_left_as_it_is(world: World) -> None:
    change = world.propose()
    stranger = world.repository.commit_tree(
        world.repository.write_tree(change.head, {"teams/marketing_team/notes.md": b"mine\n"}),
        [change.head],
        "A person's own words\n",
        type(world.changes("owner").account.signature)("owner", "owner@elf.local"),
        world.clock.at,
    )
    world.repository.update_ref(f"refs/heads/{change.branch}", stranger, change.head)
    assert world.desk.judge(change.number).outcome is Outcome.DENY
    done = rebase(world).next()
    assert done is not None and done.outcome == "hands-off"
    assert world.head(change.number) == stranger


def test_killed_between_the_push_and_the_record_the_next_round_ends_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = world.propose()
    outrun(world, change.number, 0)
    killed = rebase(world)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(killed, "_record", dies)
    with pytest.raises(KeyboardInterrupt):
        killed.next()
    pushed = world.head(change.number)
    world.restart()
    world.desk.tick()
    assert rebase(world).next() is None
    assert world.head(change.number) == pushed != change.head
