"""`providers` of `models.yaml`: servers and services that people name, beside the three that the environment alone can set up.

The law says where a provider is and what it costs; it can say no key, and name no variable. A provider's key is the one variable
that its name makes (`key_variable`): whoever changes an address by a pull request can send that key there and nothing else of the
kernel's environment, and the reviewer of the address sees which one it is.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from policies.facts import Frozen
from policies.money import Usd

#: Providers that the environment alone sets up.
BUILT_IN = ("local", "anthropic", "openai")
#: Names that mean something else already, as a chain and as a provider.
RESERVED = frozenset({"default", "rehearsal", "lexical", *BUILT_IN})

ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", max_length=30)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=80)]
#: LangChain's own name of a provider, never the path of a class.
LangChainName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]

_KEY, _KEY_END = "ELF_PROVIDER_", "_API_KEY"


class ModelPrice(Frozen):
    """US dollars for a million tokens, in and out, in the file; micro-dollars here."""

    input: Usd
    output: Usd


class NamedProvider(Frozen):
    """A server of OpenAI's wire at `url`, or LangChain's class for `langchain` (at its own address, or at `url`)."""

    url: Annotated[str, StringConstraints(max_length=300)] | None = None
    langchain: LangChainName | None = None
    #: What the provider's name alone means.
    model: ModelName
    prices: dict[ModelName, ModelPrice] = Field(default_factory=dict, max_length=100)
    #: None: except on our own hardware.
    needs_key: bool | None = None
    #: How the server wants the longest answer named (OpenAI's wire); newer models of OpenAI's at other addresses want the second.
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    @field_validator("url")
    @classmethod
    def _is_an_address_for_keys(cls, url: str | None) -> str | None:
        if url is not None and (wrong := wrong_address(url)):
            raise ValueError(wrong)
        return url

    @model_validator(mode="after")
    def _is_reached_somehow(self) -> Self:
        if self.url is None and self.langchain is None:
            raise ValueError(
                "say url (a server of OpenAI's wire) or langchain (LangChain's name of a provider, such as mistralai)"
            )
        if self.needs_key is False and self.langchain and self.url and not is_own_hardware(self.url):
            raise ValueError(
                "needs_key: false lets LangChain find credentials by itself, which may not go to an address that stands here; "
                "leave out one of the two"
            )
        return self

    @property
    def wants_key(self) -> bool:
        if self.needs_key is not None:
            return self.needs_key
        return self.url is None or not is_own_hardware(self.url)


def wrong_address(url: str) -> str | None:
    """Why no key and no prompt may be sent there; None if they may. A host name is not looked up."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "this is no address; write one such as https://openrouter.ai/api/v1"
    if parts.scheme not in ("http", "https") or not host or any(not 33 <= ord(letter) <= 126 for letter in url):
        return "this is no http(s) address; write one such as https://openrouter.ai/api/v1"
    if "@" in parts.netloc:
        return "no user and no password may stand in an address; the key comes from the environment"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "an address ends with its path; leave out what follows ? or #"
    if parts.scheme == "http" and not is_own_hardware(url):
        return (
            "https is needed: prompts and the key would go there readable by everybody on the way. Plain http is for localhost and "
            "loopback or private IP addresses"
        )
    return None


@lru_cache(maxsize=64)
def is_own_hardware(url: str) -> bool:
    """Whether the address is loopback or private. A host name is not looked up, and only `localhost` counts."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (
        address.is_private and not address.is_unspecified and not address.is_link_local and not address.is_reserved
    )


def key_variable(provider: str) -> str:
    """The one variable of the environment that holds this provider's key: `open-router` -> `ELF_PROVIDER_OPEN_ROUTER_API_KEY`."""
    return f"{_KEY}{provider.upper().replace('-', '_')}{_KEY_END}"


def is_key_variable(name: str) -> bool:
    """Whether a variable of the environment is some provider's key."""
    return name.startswith(_KEY) and name.endswith(_KEY_END) and len(name) > len(_KEY) + len(_KEY_END)
