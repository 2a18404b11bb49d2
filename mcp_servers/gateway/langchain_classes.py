"""LangChain's chat models by LangChain's own names of their providers, and what to install where one is missing.

The name is looked up in LangChain's own table, so nothing that a law says is ever the path of a module.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


#: Older ones fit the lock, but do not keep to the address and the one try that they are made with.
_AT_LEAST = {"langchain-google-genai": ">=4.4"}


@lru_cache(maxsize=64)
def missing_class(name: str) -> str | None:
    """Why LangChain's class for that provider cannot be had, and what to do; None if it can. A new package is seen after a restart."""
    known = _table()
    if name not in known:
        return f"LangChain knows no provider {name!r}; it knows {', '.join(sorted(known))}"
    package = known[name].partition(".")[0]
    if find_spec(package) is None:
        wheel = package.replace("_", "-")
        wanted = f'"{wheel}{_AT_LEAST[wheel]}"' if wheel in _AT_LEAST else wheel
        return (
            f"the package {wheel} is not installed; install it with '.venv/bin/uv pip install --python .venv/bin/python "
            f"-c requirements.lock {wanted}' (docs/models.md says what to do if that finds no solution), then ./elf down and ./elf up"
        )
    return None


def chat_model_class(name: str) -> type[BaseChatModel]:
    """The class itself. Imports its package, which takes a second or more. Raises `ImportError`, or `KeyError` for an unknown name."""
    from importlib import import_module

    from langchain.chat_models.base import _BUILTIN_PROVIDERS  # pyright: ignore[reportPrivateUsage] - see `_table`

    module, class_name, _ = _BUILTIN_PROVIDERS[name]
    return getattr(import_module(module), class_name)


def _table() -> Mapping[str, str]:
    """LangChain's names and the modules behind them."""
    # Half a second to import: only a company whose law names such a provider waits for it. Private, but there is no other way to
    # learn what a name needs without importing it; a test holds it to what `init_chat_model` does.
    from langchain.chat_models.base import _BUILTIN_PROVIDERS  # pyright: ignore[reportPrivateUsage]

    return {name: module for name, (module, _, _) in _BUILTIN_PROVIDERS.items()}
