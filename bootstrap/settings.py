"""What the environment says, read once and checked. No other module reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from bootstrap.kube_settings import BadKubeSettings, KubeGiven, kube_of, variables
from policies.providers import is_key_variable

CHECKOUT = Path(__file__).resolve().parents[1]
DEFAULT_PORT = 7070
_SECRET = "ELF_SECRET_"  # noqa: S105 (a prefix, no secret)

# What is secret, or may hold a secret, is a field with `repr=False`: it is printed nowhere, and the gate looks for it in every change
# (bootstrap/known_secrets.py reads the fields, so there is no second list). `variable` names it to people. Of an `address` only the
# password and tokens in it are secret; else all of it is.


@dataclass(frozen=True)
class GitHubGiven:
    """What `./elf github` is given. The tokens are read there alone: no other process of the company gets them from here."""

    api_url: str = field(
        default="https://api.github.com", repr=False, metadata={"variable": "ELF_GITHUB_API_URL", "address": True}
    )
    git_url: str = field(
        default="https://github.com", repr=False, metadata={"variable": "ELF_GITHUB_URL", "address": True}
    )
    people: tuple[str, ...] = ()
    #: Where GitHub can reach this company's /github/hook; it listens on this machine only.
    webhook_url: str = field(default="", repr=False, metadata={"variable": "ELF_GITHUB_WEBHOOK_URL", "address": True})
    proposer_token: str | None = field(default=None, repr=False, metadata={"variable": "ELF_GITHUB_PROPOSER_TOKEN"})
    gate_token: str | None = field(default=None, repr=False, metadata={"variable": "ELF_GITHUB_GATE_TOKEN"})
    setup_token: str | None = field(default=None, repr=False, metadata={"variable": "ELF_GITHUB_SETUP_TOKEN"})
    #: An App instead of a token: its number and the file with its private key.
    proposer_app: tuple[int, Path] | None = None
    gate_app: tuple[int, Path] | None = None


_GITHUB = "ELF_GITHUB_"


class BadSettings(ValueError):
    """A setting that cannot be used; the message names the variable and the fix."""


@dataclass(frozen=True)
class Settings:
    """Where the company lives and what it may use. `model_price` is USD per million (input, output) tokens."""

    home: Path
    port: int
    database_url: str = field(repr=False, metadata={"variable": "ELF_DATABASE_URL", "address": True})
    openai_api_key: str | None = field(repr=False, metadata={"variable": "OPENAI_API_KEY"})
    anthropic_api_key: str | None = field(repr=False, metadata={"variable": "ANTHROPIC_API_KEY"})
    model_base_url: str | None = field(repr=False, metadata={"variable": "ELF_MODEL_BASE_URL", "address": True})
    model_name: str | None
    model_api_key: str | None = field(repr=False, metadata={"variable": "ELF_MODEL_API_KEY"})
    model_price: tuple[Decimal, Decimal] | None
    #: Keys of the providers that policies/models.yaml names, by their variable: ELF_PROVIDER_<NAME>_API_KEY.
    provider_keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: Where people are told of what wants a look: Apprise addresses, which are secrets.
    alert_urls: tuple[str, ...] = field(default=(), repr=False, metadata={"variable": "ELF_ALERT_URLS"})
    #: Spans go there by OTLP over HTTP; None: nowhere.
    otel_endpoint: str | None = field(
        default=None, repr=False, metadata={"variable": "OTEL_EXPORTER_OTLP_ENDPOINT", "address": True}
    )
    #: May everybody on this machine read /metrics?
    metrics_open: bool = False
    docker_host: str | None = None
    checkout: Path = CHECKOUT
    github: GitHubGiven = field(default_factory=GitHubGiven)
    #: Tool servers that the environment names (ELF_MCP_SERVERS), and a file with the cluster's labelled services.
    mcp_servers: str = field(default="", repr=False, metadata={"variable": "ELF_MCP_SERVERS", "address": True})
    mcp_services_file: Path | None = None
    #: The cluster whose API is asked for them instead.
    kube: KubeGiven | None = None
    #: Secrets for tool servers: ELF_SECRET_<NAME>, by name. They are shown nowhere.
    server_secrets: Mapping[str, str] = field(
        default_factory=dict[str, str], repr=False, metadata={"variable": _SECRET}
    )

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
            "ELF_ALERT_URLS": ",".join(self.alert_urls),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otel_endpoint,
            "ELF_METRICS_OPEN": "1" if self.metrics_open else None,
            "DOCKER_HOST": self.docker_host,
            "ELF_MCP_SERVERS": self.mcp_servers,
            "ELF_MCP_SERVICES_FILE": str(self.mcp_services_file or ""),
            **{f"{_SECRET}{name}": value for name, value in self.server_secrets.items()},
            **variables(self.kube),
            **self.provider_keys,
        }
        rest = {
            name: value
            for name, value in around.items()
            if name not in said and not name.startswith((_SECRET, _GITHUB)) and not is_key_variable(name)
        }
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
        provider_keys={name: value for name, value in environ.items() if is_key_variable(name) and value},
        alert_urls=_alert_urls(environ.get("ELF_ALERT_URLS", "")),
        otel_endpoint=_otel_endpoint(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")),
        metrics_open=_switch(environ.get("ELF_METRICS_OPEN", ""), "ELF_METRICS_OPEN"),
        docker_host=environ.get("DOCKER_HOST") or None,
        github=_github(environ),
        mcp_servers=environ.get("ELF_MCP_SERVERS", ""),
        mcp_services_file=Path(file).expanduser() if (file := environ.get("ELF_MCP_SERVICES_FILE")) else None,
        kube=_kube(environ),
        server_secrets={
            name.removeprefix(_SECRET): value for name, value in environ.items() if name.startswith(_SECRET) and value
        },
    )


def _kube(environ: Mapping[str, str]) -> KubeGiven | None:
    try:
        return kube_of(environ)
    except BadKubeSettings as error:
        raise BadSettings(str(error)) from error


def _github(environ: Mapping[str, str]) -> GitHubGiven:
    def url(name: str, default: str) -> str:
        text = environ.get(name) or default
        parts = urlsplit(text)
        on_this_machine = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and on_this_machine)):
            raise BadSettings(f"{name} must be an https address, such as {default}; a token goes there")
        return text.rstrip("/")

    return GitHubGiven(
        api_url=url("ELF_GITHUB_API_URL", "https://api.github.com"),
        git_url=url("ELF_GITHUB_URL", "https://github.com"),
        people=tuple(part.strip() for part in environ.get("ELF_GITHUB_PEOPLE", "").split(",") if part.strip()),
        webhook_url=url("ELF_GITHUB_WEBHOOK_URL", "") if environ.get("ELF_GITHUB_WEBHOOK_URL") else "",
        proposer_token=environ.get("ELF_GITHUB_PROPOSER_TOKEN") or None,
        gate_token=environ.get("ELF_GITHUB_GATE_TOKEN") or None,
        setup_token=environ.get("ELF_GITHUB_SETUP_TOKEN") or None,
        proposer_app=_app("ELF_GITHUB_PROPOSER_APP", environ),
        gate_app=_app("ELF_GITHUB_GATE_APP", environ),
    )


def _app(name: str, environ: Mapping[str, str]) -> tuple[int, Path] | None:
    text = environ.get(name, "")
    if not text:
        return None
    number, _, file = text.partition(":")
    if not (number.isascii() and number.isdigit() and file):
        raise BadSettings(f"{name} is the App's number and the file with its private key: {name}=123456:app.pem")
    return int(number), Path(file).expanduser()


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


def _alert_urls(text: str) -> tuple[str, ...]:
    """Addresses by comma; a comma within an address is written %2C. The addresses are never in an error."""
    urls = tuple(part.strip() for part in text.split(",") if part.strip())
    for number, url in enumerate(urls, start=1):
        if "://" not in url:
            raise BadSettings(
                f"ELF_ALERT_URLS: the address number {number} is none; write each as Apprise does, such as "
                "slack://…, discord://…, mailto://…, and a comma within one as %2C"
            )
    return urls


def _otel_endpoint(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadSettings("OTEL_EXPORTER_OTLP_ENDPOINT must be an http address, such as http://127.0.0.1:4318")
    return text.rstrip("/")


def _switch(text: str, name: str) -> bool:
    if text.strip().lower() in {"", "0", "false", "no", "off"}:
        return False
    if text.strip().lower() in {"1", "true", "yes", "on"}:
        return True
    raise BadSettings(f"{name} is '{text[:20]}'; write 1 or 0")
