"""What the environment says, read once and checked. No other module reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

CHECKOUT = Path(__file__).resolve().parents[1]
DEFAULT_PORT = 7070


class BadSettings(ValueError):
    """A setting that cannot be used; the message names the variable and the fix."""


@dataclass(frozen=True)
class Settings:
    """Where the company lives and what it may use. `model_price` is USD per million (input, output) tokens."""

    home: Path
    port: int
    database_url: str
    openai_api_key: str | None
    anthropic_api_key: str | None
    model_base_url: str | None
    model_name: str | None
    model_api_key: str | None
    model_price: tuple[Decimal, Decimal] | None
    checkout: Path = CHECKOUT

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, around: Mapping[str, str]) -> dict[str, str]:
        """The environment that says exactly these settings, whatever the one `around` says of them."""
        price = ",".join(str(amount) for amount in self.model_price or ())
        said = {
            "ELF_HOME": str(self.home),
            "ELF_PORT": str(self.port),
            "ELF_DATABASE_URL": self.database_url,
            "SUPABASE_DB_URL": None,
            "OPENAI_API_KEY": self.openai_api_key,
            "ANTHROPIC_API_KEY": self.anthropic_api_key,
            "ELF_MODEL_BASE_URL": self.model_base_url,
            "ELF_MODEL": self.model_name,
            "ELF_MODEL_API_KEY": self.model_api_key,
            "ELF_MODEL_PRICE": price,
        }
        rest = {name: value for name, value in around.items() if name not in said}
        return rest | {name: value for name, value in said.items() if value}


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Reads the documented variables; raises `BadSettings`."""
    home = Path(environ.get("ELF_HOME") or CHECKOUT / ".elf").expanduser().absolute()
    return Settings(
        home=home,
        port=_port(environ.get("ELF_PORT", "")),
        database_url=_database(environ, home),
        openai_api_key=environ.get("OPENAI_API_KEY") or None,
        anthropic_api_key=environ.get("ANTHROPIC_API_KEY") or None,
        model_base_url=_base_url(environ.get("ELF_MODEL_BASE_URL", "")),
        model_name=environ.get("ELF_MODEL") or None,
        model_api_key=environ.get("ELF_MODEL_API_KEY") or None,
        model_price=_price(environ.get("ELF_MODEL_PRICE", "")),
    )


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise BadSettings(f"ELF_PORT is '{text[:20]}'; give a port number from 1 to 65535, such as ELF_PORT=7070")
    return int(text)


def _database(environ: Mapping[str, str], home: Path) -> str:
    url = environ.get("ELF_DATABASE_URL") or environ.get("SUPABASE_DB_URL")
    if not url:
        return f"sqlite:///{home / 'company.db'}"
    if urlsplit(url).scheme.split("+")[0] not in {"postgres", "postgresql", "sqlite"}:
        raise BadSettings("ELF_DATABASE_URL (or SUPABASE_DB_URL) must begin with postgresql:// or sqlite:///")
    return url


def _base_url(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadSettings("ELF_MODEL_BASE_URL must be an http address, such as http://127.0.0.1:11434/v1")
    return text.rstrip("/")


def _price(text: str) -> tuple[Decimal, Decimal] | None:
    if not text:
        return None
    try:
        given, produced = (Decimal(part.strip()) for part in text.split(","))
    except (ValueError, InvalidOperation) as error:
        raise BadSettings(
            "ELF_MODEL_PRICE is two amounts in USD per million tokens, input and output: ELF_MODEL_PRICE=0.25,2"
        ) from error
    if not (given.is_finite() and produced.is_finite() and given >= 0 and produced >= 0):
        raise BadSettings("ELF_MODEL_PRICE cannot be negative or without end: ELF_MODEL_PRICE=0.25,2")
    return given, produced
