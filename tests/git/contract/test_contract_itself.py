"""The contract's own tools: they see what is wrong, and the way to GitHub works against another server that answers alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from tests.git.contract.conftest import ROLES, Served, over_http
from tests.git.contract.documented import problems, route_of
from tests.git.contract.place import Place

LABEL = {"id": 1, "node_id": "x", "url": "u", "name": "n", "description": None, "color": "c", "default": False}


def test_an_answer_as_documented_has_no_problem() -> None:
    assert problems("GET", "{repo}/labels/x", 200, LABEL) == []
    assert problems("GET", "{repo}/labels", 200, [LABEL]) == []
    assert problems("GET", "{repo}/labels/x", 404, {"message": "Not Found", "documentation_url": "d"}) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "{repo}/labels/x", 200, {"id": 1}),
        ("GET", "{repo}/labels", 200, [LABEL, {}]),
        ("GET", "{repo}/labels", 200, LABEL),
        ("GET", "{repo}/labels/x", 201, LABEL),
        ("GET", "{repo}/labels/x", 404, {"message": "Not Found"}),
        ("GET", "{repo}/labels/x", 422, {"message": "m", "documentation_url": "d", "errors": "e"}),
        ("GET", "{repo}/nothing", 200, {}),
    ],
)
def test_an_answer_that_is_otherwise_has_one(method: str, path: str, status: int, body: object) -> None:
    assert len(problems(method, path, status, body)) > 0


def test_the_route_that_says_most_is_taken() -> None:
    assert route_of("GET", "{repo}/commits/a/b/status") == "GET {repo}/commits/{ref}/status"
    assert route_of("GET", "{repo}/commits/a/b") == "GET {repo}/commits/{ref}"
    assert route_of("GET", "{repo}") == "GET {repo}"


def test_the_way_to_github_pushes_for_real_cleans_up_and_skips_what_needs_a_second_identity(
    served: Served, seeded: Path, http_client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried on the forge as if it were GitHub: with the tokens and addresses in the environment, and none for a reviewer."""
    shutil.copytree(seeded / "elf" / "company.git", served.root / "elf" / "scratch.git")
    given = {
        "REPO": "elf/scratch",
        "API": f"{served.url}/api/v3",
        "GIT": f"{served.url}/git/elf/scratch.git",
        "TOKEN": f"token-of-{ROLES['author']}",
        "GATE_TOKEN": f"token-of-{ROLES['gate']}",
        "ADMIN_TOKEN": f"token-of-{ROLES['admin']}",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"ELF_CONTRACT_GITHUB_{name}", value)
    monkeypatch.delenv("ELF_CONTRACT_GITHUB_REVIEWER_TOKEN", raising=False)
    place: Place = over_http(http_client, tmp_path, None)
    made = place.open_pull()
    place.ruleset([{"type": "deletion"}])
    assert place.pull(made["number"])["changed_files"] == 1
    with pytest.raises(pytest.skip.Exception, match="ELF_CONTRACT_GITHUB_REVIEWER_TOKEN"):
        place.approve(made["number"], made["head"]["sha"])
    place.clean_up()
    assert place.pull(made["number"])["state"] == "closed"
    assert place.api("admin", "GET", "rulesets").json() == []
    assert place.api("author", "GET", "git/matching-refs/heads/auto/contract/").json() == []
