"""ListTasks through the gateway: the team is asked for its tasks, and only the caller's own are passed on, in pages of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from a2a.types.a2a_pb2 import ListTasksRequest
from google.protobuf.json_format import MessageToDict

from mcp_servers.gateway import a2a_message, jsonrpc
from mcp_servers.gateway.a2a_delivery import Relay, TeamAddress, ask
from mcp_servers.gateway.identity import Caller

_FILTERS = ("contextId", "status", "historyLength", "statusTimestampAfter", "includeArtifacts")
_TEAM_PAGE, _MOST_PAGES = 100, 20
DEFAULT_PAGE, LARGEST_PAGE = 50, 100
_TIMEOUT = timedelta(seconds=10)


async def list_tasks(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, given: Mapping[str, Any], own: Mapping[str, bool]
) -> dict[str, Any]:
    """The page that `given` asks for, of the tasks in `own` (true: its answer is late, and void).

    Raises `NotSent`, and `Refused` if the team does not answer.
    """
    params = MessageToDict(a2a_message.read_params(ListTasksRequest, given))
    size = params.get("pageSize", DEFAULT_PAGE)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_PAGE:
        raise a2a_message.NotSent(jsonrpc.INVALID_PARAMS, f"pageSize must be 1 to {LARGEST_PAGE}.")
    wanted = {name: params[name] for name in _FILTERS if name in params}
    found = [task for task in await _all(relay, caller, team, address, wanted) if task.get("id") in own]
    start = _after(found, params.get("pageToken") or None)
    page = [_void(task, team) if own[task["id"]] else task for task in found[start : start + size]]
    token = str(page[-1]["id"]) if page and start + size < len(found) else ""
    return {"tasks": page, "nextPageToken": token, "pageSize": size, "totalSize": len(found)}


async def _all(
    relay: Relay, caller: Caller, team: str, address: TeamAddress, wanted: Mapping[str, Any]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    for _ in range(_MOST_PAGES):
        params = {**wanted, "pageSize": _TEAM_PAGE} | ({"pageToken": token} if token else {})
        body = {"jsonrpc": "2.0", "id": relay.door.new_id(), "method": "ListTasks", "params": params}
        answer = await ask(relay, caller, team, address, body, _TIMEOUT)
        page = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
        tasks = page.get("tasks", [])
        found += [task for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []
        token = str(page.get("nextPageToken") or "")
        if not token:
            break
    return found


def _void(task: Mapping[str, Any], team: str) -> dict[str, Any]:
    return a2a_message.late_task(task["id"], team, None, context=task.get("contextId"))["task"]


def _after(tasks: list[dict[str, Any]], token: object) -> int:
    """Where the page begins: after the task that the token names."""
    if token is None:
        return 0
    for place, task in enumerate(tasks):
        if task.get("id") == token:
            return place + 1
    raise a2a_message.NotSent(
        jsonrpc.INVALID_PARAMS, "That pageToken is not one of ours, or its task is gone; start again."
    )
