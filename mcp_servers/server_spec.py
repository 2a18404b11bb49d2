"""What a tool server is: the data of a `server.yaml`, that an agent may propose and that the gateway admits. Pure; no I/O.

Four kinds. `builtin`: the kernel's own, in code. `internal`: tools made of steps, which the company's runtime interprets.
`http`: somebody's server, reached over the network. `stdio`: a program, from the catalogue alone. Of the last two the file
holds every tool's definition as it was admitted; what a server says of itself later counts only where it says the same.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from teams.spec import Line, Paragraph, printable

WORD = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
MAX_TOOLS = 64
MAX_SCHEMA_BYTES = 16_000
#: Names that mean something beside the servers' folders, or in a tool's name.
RESERVED = frozenset(
    {
        "catalog",
        "catalog_runtime",
        "gateway",
        "factories",
        "elf",
        "git",
        "registry",
        "factory",
        "cluster",
        "test",
        "tests",
    }
)

Word = Annotated[str, StringConstraints(pattern=WORD, max_length=40)]
ToolName = Annotated[str, StringConstraints(pattern=WORD, max_length=60)]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$", max_length=60)]
Owner = Annotated[
    str, StringConstraints(pattern=r"^(person:[A-Za-z0-9-]{1,39}|kernel|[a-z][a-z0-9-]{0,39}(/[a-z][a-z0-9-]{0,39})?)$")
]
Url = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[!-~]+$")]

#: Literals, placeholders and what a placeholder may name: `{city}`, `{found.items.0.name}`.
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_-]+){0,8})\}")


class Strict(BaseModel):
    """Frozen, refuses fields it does not know; its texts hide nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="after")
    @classmethod
    def _texts_are_printable(cls, value: object) -> object:
        _all_printable(value)
        return value


class Credential(Strict):
    """A secret that the gateway adds to what it sends. The file names it; only the kernel's environment and keys hold it."""

    name: SecretName
    #: For http and internal servers: the header it goes into.
    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")] | None = None
    #: What stands in that header before the secret; `Bearer ` is usual.
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ]{0,20}$")] = ""
    #: For stdio servers: the variable of the program's environment.
    variable: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,60}$")] | None = None

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if (self.header is None) == (self.variable is None):
            raise ValueError("say where the secret goes: either `header` (http, internal) or `variable` (stdio)")
        if (self.header or "").lower() in {"host", "content-length", "transfer-encoding", "connection", "content-type"}:
            raise ValueError(
                f"the header {self.header} is the connection's own; use Authorization or the server's key header"
            )
        return self


class Input(Strict):
    """One argument of an internal server's tool."""

    name: Word
    type: Literal["string", "integer", "number", "boolean"] = "string"
    description: Line
    required: bool = True
    default: str | int | float | bool | None = None
    choices: tuple[Annotated[str, StringConstraints(max_length=100)], ...] = Field(default=(), max_length=50)
    max_length: int = Field(default=500, ge=1, le=10_000)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if keyword.iskeyword(self.name):
            raise ValueError(f"'{self.name}' is a Python keyword; choose another name")
        if self.required and self.default is not None:
            raise ValueError(f"'{self.name}' is required, so it needs no default; remove one of the two")
        if self.choices and self.type != "string":
            raise ValueError(f"'{self.name}' has choices, so its type is string")
        if self.default is not None and not _is_of(self.type, self.default):
            raise ValueError(f"the default of '{self.name}' is no {self.type}")
        return self

    def schema_(self) -> dict[str, Any]:
        """Its JSON Schema."""
        found: dict[str, Any] = {"type": self.type, "description": self.description}
        if self.type == "string":
            found |= {"enum": list(self.choices)} if self.choices else {"maxLength": self.max_length}
        return found if self.default is None else found | {"default": self.default}


class Static(Strict):
    """A value as it stands."""

    do: Literal["static"]
    value: Any
    into: Word = "result"


class Template(Strict):
    """A text with `{placeholders}`."""

    do: Literal["template"]
    text: Annotated[str, StringConstraints(min_length=1, max_length=8000)]
    into: Word = "result"


class HttpGet(Strict):
    """A GET of a public address. The host stands in the file; placeholders fill the path and the query, percent-encoded."""

    do: Literal["http_get"]
    url: Url
    query: dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\[\]-]{1,60}$")],
        Annotated[str, StringConstraints(max_length=500)],
    ] = Field(default_factory=dict, max_length=30)
    #: What the answer must be.
    answer: Literal["json", "text"] = "json"
    into: Word = "result"

    @field_validator("url")
    @classmethod
    def _has_a_fixed_host(cls, url: str) -> str:
        return fixed_host(url)


class Transform(Strict):
    """A part of an earlier value: `pick` follows a path, `keep` keeps some fields of each, `first` so many of a list."""

    do: Literal["transform"]
    source: Word = "result"
    pick: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,8}$", max_length=200)] | None
    ) = None
    first: int | None = Field(default=None, ge=1, le=1000)
    keep: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)], ...] = Field(
        default=(), max_length=50
    )
    into: Word = "result"


Step = Annotated[Static | Template | HttpGet | Transform, Field(discriminator="do")]


class ToolSpec(Strict):
    """One tool. Internal: `inputs` and `steps`. http and stdio: the `input_schema` as admitted. builtin: its name alone."""

    name: ToolName
    description: Paragraph | None = None
    inputs: tuple[Input, ...] = Field(default=(), max_length=20)
    steps: tuple[Step, ...] = Field(default=(), max_length=12)
    input_schema: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        names = [one.name for one in self.inputs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"inputs of '{self.name}' must have different names; given twice: {', '.join(twice)}")
        known = set(names)
        for step in self.steps:
            wanted = {step.source} if isinstance(step, Transform) else _placeholders(step)
            if missing := sorted(name for name in wanted if name not in known):
                raise ValueError(
                    f"'{self.name}' uses {{{missing[0]}}} before anything is called that; name an input or an earlier step's `into`"
                )
            if step.into in names:
                raise ValueError(f"a step of '{self.name}' writes into its input '{step.into}'; choose another name")
            known.add(step.into)
        if self.input_schema is not None:
            _checked_schema(self.name, self.input_schema)
        return self

    @property
    def schema_(self) -> dict[str, Any]:
        """The JSON Schema of its arguments, as the gateway lists it."""
        if self.input_schema is not None:
            return self.input_schema
        properties = {one.name: one.schema_() for one in self.inputs}
        required = [one.name for one in self.inputs if one.required]
        found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        return found | {"required": required} if required else found

    @property
    def sha256(self) -> str:
        """What the tool is admitted as: the hash of name, description and input schema."""
        return definition_sha256(self.name, self.description, self.schema_)


class ServerSpec(Strict):
    """A tool server, complete."""

    schema_version: Literal[1] = 1
    name: Word
    kind: Literal["builtin", "internal", "http", "stdio"]
    purpose: Line
    description: Paragraph
    owner: Owner
    #: http only. Absent: the address comes from the environment (ELF_MCP_SERVERS) or from the cluster, under this name.
    url: Url | None = None
    #: stdio only: the program and its arguments. No shell reads them.
    command: tuple[Annotated[str, StringConstraints(min_length=1, max_length=300)], ...] = Field(
        default=(), max_length=30
    )
    credentials: tuple[Credential, ...] = Field(default=(), max_length=10)
    #: How long a call may take, in seconds, and how many bytes its result may have. A program's time counts from its turn, and its
    #: start may take as long.
    timeout_seconds: float = Field(default=30, gt=0, le=300)
    max_result_bytes: int = Field(default=200_000, ge=1000, le=2_000_000)
    #: How often one member may call one of its tools in 60 seconds; the law's own limit counts too. Absent: no limit of its own.
    calls_per_minute: int | None = Field(default=None, ge=0, le=100_000)
    tools: tuple[ToolSpec, ...] = Field(min_length=1, max_length=MAX_TOOLS)

    @field_validator("name")
    @classmethod
    def _is_a_module_name(cls, name: str) -> str:
        if keyword.iskeyword(name) or keyword.issoftkeyword(name):
            raise ValueError(f"'{name}' is a Python keyword; choose another name, such as '{name}_server'")
        return name

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        _no_twins("tools", [tool.name for tool in self.tools])
        _no_twins("credentials", [one.name for one in self.credentials])
        if self.kind != "builtin" and self.name in RESERVED:
            raise ValueError(f"'{self.name}' is reserved; choose another name")
        if self.kind != "http" and self.url is not None:
            raise ValueError(f"url: a server of kind {self.kind} has none; remove it")
        if self.url is not None:
            fixed_host(self.url)
        if (self.kind == "stdio") != bool(self.command):
            raise ValueError("command: a server of kind stdio has one, and no other has; say which program is run")
        place = "variable" if self.kind == "stdio" else "header"
        if any(getattr(one, place) is None for one in self.credentials):
            raise ValueError(f"credentials: a server of kind {self.kind} gets its secrets by `{place}`")
        for tool in self.tools:
            _fits(self.kind, tool)
        return self

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host it may reach, as far as the file says."""
        urls = [self.url] if self.url else []
        urls += [step.url for tool in self.tools for step in tool.steps if isinstance(step, HttpGet)]
        return tuple(sorted({urlsplit(url).hostname or "" for url in urls}))

    @property
    def admitted(self) -> Mapping[str, str]:
        """Tool name -> hash of its definition as admitted."""
        return {tool.name: tool.sha256 for tool in self.tools}


def _all_printable(value: object, depth: int = 0) -> None:
    """What a reviewer cannot see must not reach a model: also not by way of a schema."""
    if depth > 30:
        raise ValueError("it is nested deeper than 30 levels; make it flatter")
    if isinstance(value, str):
        printable(value)
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            _all_printable(key, depth + 1)
            _all_printable(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in cast("list[object]", value):
            _all_printable(item, depth + 1)


def definition_sha256(name: str, description: str | None, schema: Mapping[str, Any]) -> str:
    """The hash of a tool's definition: what a model reads of it, and nothing else. White space around the description is nothing."""
    whole = [name, (description or "").strip(), schema]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fixed_host(url: str) -> str:
    """The address itself; `ValueError` unless scheme and host stand in it plainly, without user, fragment or placeholder."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError("url: the port is no number from 1 to 65535") from error
    host = parts.hostname or ""
    if (
        parts.scheme not in {"http", "https"}
        or not re.fullmatch(r"[a-z0-9.-]{1,253}|[0-9a-f:.]{2,45}", host)
        or port == 0
    ):
        raise ValueError("url: write a plain http(s) address; placeholders stand in the path and the query only")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("url: no user, password or fragment; a secret goes into `credentials`")
    return url


def _fits(kind: str, tool: ToolSpec) -> None:
    if kind == "builtin":
        return
    if tool.description is None:
        raise ValueError(f"tools.{tool.name}: say in `description` what it does and when to use it")
    if kind == "internal" and (not tool.steps or tool.input_schema is not None):
        raise ValueError(f"tools.{tool.name}: a tool of an internal server has `inputs` and `steps`, no `input_schema`")
    if kind in {"http", "stdio"} and (tool.steps or tool.inputs or tool.input_schema is None):
        raise ValueError(
            f"tools.{tool.name}: a wrapped server's tool has its `input_schema` as the server gives it, no `steps`"
        )


def _checked_schema(tool: str, schema: Mapping[str, Any]) -> None:
    if schema.get("type") != "object":
        raise ValueError(f"input_schema of '{tool}' describes an object: type: object")
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except (ValueError, TypeError) as error:
        raise ValueError(f"input_schema of '{tool}' is no JSON") from error
    if size > MAX_SCHEMA_BYTES:
        raise ValueError(f"input_schema of '{tool}' has {size} bytes; {MAX_SCHEMA_BYTES} are allowed")


def _placeholders(step: Static | Template | HttpGet) -> set[str]:
    texts: list[str] = []
    if isinstance(step, Template):
        texts = [step.text]
    elif isinstance(step, HttpGet):
        texts = [step.url, *step.query.values()]
    return {found.split(".")[0] for text in texts for found in PLACEHOLDER.findall(text)}


def _no_twins(what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} must have different names; given twice: {', '.join(twice)}")


def _is_of(kind: str, value: object) -> bool:
    wanted: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
    }
    return isinstance(value, wanted[kind]) and (kind == "boolean" or not isinstance(value, bool))
