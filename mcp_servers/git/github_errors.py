"""What GitHub's errors mean for a change, and what to do next."""

from __future__ import annotations

from github import GithubException, RateLimitExceededException

from mcp_servers.git.changes import (
    BaseMoved,
    ChangesError,
    HeadMoved,
    NotAllowed,
    NotMergeable,
    Refused,
    Unavailable,
    UnknownChange,
)

#: How GitHub begins what a ruleset forbids, at refs (422), files (409) and merges (405).
RULE = "Repository rule violations found"


def translated(error: GithubException) -> ChangesError:
    """The port's error for a PyGithub error: by its status, and where one status means several things by its text."""
    text = said(error)
    status = error.status
    if "workflow" in text and "permission" in text and status in {403, 405, 409, 422}:
        # "refusing to allow a GitHub App to create or update workflow … without `workflows` permission"
        return NotAllowed(text)
    if isinstance(error, RateLimitExceededException) or status == 429:
        return Unavailable(f"the rate limit is reached: {text}; try again later")
    if status == 401:
        return NotAllowed(f"the token is not accepted ({text}); renew it")
    if status == 403:
        return NotAllowed(text)
    if status == 404:
        return UnknownChange(f"there is no such thing there, or it may not be seen: {text}")
    if RULE in text:
        return NotAllowed(text)
    if status == 405:
        return BaseMoved(text) if "Base branch was modified" in text else NotMergeable(text)
    if status == 409:
        return HeadMoved(text)
    if status == 422:
        return _unprocessable(text)
    return Unavailable(f"status {status}: {text}; try again later")


def already_exists(error: GithubException) -> bool:
    """Whether a pull request could not be opened because there is one."""
    return error.status == 422 and "already exists" in said(error)


def said(error: GithubException) -> str:
    """The server's message and its field errors in one line, without anything of the request."""
    data = error.data if isinstance(error.data, dict) else {}
    details = data.get("errors") or []
    more = [
        str(detail.get("message") or detail.get("code")) if isinstance(detail, dict) else str(detail)
        for detail in details
    ]
    return "; ".join([str(data.get("message") or error.message or "no message"), *more])[:1000]


def _unprocessable(text: str) -> ChangesError:
    if "your own pull request" in text:
        return NotAllowed(f"{text}; somebody else must review it")
    if "the head is" in text:
        return HeadMoved(text)
    return Refused(text)
