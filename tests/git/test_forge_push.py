"""Git's own client against the forge: clone and log work, and the server refuses every push it should."""

from __future__ import annotations

import gzip
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mcp_servers.git.forge import smart_http
from mcp_servers.git.forge.protection import AUTO_BRANCH, PRE_RECEIVE, hooks_path, install_hook
from tests.git.conftest import Forge


@pytest.fixture
def work(forge: Forge, tmp_path: Path) -> Path:
    """A clone with one commit that is nowhere yet, on a local branch `mine`."""
    folder = forge.clone("elf-devops", tmp_path / "work")
    forge.git("elf-devops", folder, "checkout", "--quiet", "-b", "mine")
    add_commit(forge, folder, "new.txt", "new\n")
    return folder


def add_commit(forge: Forge, folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    forge.git("elf-devops", folder, "add", name)
    done = forge.git("elf-devops", folder, "commit", "--quiet", "-m", f"Add {name}")
    assert done.returncode == 0, done.stderr


def pushed(
    forge: Forge, folder: Path, *refs: str, login: str | None = "elf-devops", token: str | None = None
) -> str | None:
    """None if the push went through, else what the client printed; then no ref of the server has moved."""
    before = forge.repository.refs("refs/")
    done = forge.git(login, folder, "push", "origin", *refs, token=token)
    if done.returncode == 0:
        return None
    assert forge.repository.refs("refs/") == before
    return done.stderr


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_clone_fetch_and_log_work_from_outside(forge: Forge, tmp_path: Path, version: str) -> None:
    done = forge.git("owner", tmp_path, "clone", "--quiet", forge.git_url, "c", **{"protocol.version": version})
    assert done.returncode == 0, done.stderr
    assert "The company begins" in forge.git("owner", tmp_path / "c", "log", "--oneline").stdout
    assert forge.git("owner", tmp_path / "c", "fetch", "--quiet", **{"protocol.version": version}).returncode == 0


def test_shallow_and_partial_clones_work(forge: Forge, work: Path, tmp_path: Path) -> None:
    assert pushed(forge, work, "mine:auto/a/b") is None
    for option in ("--depth=1", "--filter=blob:none"):
        done = forge.git(
            "owner", tmp_path, "clone", "--quiet", option, "--branch=auto/a/b", forge.git_url, f"c{option[2:7]}"
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"c{option[2:7]}" / "new.txt").read_text() == "new\n"


def test_a_token_in_basic_auth_is_taken_from_the_password(forge: Forge, tmp_path: Path) -> None:
    with_user = forge.git_url.replace("http://", f"http://anything:{forge.token('owner')}@")
    done = forge.git(None, tmp_path, "ls-remote", with_user)
    assert "refs/heads/main" in done.stdout


def test_an_auto_branch_can_be_pushed_again_and_rewritten_by_who_made_it(forge: Forge, work: Path) -> None:
    assert pushed(forge, work, "mine:auto/new-team/x-1") is None
    add_commit(forge, work, "more.txt", "more\n")
    assert pushed(forge, work, "mine:auto/new-team/x-1") is None
    forge.git("elf-devops", work, "commit", "--quiet", "--amend", "-m", "Other")
    assert pushed(forge, work, "+mine:auto/new-team/x-1") is None
    assert forge.repository.log("auto/new-team/x-1")[0].message.strip() == "Other"


OUTSIDE = [
    ["mine:main"],
    ["+mine:main"],
    ["mine:refs/heads/MAIN"],
    ["mine:release"],
    ["mine:autox"],
    ["mine:refs/heads/auto"],
    ["mine:refs/tags/v1"],
    ["mine:refs/pull/1/head"],
    ["mine:refs/pull/1/merged"],
    ["mine:refs/replace/1234567890123456789012345678901234567890"],
    ["mine:refs/notes/x"],
    ["mine:refs/auto/x"],
    ["mine:refs/heads/auto/$(touch${IFS}hacked)"],
    ["mine:refs/heads/auto/ünïcode"],
    [":main"],
    ["mine:auto/ok/fine", "mine:main"],
    ["--mirror"],
]


@pytest.mark.rows("F99", "F106")
@pytest.mark.parametrize(
    ("login", "attempts"), [("elf-devops", OUTSIDE), ("owner", OUTSIDE[:6]), ("other-bot", OUTSIDE[:6])]
)
def test_a_push_outside_auto_is_refused_whole_with_a_sentence(
    forge: Forge, work: Path, login: str, attempts: list[list[str]]
) -> None:
    for refs in attempts:
        said = pushed(forge, work, *refs, login=login) or "it went through"
        assert "remote: Refused:" in said or "hidden ref" in said or "deletion" in said, (refs, said)


def test_the_sentence_for_main_says_what_to_do(forge: Forge, work: Path) -> None:
    said = pushed(forge, work, "mine:main") or ""
    assert "Refused: nobody pushes to main. Push a branch auto/<kind>/<name>, open a pull request" in said


def test_no_branch_is_deleted_by_a_push(forge: Forge, work: Path) -> None:
    assert pushed(forge, work, "mine:auto/a/b") is None
    for login in ("elf-devops", "owner", "other-bot"):
        assert "Refused: branches are not deleted by a push" in (pushed(forge, work, ":auto/a/b", login=login) or "")


@pytest.mark.parametrize("login", ["owner", "other-bot"])
def test_somebody_elses_branch_is_not_moved(forge: Forge, work: Path, login: str) -> None:
    assert pushed(forge, work, "mine:auto/a/b") is None
    add_commit(forge, work, "more.txt", "sneaked in\n")
    for force in ("", "+"):
        said = pushed(forge, work, f"{force}mine:auto/a/b", login=login) or ""
        assert "refs/heads/auto/a/b belongs to elf-devops" in said


def test_who_made_a_branch_is_not_told_by_its_commits(forge: Forge, work: Path) -> None:
    """The commit says elf-devops; it was other-bot who pushed it, so elf-devops may not move it."""
    assert pushed(forge, work, "mine:auto/a/b", login="other-bot") is None
    assert forge.repository.log("auto/a/b")[0].author.name == "elf-devops"
    add_commit(forge, work, "more.txt", "more\n")
    assert "belongs to other-bot" in (pushed(forge, work, "mine:auto/a/b") or "")


@pytest.mark.parametrize(("login", "token"), [(None, None), ("elf-devops", "wrong"), ("owner", "token-of-")])
def test_without_a_good_token_there_is_neither_clone_nor_push(
    forge: Forge, work: Path, tmp_path: Path, login: str | None, token: str | None
) -> None:
    assert pushed(forge, work, "mine:auto/a/b", login=login, token=token) is not None
    done = forge.git(login, tmp_path, "clone", forge.git_url, "c", token=token)
    assert done.returncode != 0
    assert "Authentication failed" in done.stderr or "could not read Username" in done.stderr


def test_the_gate_reads_but_does_not_push(forge: Forge, work: Path, tmp_path: Path) -> None:
    forge.clone("elf-gate", tmp_path / "gate")
    assert "elf-gate may not push here" in (pushed(forge, work, "mine:auto/a/b", login="elf-gate") or "")


def test_a_malformed_tree_is_refused_by_the_server(forge: Forge, work: Path) -> None:
    blob = forge.git("elf-devops", work, "rev-parse", "HEAD:new.txt").stdout.strip()
    made = subprocess.run(
        ["git", "-C", str(work), "mktree"], input=f"100644 blob {blob}\t..\n", capture_output=True, text=True
    )
    commit = forge.git("elf-devops", work, "commit-tree", made.stdout.strip(), "-p", "main", "-m", "x").stdout.strip()
    assert "hasDotdot" in (pushed(forge, work, f"{commit}:refs/heads/auto/a/b") or "")


def test_a_symlink_and_a_submodule_arrive_and_are_seen_by_who_judges(forge: Forge, work: Path) -> None:
    (work / "link").symlink_to("/etc/passwd")
    forge.git("elf-devops", work, "add", "link")
    sub = "160000,1234567890123456789012345678901234567890,module"
    forge.git("elf-devops", work, "update-index", "--add", "--cacheinfo", sub)
    forge.git("elf-devops", work, "commit", "--quiet", "-m", "odd")
    assert pushed(forge, work, "mine:auto/a/b") is None
    modes = {change.path: change.new_mode for change in forge.repository.changes("main", "auto/a/b")}
    assert modes == {"link": "120000", "module": "160000", "new.txt": "100644"}


# ---------------------------------------------------------------- the protection itself


@pytest.mark.rows("F99")
def test_planted_hole_without_the_hook_a_push_to_main_goes_through(
    forge: Forge, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hook gone and its check off, the attack succeeds: so it is the hook that stops it."""
    monkeypatch.setattr(smart_http, "check_hook", lambda root: None)  # pyright: ignore[reportUnknownLambdaType]
    (hooks_path(forge.root) / "pre-receive").unlink()
    assert pushed(forge, work, "mine:main") is None
    assert forge.repository.read("main", "new.txt") == b"new\n"


def _unlink(hook: Path) -> None:
    hook.unlink()


def _disarm(hook: Path) -> None:
    hook.chmod(0o644)


def _soften(hook: Path) -> None:
    hook.write_text("#!/bin/sh\nexit 0\n")


@pytest.mark.parametrize("damage", [_unlink, _disarm, _soften])
def test_without_a_whole_hook_nothing_is_pushed_at_all(
    forge: Forge, work: Path, damage: Callable[[Path], None]
) -> None:
    damage(hooks_path(forge.root) / "pre-receive")
    for ref in ("main", "auto/a/b"):
        assert "the push protection in .hooks/pre-receive is missing" in (pushed(forge, work, f"mine:{ref}") or "")
    install_hook(forge.root)
    assert pushed(forge, work, "mine:auto/a/b") is None
    assert "nobody pushes to main" in (pushed(forge, work, "mine:main") or "")


def test_the_repositorys_own_settings_cannot_switch_the_protection_off(forge: Forge, work: Path) -> None:
    for setting in ("core.hooksPath=/dev/null", "receive.denyDeletes=false", "receive.fsckObjects=false"):
        key, _, value = setting.partition("=")
        subprocess.run(["git", f"--git-dir={forge.bare}", "config", key, value], check=True)
    assert "nobody pushes to main" in (pushed(forge, work, "mine:main") or "")


@pytest.mark.parametrize(
    "ref", ["refs/heads/auto/a", "refs/heads/auto/a/b-1.x_y", "refs/heads/auto/", "refs/heads/auto/a b", "refs/heads/main",
            "refs/heads/autox/a", "refs/tags/auto/a", "refs/heads/auto/ä", "refs/heads/x/refs/heads/auto/a"],
)  # fmt: skip
def test_the_hook_and_the_rest_api_agree_on_what_an_auto_branch_is(tmp_path: Path, ref: str) -> None:
    hook = tmp_path / "pre-receive"
    hook.write_text(PRE_RECEIVE)
    line = f"{'0' * 40} {'1' * 40} {ref}\n"
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "ELF_LOGIN": "x", "ELF_MAY_PUSH": "yes"}
    done = subprocess.run(["sh", str(hook)], input=line, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == bool(AUTO_BRANCH.fullmatch(ref))


@pytest.mark.parametrize(
    "given", [{}, {"ELF_LOGIN": "x"}, {"ELF_LOGIN": "x", "ELF_MAY_PUSH": "no"}, {"ELF_MAY_PUSH": "yes"}]
)
def test_the_hook_refuses_when_it_is_not_told_who_pushes(tmp_path: Path, given: dict[str, str]) -> None:
    hook = tmp_path / "pre-receive"
    hook.write_text(PRE_RECEIVE)
    line = f"{'0' * 40} {'1' * 40} refs/heads/auto/a\n"
    done = subprocess.run(
        ["sh", str(hook)], input=line, env={"PATH": "/usr/bin:/bin", **given}, capture_output=True, text=True
    )
    assert done.returncode == 1


# ---------------------------------------------------------------- the wire


UNSERVED = {
    "/elf/company.git/HEAD": 404,
    "/elf/company.git/objects/info/packs": 404,
    "/elf/company.git/config": 404,
    "/elf/company.git/info/refs": 403,
    "/elf/company.git/info/refs?service=git-upload-archive": 403,
    "/elf/company.git/git-upload-pack": 403,
    "/elf/none.git/info/refs?service=git-upload-pack": 404,
    "/elf/..%2f..%2fetc.git/info/refs?service=git-upload-pack": 404,
    "/../company.git/info/refs?service=git-upload-pack": 404,
    "/elf/company.git/../../forge.sqlite3": 404,
    "/": 404,
}


def test_only_gits_own_requests_are_served(forge: Forge) -> None:
    headers = {"Authorization": f"Bearer {forge.token('owner')}"}
    answers = {path: forge.client.get(f"{forge.url}/git{path}", headers=headers).status_code for path in UNSERVED}
    assert answers == UNSERVED


def test_a_gzipped_request_is_understood(forge: Forge) -> None:
    body = b"0014command=ls-refs\n0001" + b"0009peel\n" + b"0000"
    headers = {
        "Authorization": f"token {forge.token('owner')}",
        "Content-Type": "application/x-git-upload-pack-request",
        "Content-Encoding": "gzip",
        "Git-Protocol": "version=2",
    }
    answer = forge.client.post(f"{forge.git_url}/git-upload-pack", content=gzip.compress(body), headers=headers)
    assert answer.status_code == 200
    assert b"refs/heads/main" in answer.content


def test_a_request_without_a_length_is_understood(forge: Forge, work: Path) -> None:
    done = forge.git("elf-devops", work, "push", "origin", "mine:auto/a/b", **{"http.postBuffer": "65536"})
    assert done.returncode == 0
    (work / "big.bin").write_bytes(bytes(range(256)) * 4096 + bytes(str(list(range(60000))), "ascii"))
    forge.git("elf-devops", work, "add", "big.bin")
    forge.git("elf-devops", work, "commit", "--quiet", "-m", "big")
    big = {"http.postBuffer": "65536", "core.compression": "0", "pack.compression": "0"}
    assert forge.git("elf-devops", work, "push", "origin", "mine:auto/a/b", **big).returncode == 0


def test_a_push_that_is_too_large_is_refused_and_leaves_nothing(
    forge: Forge, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smart_http, "BODY_LIMIT", 4096)
    (work / "big.txt").write_bytes(random.Random(1).randbytes(100_000))
    forge.git("elf-devops", work, "add", "big.txt")
    forge.git("elf-devops", work, "commit", "--quiet", "-m", "big")
    assert pushed(forge, work, "mine:auto/a/b") is not None


def _slow_body() -> Iterator[bytes]:
    yield b"0014command=ls-refs\n"
    raise ConnectionAbortedError


def test_a_client_that_goes_away_leaves_no_process_behind(forge: Forge) -> None:
    headers = {
        "Authorization": f"token {forge.token('owner')}",
        "Content-Type": "application/x-git-upload-pack-request",
        "Git-Protocol": "version=2",
    }
    with pytest.raises((ConnectionAbortedError, httpx.HTTPError)):
        forge.client.post(f"{forge.git_url}/git-upload-pack", content=_slow_body(), headers=headers)
    assert forge.api("owner", "GET", "/user").status_code == 200


def test_an_unfriendly_header_does_not_reach_git(forge: Forge) -> None:
    headers = {
        "Authorization": f"token {forge.token('owner')}",
        "Git-Protocol": "version=2;$(id)",
        "Proxy": "http://evil",
    }
    answer = forge.client.get(f"{forge.git_url}/info/refs?service=git-upload-pack", headers=headers)
    assert answer.status_code == 200
    assert b"version 2" not in answer.content
