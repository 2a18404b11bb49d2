"""Errors in GitHub's own shape and with its codes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mcp_servers.git.command import GitFailed, GitTimeout
from mcp_servers.git.objects import UnknownRevision

DOCUMENTATION = "https://docs.github.com/rest"


class ForgeError(Exception):
    """An answer that is an error: HTTP `status`, a message, and GitHub's list of what is wrong with which field."""

    def __init__(self, status: int, message: str, errors: Sequence[dict[str, str]] = ()) -> None:
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


def answer(status: int, message: str, errors: Sequence[dict[str, str]] = ()) -> JSONResponse:
    body: dict[str, object] = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status)


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
        named = [{"field": str(item["loc"][-1]), "code": "invalid", "message": str(item["msg"])} for item in found]
        return answer(422, "Invalid request.", named)

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
