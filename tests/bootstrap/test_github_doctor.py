"""What somebody changed on GitHub after the company was connected is found, with its fix; and found for the reason given."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from bootstrap.client import CompanyError
from bootstrap.settings import CHECKOUT
from mcp_servers.git import github_rights
from mcp_servers.git.objects import Signature
from tests.bootstrap.github_world import GitHubWorld, github_world
from tests.doubles.github import REPO

pytestmark = pytest.mark.rows("F99", "F106")


@pytest.fixture
def world(tmp_path: Path) -> Generator[GitHubWorld]:
    with github_world(tmp_path) as made:
        made.connect()
        yield made


def edit_rule(world: GitHubWorld, kind: str, **parameters: object) -> None:
    found = world.named("rulesets", "elf: main")
    for rule in found["rules"]:
        if rule["type"] == kind:
            rule["parameters"] |= parameters
    world.ask("PUT", f"rulesets/{found['id']}", {"rules": found["rules"]})


def drop_rule(world: GitHubWorld, kind: str) -> None:
    found = world.named("rulesets", "elf: main")
    world.ask("PUT", f"rulesets/{found['id']}", {"rules": [it for it in found["rules"] if it["type"] != kind]})


def edit(world: GitHubWorld, name: str, **changes: object) -> None:
    world.ask("PUT", f"rulesets/{world.named('rulesets', name)['id']}", changes)


def let_pass(world: GitHubWorld) -> None:
    found = world.named("rulesets", "elf: branches")
    proposer = {"actor_id": world.bot.app_id, "actor_type": "Integration", "bypass_mode": "always"}
    edit(world, "elf: branches", bypass_actors=[*found["bypass_actors"], proposer])


def move_main(world: GitHubWorld, path: str, data: bytes | None) -> None:
    repository = world.github.repository
    main = repository.resolve("main")
    tree = repository.write_tree(main, {path: data})
    commit = repository.commit_tree(tree, [main], "By hand\n", Signature("ada", "a@example.com"), world.clock())
    repository.update_ref("refs/heads/main", commit, main)


def hook(world: GitHubWorld) -> int:
    return int(world.ask("GET", "hooks")[0]["id"])


def hook_elsewhere(world: GitHubWorld) -> None:
    config = {"url": "http://127.0.0.1:10/other", "content_type": "json", "secret": "s"}
    world.ask("PATCH", f"hooks/{hook(world)}", {"config": config})


def more_rights(world: GitHubWorld) -> None:
    world.bot.permissions["administration"] = "write"


TAMPERINGS: dict[str, tuple[Callable[[GitHubWorld], object], str]] = {
    "the ruleset of main switched off": (lambda w: edit(w, "elf: main", enforcement="disabled"), "it is disabled"),
    "the ruleset of branches gone": (
        lambda w: w.ask("DELETE", f"rulesets/{w.named('rulesets', 'elf: branches')['id']}"),
        "ruleset 'elf: branches': it is not there",
    ),
    "branches no more closed": (
        lambda w: edit(w, "elf: branches", conditions={"ref_name": {"include": ["~ALL"], "exclude": ["refs/heads/**/*"]}}),
        "it excludes refs/heads/**/*",
    ),
    "the proposer may pass by": (let_pass, "others may pass by it"),
    "no approval wanted": (
        lambda w: edit_rule(w, "pull_request", required_approving_review_count=0),
        "0 approvals are asked for",
    ),
    "old approvals stay": (
        lambda w: edit_rule(w, "pull_request", dismiss_stale_reviews_on_push=False),
        "dismiss_stale_reviews_on_push is False",
    ),
    "the gate not asked": (
        lambda w: drop_rule(w, "required_status_checks"),
        "the rule required_status_checks is gone",
    ),
    "another status asked for": (
        lambda w: edit_rule(w, "required_status_checks", required_status_checks=[{"context": "elf/other"}]),
        "the status elf/gate is not asked for",
    ),
    "a label gone": (lambda w: w.ask("DELETE", "labels/needs-review"), "label needs-review: it is not there"),
    "the webhook gone": (lambda w: w.ask("DELETE", f"hooks/{hook(w)}"), "there is none"),
    "the webhook elsewhere": (hook_elsewhere, "there are only webhooks to http://127.0.0.1:10/other"),
    "the webhook switched off": (lambda w: w.ask("PATCH", f"hooks/{hook(w)}", {"active": False}), "it is switched off"),
    "the webhook told of less": (lambda w: w.ask("PATCH", f"hooks/{hook(w)}", {"events": ["push"]}), "not told of everything"),
    "owners changed": (lambda w: move_main(w, ".github/CODEOWNERS", b"* @mallory\n"), "CODEOWNERS says something else"),
    "owners gone": (lambda w: move_main(w, ".github/CODEOWNERS", None), "CODEOWNERS is not there"),
    "the workflow changed": (lambda w: move_main(w, ".github/workflows/gate.yml", b"on: push\n"), "gate.yml says something else"),
    "the proposer got more rights": (more_rights, "'administration: write', which the proposer must not have"),
    "the gate lost a right": (lambda w: w.gate.permissions.pop("statuses"), "it lacks 'statuses: write'"),
    "the gate's token ended": (lambda w: setattr(w.gate, "token", "another"), "its key cannot be used"),
}  # fmt: skip


def test_what_was_just_connected_is_as_it_has_to_be(world: GitHubWorld) -> None:
    found = world.doctor()
    assert found["ok"] and world.wrong() == []
    assert any("only person" in finding["text"] for finding in found["findings"])


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_change_behind_the_companys_back_is_found(world: GitHubWorld, tampering: str) -> None:
    act, said = TAMPERINGS[tampering]
    act(world)
    found = world.doctor()
    texts = [f"{it['what']}: {it['text']}" for it in found["findings"] if it["level"] == "wrong"]
    assert not found["ok"] and any(said in text for text in texts), texts
    assert all(it["fix"] for it in found["findings"] if it["level"] == "wrong")


@pytest.mark.parametrize(
    "tampering",
    [name for name in TAMPERINGS if "webhook" in name or "ruleset" in name or "approval" in name or "label" in name],
)
def test_connecting_again_puts_it_right(world: GitHubWorld, tampering: str) -> None:
    TAMPERINGS[tampering][0](world)
    assert not world.doctor()["ok"]
    assert world.connect()["done"]
    assert world.wrong() == []


def test_what_the_gate_may_not_see_is_called_unseen_and_not_well(world: GitHubWorld) -> None:
    let_pass(world)
    found = world.doctor(as_gate=True)
    unseen = next(it for it in found["findings"] if it["what"] == "not looked at")
    assert "who may pass by the rulesets" in unseen["text"] and "the webhook" in unseen["text"]
    assert "ELF_GITHUB_SETUP_TOKEN" in unseen["fix"]
    assert not world.doctor()["ok"]


def test_a_status_that_is_not_pinned_to_the_gates_app_is_found(tmp_path: Path) -> None:
    with github_world(tmp_path, apps=True) as world:
        world.connect()
        assert world.wrong() == []
        edit_rule(world, "required_status_checks", required_status_checks=[{"context": "elf/gate"}])
        assert any("the status elf/gate is not pinned to the gate" in text for text in world.wrong())


def test_a_key_that_became_somebody_elses_is_found(world: GitHubWorld) -> None:
    world.home.keep_key("github-proposer", world.gate.token)
    assert any("its key is elf-gate's by now" in text for text in world.wrong())


def test_a_person_who_became_the_author_of_what_they_approve_is_warned(world: GitHubWorld) -> None:
    file = world.home.path / "github.json"
    made = json.loads(file.read_text())
    made["proposer"] = {"login": "ada", "id": 1, "app_id": None}
    file.write_text(json.dumps(made))
    assert any("author of what they must approve" in text for text in world.wrong())


def test_a_person_whose_approval_github_does_not_count_is_found_and_not_connected(
    world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def may_not(*_anything: object) -> bool:
        return False

    monkeypatch.setattr(github_rights, "may_write", may_not)
    assert any("does not count their approval" in text for text in world.wrong())
    assert any("does not count their approval" in text for text in world.connect()["problems"])


def test_without_a_connection_it_says_how_to_make_one(tmp_path: Path) -> None:
    with github_world(tmp_path) as world, pytest.raises(CompanyError, match="github connect"):
        world.doctor()


def test_the_command_prints_findings_with_their_fix_and_exits_one(world: GitHubWorld) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        given = {"ELF_HOME": str(world.home.path), "ELF_GITHUB_SETUP_TOKEN": world.ada.token, "PATH": "/usr/bin:/bin",
                 "ELF_GITHUB_API_URL": world.github.api_url, "ELF_GITHUB_URL": world.github.git_site}  # fmt: skip
        command = [sys.executable, "-m", "bootstrap.cli", "github", *arguments]
        return subprocess.run(command, cwd=CHECKOUT, env=given, capture_output=True, text=True, timeout=60, check=False)

    assert "the workflow" not in run("doctor").stdout
    world.ask("DELETE", "labels/automated")
    done = run("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["repo"] == REPO
    wrong = [it for it in found["findings"] if it["level"] == "wrong"]
    assert [it["what"] for it in wrong] == ["label automated"] and "github connect" in wrong[0]["fix"]
    assert world.ada.token not in done.stdout + done.stderr
