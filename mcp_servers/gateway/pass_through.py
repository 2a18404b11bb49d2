"""One tool server at /mcp/{server}, with its own names: the same door as /mcp, and more of the protocol where a grant says so.

A server over HTTP is passed through with sessions and streams. Any other has its tools there, without sessions. What a member may
do is decided on the parsed body, anew for each message; what is sent on is made of what was decided on.
"""

from __future__ import annotations

import re
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from mcp.types import CallToolRequestParams, InitializeRequestParams, ListToolsResult
from pydantic import ValidationError

from mcp_servers.gateway import jsonrpc
from mcp_servers.gateway.event_stream import frame
from mcp_servers.gateway.http_server import SESSION, HttpServer
from mcp_servers.gateway.identity import Caller
from mcp_servers.gateway.jsonrpc import Call, RpcError, Written
from mcp_servers.gateway.mcp_api import Wrong, initialize, invalid, note_wrong, said, wire, wrong_headers
from mcp_servers.gateway.pass_through_calls import PassThrough
from mcp_servers.gateway.pass_through_messages import request_id
from mcp_servers.gateway.pass_through_sessions import Session, SessionUnknown
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.served import Served
from mcp_servers.server_spec import WORD

_WORD = re.compile(WORD)


def pass_through_router(through: PassThrough) -> APIRouter:
    """The route /mcp/{server}."""
    router = APIRouter()

    @router.post("/mcp/{server}")
    @router.post("/mcp/{server}/")
    async def post(request: Request, server: str) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        return await _answered(_Visit(through, request, server).post)

    @router.get("/mcp/{server}")
    @router.get("/mcp/{server}/")
    async def listen(request: Request, server: str) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        return await _answered(_Visit(through, request, server).listen)

    @router.delete("/mcp/{server}")
    @router.delete("/mcp/{server}/")
    async def end(request: Request, server: str) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
        return await _answered(_Visit(through, request, server).end)

    return router


async def _answered(visit: Any) -> Response:
    try:
        return await visit()
    except RpcError as error:
        return jsonrpc.error(
            error.call_id, error.code, error.message, error.status if isinstance(error, Wrong) else 400
        )
    except Refused as refused:
        if refused.code == "unauthenticated":
            return jsonrpc.unauthenticated(refused)
        return jsonrpc.refusal(None, refused, _STATUS.get(refused.code, 400))


#: By HTTP, where there is no request to answer.
_STATUS = {
    "not_allowed": 404,
    "not_found": 404,
    "rate_limited": 429,
    "overloaded": 503,
    "upstream_failed": 502,
    "timeout": 504,
}


def _wrong_headers(request: Request) -> tuple[int, str] | None:
    if wrong := wrong_headers(request.headers):
        return wrong
    accept = request.headers.get("accept", "*/*").lower()
    if "*/*" in accept or ("text/event-stream" in accept and "application/" in accept):
        return None
    return 406, "Answers are application/json or text/event-stream; accept both."


class _Visit:
    """One HTTP request to one server."""

    def __init__(self, through: PassThrough, request: Request, server: str) -> None:
        self._through, self._request, self._name = through, request, server
        self._authorization = request.headers.get("authorization")

    async def post(self) -> Response:
        caller = await self._through.door.identify(self._authorization)
        body = await self._request.body()
        try:
            return await self._posted(caller, body)
        except Written:
            raise
        except RpcError as error:
            wrong = error if isinstance(error, Wrong) else Wrong(error, 400)
            known = self._name if _WORD.fullmatch(self._name) and len(self._name) <= 40 else "?"
            await note_wrong(self._through.door, caller, wrong, body, known)
            raise wrong from error

    async def _posted(self, caller: Caller, body: bytes) -> Response:
        """Raises `RpcError` for what is no request here; `Written`, if a row says so already."""
        if wrong := _wrong_headers(self._request):
            raise Wrong(RpcError(jsonrpc.INVALID_REQUEST, wrong[1]), wrong[0])
        message = jsonrpc.decode(body)
        if "method" not in message:
            await self._server(caller)
            return await self._client_answers(await self._session(caller), message)
        call = jsonrpc.call_of(message)
        try:
            served = await self._server(caller)
            if not isinstance(served.server, HttpServer):
                return await self._plain(caller, call)
            if call.method == "initialize" and not call.notification:
                return await self._opens(caller, served, served.server, call)
            session = await self._session(caller)
            if call.notification:
                await self._through.notify(session, call)
                return Response(status_code=202)
            return await self._asks(session, caller, call)
        except Refused as refused:
            if call.notification or isinstance(refused, SessionUnknown) or refused.code == "unauthenticated":
                raise
            return jsonrpc.refusal(call.id, refused)
        except Written as error:
            return jsonrpc.error(call.id, error.code, error.message)
        except RpcError as error:
            status = 400 if call.notification or error.code == jsonrpc.INVALID_REQUEST else 200
            raise Wrong(RpcError(error.code, error.message, call.id), status, call.method) from error
        except ValidationError as error:
            raise invalid(call, error) from error

    async def listen(self) -> Response:
        caller = await self._through.door.identify(self._authorization)
        served = await self._server(caller)
        if not isinstance(served.server, HttpServer):
            return Response(status_code=405, headers={"Allow": "POST"})
        if "text/event-stream" not in self._request.headers.get("accept", ""):
            return jsonrpc.error(None, jsonrpc.INVALID_REQUEST, "A stream is text/event-stream; accept it.", 406)
        session = await self._session(caller)
        return await self._through.listen(session, self._request.headers.get("last-event-id"), self._authorization)

    async def end(self) -> Response:
        caller = await self._through.door.identify(self._authorization)
        served = await self._server(caller)
        if not isinstance(served.server, HttpServer):
            return Response(status_code=405, headers={"Allow": "POST"})
        await self._through.close_session(await self._session(caller), "closed")
        return Response(status_code=204)

    async def _server(self, caller: Caller) -> Served:
        """The server, if anything of it is granted. Of others it is not even said that they exist. Raises `Refused`."""
        known = self._name if _WORD.fullmatch(self._name) else "?"
        served = await self._through.upstreams.one(known)
        if served is not None and self._through.door.grants.use_of(caller, known):
            return served
        why = (
            f"{caller.address} may use nothing of a tool server {self._name[:40]!r}: no grant in policies/access.yaml "
            "covers it, or there is none of that name. A person can grant it there by a pull request."
        )
        await self._through.door.record(caller, "mcp.session", known[:40], "refused", {"why": why})
        raise Refused("not_allowed", why)

    async def _session(self, caller: Caller) -> Session:
        id_ = self._request.headers.get(SESSION)
        if id_ is None:
            raise RpcError(jsonrpc.INVALID_REQUEST, "Send the Mcp-Session-Id that initialize gave you.")
        return await self._through.session(id_, caller, self._name)

    async def _opens(self, caller: Caller, served: Served, server: HttpServer, call: Call) -> Response:
        asked = InitializeRequestParams.model_validate(call.params)
        capabilities = wire(asked.capabilities)
        session, greeting = await self._through.open_session(
            caller, self._name, served, server, str(asked.protocolVersion), capabilities
        )
        answer = jsonrpc.result(call, greeting)
        answer.headers[SESSION] = session.id
        return answer

    async def _asks(self, session: Session, caller: Caller, call: Call) -> Response:
        if call.method == "ping":
            return jsonrpc.result(call, {})
        if call.method == "tools/list":
            return _one_event(await self._tools(caller, call))
        if request_id(call.id) is None:
            raise RpcError(jsonrpc.INVALID_REQUEST, "id must be a string or an integer.")
        if call.method == "tools/call":
            self._tool_of(call)
        return await self._through.request(session, call, said(self._request.headers), self._authorization)

    async def _client_answers(self, session: Session, message: dict[str, Any]) -> Response:
        """The client's answer to a question of the server's."""
        id_ = request_id(message.get("id"))
        result, fault = message.get("result"), message.get("error")
        if message.get("jsonrpc") != "2.0" or id_ is None or isinstance(result, dict) == isinstance(fault, dict):
            raise RpcError(
                jsonrpc.INVALID_REQUEST, "A message is a request, a notification or an answer of JSON-RPC 2.0."
            )
        given = {"result": result} if isinstance(result, dict) else {"error": _fault(cast("dict[str, Any]", fault))}
        await self._through.answer(session, id_, given)
        return Response(status_code=202)

    async def _plain(self, caller: Caller, call: Call) -> Response:
        """A server without HTTP of its own: its tools, as at /mcp."""
        if call.notification:
            return Response(status_code=202)
        if call.method == "initialize":
            return jsonrpc.result(call, initialize(call))
        if call.method == "ping":
            return jsonrpc.result(call, {})
        if call.method == "tools/list":
            return await self._tools(caller, call)
        if call.method != "tools/call":
            raise RpcError(
                jsonrpc.METHOD_NOT_FOUND, f"{self._name} has tools alone; {call.method[:60]!r} is none of its methods."
            )
        name, arguments = self._tool_of(call)
        return jsonrpc.raw_result(
            call, await self._through.calls.call(self._authorization, name, arguments, *said(self._request.headers))
        )

    async def _tools(self, caller: Caller, call: Call) -> JSONResponse:
        """What was admitted, and is granted to this caller; never what the server says at this moment."""
        tools = await self._through.upstreams.list_one(self._name)
        grants = self._through.door.grants
        allowed = [tool for tool in tools if grants.may_call(caller, f"{self._name}__{tool.name}")]
        return jsonrpc.result(call, wire(ListToolsResult(tools=allowed)))

    def _tool_of(self, call: Call) -> tuple[str, dict[str, Any]]:
        params = CallToolRequestParams.model_validate(call.params)
        return f"{self._name}__{params.name}", params.arguments or {}


def _one_event(answer: JSONResponse) -> Response:
    """What the gateway answers itself, in the form in which a session's other answers come."""
    return Response(frame(bytes(answer.body)), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _fault(given: dict[str, Any]) -> dict[str, Any]:
    code = given.get("code")
    known = isinstance(code, int) and not isinstance(code, bool)
    return {"code": code if known else jsonrpc.INTERNAL_ERROR, "message": str(given.get("message", ""))[:500]}
