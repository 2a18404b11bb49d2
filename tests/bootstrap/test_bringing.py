"""What a person means by the files and folders they name to `./elf propose`."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bootstrap.bringing import gather
from bootstrap.cli import app
from bootstrap.client import CompanyError
from mcp_servers.factories.server_files import dump_server, parse_server
from mcp_servers.factories.spec_files import dump_spec
from mcp_servers.git.compared import blob_sha
from teams.spec import TeamSpec
from tests.factories.server_specs import internal
from tests.git.desk_world import spec_data

pytestmark = pytest.mark.rows("L3")

FILES = {
    "policies/changes.yaml": "people: [owner]\n",
    "policies/limits.yaml": "at_most: 5\n",
    "policies/law.py": "# code\n",
    "policies/schemas/limits.json": "{}\n",
    "README.md": "# A company\n",
    "elf": "#!/bin/sh\n",
    "teams/old_team/team.yaml": "name: old-team\n",
    "teams/old_team/README.md": "# old\n",
}
SPEC = dump_spec(TeamSpec.model_validate(spec_data()))


def git(checkout: Path, *arguments: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run(["git", "-C", str(checkout), *who, *arguments], check=True, capture_output=True, timeout=30)


def write(checkout: Path, **files: str) -> None:
    for path, text in files.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    write(root, **FILES)
    (root / "elf").chmod(0o755)
    git(tmp_path, "init", "--quiet", str(root))
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "begin")
    return root


def main(**more: str) -> list[dict[str, str]]:
    """What main has: the same files, and what it went on to."""
    files = {**FILES, **more}
    return [
        {"path": path, "mode": "100755" if path == "elf" else "100644", "sha": blob_sha(text.encode())}
        for path, text in files.items()
    ]


def brought(*named: Path, **more: str) -> dict[str, str | None]:
    """Path to text (None: removed) of what would be sent."""
    files = gather(named, main(**more)).files
    return {path: base64.b64decode(it["data"]).decode() if it["data"] else None for path, it in files.items()}


def test_of_a_checkout_nothing_but_what_differs_is_brought(checkout: Path) -> None:
    assert brought(checkout) == {}
    write(checkout, **{"README.md": "# Ours\n", "policies/limits.yaml": "at_most: 3\n"})
    assert brought(checkout) == {"README.md": "# Ours\n", "policies/limits.yaml": "at_most: 3\n"}
    assert brought(checkout / "policies") == {"policies/limits.yaml": "at_most: 3\n"}
    assert brought(checkout / "README.md", checkout / "elf") == {"README.md": "# Ours\n"}
    (checkout / "elf").chmod(0o644)
    assert gather([checkout / "elf"], main()).files["elf"]["mode"] == "100644"


def test_the_folder_of_policies_means_the_law_and_not_the_code_that_reads_it(checkout: Path) -> None:
    write(checkout, **{"policies/law.py": "# newer\n", "policies/schemas/limits.json": '{"newer": 1}\n'})
    assert brought(checkout / "policies") == {"policies/schemas/limits.json": '{"newer": 1}\n'}
    assert brought(checkout / "policies" / "law.py") == {"policies/law.py": "# newer\n"}


def test_what_git_does_not_track_is_left_out_and_named(checkout: Path) -> None:
    write(checkout, **{"policies/watch.yaml": "new: 1\n", "policies/.env.yaml": "key\n"})
    found = gather([checkout / "policies"], main())
    assert not found.files and "policies/watch.yaml" in found.notes[0] and "git add" in found.notes[0]
    git(checkout, "add", "policies/watch.yaml")
    assert brought(checkout / "policies") == {"policies/watch.yaml": "new: 1\n"}
    assert set(brought(checkout / "policies" / ".env.yaml")) == {"policies/.env.yaml"}


def test_what_the_checkout_never_had_is_not_taken_away_and_what_it_had_is(checkout: Path) -> None:
    new_in_main = {"teams/young_team/team.yaml": "name: young-team\n", "policies/models.yaml": "a: 1\n"}
    assert brought(checkout, **new_in_main) == {}
    (checkout / "README.md").unlink()
    git(checkout, "rm", "--quiet", "policies/limits.yaml")
    assert brought(checkout, **new_in_main) == {"README.md": None, "policies/limits.yaml": None}
    git(checkout, "commit", "--quiet", "-a", "-m", "gone")
    assert brought(checkout, **new_in_main) == {"README.md": None, "policies/limits.yaml": None}


def test_a_teams_folder_is_taken_whole_tracked_or_not(checkout: Path) -> None:
    write(checkout, **{"teams/marketing_team/team.yaml": SPEC, "teams/marketing_team/README.md": "# x\n"})
    assert set(brought(checkout / "teams" / "marketing_team")) == {
        "teams/marketing_team/team.yaml",
        "teams/marketing_team/README.md",
    }


def test_a_spec_may_lie_anywhere_and_its_name_says_where_it_goes(checkout: Path, tmp_path: Path) -> None:
    server = dump_server(parse_server(internal()))
    write(tmp_path, **{"mine.yaml": SPEC, "rendered/team.yaml": SPEC, "weather.yaml": server})
    write(checkout, **{"translation.yaml": SPEC})
    team = {"teams/marketing_team/team.yaml": SPEC}
    assert brought(tmp_path / "mine.yaml") == team
    assert brought(tmp_path / "rendered") == team
    assert brought(checkout / "translation.yaml") == team
    assert brought(tmp_path / "weather.yaml") == {"mcp_servers/catalog/weather/server.yaml": server}
    of_the_company = brought(tmp_path / "mine.yaml", **{"meta_teams/marketing_team/team.yaml": "name: x\n"})
    assert set(of_the_company) == {"meta_teams/marketing_team/team.yaml"}


def test_without_git_a_checkout_is_what_lies_there(checkout: Path) -> None:
    subprocess.run(["rm", "-rf", str(checkout / ".git")], check=True)
    write(checkout, **{"policies/limits.yaml": "at_most: 3\n"})
    (checkout / "README.md").unlink()
    assert brought(checkout) == {"policies/limits.yaml": "at_most: 3\n"}


def test_what_cannot_be_meant_is_said(checkout: Path, tmp_path: Path) -> None:
    write(tmp_path, **{"other/x.txt": "x\n", "bad.yaml": "members: []\nname: x\n", "odd.yaml": "a: 1\n"})
    (checkout / "link.md").symlink_to(checkout / "README.md")
    for named, why in (
        (tmp_path / "nowhere", "--retire TEAM"),
        (tmp_path / "other", "lies in no checkout"),
        (tmp_path / "other" / "x.txt", "lies in no checkout"),
        (tmp_path / "odd.yaml", "no spec of a team"),
        (tmp_path / "bad.yaml", "purpose"),
        (checkout / "link.md", "symbolic link"),
    ):
        with pytest.raises(CompanyError, match=why):
            gather([named], main())


def test_the_command_names_what_it_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELF_HOME", str(tmp_path / "home"))
    said = CliRunner().invoke(app, ["propose", "x"])
    assert said.exit_code == 1 and isinstance(said.exception, CompanyError) and "./elf up" in str(said.exception)
