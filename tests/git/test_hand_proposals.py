"""What a person changed by hand becomes a pull request of their own at a real forge, and what comes of each kind of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mcp_servers.factories.server_files import dump_server, parse_server
from mcp_servers.factories.spec_files import dump_spec
from mcp_servers.git.carried import Brought
from mcp_servers.git.changes import NotMergeable, Unavailable
from mcp_servers.git.github import GitHubChanges
from mcp_servers.git.hand_look import Asked, Look, refuse
from mcp_servers.git.hand_proposer import HandProposer
from mcp_servers.git.merge_desk import Merged
from mcp_servers.git.proposer import Refusal
from memory.change_tables import FactsRow, SlotRow, VerdictRow
from memory.tables import AuditRow
from policies.facts import Kind
from policies.verdict import Outcome
from teams.spec import TeamSpec
from tests.factories.server_specs import internal
from tests.git.desk_world import OWN_SECRET, World, seeded, spec_data, team_files
from tests.git.test_reports_travel import chart

pytestmark = pytest.mark.rows("L3", "F106")
LIMITS, WHY = "policies/limits.yaml", "I am alone here, and look at every team myself"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    old, executive = team_files("old-team"), team_files("executive", "meta_teams", placement="executive")
    seeded(root, old | executive | chart(executive, old))
    return root


@pytest.fixture
def hand(world: World) -> HandProposer:
    return proposer_of(world, world.changes("owner"))


def proposer_of(world: World, place: GitHubChanges | None) -> HandProposer:
    return HandProposer(
        place, world.gate, world.desk, world.repository, world.database, world.factory, world.clock, login="owner"
    )


def at_most(world: World, number: int, before: int = 5, revision: str = "main") -> Brought:
    text = world.repository.read(revision, LIMITS)
    assert f"at_most: {before}".encode() in text
    return Brought(LIMITS, text.replace(f"at_most: {before}".encode(), f"at_most: {number}".encode(), 1))


def law(*files: Brought, title: str = "Fewer teams", **more: Any) -> Asked:
    return Asked(title, "Five a day are too many to look at.", files, **more)


def a_team(name: str = "marketing-team", **changes: Any) -> Brought:
    spec = TeamSpec.model_validate(spec_data(name, **changes))
    return Brought(f"teams/{spec.folder}/team.yaml", dump_spec(spec).encode())


def overridden(world: World, number: int) -> None:
    done = world.desk.override(number, "owner", world.head(number), WHY, None)
    assert isinstance(done, Merged), done


def everything(world: World) -> tuple[Any, ...]:
    """All that a refusal must leave as it was."""
    with world.database.read() as session:
        rows = [session.query(table).count() for table in (AuditRow, VerdictRow, FactsRow, SlotRow)]
    objects = sorted(str(path) for path in (world.repository.git_dir / "objects").rglob("*") if path.is_file())
    return rows, objects, world.repository.refs("refs/"), len(world.gate.all())


def refused(world: World, hand: HandProposer, asked: Asked) -> str:
    before = everything(world)
    with pytest.raises(Refusal) as caught:
        hand.propose(asked)
    assert everything(world) == before
    return str(caught.value)


# --- each kind ---


def test_a_limit_is_shown_proposed_overridden_and_in_force(world: World, hand: HandProposer) -> None:
    asked, before = law(at_most(world, 3)), everything(world)
    look = hand.look(asked)
    assert everything(world) == before, "a look writes nothing, not even an object"
    assert look.kind is Kind.LAW and "+  at_most: 3" in look.diff
    assert [(one.path, one.added, one.deleted, one.made) for one in look.files] == [(LIMITS, 1, 1, False)]
    assert look.verdict.outcome is Outcome.NEEDS_APPROVAL

    _, opened = hand.propose(asked)

    change = opened.change
    assert (change.author, change.title, opened.news) == ("owner", "Fewer teams", "opened")
    assert change.branch.startswith("auto/law/limits-") and opened.verdict.outcome is look.verdict.outcome
    with world.database.read() as session:
        told = session.scalars(select(AuditRow).where(AuditRow.action == "change.propose")).one()
        assert (told.actor, told.subject, told.outcome) == ("person:owner", f"change:{change.number}", "proposed")
    overridden(world, change.number)
    assert b"at_most: 3" in world.repository.read("main", LIMITS)


def test_a_team_yaml_alone_becomes_the_whole_team_with_what_its_parent_learns(world: World, hand: HandProposer) -> None:
    look, opened = hand.propose(Asked("A marketing team", files=(a_team(),)))
    assert look.kind is Kind.NEW_TEAM
    made = {one.path for one in look.files if one.made}
    assert "teams/marketing_team/README.md" in made and "reports/executive/marketing_team.yaml" in made
    assert "teams/marketing_team/team.yaml" not in made
    assert {child.rule for child in opened.verdict.children if not child.allowed} == {"approvals"}
    overridden(world, opened.change.number)
    assert world.repository.tree("main", "teams/marketing_team") is not None


def test_a_changed_team_is_rendered_anew_and_its_parent_learns_of_it(world: World, hand: HandProposer) -> None:
    loose = a_team("old-team", purpose="Keep the archive")
    assert loose.data is not None
    loose = Brought(loose.path, b"# laid out by hand\n" + loose.data.replace(b"schema_version: 1\n", b""))
    look, opened = hand.propose(Asked("It keeps the archive", files=(loose,)))
    assert look.kind is Kind.CHANGE_TEAM
    changed = {one.path: (one.added, one.deleted) for one in look.files}
    assert changed["teams/old_team/team.yaml"] == (1, 1), "how the person lays the file out is no change"
    assert "reports/executive/old_team.yaml" in changed and "teams/old_team/README.md" in changed
    overridden(world, opened.change.number)


def test_a_team_is_retired_with_what_its_parent_knew(world: World, hand: HandProposer) -> None:
    look, opened = hand.propose(Asked("The archive is closed", retire="old-team"))
    assert look.kind is Kind.RETIRE_TEAM and {one.status for one in look.files} == {"D"}
    overridden(world, opened.change.number)
    assert world.repository.tree("main", "teams/old_team") is None and not world.repository.listing("main", "reports")


def test_a_server_yaml_becomes_a_tool_server_is_changed_and_taken_away(world: World, hand: HandProposer) -> None:
    spec = "mcp_servers/catalog/weather/server.yaml"
    for kind, data in (
        (Kind.NEW_SERVER, dump_server(parse_server(internal())).encode()),
        (Kind.CHANGE_SERVER, dump_server(parse_server(internal(purpose="The weather here"))).encode()),
        (Kind.CHANGE_SERVER, None),
    ):
        look, opened = hand.propose(Asked("The weather", files=(Brought(spec, data),)))
        assert look.kind is kind and all(one.made for one in look.files if one.path != spec)
        overridden(world, opened.change.number)
    assert world.repository.tree("main", "mcp_servers/catalog/weather") is None


# --- the same again ---


def test_the_same_again_is_the_same_pull_request_and_another_day_another_one(world: World, hand: HandProposer) -> None:
    asked = law(at_most(world, 3))
    first = hand.propose(asked)[1].change
    again = hand.propose(asked)[1]
    assert (again.change.number, again.change.head, again.news) == (first.number, first.head, "found")
    world.desk.reject(first.number, "person:owner", "not today")
    later = hand.propose(asked)[1]
    assert later.change.number != first.number and later.change.branch == f"{first.branch}-2"
    assert hand.propose(asked)[1].change.number == later.change.number


def test_a_new_version_replaces_the_commit_of_ones_own_open_change_alone(world: World, hand: HandProposer) -> None:
    first = hand.propose(law(at_most(world, 3)))[1].change
    other = hand.propose(law(at_most(world, 2)))[1]
    assert [it.number for it in other.alike] == [first.number]
    new = hand.propose(law(at_most(world, 1), change=first.number))[1]
    assert (new.change.number, new.news) == (first.number, "replaced") and new.change.head != first.head
    world.desk.reject(other.change.number, "person:owner", "one is enough")
    with pytest.raises(NotMergeable, match="is closed"):
        hand.propose(law(at_most(world, 1), change=other.change.number))
    bots = world.propose()
    assert "opened by elf-devops" in refused(world, hand, law(at_most(world, 1), change=bots.number))


def test_what_cannot_be_opened_leaves_no_branch(
    world: World, hand: HandProposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise Unavailable("the forge fell silent")

    before = world.repository.refs("refs/heads/")
    with monkeypatch.context() as patched:
        patched.setattr(GitHubChanges, "_create", broken)
        with pytest.raises(Unavailable, match="fell silent"):
            hand.propose(law(at_most(world, 3)))
    assert world.repository.refs("refs/heads/") == before
    with monkeypatch.context() as planted:
        planted.setattr(GitHubChanges, "_create", broken)
        planted.setattr(GitHubChanges, "withdraw", _nothing)
        with pytest.raises(Unavailable):
            hand.propose(law(at_most(world, 3)))
    assert world.repository.refs("refs/heads/") != before, "without taking it back the branch is left"
    assert hand.propose(law(at_most(world, 3)))[1].news == "opened"


def _nothing(_place: GitHubChanges, _branch: str) -> None:
    return None


# --- what main changed meanwhile ---


def merged_meanwhile(world: World, old: bytes, new: bytes) -> None:
    text = world.repository.read("main", LIMITS)
    assert old in text
    world.commit_to("main", {LIMITS: text.replace(old, new, 1)})


def test_what_main_changed_elsewhere_in_the_file_stays(world: World, hand: HandProposer) -> None:
    mine = at_most(world, 3)
    merged_meanwhile(world, b"after_days:", b"# kept\n  after_days:")
    look = hand.look(law(mine))
    assert look.made.carried.merged == [LIMITS]
    assert [(one.added, one.deleted) for one in look.files] == [(1, 1)]
    assert "-  # kept" not in look.diff
    whole = hand.look(law(mine, whole=True))
    assert "-  # kept" in whole.diff, "taken whole, it takes back what main changed"


def test_the_same_lines_changed_on_both_sides_are_refused_with_the_way_out(world: World, hand: HandProposer) -> None:
    before = world.repository.read("main", LIMITS)
    # Two lines of the person's, so that theirs is still closest to the version they began with.
    mine = Brought(LIMITS, before.replace(b"at_most: 5", b"at_most: 3", 1))
    merged_meanwhile(world, b"at_most: 5\n  in_hours: 24", b"at_most: 9\n  in_hours: 48\n  # nine in two days")
    said = refused(world, hand, law(mine))
    assert "main changed the same lines since" in said and "--whole" in said and f"./elf main {LIMITS}" in said
    assert hand.look(law(mine, whole=True)).kind is Kind.LAW


def test_a_file_that_main_has_left_behind_is_no_change(world: World, hand: HandProposer) -> None:
    old = world.repository.read("main", LIMITS)
    merged_meanwhile(world, b"at_most: 5", b"at_most: 3")
    assert "main has moved on" in refused(world, hand, law(Brought(LIMITS, old)))
    both = hand.look(law(Brought(LIMITS, old), Brought("policies/new.json", b"{}\n")))
    assert both.made.carried.behind == [LIMITS] and [one.path for one in both.files] == ["policies/new.json"]
    assert "-  at_most: 3" in hand.look(law(Brought(LIMITS, old), whole=True)).diff


def test_one_edit_after_another_from_the_same_file_needs_no_commit_between(world: World, hand: HandProposer) -> None:
    overridden(world, hand.propose(law(at_most(world, 3)))[1].change.number)
    assert hand.look(law(at_most(world, 2, before=3))).files[0].added == 1


# --- refused early ---


def test_what_the_gate_would_refuse_is_refused_before_anything_is_pushed(world: World, hand: HandProposer) -> None:
    limit = at_most(world, 3)
    mixed = refused(world, hand, law(limit, Brought("README.md", b"# Ours\n")))
    assert "law travels alone" in mixed and "propose each by itself: README.md, policies" in mixed
    assert "law_readable" in refused(world, hand, law(Brought(LIMITS, b"nonsense: 1\n")))
    secret = refused(world, hand, Asked("A note", files=(Brought("docs/a.md", OWN_SECRET.encode()),)))
    assert "secrets" in secret and OWN_SECRET not in secret
    assert "secrets" in refused(world, hand, law(limit, title=f"key {OWN_SECRET}"))
    assert "not granted" in refused(world, hand, Asked("x", files=(with_tool("cluster__restart"),)))
    assert "no team 'no-team'" in refused(world, hand, Asked("x", retire="no-team"))
    assert "members" in refused(world, hand, Asked("x", files=(Brought("teams/a_team/team.yaml", b"name: a-team\n"),)))
    moved = Brought("teams/other/team.yaml", a_team().data)
    assert "move it to teams/marketing_team" in refused(world, hand, Asked("x", files=(moved,)))
    assert "is not allowed" in refused(world, hand, Asked("x", files=(Brought("../etc/x", b""),)))
    assert "--title" in refused(world, hand, law(limit, title=" "))
    same = world.repository.read("main", LIMITS)
    assert "main has all of it" in refused(world, hand, law(Brought(LIMITS, same)))


def with_tool(tool: str) -> Brought:
    data = spec_data()
    data["members"][1]["tools"] = [tool]
    return Brought("teams/marketing_team/team.yaml", dump_spec(TeamSpec.model_validate(data)).encode())


def test_a_generated_file_is_never_taken_from_a_person(world: World, hand: HandProposer) -> None:
    edited = Brought("teams/old_team/README.md", b"# mine\n")
    assert "made by the factory" in refused(world, hand, Asked("x", files=(edited,)))
    look = hand.look(Asked("x", files=(edited, a_team("old-team", purpose="Keep the archive"))))
    assert look.made.not_taken == ["teams/old_team/README.md"]
    assert look.proposal.files["teams/old_team/README.md"] != b"# mine\n"
    report = Brought("reports/executive/old_team.yaml", b"team: mine\n")
    assert "made by the factory" in refused(world, hand, Asked("x", files=(report,)))


def test_without_looking_first_the_refused_change_would_stand_at_the_forge(
    world: World, hand: HandProposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(_look: Look) -> None:
        return None

    monkeypatch.setattr("mcp_servers.git.hand_proposer.refuse", blind)
    _, opened = hand.propose(law(at_most(world, 3), Brought("README.md", b"# Ours\n")))
    assert opened.verdict.outcome is Outcome.DENY


def test_what_the_look_says_is_what_the_gate_says_of_the_pull_request(world: World, hand: HandProposer) -> None:
    wishes = (law(at_most(world, 3)), Asked("x", files=(a_team(),)), Asked("x", retire="old-team"))
    for asked in (*wishes, Asked("x", files=(Brought("README.md", b"# Ours\n"),))):
        look, opened = hand.propose(asked)
        foreseen, judged = (
            # The sandbox of this world has run everything at once; nothing of a look is run.
            {child.rule: child.outcome for child in verdict.children if child.rule != "checks"}
            for verdict in (look.verdict, opened.verdict)
        )
        assert foreseen == judged


# --- where no key of the person's is ---


def test_where_the_persons_key_is_elsewhere_the_change_is_a_patch_that_git_takes(world: World, tmp_path: Path) -> None:
    elsewhere = proposer_of(world, None)
    look = elsewhere.look(law(at_most(world, 3)))
    refuse(look)
    assert "--patch" in refused(world, elsewhere, law(at_most(world, 3)))
    clone = tmp_path / "clone"
    for command in (
        ["git", "clone", "--quiet", str(world.repository.git_dir), str(clone)],
        ["git", "-C", str(clone), "-c", "user.name=x", "-c", "user.email=x@x", "am", "--quiet", "-"],
    ):
        subprocess.run(command, input=look.patch.encode(), check=True, capture_output=True, timeout=30)
    assert b"at_most: 3" in (clone / LIMITS).read_bytes()


def test_the_scratch_is_gone_afterwards(
    world: World, hand: HandProposer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    hand.propose(law(at_most(world, 3)))
    with pytest.raises(Refusal):
        hand.propose(law(Brought(LIMITS, b"nonsense: 1\n")))
    assert list((tmp_path / "scratch").iterdir()) == []
