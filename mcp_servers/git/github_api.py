"""GitHub's REST API as JSON, for what changes do not need: setting a repository up, and looking whether it still is so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from github import Github, GithubException
from requests.exceptions import RequestException

from mcp_servers.git.changes import Unavailable
from mcp_servers.git.github import TIMEOUT_SECONDS, Account, CurrentToken
from mcp_servers.git.github_courtesy import Courtesy
from mcp_servers.git.github_errors import translated

PER_PAGE = 100
#: No list that is read here is longer; a server that never ends one is not followed for ever.
MOST_PAGES = 50


class GitHubApi:
    """One identity's requests, each below `/repos/OWNER/NAME` unless it begins with a slash. `close` it at the end."""

    def __init__(self, account: Account, now: Callable[[], datetime]) -> None:
        self.account = account
        #: For the identity's other clients, so that they take turns.
        self.courtesy = Courtesy(account.writes_a_minute, now)
        self._client = Github(
            base_url=account.api_url,
            auth=CurrentToken(account),
            timeout=TIMEOUT_SECONDS,
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        self.courtesy.accompany(self._client)

    def ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's JSON. Raises the port's errors: `UnknownChange` is 404, `Refused` 422, `NotAllowed` 401 and 403."""
        try:
            return self._client.requester.requestJsonAndCheck(verb, self._path(path), input=body)[1]
        except GithubException as error:
            raise translated(error) from error
        except RequestException as error:
            raise Unavailable(
                f"{self.account.api_url} gave no usable answer ({type(error).__name__}); try later"
            ) from error

    def answer(self, verb: str, path: str, body: Mapping[str, Any]) -> tuple[int, str]:
        """Status and text of the answer, whatever they are."""
        try:
            status, _, text = self._client.requester.requestJson(verb, self._path(path), None, None, body)
            return status, text
        except RequestException as error:
            raise Unavailable(
                f"{self.account.api_url} gave no usable answer ({type(error).__name__}); try later"
            ) from error

    def all(self, path: str) -> list[Any]:
        """A whole list, page by page."""
        found: list[Any] = []
        for page in range(1, MOST_PAGES + 1):
            part = self.ask("GET", f"{path}?per_page={PER_PAGE}&page={page}")
            found += part
            if len(part) < PER_PAGE:
                break
        return found

    def close(self) -> None:
        self._client.close()

    def _path(self, path: str) -> str:
        if path.startswith("/"):
            return path
        return f"/repos/{self.account.repo}/{path}".rstrip("/")
