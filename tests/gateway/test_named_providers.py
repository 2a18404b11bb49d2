"""Providers that the law names: several servers of OpenAI's wire at once, each with the one key that is its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from bootstrap import settings as bootstrap_settings
from bootstrap.settings import read_settings
from mcp_servers.gateway import endpoints
from mcp_servers.gateway.model_settings import ModelSettings
from mcp_servers.gateway.models import Models
from mcp_servers.gateway.prices import Link, Prices, PriceUnknown, Tokens
from mcp_servers.gateway.refusals import Refused
from memory.gateway_tables import UsageRow
from policies import providers
from policies.models import Economy, ModelsLaw
from policies.providers import key_variable, wrong_address
from tests.doubles.gateway import Office, office
from tests.doubles.provider import Provider, Reply
from tests.doubles.serving import serving

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
CLOUD_KEY = key_variable("cloud")
PRICES = {"big/one": {"input": "0.5", "output": "2"}}
MISTRAL: dict[str, Any] = {"langchain": "mistralai", "model": "mistral-small-latest"}


def law(named: dict[str, Any], chain: tuple[str, ...], **more: Any) -> ModelsLaw:
    return ModelsLaw.model_validate(
        {"providers": named, "chains": {"standard": chain}, "economy": Economy(chain=None), **more}
    )


@dataclass
class Street:
    """A gateway whose chain is `desk` (this machine, no key), then `cloud` (priced, with a key)."""

    office: Office
    urls: list[str]
    desk: Provider
    cloud: Provider

    def law(self, **cloud: Any) -> ModelsLaw:
        named = {
            "desk": {"url": f"{self.urls[0]}/v1", "model": "llama"},
            "cloud": {"url": f"{self.urls[1]}/v1", "model": "big/one", "prices": PRICES, "needs_key": True, **cloud},
        }
        return law(named, ("desk", "cloud"))

    def post(self, model: str = "default", *, stream: bool = False, **headers: str) -> httpx.Response:
        body = {"model": model, "messages": HELLO, "stream": stream}
        sent = self.office.headers("person") | headers
        return httpx.post(f"{self.office.url}/v1/chat/completions", json=body, headers=sent, timeout=30)

    def rows(self) -> list[tuple[str, str, int]]:
        with self.office.database.read() as session:
            return [(row.model, row.outcome, row.usd_micro) for row in session.query(UsageRow).order_by(UsageRow.id)]


@pytest.fixture
def street(tmp_path: Path) -> Generator[Street]:
    desk, cloud = Provider(), Provider()
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(one.app())) for one in (desk, cloud)]
        settings = ModelSettings(provider_keys={CLOUD_KEY: "k-cloud"}, timeout_seconds=20)
        found = Street(stack.enter_context(office(tmp_path, settings)), urls, desk, cloud)
        found.office.world.models_law = found.law()
        yield found


# ---------------------------------------------------------------- several servers at once


@pytest.mark.rows("F04", "F43", "F44")
def test_two_servers_of_openais_wire_stand_in_one_chain_each_with_its_own_key_and_price(street: Street) -> None:
    first = street.post()
    assert first.headers["x-elf-model"] == "desk/llama"
    street.desk.default = Reply(status=503)
    street.cloud.default = Reply(tokens_in=1_000, tokens_out=1_000)
    second = street.post()
    assert second.headers["x-elf-chain"] == "desk/llama;outage, cloud/big/one;ok"
    assert street.rows() == [("desk/llama", "ok", 0), ("desk/llama", "outage", 0), ("cloud/big/one", "ok", 2_500)]
    assert [street.desk.journal[0]["model"], street.cloud.journal[0]["model"]] == ["llama", "big/one"]
    assert (len(street.desk.journal), len(street.cloud.journal)) == (2, 1), "one try each"
    assert street.cloud.headers[0]["authorization"] == "Bearer k-cloud"
    assert "k-cloud" not in str(street.desk.headers), "a key goes to its own provider alone"
    calls = street.office.ledger("model.call")
    assert [row[4]["price"] for row in calls] == ["own hardware: 0"] * 2 + ["price from policies/models.yaml"]
    assert "k-cloud" not in str(calls)


@pytest.mark.rows("F04")
def test_a_member_may_name_a_model_at_a_named_provider_and_no_other(street: Street) -> None:
    street.office.world.models = {"marketing-team/editor": {"cloud/big/one", "clud/big/one", "desk/qwen:7b"}}
    listed = httpx.get(f"{street.office.url}/v1/models", headers=street.office.headers()).json()["data"]
    assert [one["id"] for one in listed] == ["cloud/big/one", "default", "desk/qwen:7b"]
    body = {"model": "clud/big/one", "messages": HELLO}
    refused = httpx.post(f"{street.office.url}/v1/chat/completions", json=body, headers=street.office.headers())
    assert refused.status_code == 404 and "'cloud/…'" in refused.json()["error"]["message"]
    assert street.post("cloud/big/one").headers["x-elf-model"] == "cloud/big/one"


@pytest.mark.rows("F43")
def test_the_law_may_move_a_provider_or_take_it_away_while_the_company_runs(street: Street) -> None:
    assert street.post("cloud/big/one").status_code == 200 and len(street.cloud.journal) == 1
    street.office.world.models_law = street.law(url=f"{street.urls[0]}/v1")
    assert street.post("cloud/big/one").status_code == 200
    assert (len(street.desk.journal), len(street.cloud.journal)) == (1, 1)
    street.office.world.models_law = law({}, ("local",))
    gone = street.post("cloud/big/one")
    assert gone.status_code == 404 and "There is no model" in gone.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_the_law_takes_away_between_two_tries_is_passed_over(street: Street, stream: bool) -> None:
    models, whole = street.office.gateway.models, street.law()
    laws = [whole, law({"desk": whole.providers["desk"]}, ("desk",))]
    models.law = lambda: laws[0] if not street.desk.journal else laws[1]
    street.desk.default = Reply(status=503)
    answer = street.post(stream=stream)
    assert answer.status_code == 502 and "no such provider any more" in answer.json()["error"]["message"]
    assert street.cloud.journal == []
    assert street.rows() == [("desk/llama", "outage", 0), ("cloud/big/one", "unreachable", 0)], (
        "no money is lost track of"
    )


@pytest.mark.rows("F43")
def test_a_named_provider_makes_embeddings(street: Street) -> None:
    answer = httpx.post(
        f"{street.office.url}/v1/embeddings",
        json={"model": "desk/embedder", "input": ["a"]},
        headers=street.office.headers("person"),
    )
    assert answer.status_code == 200 and answer.json()["model"] == "desk/embedder"
    named = {"mistral": MISTRAL | {"url": "http://127.0.0.1:9"}}
    models = Models(ModelSettings(), lambda _: {}, lambda: law(named, ("mistral",)))
    with pytest.raises(Refused, match="mistral makes no embeddings"):
        models.embedding("mistral/mistral-embed")


# ---------------------------------------------------------------- what is missing is said


@pytest.mark.rows("F43", "F64")
def test_what_a_named_provider_lacks_is_left_out_of_the_chain_and_said(street: Street) -> None:
    named = {
        "cloud": {"url": "https://models.example.com/v1", "model": "big"},
        "other": {"url": "https://other.example.com/v1", "model": "big"},
        "solar": {"langchain": "upstage", "model": "solar-pro"},
        "typo": {"langchain": "mistrall", "model": "m", "needs_key": False},
        "desk": {"url": f"{street.urls[0]}/v1", "model": "llama"},
    }
    settings = ModelSettings(provider_keys={CLOUD_KEY: "k", key_variable("solar"): "k"})
    street.office.world.models_law = law(named, ("other", "solar", "typo", "desk"))
    models = Models(settings, lambda _: {}, lambda: street.office.world.models_law)
    found = models.left_out(Prices(named=lambda: models.law().providers))
    assert set(found) == {"cloud", "other", "solar", "typo"}
    assert "models.yaml under providers.cloud.prices" in found["cloud"]
    assert found["other"] == "ELF_PROVIDER_OTHER_API_KEY is not set"
    assert "uv pip install" in found["solar"] and "langchain-upstage" in found["solar"]
    assert "LangChain knows no provider 'mistrall'; it knows anthropic" in found["typo"]
    assert street.post().headers["x-elf-model"] == "desk/llama"
    assert "is not set" in str(street.office.ledger("model.call")[0][4]["skipped"])


def test_the_rehearsal_model_answers_for_no_provider_that_was_given_a_key() -> None:
    without_package = law({"solar": {"langchain": "upstage", "model": "s"}}, ("solar",))
    given = ModelSettings(provider_keys={key_variable("solar"): "k"})
    with pytest.raises(Refused, match="langchain-upstage is not installed"):
        _ = Models(given, lambda _: {}, lambda: without_package).default
    # Whoever gave no key at all rehearses, as with the providers that need no name.
    assert Models(ModelSettings(), lambda _: {}, lambda: without_package).default == Link("rehearsal", "rehearsal")


@pytest.mark.rows("L4")
def test_a_price_is_given_by_model_listed_or_unknown_which_is_a_no() -> None:
    named = law(
        {
            "cloud": {"url": "https://models.example.com/v1", "model": "big/one", "prices": PRICES},
            "router": {"url": "https://openrouter.ai/api/v1", "model": "openai/gpt-4o"},
            "mistral": MISTRAL,
            "desk": {"url": "http://10.0.0.9:8000/v1", "model": "m", "prices": {"m": {"input": 1, "output": 0}}},
        },
        ("cloud",),
    ).providers
    prices, million = Prices(named=lambda: named), Tokens(1_000_000, 1_000_000)
    assert prices.cost(Link("cloud", "big/one"), million) == 2_500_000
    assert prices.upper_bound(Link("cloud", "big/one"), 1, 0) == 1, "rounded up to a whole micro-dollar"
    for unknown in (Link("cloud", "big/two"), Link("mistral", "nobody"), Link("gone", "m")):
        with pytest.raises(PriceUnknown):
            prices.cost(unknown, million)
    assert prices.cost(Link("router", "openai/gpt-4o"), Tokens(1_000_000, 0)) == 2_500_000
    assert prices.cost(Link("mistral", "mistral-small-latest"), Tokens(1_000_000, 0)) > 0
    assert prices.cost(Link("desk", "m"), million) == 1_000_000, "what people wrote goes before own hardware"
    assert prices.basis(Link("gone", "m")) == "no longer known"


# ---------------------------------------------------------------- what the law may not say


@pytest.mark.rows("F64")
@pytest.mark.parametrize(
    ("named", "says"),
    [
        (
            {"openai": {"url": "https://a.example.com", "model": "m"}},
            "providers.openai: this name means something else",
        ),
        ({"lexical": {"url": "https://a.example.com", "model": "m"}}, "providers.lexical: this name means"),
        ({"local": {"url": "https://a.example.com", "model": "m"}}, "providers.local: this name means"),
        ({"standard": {"url": "https://a.example.com", "model": "m"}}, "chains.standard: this name means"),
        ({"Cloud": {"url": "https://a.example.com", "model": "m"}}, "pattern"),
        ({"a_b": {"url": "https://a.example.com", "model": "m"}}, "pattern"),
        ({"cloud": {"model": "m"}}, "say url .* or langchain"),
        ({"cloud": {"url": "https://a.example.com"}}, "model"),
        ({"cloud": {"url": "https://a.example.com", "model": "m", "key": "sk-1"}}, "Extra inputs"),
        ({"cloud": {"url": "https://a.example.com", "model": "m", "prices": {"m": {"input": 1}}}}, "output"),
        (
            {"cloud": {"url": "https://a.example.com", "model": "m", "prices": {"m": {"input": -1, "output": 1}}}},
            "between 0 and",
        ),
        (
            {"cloud": {"url": "https://a.example.com", "model": "m", "prices": {"m": {"input": "NaN", "output": 1}}}},
            "between 0 and",
        ),
        ({"cloud": {"langchain": "os.system", "model": "m"}}, "pattern"),
        (
            {"cloud": {"langchain": "mistralai", "url": "https://a.example.com", "model": "m", "needs_key": False}},
            "by itself",
        ),
        ({"cloud": {"langchain": "mistralai", "model": "../../m"}}, "pattern"),
    ],
)
def test_a_provider_that_cannot_be_meant_is_refused_with_the_law(named: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        law(named, ("local",))


def test_a_link_or_embedding_at_a_provider_that_nobody_named_is_refused_with_the_law() -> None:
    with pytest.raises(
        ValidationError, match=r"chains.standard: there is no provider 'clud'; .* local, anthropic, openai, cloud"
    ):
        law({"cloud": {"url": "https://a.example.com", "model": "m"}}, ("clud/m",))
    with pytest.raises(ValidationError, match="embeddings: there is no provider 'clud'"):
        law({}, ("local",), embeddings="clud/m")
    with pytest.raises(ValidationError, match="embeddings: mistral makes none here"):
        law({"mistral": MISTRAL}, ("local",), embeddings="mistral/mistral-embed")


REFUSED = {
    "http://models.example.com/v1": "https is needed",
    "http://8.8.8.8/v1": "https is needed",
    "http://127.0.0.1.example.com/v1": "https is needed",
    "http://169.254.169.254/latest": "https is needed",
    "http://0.0.0.0/v1": "https is needed",
    "http://2130706433/v1": "https is needed",
    "https://user:secret@models.example.com/v1": "no user and no password",
    "http://127.0.0.1@models.example.com/v1": "no user and no password",
    "https://models.example.com/v1?key=x": "ends with its path",
    "https://models.example.com/v1#x": "ends with its path",
    "ftp://models.example.com": "no http",
    "file:///etc/passwd": "no http",
    "models.example.com/v1": "no http",
    "https://": "no http",
    "https://models.example.com:99999": "no address",
    "https://[::1": "no address",
    "https://models.example.com/\nv1": "no http",
}


@pytest.mark.rows("F64", "F76")
@pytest.mark.parametrize("url", REFUSED)
def test_no_prompt_and_no_key_goes_to_an_address_that_others_can_read_on_the_way(url: str) -> None:
    with pytest.raises(ValidationError, match=REFUSED[url]):
        law({"cloud": {"url": url, "model": "m"}}, ("cloud",))


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example.com/v1",
        "http://localhost:1/v1",
        "http://[::1]:1/v1",
        "http://192.168.1.4:11434/v1",
        "https://8.8.8.8",
    ],
)
def test_https_and_own_hardware_may_be_named(url: str) -> None:
    assert wrong_address(url) is None


@pytest.mark.rows("F76")
def test_without_the_rule_for_addresses_a_key_would_leave_over_plain_http(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hole, planted: the stand-in plays a server elsewhere that is asked in plain text."""

    def elsewhere(_url: str) -> bool:
        return False

    def nothing_wrong(_url: str) -> None:
        return None

    monkeypatch.setattr(providers, "is_own_hardware", elsewhere)
    with pytest.raises(ValidationError, match="https is needed"):
        street.law()
    monkeypatch.setattr(providers, "wrong_address", nothing_wrong)
    street.office.world.models_law = street.law()
    assert street.post("cloud/big/one").status_code == 200
    assert street.cloud.headers[0]["authorization"] == "Bearer k-cloud", "in plain text"


# ---------------------------------------------------------------- no other key than its own

ENVIRONMENT = {
    "ELF_PROVIDER_CLOUD_API_KEY": "k-cloud",
    "ELF_GITHUB_GATE_TOKEN": "t-forge",
    "STRIPE_API_KEY": "k-stripe",
    "ELF_MODEL_API_KEY": "k-local",
    "ELF_DATABASE_URL": "postgresql://u:p@127.0.0.1/db",
}


@pytest.mark.rows("F40", "F76")
def test_a_law_can_send_no_variable_but_the_one_that_is_made_from_the_provider_s_name(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sent(name: str) -> str:
        given = ModelSettings(provider_keys=read_settings(ENVIRONMENT).provider_keys)
        named = {name: {"url": f"{street.urls[1]}/v1", "model": "m"}}
        street.office.gateway.models.settings = given
        street.office.world.models_law = law(named, (name,))
        assert street.post(f"{name}/m").status_code == 200
        return street.cloud.headers[-1]["authorization"]

    assert sent("cloud") == "Bearer k-cloud"
    for name in ("stripe", "elf-model", "elf-github-gate-token", "model"):
        assert sent(name) == "Bearer none"

    # The hole, planted: any variable that looks like somebody's key.
    def any_key(name: str) -> bool:
        return name.endswith("_API_KEY")

    def wide(name: str) -> str:
        return f"{name.upper().replace('-', '_')}_API_KEY"

    monkeypatch.setattr(bootstrap_settings, "is_key_variable", any_key)
    monkeypatch.setattr(endpoints, "key_variable", wide)
    assert sent("stripe") == "Bearer k-stripe"
    assert sent("elf-model") == "Bearer k-local"


def test_two_names_never_make_the_same_variable() -> None:
    names = ["a", "a-b", "ab", "a-b-c", "openrouter", "open-router"]
    assert len({key_variable(name) for name in names}) == len(names)
    assert key_variable("open-router") == "ELF_PROVIDER_OPEN_ROUTER_API_KEY"
