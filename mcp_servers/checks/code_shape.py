"""Whether generated Python stays within what templates make: which nodes, imports and names it has. Pure; nothing of it is run.

This is what makes the sandbox's word worth something: code of this shape has no way to reach its own judge.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from policies.facts import Finding


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NODES = _words(
    "AnnAssign Assert Assign AsyncFunctionDef Attribute Await BinOp BitOr Call Compare Constant Dict DictComp Div Eq Expr FunctionDef If "
    "IfExp Import ImportFrom Is Lambda List ListComp Load Module Name Return SetComp Store Subscript Tuple alias arg arguments "
    "comprehension keyword UnaryOp USub"
)
_BUILTINS = _words("__all__ __file__ __name__ bool callable dict float int list object set str tuple")
#: What may be imported, name by name: a module's own imports are within reach of whoever holds the module.
_NAMES: Mapping[str, frozenset[str]] = {
    module: _words(names)
    for module, names in {
        "__future__": "annotations",
        "typing": "TYPE_CHECKING",
        "pathlib": "Path",
        "teams.spec": "Member",
        "teams.runtime.crew": "CrewTeam",
        "teams.runtime.graph": "GraphTeam",
        "teams.runtime.package": "read_spec",
        "teams.runtime.plan": "Agent AgentMaker Piece Plan",
        "teams.runtime.server": "main",
        "teams.runtime.testing": "Recorder as_specified",
        "teams.runtime.work": "Resources TeamWorker",
        "meta_teams.delivery.workflow": "build",
        "mcp_servers.catalog_runtime.server": "InternalServer typed",
        "mcp_servers.catalog_runtime.standalone": "CatalogServer beside",
        "mcp_servers.factories.server_files": "dump_server load_server",
        "mcp_servers.gateway.admission": "hashes",
        "mcp_servers.safe_http": "SafeHttp",
    }.items()
}
#: Whole modules, and the attributes of them that are used.
_MODULES = {"json": frozenset({"loads"}), "pytest": frozenset({"mark"})}
_MOST_NODES = 20_000
#: Ways out, by name. Such a name is taken for the file's own only below where the file defines or imports it at its top level.
_WAYS_OUT = _words(
    "__import__ breakpoint compile delattr dir eval exec getattr globals help input locals memoryview open setattr super type vars"
)


def look(path: str, text: str) -> Iterator[Finding]:
    """Findings in one Python file."""
    try:
        tree = ast.parse(text)
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        yield _found(path, f"{where}it is not Python ({type(error).__name__})")
        return
    if len(nodes) > _MOST_NODES:
        yield _found(path, "it is longer than generated code can be")
        return
    own, defined = _own_names(nodes), _defined(tree)
    for node in nodes:
        if (what := _odd(node, own) or _way_out(node, defined)) is not None:
            yield _found(path, f"line {getattr(node, 'lineno', 1)}: {what}, which no template makes")
            return


def _own_names(nodes: list[ast.AST]) -> set[str]:
    """What the file itself gives a name: functions, arguments, assignments, imports."""
    own: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own.add(node.name)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.alias):
            own.add(node.asname or node.name)
    return own


def _defined(tree: ast.Module) -> dict[str, int]:
    """The last line of the first top-level definition or import of each name."""
    found: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.setdefault(node.name, node.end_lineno or 0)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                found.setdefault(name.asname or name.name, node.end_lineno or 0)
    return found


def _way_out(node: ast.AST, defined: Mapping[str, int]) -> str | None:
    if not isinstance(node, ast.Name) or node.id not in _WAYS_OUT or isinstance(node.ctx, ast.Store):
        return None
    return None if defined.get(node.id, node.lineno) < node.lineno else f"the name {node.id}"


def _odd(node: ast.AST, own: set[str]) -> str | None:
    """What of this node no template makes."""
    kind = type(node).__name__
    if kind not in _NODES:
        return f"a {kind}"
    if isinstance(node, ast.Import):
        return next((f"an import of {it.name[:60]}" for it in node.names if it.name not in _MODULES), None)
    if isinstance(node, ast.ImportFrom):
        return _odd_import(node)
    if isinstance(node, ast.Name):
        return _odd_name(node, own)
    if isinstance(node, ast.Attribute):
        if node.attr.startswith("_"):
            return f"the inner attribute {node.attr[:60]}"
        if isinstance(node.value, ast.Name) and node.attr not in _MODULES.get(node.value.id, {node.attr}):
            return f"{node.value.id}.{node.attr[:60]}"
    return None


def _odd_import(node: ast.ImportFrom) -> str | None:
    if node.level > 2:
        return "an import from outside its folder"
    if any(name.asname and name.asname.startswith("_") for name in node.names):
        return "an import under an inner name"
    if node.level:
        return next((f"an import of {it.name[:60]}" for it in node.names if it.name.startswith(("_", "*"))), None)
    allowed = _NAMES.get(node.module or "", frozenset())
    return next((f"an import of {node.module}.{it.name[:60]}" for it in node.names if it.name not in allowed), None)


def _odd_name(node: ast.Name, own: set[str]) -> str | None:
    if isinstance(node.ctx, ast.Store):
        # A builtin by another name would not be seen again.
        return f"another meaning for {node.id[:60]}" if node.id.startswith("_") and node.id != "__all__" else None
    return None if node.id in own or node.id in _BUILTINS else f"the name {node.id[:60]}"


def _found(path: str, what: str) -> Finding:
    return Finding(check="code", where=path, what=what)
