"""An image has all that its program imports of ours: what the Dockerfile copies is closed under import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
OURS = {"bootstrap", "mcp_servers", "memory", "meta_teams", "policies", "teams"}
DOCKERFILES = {
    "a team": (GOLDEN / "content_team" / "Dockerfile.golden", "teams.runtime.server"),
    "the executives": (ROOT / "meta_teams" / "executive" / "Dockerfile", "teams.runtime.server"),
    "the DevOps team": (ROOT / "meta_teams" / "devops" / "Dockerfile", "teams.runtime.server"),
    "a tool server": (GOLDEN / "server_internal" / "Dockerfile.golden", "mcp_servers.catalog_runtime.standalone"),
}


@pytest.mark.rows("F12", "F34")
@pytest.mark.parametrize("whose", DOCKERFILES)
def test_what_an_image_copies_is_closed_under_import(whose: str) -> None:
    dockerfile, entry = DOCKERFILES[whose]
    copied = set(copied_by(dockerfile.read_text()))
    assert f"{entry.replace('.', '/')}.py" in copied
    assert missing_of(copied) == set()


@pytest.mark.rows("F12")
def test_planted_hole_an_image_without_one_of_the_modules_is_found_out() -> None:
    dockerfile, _ = DOCKERFILES["a team"]
    copied = set(copied_by(dockerfile.read_text())) - {"teams/message_fields.py"}
    assert missing_of(copied) == {"teams.message_fields"}


def copied_by(dockerfile: str) -> Iterator[str]:
    """The Python files that its COPY lines take from the repository; what belongs to the one team is not looked at."""
    for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE):
        *sources, _target = line.split()
        for source in sources:
            for path in sorted(ROOT.glob(source)):
                files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
                yield from (str(file.relative_to(ROOT)) for file in files if file.suffix == ".py")


def missing_of(copied: set[str]) -> set[str]:
    """Modules of ours that the files import and that are not among them, on whatever line the import stands."""
    wanted = {name for file in copied for name in imported(ROOT / file) if name.split(".")[0] in OURS}
    return {
        name
        for name in wanted
        if not ({f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py"} & copied)
    }


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            inner = node.module.replace(".", "/")
            yield from (
                f"{node.module}.{name.name}" for name in node.names if (ROOT / inner / f"{name.name}.py").is_file()
            )
