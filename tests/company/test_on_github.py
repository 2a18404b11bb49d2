"""A whole company kept on GitHub (its stand-in): asked, proposed there, approved there by a person, merged, deployed, healed."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from bootstrap.client import CompanyError
from bootstrap.demo.stage import Stage, throw_away_company, wait_for
from bootstrap.github_connect import Asked, connect
from bootstrap.home import Home
from bootstrap.places import HOOK_KEY
from bootstrap.settings import GitHubGiven, Settings, read_settings
from mcp_servers.git.github_webhook import signature_of
from tests.company.test_office import elf, told
from tests.doubles.github import REPO, GitHub, running_github, someone

pytestmark = pytest.mark.rows("F99", "F102", "F106")


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Generator[GitHub]:
    accounts = someone("elf-devops", "proposer"), someone("elf-gate", "gate")
    with running_github(tmp_path_factory.mktemp("github"), lambda: datetime.now(UTC), *accounts) as made:
        yield made


@pytest.fixture(scope="module")
def stage(github: GitHub) -> Generator[Stage]:
    given = GitHubGiven(
        api_url=github.api_url,
        git_url=github.git_site,
        setup_token=github.people["ada"].token,
        proposer_token=github.people["elf-devops"].token,
        gate_token=github.people["elf-gate"].token,
    )

    def first(settings: Settings, home: Home) -> None:
        settings = dataclasses.replace(settings, github=given)
        asked = Asked(settings, home, REPO, (), lambda what: what, lambda: datetime.now(UTC))
        assert connect(asked, dry_run=False)["done"]

    with throw_away_company(read_settings({}), Console(quiet=True), first=first) as running:
        yield running


def as_ada(github: GitHub, verb: str, path: str, body: object = None) -> Any:
    headers = {"Authorization": f"token {github.people['ada'].token}"}
    answer = httpx.request(verb, f"{github.api_url}/repos/{REPO}/{path}", json=body, headers=headers, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def test_a_wish_becomes_a_pull_request_there_and_a_team_here(stage: Stage, github: GitHub) -> None:
    said = stage.company.post("/say", {"text": "We need a legal team that reviews our contracts"})
    change = next(one for one in said["evidence"] if one["kind"] == "change")
    number = change["change"]
    pull = as_ada(github, "GET", f"pulls/{number}")
    assert pull["user"]["login"] == "elf-devops" and pull["head"]["ref"].startswith("auto/new-team/")
    with pytest.raises(CompanyError, match="on GitHub as ada"):
        stage.company.post(f"/changes/{number}/approve", {"head": change["head"]})
    as_ada(github, "POST", f"pulls/{number}/reviews", {"event": "APPROVE", "commit_id": pull["head"]["sha"]})
    body = b'{"action": "submitted"}'
    signature = signature_of(Home(stage.home.path).key(HOOK_KEY), body)
    began = time.monotonic()
    heard = httpx.post(
        f"{stage.company.address}/github/hook",
        content=body,
        headers={"X-Hub-Signature-256": signature},
        trust_env=False,
    )
    assert heard.status_code == 202

    def merged() -> bool:
        return bool(as_ada(github, "GET", f"pulls/{number}")["merged"])

    wait_for("the pull request merged", merged)
    assert time.monotonic() - began < 20

    def active() -> bool:
        team = stage.team(change["team"])
        return team is not None and team["state"] == "active"

    wait_for("the team active", active)
    assert stage.company.get("/audit/verify")["ok"]


def test_a_forged_delivery_is_refused_at_the_companys_door(stage: Stage) -> None:
    for headers in ({}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}):
        answer = httpx.post(f"{stage.company.address}/github/hook", content=b"{}", headers=headers, trust_env=False)
        assert answer.status_code == 401


def test_no_key_of_github_lies_outside_the_keys(stage: Stage, github: GitHub) -> None:
    secrets = [it.token.encode() for it in github.people.values()]
    keys = stage.home.path / "keys"
    for file in (path for path in Path(stage.home.path).rglob("*") if path.is_file() and keys not in path.parents):
        data = file.read_bytes()
        assert not any(secret in data for secret in secrets), file
    assert not any(github.people["ada"].token in file.read_text() for file in keys.iterdir())


def test_the_embedded_forge_is_not_served_beside_it(stage: Stage) -> None:
    assert httpx.get(f"{stage.company.address}/forge/api/v3/user", trust_env=False).status_code == 404


@pytest.mark.rows("L3")
def test_what_a_person_changed_by_hand_is_a_patch_that_they_open_there_themselves(
    stage: Stage, github: GitHub, tmp_path: Path
) -> None:
    limits, patch, clone = tmp_path / "policies" / "limits.yaml", tmp_path / "limits.patch", tmp_path / "company"
    limits.parent.mkdir()
    for name in ("changes.yaml", "limits.yaml"):
        (limits.parent / name).write_text(elf(stage, "main", f"policies/{name}").stdout)
    limits.write_text(limits.read_text().replace("at_most: 5", "at_most: 3", 1))
    asked = ("propose", str(limits), "--title", "Three a day")
    refused = elf(stage, *asked)
    assert refused.returncode == 1 and "ada opens it on GitHub" in refused.stderr and "--patch" in refused.stderr
    written = elf(stage, *asked, "--patch", str(patch))
    assert written.returncode == 0 and "Nothing was proposed" in written.stdout
    branch = told(stage, *asked, "--patch", str(patch))["branch"]
    assert f"compare/main...{branch}" in written.stdout and f"{REPO}.git" in written.stdout
    header = f"http.extraHeader=Authorization: Bearer {github.people['ada'].token}"
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", header)
    for command in (
        ("clone", "--quiet", f"{github.git_site}/{REPO}.git", str(clone)),
        ("-C", str(clone), "switch", "--quiet", "-c", branch),
        ("-C", str(clone), *who, "am", "--quiet", str(patch)),
        ("-C", str(clone), *who, "push", "--quiet", "origin", "HEAD"),
    ):
        done = subprocess.run(["git", *who, *command], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    pull = as_ada(github, "POST", "pulls", {"title": "Three a day", "head": branch, "base": "main"})

    def judged() -> bool:
        verdict = stage.company.get(f"/changes/{pull['number']}")["verdict"]
        return bool(verdict) and verdict["outcome"] == "needs_approval"

    wait_for("a verdict on it", judged, 40)
