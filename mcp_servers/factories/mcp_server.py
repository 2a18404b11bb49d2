"""A server spec becomes a folder of the catalogue. Pure: the same spec gives the same bytes, on any machine.

An internal server's code is a frame: typed functions whose bodies are the steps of `server.yaml`, run by the company's own
interpreter. No text of a spec becomes code. A wrapped server has no code of ours: its folder is what was admitted and why, and for a
program how to run it as an image. For one that is reached over HTTP there is nothing to build.
"""

from __future__ import annotations

import hashlib
import json

from mcp_servers.factories import literals, rendering
from mcp_servers.factories.fileset import File, FileSet
from mcp_servers.factories.server_files import dump_server
from mcp_servers.server_spec import Input, ServerSpec

_ALWAYS = ("README.md", "__init__.py", "tests/__init__.py", "tests/test_server.py")
_INTERNAL = (
    "server.py",
    "Dockerfile",
    "k8s/deployment.yaml",
    "k8s/service.yaml",
    "k8s/serviceaccount.yaml",
    "k8s/networkpolicy.yaml",
    "k8s/kustomization.yaml",
)
_TEMPLATES = {"internal": {path: path for path in _INTERNAL}, "stdio": {"Dockerfile": "program/Dockerfile"}, "http": {}}
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def render_server(spec: ServerSpec) -> FileSet:
    """The files of `mcp_servers/catalog/<name>/`, paths relative to it."""
    if spec.kind == "builtin":
        raise ValueError(
            "the kernel's own servers are written by hand; the factory makes internal, http and stdio ones"
        )
    environment = rendering.environment()
    text = dump_server(spec)
    shared = {
        "spec": spec,
        "version": "spec-" + hashlib.sha256(text.encode()).hexdigest()[:12],
        "signature": signature,
        "wide": wide,
    }
    templates: dict[str, str] = {path: path for path in _ALWAYS} | _TEMPLATES[spec.kind]
    files = {
        path: File(environment.get_template(f"mcp_server/{template}.j2").render(shared).encode())
        for path, template in templates.items()
    }
    files["server.yaml"] = File(text.encode())
    files["tools.lock"] = File((json.dumps(dict(spec.admitted), indent=2, sort_keys=True) + "\n").encode())
    return FileSet(files)


def signature(inputs: tuple[Input, ...]) -> literals.Literal:
    """The arguments of a typed function: required ones first, as Python wants it."""
    ordered = sorted(inputs, key=lambda one: not one.required)
    parts = [_argument(one) for one in ordered]
    flat = ", ".join(parts)
    return literals.Literal(flat)


def wide(tool: str, inputs: tuple[Input, ...]) -> bool:
    """Whether the function's head is longer than a line."""
    return len(f"    async def {tool}({signature(inputs)}) -> object:") > literals.LINE


def _argument(one: Input) -> str:
    name, kind = literals.word(one.name), _TYPES[one.type]
    return f"{name}: {kind}" if one.required else f"{name}: {kind} | None = None"
