"""GitHub's side, played back: calls that the embedded forge does not have, and those of a change from its end to end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from mcp_servers.git.github import Account, GitHubChanges
from mcp_servers.git.github_api import GitHubApi
from mcp_servers.git.github_apps import App, AppClient, InstallationToken
from mcp_servers.git.github_look import carry_out, look
from mcp_servers.git.github_rights import granted, probed, problems
from mcp_servers.git.github_setup import Found, Wanted, Who, plan
from tests.doubles.github import GitHub, an_app, running_github, someone
from tests.git.conftest import Forge, proposal_of
from tests.git.contract.description import Description
from tests.git.recorded import FOLDER, GITHUB_API, RECORDING, cassette, said_of

pytestmark = pytest.mark.rows("F99", "F106")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALL = sorted(path.stem for path in FOLDER.glob("*.yaml"))
GATE = Who("acme-gate[bot]", 9001, 4711)
WANTED = Wanted("acme/company", Who("acme-bot[bot]", 9002, 4712), GATE, ("ada",), "https://company.example/github/hook")


@contextmanager
def api_to(url: str, token: str = "github_pat_of_nobody", repo: str = "acme/company") -> Generator[GitHubApi]:
    api = GitHubApi(Account(url, "https://github.com/acme/company.git", repo, "ada", token), lambda: NOON)
    try:
        yield api
    finally:
        api.close()


def test_an_app_finds_its_installation_and_gets_tokens_that_end() -> None:
    key = an_app("acme-gate[bot]", "gate").key or ""
    with cassette("app_identity"):
        client = AppClient(GITHUB_API, App(4711, key))
        found = client.installation("acme/company")
        assert (found.id, found.app_id, found.login) == (815, 4711, "acme-gate[bot]")
        assert problems("gate", granted(found.permissions)) == []
        assert problems("proposer", granted(found.permissions)) == [
            "it has 'statuses: write', which the proposer must not have"
        ]
        token = InstallationToken(client, found.id, "acme/company", lambda: NOON)
        assert token() == token() == "ghs_notatokenofanybody"


def test_a_token_is_renewed_before_it_ends() -> None:
    class Client:
        given = 0

        def token(self, _installation: int, _repo: str) -> tuple[str, datetime]:
            self.given += 1
            return f"token {self.given}", NOON + timedelta(hours=self.given)

    at, client = [NOON], Client()
    token = InstallationToken(client, 1, "acme/company", lambda: at[0])  # pyright: ignore[reportArgumentType]
    assert token() == token() == "token 1"
    at[0] += timedelta(minutes=55)
    assert token() == "token 2"


def test_rulesets_as_github_writes_them_are_what_they_have_to_be() -> None:
    """With its own further parameters, another order, and an organisation's ruleset among them."""
    with cassette("rulesets_described"), api_to(GITHUB_API) as api:
        found = look(api, None)
    assert [it["name"] for it in found.rulesets] == ["elf: main", "elf: branches"] and found.hooks is None
    todo = plan(Found(True, found.rulesets, found.labels, found.hooks), WANTED)
    assert [it.what for it in todo if it.kind == "ruleset"] == []
    assert len([it for it in todo if it.kind == "label"]) == 3


def test_rights_are_told_from_refusals_of_what_cannot_be_done() -> None:
    with cassette("rights_refused"), api_to(GITHUB_API) as api:
        rights = probed(api)
    assert rights == {"contents": True, "pull_requests": True, "statuses": False, "administration": False}
    assert problems("proposer", rights) == [] and problems("gate", rights) == ["it lacks 'statuses: write'"]


@pytest.fixture
def github(tmp_path: Path) -> Generator[GitHub]:
    accounts = someone("elf-devops", "proposer"), someone("elf-gate", "gate")
    with running_github(tmp_path / "github", lambda: NOON, *accounts) as made:
        yield made


def test_a_repository_is_looked_at_and_set_up(request: pytest.FixtureRequest) -> None:
    """Everything that the embedded forge has of it too: rulesets, labels, webhooks."""
    live: GitHub | None = request.getfixturevalue("github") if RECORDING else None
    url = live.api_url if live else None
    wanted = Wanted(
        "acme/company", Who("elf-devops", 1), Who("elf-gate", 2), ("ada",), "http://127.0.0.1:9/github/hook"
    )
    token = live.people["ada"].token if live else "github_pat_of_nobody"
    source = "the stand-in of tests/doubles/github.py over the embedded forge, because no GitHub could be reached"
    with cassette("set_up", live=url, source=source), api_to(url or GITHUB_API, token) as api:
        todo = plan(look(api, None), wanted)
        assert [it.kind for it in todo] == ["first_push", *["label"] * 4, "hook", "ruleset", "ruleset"]
        for action in todo[1:]:
            carry_out(api, action, "a secret")
        again = plan(look(api, None), wanted)
        assert [it.kind for it in again] == ["first_push"]


def test_a_repository_on_github_itself_is_looked_at() -> None:
    """Recorded once somebody gives a token and a scratch repository; what is in it is theirs, that it can be read is ours."""
    token, repo = (os.environ.get(f"ELF_CONTRACT_GITHUB_{name}", "") for name in ("TOKEN", "REPO"))
    live = GITHUB_API if RECORDING and token and repo else None
    if live is None and not (FOLDER / "looked_at.yaml").exists():
        pytest.skip("never recorded: ELF_CASSETTES=record with ELF_CONTRACT_GITHUB_TOKEN and ELF_CONTRACT_GITHUB_REPO")
    known = repo or said_of("looked_at").partition("GitHub: ")[2]
    with cassette("looked_at", live=live, source=f"GitHub: {known}"), api_to(GITHUB_API, token or "none", known) as api:
        found = look(api, None)
    assert found.main and all("enforcement" in ruleset for ruleset in found.rulesets)


def test_a_change_is_read_judged_and_merged(request: pytest.FixtureRequest) -> None:
    live: Forge | None = request.getfixturevalue("forge") if RECORDING else None
    url = f"{live.url}/api/v3" if live else None
    head = ""
    if live:
        head = live.changes("elf-devops").propose(proposal_of()).head
        live.changes("owner").approve(1, head, "Good.")
    account = Account(url or GITHUB_API, "", "elf/company", "elf-gate", live.token("elf-gate") if live else "of nobody")
    gate = GitHubChanges(account, lambda: NOON)
    source = "the embedded forge, because no GitHub could be reached"
    with cassette("a_change", live=url, source=source):
        change = gate.get(1)
        assert (change.author, change.state, change.branch) == ("elf-devops", "open", proposal_of().branch)
        assert [(it.author, it.verdict, it.head) for it in gate.reviews(1)] == [("owner", "approved", change.head)]
        gate.publish_status(change.head, "elf/gate", "success", "all rules allow it")
        assert [(it.context, it.creator) for it in gate.statuses(change.head)] == [("elf/gate", "elf-gate")]
        gate.comment(1, "verdict", "It may pass.")
        merged = gate.merge(1, change.head, "Merge change 1")
        assert gate.get(1).merge_commit == merged
    gate.close()


# --- of the cassettes themselves ---


@pytest.mark.parametrize("name", ALL)
def test_a_cassette_says_what_it_was_recorded_from(name: str) -> None:
    said = said_of(name)
    assert said, name
    assert "GitHub" in said, "it says nothing of GitHub's part in it"


@pytest.mark.parametrize("name", ALL)
def test_a_cassette_holds_no_secret_and_no_address_of_this_machine(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    for word in ("authorization", "bearer", "begin private key", "token-of-"):
        assert word not in text.lower(), word
    made = [word for word in text.split('"') if word.startswith(("ghp_", "github_pat_", "ghs_"))]
    assert set(made) <= {"ghs_notatokenofanybody"}
    assert "127.0.0.1" not in text.replace("http://127.0.0.1:9/github/hook", "")


#: A path's last parts -> as the description writes them.
DESCRIBED = {
    r"": "/repos/{owner}/{repo}",
    r"/installation": "/repos/{owner}/{repo}/installation",
    r"/branches": "/repos/{owner}/{repo}/branches",
    r"/hooks": "/repos/{owner}/{repo}/hooks",
    r"/labels": "/repos/{owner}/{repo}/labels",
    r"/rulesets": "/repos/{owner}/{repo}/rulesets",
    r"/rulesets/\d+": "/repos/{owner}/{repo}/rulesets/{ruleset_id}",
    r"/git/refs": "/repos/{owner}/{repo}/git/refs",
    r"/pulls": "/repos/{owner}/{repo}/pulls",
    r"/pulls/\d+": "/repos/{owner}/{repo}/pulls/{pull_number}",
    r"/pulls/\d+/reviews": "/repos/{owner}/{repo}/pulls/{pull_number}/reviews",
    r"/pulls/\d+/merge": "/repos/{owner}/{repo}/pulls/{pull_number}/merge",
    r"/issues/\d+": "/repos/{owner}/{repo}/issues/{issue_number}",
    r"/issues/\d+/comments": "/repos/{owner}/{repo}/issues/{issue_number}/comments",
    r"/commits/[0-9a-f]{40}": "/repos/{owner}/{repo}/commits/{ref}",
    r"/commits/[0-9a-f]{40}/statuses": "/repos/{owner}/{repo}/commits/{ref}/statuses",
    r"/statuses/[0-9a-f]{40}": "/repos/{owner}/{repo}/statuses/{sha}",
}  # fmt: skip


def described(path: str) -> str:
    """The path as the description writes it."""
    if not path.startswith("/repos/"):
        return re.sub(r"/installations/\d+/", "/installations/{installation_id}/", path)
    below = re.sub(r"^/repos/[^/]+/[^/]+", "", path)
    return next(written for pattern, written in DESCRIBED.items() if re.fullmatch(pattern, below))


@pytest.mark.skipif(
    not os.environ.get("ELF_CONTRACT_OPENAPI"), reason="needs GitHub's description: ELF_CONTRACT_OPENAPI"
)
@pytest.mark.parametrize("name", ALL)
def test_a_cassettes_answers_have_the_types_that_github_describes(name: str) -> None:
    description = Description(Path(os.environ["ELF_CONTRACT_OPENAPI"]))
    for exchange in yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["interactions"]:
        request, answer = exchange["request"], exchange["response"]
        path = described(request["uri"].removeprefix(GITHUB_API).partition("?")[0])
        if request["method"] == "GET" and path.endswith("/statuses/{sha}"):
            # PyGithub's older way to the same list, which the description does not name any more.
            path = "/repos/{owner}/{repo}/commits/{ref}/statuses"
        if body := answer["body"]["string"]:
            assert description.of_path(request["method"], path, answer["status"]["code"], json.loads(body)) == []
