"""Errors in GitHub's own shape and with its codes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mcp_servers.git.command import GitFailed, GitTimeout
from mcp_servers.git.objects import UnknownRevision

DOCUMENTATION = "https://docs.github.com/rest"


#: What is wrong: a field by name, or a sentence. GitHub has both, by route.
Detail = dict[str, str] | str


class ForgeError(Exception):
    """An answer that is an error: HTTP `status`, a message, and GitHub's list of what is wrong."""

    def __init__(self, status: int, message: str, errors: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, list(errors)


def not_found() -> ForgeError:
    """Also for what the caller may not see."""
    return ForgeError(404, "Not Found")


def forbidden(why: str) -> ForgeError:
    return ForgeError(403, f"Resource not accessible by personal access token: {why}")


def invalid(resource: str, field: str, message: str, code: str = "custom") -> ForgeError:
    """422: one field is wrong."""
    return ForgeError(
        422, "Validation Failed", [{"resource": resource, "field": field, "code": code, "message": message}]
    )


def unprocessable(sentence: str) -> ForgeError:
    """422 as reviews have it: what is wrong is a sentence."""
    return ForgeError(422, "Unprocessable Entity", [sentence])


def rule_violated(status: int, *sentences: str) -> ForgeError:
    """What a rule of the repository does not let through: 422 at refs, 409 at contents, 405 at merges."""
    return ForgeError(status, "Repository rule violations found\n\n" + "\n\n".join(sentences))


def answer(
    status: int, message: str, errors: Sequence[Detail] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body: dict[str, object] = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """Make every error of the app leave in GitHub's shape."""

    async def forge_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ForgeError)
        return answer(error.status, error.message, error.errors)

    async def http_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return answer(error.status_code, str(error.detail))

    async def bad_request(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = error.errors()
        if any(item["type"] == "json_invalid" for item in found):
            return answer(400, "Problems parsing JSON")
        return answer(422, "Invalid request.\n\n" + "\n".join(_wrong(item) for item in found))

    async def git_error(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, GitTimeout):
            return answer(503, str(error))
        return answer(500, str(error))

    async def unknown(_: Request, error: Exception) -> JSONResponse:
        # Whatever was asked for by a name or path that no commit can have is not there.
        assert isinstance(error, UnknownRevision)
        return answer(404, "Not Found")

    async def unwritable(_: Request, error: Exception) -> JSONResponse:
        return answer(503, f"The forge's store takes no writes now ({error}); if the disk is full, free some room.")

    app.add_exception_handler(sqlite3.OperationalError, unwritable)
    app.add_exception_handler(UnknownRevision, unknown)
    app.add_exception_handler(ForgeError, forge_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, bad_request)
    app.add_exception_handler(GitFailed, git_error)


def _wrong(item: Mapping[str, Any]) -> str:
    """One thing wrong with a request's body, in the words GitHub has for it."""
    field = str(item["loc"][-1])
    if item["type"] == "missing":
        return f'"{field}" wasn\'t supplied.'
    return f"For 'properties/{field}', {str(item['msg'])[:200]}."
