"""A company whose repository is elsewhere: facts are read in a mirror, and only what was judged there is merged."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.git.changes import BaseMoved, NotAllowed, Unavailable
from mcp_servers.git.github import GitHubChanges
from mcp_servers.git.merge_desk import Closed, Merged, MergeDesk, NotYet
from mcp_servers.git.mirror import PATIENCE, Mirror, Mirrored
from mcp_servers.git.person_elsewhere import PersonElsewhere
from mcp_servers.git.proposer import Proposer
from memory.session import Database
from policies.verdict import Outcome
from tests.git.desk_world import Server, World, inspector_of, running_server, running_world, seeded

pytestmark = pytest.mark.rows("F102", "F106")
NEW = "teams/marketing_team"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    seeded(root)
    return root


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with running_server() as running:
        yield running


class Far(World):
    """The forge stands for GitHub: the desk has a mirror of it, and the people decide there."""

    folder: Path
    mirror: Mirror

    def restart(self, gate: Any = None, proposer: Any = None) -> None:
        self.folder = self.root.with_name("mirror.git")
        there = self.changes("elf-gate")
        self.mirror = Mirror(self.folder, there.account, self.clock)
        self.mirror.prepare()
        self.gate = Mirrored(gate or there, self.mirror)
        people = {
            name: PersonElsewhere(name, lambda number: f"https://github.example/pull/{number}")
            for name in ("owner", "second")
        }
        local = self.mirror.repository
        self.mirror.fetch()
        self.desk = MergeDesk(
            self.gate, local, self.database, self.factory, self.clock, people=people, inspector=inspector_of(local)
        )
        bot = Mirrored(proposer or self.changes("elf-devops"), self.mirror)
        self.proposer = Proposer(bot, self.desk, local, self.database, self.factory, self.clock)

    def here(self, ref: str = "main") -> str:
        return self.mirror.repository.resolve(ref)


@pytest.fixture
def far(tmp_path: Path, server: Server, sqlite: Database, template: Path) -> Generator[Far]:
    with running_world(tmp_path, server, sqlite, template) as world:
        made = Far(world.root, world.port, world.database, world.clock)
        yield made
        for it in made.made:
            it.close()


def test_a_change_is_judged_in_the_mirror_approved_there_and_merged(far: Far) -> None:
    change = far.propose()
    assert far.here(f"refs/heads/{change.branch}") == change.head
    assert far.desk.judge(change.number).outcome is Outcome.NEEDS_APPROVAL
    far.changes("owner").approve(change.number, change.head)
    far.desk.tick()
    assert far.main() == far.here() != change.head
    assert far.mirror.repository.tree(far.here(), NEW) is not None
    with far.database.read() as session:
        from sqlalchemy import select

        from memory.change_tables import ChangeEndRow
        from memory.tables import AuditRow

        end = session.scalars(select(ChangeEndRow)).one()
        assert end.end == "merged" and end.team_tree == far.mirror.repository.tree(far.here(), NEW)
        assert session.scalars(select(AuditRow.outcome).where(AuditRow.action == "change.merge")).one() == "merged"


def test_a_person_is_sent_to_github_to_decide(far: Far) -> None:
    change = far.propose()
    with pytest.raises(NotAllowed, match=r"https://github\.example/pull/1"):
        far.desk.approve(change.number, "owner", change.head)
    with pytest.raises(NotAllowed, match="close change 1 on GitHub"):
        far.desk.reject(change.number, "owner", "no")


def test_what_somebody_merged_there_is_found_without_any_webhook(far: Far) -> None:
    change = far.propose()
    far.desk.tick()
    far.changes("owner").approve(change.number, change.head)
    far.changes("elf-gate").merge(change.number, change.head, "By hand")
    assert far.here() != far.main()
    far.clock.tick(seconds=PATIENCE.total_seconds())
    far.desk.tick()
    assert far.here() == far.main()


def test_a_nudge_makes_the_next_look_fetch_and_a_lost_one_only_costs_time(far: Far) -> None:
    far.desk.tick()
    tree = far.repository.write_tree(far.main(), {"README.md": b"# moved\n"})
    from tests.git.desk_world import WHO

    moved = far.repository.commit_tree(tree, [far.main()], "x\n", WHO, far.clock.at)
    far.repository.update_ref("refs/heads/main", moved, far.main())
    far.desk.tick()
    assert far.here() != moved
    far.mirror.nudge()
    far.desk.tick()
    assert far.here() == moved


def deliveries(far: Far, how: str) -> None:
    if how == "repeated":
        for _ in range(5):
            far.mirror.nudge()
    elif how == "late":
        far.clock.tick(hours=2)
        far.mirror.nudge()
    elif how == "lost":
        far.clock.tick(seconds=PATIENCE.total_seconds())


@pytest.mark.parametrize("how", ["repeated", "late", "lost"])
def test_however_webhooks_come_the_story_ends_alike(far: Far, how: str) -> None:
    change = far.propose()
    deliveries(far, how)
    far.desk.tick()
    far.changes("owner").approve(change.number, change.head)
    deliveries(far, how)
    assert far.desk.tick().merged == [1]
    main = far.main()
    deliveries(far, how)
    assert far.desk.tick().merged == [] and far.main() == main == far.here()
    assert [status.state for status in far.gate.statuses(change.head) if status.context == "elf/gate"] == ["success"]
    assert len([it for it in far.gate.comments(1) if it.author == "elf-gate"]) == 1


def test_a_nudge_merges_nothing_that_is_not_approved(far: Far) -> None:
    change = far.propose()
    for _ in range(3):
        far.mirror.nudge()
        far.desk.tick()
    assert far.gate.get(change.number).state == "open"


class MovesMain:
    """The gate's hand, with somebody who moves main between the verdict and the merge."""

    def __init__(self, far: Far, changes: GitHubChanges) -> None:
        self.far, self.changes, self.moved, self.armed = far, changes, False, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.changes, name)

    def statuses(self, head: str) -> Any:
        found = self.changes.statuses(head)
        if not self.moved and self.armed:
            self.moved = True
            limits = self.far.repository.read("main", "policies/limits.yaml")
            assert b"at_most: 5" in limits
            self.far.commit_to("main", {"policies/limits.yaml": limits.replace(b"at_most: 5", b"at_most: 0")})
        return found


def test_main_that_moves_between_verdict_and_merge_is_judged_again(far: Far) -> None:
    """GitHub would merge onto the new main: there the law is another one, and nobody judged by it."""
    change = far.propose()
    far.changes("owner").approve(change.number, change.head)
    hand = MovesMain(far, far.changes("elf-gate"))
    far.restart(gate=hand)
    hand.armed = True
    result = far.desk.merge_if_allowed(change.number)
    assert hand.moved and isinstance(result, NotYet)
    assert "new_teams" in " ".join(result.verdict.reasons())


def merge_without_looking(self: Mirrored, number: int, expected_head: str, message: str) -> str:
    commit = self._changes.merge(number, expected_head, message)  # pyright: ignore[reportPrivateUsage]
    self._mirror.fetch()  # pyright: ignore[reportPrivateUsage]
    return commit


def test_without_that_look_the_unjudged_would_be_merged(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    change = far.propose()
    far.changes("owner").approve(change.number, change.head)
    hand = MovesMain(far, far.changes("elf-gate"))
    far.restart(gate=hand)
    hand.armed = True
    monkeypatch.setattr(Mirrored, "merge", merge_without_looking)
    result = far.desk.merge_if_allowed(change.number)
    assert hand.moved and isinstance(result, Merged)
    assert far.gate.get(change.number).state == "merged"


def test_a_merge_onto_another_main_says_that_main_moved(far: Far) -> None:
    change = far.propose()
    far.changes("owner").approve(change.number, change.head)
    far.commit_to("main", {"README.md": b"moved\n"})
    with pytest.raises(BaseMoved):
        far.gate.merge(change.number, change.head, "x")
    assert far.gate.get(change.number).state == "open"


def test_a_commit_that_no_fetch_brings_is_looked_for_once(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    fetch = far.mirror.fetch
    monkeypatch.setattr(far.mirror, "fetch", lambda: (fetched.append(1), fetch())[1])
    for _ in range(3):
        far.mirror.fetch_for("f" * 40)
    assert len(fetched) == 1


def test_branches_that_are_gone_there_are_gone_here_and_the_ledgers_anchors_stay(far: Far) -> None:
    from mcp_servers.git.anchors import anchor, anchors
    from memory.ledger import Head

    change = far.propose()
    assert anchor(far.mirror.repository, Head(3, "a" * 64), far.clock.at)
    far.repository.update_ref(f"refs/heads/{change.branch}", None, change.head)
    far.mirror.fetch()
    assert f"refs/heads/{change.branch}" not in far.mirror.repository.refs("refs/heads/")
    assert anchors(far.mirror.repository) == (Head(3, "a" * 64),)


def test_a_place_that_does_not_answer_leaves_the_mirror_as_it_was(far: Far, server: Server) -> None:
    from fastapi import FastAPI

    before, app = far.here(), server.app
    server.app = FastAPI()
    try:
        with pytest.raises(Unavailable):
            far.mirror.fetch()
        assert far.desk is not None and far.here() == before
    finally:
        server.app = app
    far.mirror.catch_up()


def test_closed_without_a_merge_stays_a_no(far: Far) -> None:
    change = far.propose()
    far.changes("owner").reject(change.number, "we do not want it")
    far.desk.tick()
    assert isinstance(far.desk.merge_if_allowed(change.number), Closed)
    assert far.propose().number == change.number
    assert far.gate.get(change.number).state == "closed"


def test_a_ruleset_that_asks_for_more_than_the_law_is_waited_for_without_hammering(far: Far) -> None:
    change = far.propose()
    review = {"required_approving_review_count": 2, "allowed_merge_methods": ["merge"]}
    body = {
        "name": "two",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
        "rules": [{"type": "pull_request", "parameters": review}],
    }
    answer = httpx.post(
        f"{far.url}/api/v3/repos/elf/company/rulesets",
        json=body,
        headers={"Authorization": "token token-of-owner"},
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    far.changes("owner").approve(change.number, change.head)
    first = far.desk.tick(timedelta(seconds=15))
    assert (
        "At least 2 approving reviews" in first.failed[change.number] and "ask a person" in first.failed[change.number]
    )
    for _ in range(5):
        far.clock.tick(seconds=2)
        again = far.desk.tick(timedelta(seconds=15))
        assert not again.failed and not again.merged
    far.changes("second").approve(change.number, change.head)
    far.clock.tick(seconds=15)
    assert far.desk.tick(timedelta(seconds=15)).merged == [change.number]
