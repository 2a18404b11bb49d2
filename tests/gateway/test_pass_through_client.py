"""The official Python client in a session with one server: everything that the protocol has, as far as it is granted. No Node needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.context import RequestContext
from pydantic import AnyUrl

from tests.doubles.everything_gateway import REST, TOOLS, behind_the_gateway
from tests.doubles.gateway import World


class Client:
    """What the client's own side is told."""

    def __init__(self) -> None:
        self.logged: list[Any] = []
        self.progress: list[float] = []

    async def sampled(
        self, context: RequestContext[Any, Any], params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult:
        assert context.session is not None and params.meta is not None
        content = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", content=content, model="test")

    async def elicited(
        self, context: RequestContext[Any, Any], params: types.ElicitRequestParams
    ) -> types.ElicitResult:
        assert context.session is not None
        return types.ElicitResult(action="accept", content={"username": params.message, "email": "a@example.org"})

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logged.append(params.data)

    async def on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress.append(progress)


@pytest.mark.rows("F35", "F39")
async def test_the_official_client_does_everything_that_it_is_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    with behind_the_gateway(tmp_path, monkeypatch, World(grants=TOOLS, servers=REST)) as (found, url):
        async with (
            httpx.AsyncClient(headers=found.headers()) as http,
            streamable_http_client(url, http_client=http) as (read, write, _),
            ClientSession(
                read,
                write,
                sampling_callback=client.sampled,
                elicitation_callback=client.elicited,
                logging_callback=client.log,
            ) as session,
        ):
            await session.initialize()
            assert len((await session.list_tools()).tools) == 14
            sampled = await session.call_tool("test_sampling", {"prompt": "say"})
            elicited = await session.call_tool("test_elicitation", {"message": "who"})
            await session.call_tool("test_tool_with_logging", {})
            await session.call_tool("test_tool_with_progress", {}, progress_callback=client.on_progress)
            resumed = await session.call_tool("test_reconnection", {})
            read_ = await session.read_resource(AnyUrl("test://template/7/data"))
            prompt = await session.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
            await session.set_logging_level("debug")
            await session.send_ping()
    said = [getattr(it.content[0], "text", "") for it in (sampled, elicited, resumed)]
    assert said[0] == "LLM response: sampled" and "accept" in said[1] and said[2] == "Reconnection test completed."
    assert client.logged == ["Tool execution started", "Tool processing data", "Tool execution completed"]
    assert client.progress == [0, 50, 100]
    assert "Data for ID: 7" in getattr(read_.contents[0], "text", "") and "arg1='a'" in str(prompt.messages)
    ends = {row[3] for row in found.ledger() if row[1] != "mcp.stream"}
    assert ends == {"allowed", "ok", "opened", "closed"}, "nothing was refused, nothing broke"
