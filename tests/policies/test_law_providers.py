"""`providers` of models.yaml, as it is read from the file: strict, and as the file's own comments teach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies import law
from policies.law import BadLaw
from tests.policies.cases import policy_files

FILE = Path(law.__file__).with_name("models.yaml")


def read(models: str) -> law.Law:
    return law.read({**policy_files(), "policies/models.yaml": models.encode()})


@pytest.mark.rows("F43")
def test_the_example_in_the_file_s_comments_is_a_law() -> None:
    text = FILE.read_text()
    example = text.partition("# For example:\n#   workstation:")[2].partition("\nproviders: {}")[0]
    lines = [line.removeprefix("#") for line in ("#   workstation:" + example).splitlines()]
    found = read(text.replace("providers: {}", "\n".join(["providers:", *lines]))).models.providers
    assert set(found) == {"workstation", "openrouter", "mistral"}
    assert found["mistral"].langchain == "mistralai" and not found["workstation"].wants_key
    assert found["openrouter"].prices["meta-llama/llama-3.3-70b-instruct"].input == 120_000
    assert read(text).models.providers == {}


@pytest.mark.rows("F64")
@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("a: {url: 'https://a.example.com', model: m}\n  a: {url: 'https://b.example.com', model: m}", "twice"),
        ("openai: {url: 'https://a.example.com', model: m}", "providers.openai: this name means something else"),
        ("a: {url: 'http://a.example.com', model: m}", "providers.a.url: .*https is needed"),
        ("a: {url: 'https://u:p@a.example.com', model: m}", "no user and no password"),
        ("a: {url: 'https://a.example.com', model: m, key: OPENAI_API_KEY}", "providers.a.key: Extra inputs"),
        ("a: {langchain: 'os.system', model: m}", "providers.a.langchain: .*pattern"),
    ],
)
def test_a_file_that_names_a_provider_as_none_can_be_is_no_law(lines: str, says: str) -> None:
    with pytest.raises(BadLaw, match=f"policies/models.yaml: .*{says}"):
        read(FILE.read_text().replace("providers: {}", f"providers:\n  {lines}"))


@pytest.mark.rows("F64")
def test_a_chain_that_names_an_unknown_provider_is_no_law() -> None:
    with pytest.raises(BadLaw, match="there is no provider 'opnerouter'; put it under providers"):
        read(FILE.read_text().replace("[local, anthropic, openai]", "[opnerouter/x, openai]"))
