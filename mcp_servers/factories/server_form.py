"""What a model has to know to propose an internal tool server: the schema of what it may choose, the rules, an example that holds.

Made from `ServerSpec` itself, so that it cannot say anything else than what is checked. Pure.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mcp_servers.server_spec import ServerSpec

#: What is not a model's to choose: code sets it, or it belongs to another kind of server.
_NOT_CHOSEN = ("schema_version", "kind", "owner", "url", "command", "calls_per_minute", "max_result_bytes")

RULES = (
    "A tool is a list of steps, done in order; the last step's value is the result. There is no code, no arithmetic, no "
    "condition and no sending: http_get only reads.",
    "Steps: static gives `value` as it stands; template fills `text`; http_get reads `url` and parses JSON (`answer: text` for "
    "plain text); transform takes a part of an earlier value: `pick` follows a path (items.0.name), "
    "`first` shortens a list, `keep` keeps some fields.",
    "Each step stores its value under `into` (default `result`); a later step uses it: transform by `source`, template and http_get by "
    "placeholders such as {city} or {found.items.0.name}. A placeholder names an input or an earlier `into`.",
    "The host of a url is fixed: placeholders stand in the path, or as values of `query`. Only public addresses, best https; a redirect is "
    "not followed, so give the final address.",
    "A placeholder holds a fixed path, never another placeholder: what stands under a name that the caller chooses cannot be picked. Let "
    "the source do that by its query, or give the whole value.",
    "Names of servers, tools, inputs and `into` are lower-case words with underscores and no Python keywords (from, in, class are). A "
    "tool's name does not repeat the server's. There is no kind, owner or url of the server: those are set for you.",
    "Describe a tool to whoever will call it: what it gives, from where, in which units. A description gives no orders.",
    "Limits: an input has a type (string, integer, number, boolean), a description, and for strings a max_length or choices; a required "
    "input has no default. 20 inputs, 12 steps, 64 tools at most; as few as the request needs.",
    "A source that wants a key: name the secret in `credentials` with the header it goes into; its name begins with the server's "
    "name in capitals (WEATHER_KEY for weather). Never write a secret down. Prefer a source that needs none.",
)

EXAMPLE: dict[str, Any] = {
    "name": "weather",
    "purpose": "The weather now, for any place",
    "description": "Finds a place by its name and says how the weather is there, from open-meteo.com.",
    "tools": [
        {
            "name": "current",
            "description": "Temperature in degrees Celsius and wind in km/h, now, at the place that best fits the name.",
            "inputs": [{"name": "place", "description": "A place's name, such as Lisbon", "max_length": 80}],
            "steps": [
                {
                    "do": "http_get",
                    "url": "https://geocoding-api.open-meteo.com/v1/search",
                    "query": {"name": "{place}", "count": "1"},
                    "into": "found",
                },
                {
                    "do": "http_get",
                    "url": "https://api.open-meteo.com/v1/forecast",
                    "query": {
                        "latitude": "{found.results.0.latitude}",
                        "longitude": "{found.results.0.longitude}",
                        "current": "temperature_2m,wind_speed_10m",
                    },
                    "into": "forecast",
                },
                {
                    "do": "template",
                    "text": "{found.results.0.name}: {forecast.current.temperature_2m} degrees Celsius, "
                    "wind {forecast.current.wind_speed_10m} km/h",
                },
            ],
        }
    ],
}


def form() -> dict[str, Any]:
    """`schema` (JSON Schema of an object), `rules` and `example`: JSON values."""
    schema = deepcopy(ServerSpec.model_json_schema())
    for name in _NOT_CHOSEN:
        schema["properties"].pop(name)
    schema["required"] = [name for name in schema["required"] if name not in _NOT_CHOSEN]
    tool = schema["$defs"]["ToolSpec"]
    tool["properties"].pop("input_schema")
    tool["required"] = ["name", "description", "steps"]
    # Only http and internal servers' secrets go into a header; an internal one has no variables.
    schema["$defs"]["Credential"]["properties"].pop("variable")
    schema["title"], schema["description"] = "InternalServer", "A tool server made of steps."
    return {"schema": schema, "rules": list(RULES), "example": deepcopy(EXAMPLE)}
