"""A GitHub App as an identity: its private key signs for installation tokens, which last an hour and are renewed in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from github import Auth, Github, GithubException
from requests.exceptions import RequestException

from mcp_servers.git.changes import NotAllowed, Unavailable
from mcp_servers.git.github_errors import translated

TIMEOUT_SECONDS = 15
#: A token is not used in its last minutes: a push that began with it has to end with it.
SPARE = timedelta(minutes=5)


@dataclass(frozen=True)
class App:
    """An App's number, and its private key in PEM."""

    app_id: int
    key: str = field(repr=False)


@dataclass(frozen=True)
class Installation:
    """Where an App is installed, and what it was granted there: `{"contents": "write", …}`. `login` is the App's account."""

    id: int
    app_id: int
    login: str
    permissions: Mapping[str, str]


class AppClient:
    """What an App asks about itself, signed with its own key. Every call may raise `Unavailable` or `NotAllowed`."""

    def __init__(self, api_url: str, app: App) -> None:
        self._api_url, self._app = api_url, app

    def installation(self, repo: str) -> Installation:
        """The App's installation at the repository (`owner/name`)."""
        about = self._ask("GET", "/app")
        found = self._ask("GET", f"/repos/{repo}/installation")
        return Installation(
            id=int(found["id"]),
            app_id=int(about["id"]),
            login=f"{about['slug']}[bot]",
            permissions=dict(found.get("permissions") or {}),
        )

    def token(self, installation: int, repo: str) -> tuple[str, datetime]:
        """A token for this one repository, and when it ends (UTC)."""
        wanted = {"repositories": [repo.split("/")[1]]}
        found = self._ask("POST", f"/app/installations/{installation}/access_tokens", wanted)
        return str(found["token"]), _time(str(found["expires_at"]))

    def _ask(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            auth = Auth.AppAuth(self._app.app_id, self._app.key)
            client = Github(base_url=self._api_url, auth=auth, timeout=TIMEOUT_SECONDS, retry=None)
        except Exception as error:
            raise NotAllowed("the App's private key cannot be read; give the PEM file that GitHub made") from error
        try:
            _, answer = client.requester.requestJsonAndCheck(verb, path, input=body)
        except GithubException as error:
            raise translated(error) from error
        except RequestException as error:
            raise Unavailable(f"{self._api_url} gave no usable answer ({type(error).__name__}); try later") from error
        except (ValueError, TypeError) as error:
            # PyJWT's complaint about a key that is none.
            raise NotAllowed("the App's private key cannot be used; give the PEM file that GitHub made") from error
        finally:
            client.close()
        return cast(dict[str, Any], answer)


class InstallationToken:
    """Call it for a token that still lasts. Threads may share it; only one of them fetches."""

    def __init__(self, client: AppClient, installation: int, repo: str, now: Callable[[], datetime]) -> None:
        self._client, self._installation, self._repo, self._now = client, installation, repo, now
        self._turn = threading.Lock()
        self._held: tuple[str, datetime] | None = None

    def __call__(self) -> str:
        with self._turn:
            if self._held is None or self._now() >= self._held[1] - SPARE:
                self._held = self._client.token(self._installation, self._repo)
            return self._held[0]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
