"""A person with an empty repository on the stand-in for GitHub, a home and a checkout to begin a company with."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bootstrap.github_connect import Asked, connect
from bootstrap.github_doctor import examine
from bootstrap.home import Home
from bootstrap.settings import CHECKOUT, GitHubGiven, Settings, read_settings
from tests.doubles.github import REPO, GitHub, Someone, an_app, running_github, someone

BOT, GATE_BOT = "elf-devops", "elf-gate"


@dataclass
class Clock:
    """Real time, and what a test adds to it: keys of Apps are signed by the machine's own clock."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def never(what: str) -> str:
    raise AssertionError(f"{what} was asked for")


@dataclass
class GitHubWorld:
    github: GitHub
    settings: Settings
    home: Home
    clock: Clock
    ada: Someone
    bot: Someone
    gate: Someone

    def connect(self, *, dry_run: bool = False, repo: str = REPO, **given: Any) -> dict[str, Any]:
        changed = dataclasses.replace(self.settings.github, **given)
        settings = dataclasses.replace(self.settings, github=changed)
        return connect(Asked(settings, self.home, repo, (), never, self.clock), dry_run=dry_run)

    def doctor(self, *, as_gate: bool = False) -> dict[str, Any]:
        settings = self.settings
        if as_gate:
            settings = dataclasses.replace(settings, github=dataclasses.replace(settings.github, setup_token=None))
        return examine(settings, self.home, self.clock)

    def wrong(self) -> list[str]:
        return [f"{it['what']}: {it['text']}" for it in self.doctor()["findings"] if it["level"] == "wrong"]

    def ask(self, verb: str, path: str, body: object = None) -> Any:
        """One request of the person's, behind the company's back."""
        import httpx

        answer = httpx.request(
            verb,
            f"{self.github.api_url}/repos/{REPO}/{path}",
            json=body,
            headers={"Authorization": f"token {self.ada.token}"},
            trust_env=False,
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def named(self, what: str, name: str) -> Any:
        found = next(it for it in self.ask("GET", what) if it["name"] == name)
        return self.ask("GET", f"{what}/{found['id']}") if what == "rulesets" else found


def small_checkout(folder: Path) -> Path:
    """What a company begins with, without most of it."""
    shutil.copytree(CHECKOUT / "policies", folder / "policies", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "teams").mkdir()
    (folder / "teams" / "__init__.py").write_bytes(b"")
    workflow = Path(".github/workflows/gate.yml")
    (folder / workflow).parent.mkdir(parents=True)
    shutil.copy(CHECKOUT / workflow, folder / workflow)
    return folder


@contextmanager
def github_world(tmp_path: Path, *, apps: bool = False) -> Generator[GitHubWorld]:
    clock = Clock()
    make = an_app if apps else someone
    end = "[bot]" if apps else ""
    bot, gate = make(f"{BOT}{end}", "proposer"), make(f"{GATE_BOT}{end}", "gate")
    with running_github(tmp_path / "github", clock, bot, gate) as github:
        home = Home(tmp_path / "home")
        given = GitHubGiven(
            api_url=github.api_url,
            git_url=github.git_site,
            webhook_url="http://127.0.0.1:9/github/hook",
            setup_token=github.people["ada"].token,
            proposer_token=None if apps else bot.token,
            gate_token=None if apps else gate.token,
            proposer_app=_app(tmp_path, bot) if apps else None,
            gate_app=_app(tmp_path, gate) if apps else None,
        )
        settings = dataclasses.replace(
            read_settings({"ELF_HOME": str(home.path)}), github=given, checkout=small_checkout(tmp_path / "checkout")
        )
        yield GitHubWorld(github, settings, home, clock, github.people["ada"], bot, gate)


def _app(folder: Path, app: Someone) -> tuple[int, Path]:
    file = folder / f"{app.role}.pem"
    file.write_text(app.key or "")
    return app.app_id, file
