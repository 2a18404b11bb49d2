"""Branches pushed by hand, as the gate sees them: read as facts, never run, and refused by the rule that is about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_servers.git import facts as reading
from mcp_servers.git.changes import Change, Review
from mcp_servers.git.command import run_git
from mcp_servers.git.compared import blob_sha
from mcp_servers.git.facts import Remembered
from mcp_servers.git.objects import NoMergeBase, Signature
from mcp_servers.git.repository import Repository
from policies.evaluate import evaluate
from policies.facts import Facts, Kind
from policies.kinds import kind_of
from policies.law import BadLaw
from policies.verdict import Outcome, Verdict
from tests.git.desk_world import START, WHO, SmallFactory, inspector_of, seeded, team_files

BRANCH = "auto/new-team/marketing-team-0a1b2c3d"
FOLDER = "teams/marketing_team"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return seeded(tmp_path / "forge", team_files("old-team"))


def push(
    repository: Repository, files: dict[str, bytes | None], *, modes: dict[str, str] | None = None, start: str = "main"
) -> str:
    tree = repository.write_tree(start, files, modes)
    return put(repository, tree, start)


def put(repository: Repository, tree: str, start: str = "main") -> str:
    commit = repository.commit_tree(tree, [repository.resolve(start)], "x\n", WHO, START)
    old = repository.refs(f"refs/heads/{BRANCH}").get(f"refs/heads/{BRANCH}")
    repository.update_ref(f"refs/heads/{BRANCH}", commit, old)
    return commit


def change_at(head: str) -> Change:
    return Change(7, "t", "b", BRANCH, head, "main", "elf-devops", (), "open", False, START, None, None, "u")


NOTHING = Remembered()


def read(
    repository: Repository, head: str, remembered: Remembered = NOTHING, factory: SmallFactory | None = None
) -> Facts:
    base = reading.read_base(repository, "main")
    contents = reading.read_contents(repository, base.commit, head)
    reviews = [Review("owner", head, "approved", START, "")]
    change = change_at(head)
    facts = reading.build(repository, factory or SmallFactory(), change, base, contents, reviews, remembered, START)
    return inspector_of(repository).inspect(facts, contents, change, ())


def judge(repository: Repository, head: str, remembered: Remembered = NOTHING) -> Verdict:
    return evaluate(read(repository, head, remembered), reading.read_base(repository, "main").law, START)


def blocked(verdict: Verdict) -> set[str]:
    return {child.rule for child in verdict.children if child.outcome is Outcome.DENY}


def files_of(name: str = "marketing-team") -> dict[str, bytes | None]:
    return dict(team_files(name))


def test_what_the_factory_made_is_allowed(repository: Repository) -> None:
    head = push(repository, files_of())
    facts = read(repository, head)
    assert kind_of(facts) is Kind.NEW_TEAM
    assert (
        facts.team is not None and facts.team.spec_after is not None and facts.team.spec_after.name == "marketing-team"
    )
    assert {file.path for file in facts.files} == set(files_of())
    assert judge(repository, head).allowed, judge(repository, head).text()


@pytest.mark.rows("F99", "F15")
@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        ({f"{FOLDER}/agents/writer.py": b"import os\nos.system('id')\n"}, "rerender"),
        ({f"{FOLDER}/backdoor.py": b"pass\n"}, "rerender"),
        ({f"{FOLDER}/README.md": None}, "rerender"),
        ({f"{FOLDER}/team.yaml": None}, "spec"),
        ({f"{FOLDER}/team.yaml": b"name: a\nname: b\n"}, "spec"),
        ({f"{FOLDER}/team.yaml": b"a: &a [1]\nb: *a\n"}, "spec"),
        ({f"{FOLDER}/team.yaml": b"\xff\xfe"}, "spec"),
        ({f"{FOLDER}/team.yaml": b"x" * 300_000}, "spec"),
        ({f"{FOLDER}/team.yaml": team_files("other-team")["teams/other_team/team.yaml"]}, "spec"),
        ({"policies/limits.yaml": b"new_teams: {}\n"}, "authority"),
        ({"teams/other_team/README.md": b"x\n"}, "authority"),
        ({"teams/old_team/README.md": b"x\n"}, "authority"),
        ({"teams/spec.py": b"MAX_MEMBERS = 99\n"}, "authority"),
        ({"README.md": None}, "authority"),
        ({"mcp_servers/git/merge_desk.py": b"allow = True\n"}, "authority"),
    ],
)
def test_a_spoilt_branch_is_refused_by_its_rule(
    repository: Repository, spoil: dict[str, bytes | None], rule: str
) -> None:
    assert rule in blocked(judge(repository, push(repository, files_of() | spoil)))


def with_entry(repository: Repository, mode: str, sha: str, name: str) -> str:
    """The good folder with one entry that no writer of ours would make."""
    entries = [f"{it.mode} {it.sha}\t{it.path}" for it in repository.listing(repository.write_tree("main", files_of()))]
    lines = "".join(f"{line}\0" for line in [*entries, f"{mode} {sha}\t{name}"])
    index = {"GIT_INDEX_FILE": str(repository.git_dir / "odd-index")}
    run_git(repository.git_dir, ["update-index", "-z", "--index-info"], stdin=lines.encode(), extra=index)
    return run_git(repository.git_dir, ["write-tree", "--missing-ok"], extra=index)[1].decode().strip()


@pytest.mark.rows("F99")
@pytest.mark.parametrize(
    ("mode", "kind", "name"),
    [
        ("120000", "blob", f"{FOLDER}/link"),
        ("160000", "commit", f"{FOLDER}/module"),
        ("120000", "blob", f"{FOLDER}_link"),
        ("100644", "blob", f"{FOLDER}/\u0440eadme.md"),
        ("100644", "blob", f"{FOLDER}/read\u202eme.md"),
        ("100644", "blob", f"{FOLDER}/a b"),
    ],
)
def test_links_submodules_and_odd_names_are_refused(repository: Repository, mode: str, kind: str, name: str) -> None:
    sha = repository.tree("main") if kind == "commit" else repository.listing("main", "README.md")[0].sha
    assert sha is not None
    head = put(repository, with_entry(repository, mode, sha, name))
    assert blocked(judge(repository, head)) & {"paths"}


@pytest.mark.rows("F99")
def test_an_executable_bit_counts_as_an_edit(repository: Repository) -> None:
    head = push(repository, files_of(), modes={f"{FOLDER}/README.md": "100755"})
    assert blocked(judge(repository, head)) == {"rerender"}


@pytest.mark.rows("F99")
def test_the_law_is_read_at_the_base_and_never_at_the_head(repository: Repository) -> None:
    """A branch that abolishes all approvals is judged by the law it wants to abolish."""
    lax = repository.read("main", "policies/changes.yaml").replace(b"approvals: 1", b"approvals: 0")
    head = push(repository, {"policies/changes.yaml": lax})
    verdict = judge(repository, head)
    assert "authority" in blocked(verdict)
    assert reading.read_base(repository, "main").policy_tree == repository.tree("main", "policies")


@pytest.mark.rows("F99")
def test_reading_the_law_at_the_head_would_let_the_attack_through(repository: Repository) -> None:
    """The planted hole: a branch that abolishes the approval it needs, judged by its own law."""
    lax = repository.read("main", "policies/changes.yaml").replace(b"approvals: 1", b"approvals: 0", 1)
    unapproved = read(repository, push(repository, files_of())).model_copy(update={"reviews": ()})
    repository.update_ref(
        "refs/heads/lax", put(repository, repository.write_tree("main", {"policies/changes.yaml": lax})), None
    )
    assert evaluate(unapproved, reading.read_base(repository, "lax").law, START).allowed
    assert not evaluate(unapproved, reading.read_base(repository, "main").law, START).allowed


def test_what_is_judged_is_the_result_of_the_merge_not_the_branch_alone(repository: Repository) -> None:
    """Main moved under the branch: files that main changed meanwhile are no change of the branch's."""
    head = push(repository, files_of())
    tree = repository.write_tree("main", {"README.md": b"# Moved on\n"})
    commit = repository.commit_tree(tree, [repository.resolve("main")], "x\n", WHO, START)
    repository.update_ref("refs/heads/main", commit, repository.resolve("main"))
    facts = read(repository, head)
    assert {file.path for file in facts.files} == set(files_of())
    assert facts.base == commit and judge(repository, head).allowed


def test_a_conflict_is_a_fact_and_names_the_file(repository: Repository) -> None:
    head = push(repository, {"teams/old_team/README.md": b"one\n"})
    tree = repository.write_tree("main", {"teams/old_team/README.md": b"two\n"})
    commit = repository.commit_tree(tree, [repository.resolve("main")], "x\n", WHO, START)
    repository.update_ref("refs/heads/main", commit, repository.resolve("main"))
    facts = read(repository, head)
    assert facts.conflicts == ("teams/old_team/README.md",)
    assert "mergeable" in blocked(judge(repository, head))


def test_a_branch_without_shared_history_and_a_broken_law_end_in_an_exception(repository: Repository) -> None:
    orphan = repository.commit_tree(repository.write_tree(None, files_of()), [], "x\n", WHO, START)
    with pytest.raises(NoMergeBase):
        reading.read_contents(repository, repository.resolve("main"), orphan)
    tree = repository.write_tree("main", {"policies/limits.yaml": b"new_teams: [\n"})
    broken = repository.commit_tree(tree, [repository.resolve("main")], "x\n", Signature("o", "o@x"), START)
    repository.update_ref("refs/heads/main", broken, repository.resolve("main"))
    with pytest.raises(BadLaw, match=r"policies/limits\.yaml: line"):
        reading.read_base(repository, "main")


@pytest.mark.rows("F107", "F108")
def test_a_return_to_a_verified_tree_is_a_rollback_and_with_one_more_file_it_is_not(repository: Repository) -> None:
    path = "teams/old_team"
    verified = repository.tree("main", path)
    assert verified is not None
    sick = repository.write_tree("main", {**team_files("old-team", purpose="Sick")})
    commit = repository.commit_tree(sick, [repository.resolve("main")], "x\n", WHO, START)
    repository.update_ref("refs/heads/main", commit, repository.resolve("main"))
    known = Remembered(verified_trees=frozenset({verified}))
    back: dict[str, bytes | None] = dict(team_files("old-team"))
    head = push(repository, back)
    assert kind_of(read(repository, head, known)) is Kind.ROLLBACK_TEAM
    assert kind_of(read(repository, head)) is Kind.CHANGE_TEAM
    more = push(repository, back | {"README.md": b"and this\n"})
    assert kind_of(read(repository, more, known)) is Kind.MIXED
    assert "authority" in blocked(judge(repository, more, known))


def test_a_name_in_other_letters_or_in_the_other_zone_is_taken(repository: Repository) -> None:
    entries = repository.listing("main")
    assert reading.namesakes(entries, "meta_teams", "old_team") == (("teams", "old_team"),)
    assert reading.namesakes(entries, "teams", "OLD_team") == (("teams", "old_team"),)
    assert reading.namesakes(entries, "teams", "old_team") == ()


def test_a_factory_that_fails_is_a_fact_that_denies(repository: Repository) -> None:
    facts = read(repository, push(repository, files_of()), factory=SmallFactory(broken=True))
    assert facts.team is not None and facts.team.problem == "RuntimeError: the templates are gone"
    assert {"spec", "rerender"} <= blocked(evaluate(facts, reading.read_base(repository, "main").law, START))


def test_the_name_of_bytes_is_git_s(repository: Repository) -> None:
    entry = repository.listing("main", "README.md")[0]
    assert blob_sha(b"# A company\n") == entry.sha
