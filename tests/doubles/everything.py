"""The server that the official MCP conformance suite wants to find: its tools, resources and prompts, on the SDK, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from mcp import types
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from starlette.applications import Starlette

from tests.doubles.serving import serving

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="
_IMAGE = types.ImageContent(type="image", data=_PIXEL, mimeType="image/png")
_SCHEMA_2020 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}
_DEFAULTS: dict[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
_TITLED = [{"const": f"value{number}", "title": f"Choice {number}"} for number in (1, 2, 3)]
_ENUMS: dict[str, Any] = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {"type": "string", "oneOf": _TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
    "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
}


class Events(EventStore):
    """Every event of every session, in memory: what makes streams resumable."""

    def __init__(self) -> None:
        self._kept: list[tuple[StreamId, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: types.JSONRPCMessage | None) -> EventId:
        self._kept.append((stream_id, message))
        return str(len(self._kept))

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        last = int(last_event_id)
        if not 0 < last <= len(self._kept):
            return None
        stream = self._kept[last - 1][0]
        for number, (of, message) in enumerate(self._kept[last:], last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def everything() -> FastMCP[Any]:
    """The server, not yet served."""
    server: FastMCP[Any] = FastMCP("everything", log_level="CRITICAL", event_store=Events(), retry_interval=100)
    _add_contents(server)
    _add_talk(server)
    _add_resources(server)
    _add_prompts(server)
    _add_rest(server)
    return server


@contextmanager
def everything_served() -> Generator[str]:
    """The address of its endpoint while it is served."""
    app: Starlette = everything().streamable_http_app()
    with serving(app) as url:
        yield f"{url}/mcp"


def definitions() -> list[dict[str, Any]]:
    """What the server's tools are, as its `server.yaml` admits them."""
    tools = everything()._tool_manager.list_tools()  # pyright: ignore[reportPrivateUsage] - no public way without a loop
    return [{"name": it.name, "description": it.description, "input_schema": it.parameters} for it in tools]


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _embedded(uri: str, kind: str, text: str) -> types.EmbeddedResource:
    contents = types.TextResourceContents.model_validate({"uri": uri, "mimeType": kind, "text": text})
    return types.EmbeddedResource(type="resource", resource=contents)


def _add_contents(server: FastMCP[Any]) -> None:
    """Tools that answer at once."""

    def simple() -> types.CallToolResult:
        return _result(_text("This is a simple text response for testing."))

    def image() -> types.CallToolResult:
        return _result(_IMAGE)

    def audio() -> types.CallToolResult:
        return _result(types.AudioContent(type="audio", data=_SOUND, mimeType="audio/wav"))

    def embedded() -> types.CallToolResult:
        return _result(_embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))

    def mixed() -> types.CallToolResult:
        more = _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
        return _result(_text("Multiple content types test:"), _IMAGE, more)

    def error() -> types.CallToolResult:
        raise RuntimeError("This tool intentionally returns an error for testing")

    for name, function in {
        "test_simple_text": simple,
        "test_image_content": image,
        "test_audio_content": audio,
        "test_embedded_resource": embedded,
        "test_multiple_content_types": mixed,
        "test_error_handling": error,
        "json_schema_2020_12_tool": simple,
    }.items():
        server.add_tool(function, name=name, description=f"Tests {name}.", structured_output=False)
    tool = server._tool_manager.get_tool("json_schema_2020_12_tool")  # pyright: ignore[reportPrivateUsage] - no public way
    assert tool is not None
    tool.parameters = _SCHEMA_2020


def _result(*content: types.ContentBlock) -> types.CallToolResult:
    return types.CallToolResult(content=list(content))


def _add_talk(server: FastMCP[Any]) -> None:
    """Tools that speak to the client before they answer."""

    async def logging(ctx: Context[Any, Any, Any]) -> str:
        for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.info(said)
            await asyncio.sleep(0.05)
        return "logged"

    async def progress(ctx: Context[Any, Any, Any]) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100)
            await asyncio.sleep(0.05)
        return "done"

    async def sampling(prompt: str, ctx: Context[Any, Any, Any]) -> str:
        message = types.SamplingMessage(role="user", content=_text(prompt))
        said = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
        return f"LLM response: {getattr(said.content, 'text', said.content)}"

    async def elicitation(message: str, ctx: Context[Any, Any, Any]) -> str:
        properties = {key: {"type": "string"} for key in ("username", "email")}
        return "User response: " + await _elicited(ctx, message, properties, ["username", "email"])

    async def defaults(ctx: Context[Any, Any, Any]) -> str:
        return "Elicitation completed: " + await _elicited(ctx, "Please say who you are.", _DEFAULTS, [])

    async def enums(ctx: Context[Any, Any, Any]) -> str:
        return "Elicitation completed: " + await _elicited(ctx, "Please choose.", _ENUMS, [])

    async def reconnection(ctx: Context[Any, Any, Any]) -> str:
        await ctx.close_sse_stream()
        await asyncio.sleep(0.1)
        return "Reconnection test completed."

    for name, function in {
        "test_tool_with_logging": logging,
        "test_tool_with_progress": progress,
        "test_sampling": sampling,
        "test_elicitation": elicitation,
        "test_elicitation_sep1034_defaults": defaults,
        "test_elicitation_sep1330_enums": enums,
        "test_reconnection": reconnection,
    }.items():
        server.add_tool(function, name=name, description=f"Tests {name}.", structured_output=False)


async def _elicited(ctx: Context[Any, Any, Any], message: str, properties: dict[str, Any], required: list[str]) -> str:
    schema = {"type": "object", "properties": properties, "required": required}
    said = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={said.action}, content={json.dumps(said.content)}"


def _add_resources(server: FastMCP[Any]) -> None:
    @server.resource("test://static-text", name="text", description="A text.", mime_type="text/plain")
    def text() -> str:  # pyright: ignore[reportUnusedFunction] - a resource
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", name="binary", description="An image.", mime_type="image/png")
    def binary() -> bytes:  # pyright: ignore[reportUnusedFunction] - a resource
        return b"\x89PNG\r\n\x1a\n"

    @server.resource("test://watched-resource", name="watched", description="Changes.", mime_type="text/plain")
    def watched() -> str:  # pyright: ignore[reportUnusedFunction] - a resource
        return "watched"

    @server.resource("test://template/{id}/data", name="template", description="By id.", mime_type="application/json")
    def template(id: str) -> str:  # pyright: ignore[reportUnusedFunction] - a resource
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_prompts(server: FastMCP[Any]) -> None:
    @server.prompt("test_simple_prompt", description="Without arguments.")
    def simple() -> str:  # pyright: ignore[reportUnusedFunction] - a prompt
        return "This is a simple prompt for testing."

    @server.prompt("test_prompt_with_arguments", description="With two.")
    def arguments(arg1: str, arg2: str) -> str:  # pyright: ignore[reportUnusedFunction] - a prompt
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt("test_prompt_with_embedded_resource", description="With a resource.")
    def embedded(resourceUri: str) -> list[Any]:  # pyright: ignore[reportUnusedFunction] - a prompt
        content = _embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        said = [content, _text("Please process the embedded resource above.")]
        return [{"role": "user", "content": one.model_dump(mode="json")} for one in said]

    @server.prompt("test_prompt_with_image", description="With an image.")
    def image() -> list[Any]:  # pyright: ignore[reportUnusedFunction] - a prompt
        return [
            {"role": "user", "content": one.model_dump(mode="json")}
            for one in (_IMAGE, _text("Please analyze the image above."))
        ]


def _add_rest(server: FastMCP[Any]) -> None:
    """What the SDK has below its decorators only."""
    low = server._mcp_server  # pyright: ignore[reportPrivateUsage] - no public way

    async def level(_level: types.LoggingLevel) -> None:
        """Any will do."""

    async def subscribe(_uri: Any) -> None:
        """Nothing ever changes."""

    async def complete(
        _ref: types.PromptReference | types.ResourceTemplateReference,
        argument: types.CompletionArgument,
        _context: types.CompletionContext | None,
    ) -> types.Completion:
        return types.Completion(values=[f"{argument.value}-completed"], total=1, hasMore=False)

    low.set_logging_level()(level)
    low.subscribe_resource()(subscribe)
    low.unsubscribe_resource()(subscribe)
    server.completion()(complete)
