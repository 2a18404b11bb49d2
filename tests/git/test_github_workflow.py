"""The workflow on GitHub judges pull requests without secrets and from the base's code."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bootstrap.client import CompanyError
from bootstrap.policy_judge import judge_commits
from bootstrap.settings import CHECKOUT
from mcp_servers.factories.team import render
from mcp_servers.git.objects import Signature
from mcp_servers.git.repository import Repository
from teams.spec import TeamSpec
from tests.git.desk_world import seeded as seeded_company
from tests.git.desk_world import spec_data
from tests.git.workflow_check import unsafe

pytestmark = pytest.mark.rows("F15", "F105", "F106")
WORKFLOW = CHECKOUT / ".github" / "workflows" / "gate.yml"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEAD = "${{ github.event.pull_request.head.sha }}"


def test_the_workflow_runs_nothing_of_the_pull_request_and_has_nothing_to_lose() -> None:
    assert unsafe(WORKFLOW.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ref: ${{ github.event.pull_request.base.sha }}", f"ref: {HEAD}", "checks out"),
        ("          ref: ${{ github.event.pull_request.base.sha }}\n", "", "checks out"),
        ("run: ./elf policy judge", "run: git checkout refs/elf/head && ./elf policy judge", "work tree"),
        ("run: ./elf policy judge", "run: git worktree add /tmp/x refs/elf/head; ./elf policy judge", "work tree"),
        ('--head "$HEAD"', f"--head {HEAD}", "pasted"),
        ("contents: read", "contents: write", "more than read"),
        ("permissions:\n  contents: read\n", "", "more than read"),
        ("@11bd71901bbe5b1630ceea73d27597364c9af683", "@v4", "not pinned"),
        ("persist-credentials: false", "persist-credentials: true", "leaves its token"),
        ("${{ github.token }}", "${{ secrets.DEPLOY }}", "secrets"),
        ("pull_request_target:", "workflow_run:", "started by"),
    ],
)  # fmt: skip
def test_a_hole_in_the_workflow_is_found(old: str, new: str, said: str) -> None:
    text = WORKFLOW.read_text()
    assert old in text
    found = unsafe(text.replace(old, new, 1))
    assert any(said in one for one in found), found


@pytest.fixture
def company(tmp_path: Path) -> Repository:
    return seeded_company(tmp_path / "forge")


def commit(repository: Repository, files: dict[str, bytes | None], branch: str = "head") -> str:
    base = repository.resolve("main")
    tree = repository.write_tree(base, files)
    made = repository.commit_tree(tree, [base], "x\n", Signature("elf-devops", "d@elf.local"), NOW)
    repository.update_ref(f"refs/heads/auto/{branch}", made, None)
    return made


def a_team() -> dict[str, bytes | None]:
    return {f"teams/marketing_team/{path}": data for path, data in render(TeamSpec.model_validate(spec_data())).items()}


def test_the_content_rules_judge_two_commits_of_a_clone(company: Repository) -> None:
    head = commit(company, a_team())
    found = judge_commits(company.git_dir, company.resolve("main"), head, "", NOW)
    names = {child["rule"] for child in found["verdict"]["children"]}
    assert "rerender" in names and "approvals" not in names
    assert next(it for it in found["verdict"]["children"] if it["rule"] == "rerender")["outcome"] == "allow"


def test_a_file_edited_by_hand_is_refused_without_a_running_company(company: Repository) -> None:
    head = commit(company, {**a_team(), "teams/marketing_team/crew.py": b"import os\nos.system('id')\n"})
    found = judge_commits(company.git_dir, company.resolve("main"), head, "", NOW)
    assert not found["ok"] and "[no] rerender" in found["text"]


def test_the_law_that_judges_is_the_bases_and_not_the_heads(company: Repository) -> None:
    loose = company.read("main", "policies/limits.yaml").replace(b"file_bytes: ", b"file_bytes: 9")
    assert loose != company.read("main", "policies/limits.yaml")
    head = commit(company, {"policies/limits.yaml": loose, "teams/notes.md": b"x" * 3_000_000})
    found = judge_commits(company.git_dir, company.resolve("main"), head, "", NOW)
    assert "[no] sizes" in found["text"]


def test_the_command_exits_with_the_verdict_and_runs_nothing_of_the_head(company: Repository, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    evil = f"open({str(trap)!r}, 'w')\n".encode()
    head = commit(company, {**a_team(), "teams/marketing_team/__init__.py": evil, "policies/law.py": evil})
    done = subprocess.run(
        [sys.executable, "-m", "bootstrap.cli", "policy", "judge", "--json", "--base", company.resolve("main"),
         "--head", head, "--repository", str(company.git_dir)],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["verdict"]["outcome"] == "deny" and not trap.exists()


def test_commits_that_are_not_there_are_said_so(company: Repository) -> None:
    with pytest.raises(CompanyError, match="cannot be judged"):
        judge_commits(company.git_dir, "main", "f" * 40, "", NOW)
