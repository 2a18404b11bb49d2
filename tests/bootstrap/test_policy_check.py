"""`./elf policy check`: what it says it read is what it read; the company's main goes before the checkout."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bootstrap.cli import app
from bootstrap.home import Home
from bootstrap.places import OWNER, REPO
from bootstrap.policy import check_policies
from mcp_servers.git.forge import seed
from mcp_servers.git.objects import Signature

pytestmark = pytest.mark.rows("L3")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "policies", tmp_path / "checkout" / "policies", ignore=shutil.ignore_patterns("*.py*"))
    return tmp_path / "checkout"


def begun(tmp_path: Path, policies: Path) -> Home:
    """A company that was seeded with these policies, and is not running."""
    home = Home(tmp_path / "home")
    home.prepare()
    files = {f"policies/{path.name}": path.read_bytes() for path in policies.glob("*.yaml")}
    who, when = Signature("elf-seed", "elf-seed@company.invalid"), datetime(2026, 1, 1, tzinfo=UTC)
    seed(home.forge, OWNER, REPO, files, {}, who, when, "Seed the company\n")
    return home


def fewer_teams(folder: Path) -> None:
    limits = folder / "limits.yaml"
    limits.write_text(limits.read_text().replace("at_most: 5", "at_most: 3", 1))


def test_before_there_is_a_company_the_checkout_is_read(checkout: Path, tmp_path: Path) -> None:
    found = check_policies(None, checkout, Home(tmp_path / "home"))
    assert found["ok"] and str(checkout / "policies") in found["read"] and "no company" in found["read"]


def test_with_a_company_its_main_is_read_and_what_the_checkout_says_otherwise_is_named(
    checkout: Path, tmp_path: Path
) -> None:
    home = begun(tmp_path, checkout / "policies")
    assert not any("not in force" in line for line in check_policies(None, checkout, home)["lines"])
    fewer_teams(checkout / "policies")
    found = check_policies(None, checkout, home)
    assert found["ok"] and "its main, at" in found["read"]
    assert any(line.startswith("new teams: at most 5") for line in found["lines"])
    assert any("not in force" in line and "limits.yaml" in line for line in found["lines"])


def test_a_named_folder_or_checkout_is_read_whatever_main_says(checkout: Path, tmp_path: Path) -> None:
    home = begun(tmp_path, checkout / "policies")
    fewer_teams(checkout / "policies")
    for named in (checkout, checkout / "policies"):
        found = check_policies(named, checkout, home)
        assert any(line.startswith("new teams: at most 3") for line in found["lines"])
        assert str(checkout / "policies") in found["read"]


def test_files_that_are_no_law_are_refused_with_where_they_lie(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELF_HOME", str(checkout / "home"))
    (checkout / "policies" / "limits.yaml").write_text("nonsense: 1\n")
    said = CliRunner().invoke(app, ["policy", "check", str(checkout)])
    assert said.exit_code == 1
    assert f"read: the folder {checkout / 'policies'}" in said.output and "limits.yaml" in said.output
    assert CliRunner().invoke(app, ["policy", "check", str(checkout / "nowhere")]).exit_code == 1
