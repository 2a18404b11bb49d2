"""Connecting a company to GitHub: a plan that is shown, carried out once, and found done afterwards."""

from __future__ import annotations

import stat
from collections.abc import Generator
from pathlib import Path

import pytest

from bootstrap.client import CompanyError
from bootstrap.github_connect import connect
from bootstrap.places import connection_of
from mcp_servers.git.facts import read_base
from memory.change_tables import VerdictRow
from memory.migrate import upgrade
from memory.session import Database
from tests.bootstrap.github_world import GitHubWorld, github_world
from tests.doubles.github import REPO

pytestmark = pytest.mark.rows("F99", "F106")


@pytest.fixture
def world(tmp_path: Path) -> Generator[GitHubWorld]:
    with github_world(tmp_path) as made:
        yield made


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(world: GitHubWorld) -> None:
    found = world.connect(dry_run=True)
    assert found["ok"] and not found["done"]
    assert found["actions"][0]["do"] == "push the company's repository as main"
    assert {"make the ruleset 'elf: main'", "make the ruleset 'elf: branches'"} <= {it["do"] for it in found["actions"]}
    assert world.github.repository.refs("refs/") == {}
    for what in ("rulesets", "labels", "hooks"):
        assert world.ask("GET", what) == []
    assert not world.home.path.exists()


def test_it_is_set_up_by_one_run_and_a_second_finds_nothing_left_to_do(world: GitHubWorld) -> None:
    first = world.connect()
    assert first["done"] and first["actions"]
    before = len(world.github.writes())
    again = world.connect()
    assert again["done"] and again["actions"] == []
    probes = [path for _, path in world.github.writes()[before:]]
    assert all(
        "probe" not in path and path.rsplit("/", 1)[-1] in {"refs", "pulls", "rulesets", "0" * 40} for path in probes
    )
    assert len(world.ask("GET", "hooks")) == 1 and len(world.ask("GET", "rulesets")) == 2


def test_main_begins_with_the_company_and_the_logins_that_github_knows(world: GitHubWorld) -> None:
    world.connect()
    base = read_base(world.github.repository, "main")
    assert (base.law.changes.people, base.law.changes.agents) == (("ada",), ("elf-devops",))
    assert base.law.overrides.by == ("ada",)
    owners = world.github.repository.read("main", ".github/CODEOWNERS").decode()
    assert "* @ada\n" in owners and "\n/teams/\n" in owners
    assert world.github.repository.read("main", ".github/workflows/gate.yml")


def test_keys_stay_in_the_home_for_its_owner_alone_and_nowhere_else(world: GitHubWorld) -> None:
    world.connect()
    keys = world.home.path / "keys"
    assert stat.S_IMODE((keys / "github-gate").stat().st_mode) == 0o600
    assert stat.S_IMODE((world.home.path / "github.json").stat().st_mode) == 0o600
    secrets = [world.bot.token, world.gate.token, world.ada.token, world.home.key("github-webhook")]
    for file in (path for path in world.home.path.rglob("*") if path.is_file() and path.parent != keys):
        text = file.read_bytes()
        assert not any(secret.encode() in text for secret in secrets), file
    # The person's own token is used and forgotten.
    assert not any(world.ada.token in file.read_text() for file in keys.iterdir())


def test_one_identity_for_both_hands_is_refused_and_nothing_is_done(world: GitHubWorld) -> None:
    found = world.connect(proposer_token=world.gate.token)
    assert not found["ok"] and not found["done"]
    assert any("both elf-gate" in problem for problem in found["problems"])
    assert world.github.repository.refs("refs/") == {}


def test_a_persons_own_token_is_no_proposer_for_they_could_not_approve(world: GitHubWorld) -> None:
    found = world.connect(proposer_token=world.ada.token)
    assert any("GitHub lets nobody approve what is opened in their own name" in it for it in found["problems"])
    assert connection_of(world.home) is None


@pytest.mark.parametrize("right", ["statuses", "administration"])
def test_a_proposer_that_could_forge_the_gate_or_remove_it_is_refused(world: GitHubWorld, right: str) -> None:
    world.bot.permissions[right] = "write"
    found = world.connect()
    assert any(f"'{right}: write', which the proposer must not have" in problem for problem in found["problems"])
    assert not found["done"]


def test_an_identity_that_lacks_a_right_is_told_which(world: GitHubWorld) -> None:
    del world.gate.permissions["statuses"]
    assert any("gate (elf-gate): it lacks 'statuses: write'" in it for it in world.connect()["problems"])


def test_a_run_that_broke_off_is_gone_on_with(world: GitHubWorld) -> None:
    world.ada.permissions["administration"] = "read"
    with pytest.raises(CompanyError, match="goes on from there"):
        world.connect()
    assert world.github.repository.resolve("main") and connection_of(world.home) is None
    world.ada.permissions["administration"] = "write"
    assert world.connect()["done"] and connection_of(world.home) is not None


def test_a_repository_that_holds_something_else_is_left_alone(world: GitHubWorld) -> None:
    repository = world.github.repository
    from mcp_servers.git.objects import Signature

    tree = repository.write_tree(None, {"README.md": b"another project\n"})
    commit = repository.commit_tree(tree, [], "x\n", Signature("ada", "ada@example.com"), world.clock())
    repository.update_ref("refs/heads/main", commit, None)
    with pytest.raises(CompanyError, match="holds no company"):
        world.connect()
    assert repository.refs("refs/") == {"refs/heads/main": commit}
    assert world.ask("GET", "labels") == [] and not world.home.path.exists()


def test_a_company_with_changes_of_its_own_is_not_moved(world: GitHubWorld) -> None:
    world.home.prepare()
    database = Database(world.settings.database_url)
    upgrade(database)
    with database.begin() as session:
        session.add(
            VerdictRow(number=1, head="a" * 40, base="b" * 40, policy_tree="", kind="law", outcome="deny", verdict="{}",
                       at=world.clock())
        )  # fmt: skip
    database.close()
    with pytest.raises(CompanyError, match="before its first change"):
        world.connect()


@pytest.mark.parametrize("repo", ["company", "a/b/c", "../x", "a b/c", "-x/y"])
def test_what_is_no_repository_is_said_so(world: GitHubWorld, repo: str) -> None:
    with pytest.raises(CompanyError, match="OWNER/NAME"):
        world.connect(repo=repo)


def test_apps_sign_in_with_tokens_that_are_renewed_before_they_end(tmp_path: Path) -> None:
    from datetime import timedelta

    from mcp_servers.git.github import GitHubChanges

    with github_world(tmp_path, apps=True) as world:
        found = world.connect()
        assert (found["proposer"], found["gate"]) == ("elf-devops[bot]", "elf-gate[bot]") and found["done"], found
        connection = connection_of(world.home)
        assert connection is not None
        changes = GitHubChanges(connection.gate_account(world.home, world.clock), world.clock)
        assert changes.open() == [] and changes.open() == []
        given_out = len(world.github.issued)
        world.clock.ahead += timedelta(minutes=56)
        assert changes.open() == []
        assert len(world.github.issued) == given_out + 1
        changes.close()
        checks = world.named("rulesets", "elf: main")["rules"]
        pinned = next(rule for rule in checks if rule["type"] == "required_status_checks")["parameters"]
        assert pinned["required_status_checks"] == [{"context": "elf/gate", "integration_id": world.gate.app_id}]
        assert not any("cannot pin" in note for note in found["notes"])
        assert world.wrong() == []


def test_an_app_that_may_write_checks_cannot_propose(tmp_path: Path) -> None:
    with github_world(tmp_path, apps=True) as world:
        world.bot.permissions["checks"] = "write"
        assert any("'checks: write'" in problem for problem in world.connect()["problems"])


def test_a_lost_webhook_secret_is_renewed_on_both_sides(world: GitHubWorld) -> None:
    world.connect()
    old = world.home.key("github-webhook")
    (world.home.path / "keys" / "github-webhook").unlink()
    assert [action["do"].split(" to ")[0] for action in world.connect()["actions"]] == ["make the webhook"]
    assert world.home.key("github-webhook") != old
    assert len(world.ask("GET", "hooks")) == 1 and world.connect()["actions"] == []


def test_secrets_are_asked_for_where_the_environment_has_none(world: GitHubWorld) -> None:
    import dataclasses

    from bootstrap.github_connect import Asked

    tokens = {"proposer": world.bot.token, "gate": world.gate.token, "your": world.ada.token}
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return next(token for word, token in tokens.items() if word in what)

    none = dataclasses.replace(world.settings.github, proposer_token=None, gate_token=None, setup_token=None)
    settings = dataclasses.replace(world.settings, github=none)
    assert connect(Asked(settings, world.home, REPO, (), ask, world.clock), dry_run=True)["ok"]
    assert len(asked) == 3
