"""What the environment may say, and what is refused."""

from __future__ import annotations

import pytest

from bootstrap.settings import BadSettings, read_settings

EVERYTHING = {
    "ELF_HOME": "/tmp/somewhere",
    "ELF_PORT": "7171",
    "ELF_DATABASE_URL": "postgresql://u:p@127.0.0.1/db",
    "OPENAI_API_KEY": "o",
    "ANTHROPIC_API_KEY": "a",
    "ELF_MODEL_BASE_URL": "http://127.0.0.1:11434/v1",
    "ELF_MODEL": "m",
    "ELF_MODEL_API_KEY": "k",
    "ELF_MODEL_PRICE": "0.25,2",
    "ELF_PROVIDER_CLOUD_API_KEY": "c",
    "ELF_ALERT_URLS": "json://127.0.0.1:9/x,mailto://u:p@127.0.0.1",
    "ELF_METRICS_OPEN": "1",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
    "DOCKER_HOST": "unix:///run/docker.sock",
    "ELF_MCP_SERVERS": "weather=http://127.0.0.1:9000/mcp",
    "ELF_MCP_SERVICES_FILE": "/tmp/services.yaml",
    "ELF_SECRET_WEATHER": "w",
}


POD = {
    "ELF_MCP_NAMESPACES": "tools",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
}
OUTSIDE = {
    "ELF_MCP_NAMESPACES": "elf-servers, tools",
    "KUBECONFIG": "/tmp/config",
    "ELF_KUBE_CONTEXT": "here",
}


@pytest.mark.rows("F64")
@pytest.mark.parametrize(
    "around",
    [
        {},
        EVERYTHING,
        POD,
        OUTSIDE,
        {"SUPABASE_DB_URL": "postgresql://real/company", "ELF_SECRET_OTHER": "o", "ELF_PROVIDER_OTHER_API_KEY": "o"},
    ],
)
def test_settings_survive_the_way_through_an_environment_that_says_otherwise(around: dict[str, str]) -> None:
    for environ in ({}, EVERYTHING, POD, OUTSIDE):
        settings = read_settings(environ)
        assert read_settings(settings.environment(around)) == settings


@pytest.mark.rows("F64")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ELF_PORT", "http"),
        ("ELF_PORT", "0"),
        ("ELF_PORT", "65536"),
        ("ELF_PORT", "²"),
        ("ELF_DATABASE_URL", "mysql://x"),
        ("ELF_MODEL_BASE_URL", "localhost:11434"),
        ("ELF_MODEL_PRICE", "cheap"),
        ("ELF_MODEL_PRICE", "1"),
        ("ELF_MODEL_PRICE", "-1,2"),
        ("ELF_MODEL_PRICE", "NaN,2"),
        ("ELF_MCP_NAMESPACES", "tools"),
        ("ELF_MCP_NAMESPACES", "Tools"),
        ("ELF_MCP_NAMESPACES", "../../secrets"),
        ("ELF_MCP_NAMESPACES", ",".join(f"n{number}" for number in range(21))),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_fix(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        read_settings({name: value})


@pytest.mark.rows("F64", "F76")
def test_what_github_is_given_is_read_and_handed_to_no_other_process() -> None:
    given = {
        "ELF_GITHUB_PROPOSER_TOKEN": "p-secret",
        "ELF_GITHUB_GATE_APP": "4711:/tmp/gate.pem",
        "ELF_GITHUB_SETUP_TOKEN": "s-secret",
        "ELF_GITHUB_PEOPLE": "ada, grace",
        "ELF_GITHUB_WEBHOOK_URL": "https://company.example/github/hook",
    }
    settings = read_settings(given)
    assert settings.github.people == ("ada", "grace") and settings.github.gate_app is not None
    assert settings.github.gate_app[0] == 4711 and settings.github.proposer_token == "p-secret"
    assert not any(name.startswith("ELF_GITHUB_") for name in settings.environment(given))
    assert "secret" not in repr(settings)


@pytest.mark.rows("F64")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ELF_GITHUB_API_URL", "http://github.example"),
        ("ELF_GITHUB_URL", "github.com"),
        ("ELF_GITHUB_WEBHOOK_URL", "ftp://company.example"),
        ("ELF_GITHUB_GATE_APP", "gate.pem"),
        ("ELF_GITHUB_PROPOSER_APP", "12"),
    ],
)
def test_a_github_setting_that_cannot_be_used_names_itself(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        read_settings({name: value})


@pytest.mark.rows("F37", "F64")
def test_a_cluster_is_asked_only_where_a_namespace_is_named_and_in_one_way() -> None:
    assert read_settings({"KUBECONFIG": "/tmp/config", "KUBERNETES_SERVICE_HOST": "10.96.0.1"}).kube is None
    given = read_settings({**POD, **OUTSIDE, "ELF_KUBECONFIG": "/tmp/own"}).kube
    assert given is not None and given.namespaces == ("elf-servers", "tools")
    assert (str(given.kubeconfig), given.context) == ("/tmp/own", "here")
    for also in ({"ELF_MCP_SERVICES_FILE": "/tmp/services.json"}, {"ELF_KUBECONFIG": "/tmp/a:/tmp/b"}):
        with pytest.raises(BadSettings, match=r"set one of them|one file"):
            read_settings(POD | also)
