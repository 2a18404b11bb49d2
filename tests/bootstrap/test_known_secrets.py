"""One place knows every secret that the company's own process holds: the gate looks for it in every change."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap import known_secrets as module
from bootstrap.home import Home
from bootstrap.known_secrets import known_secrets
from bootstrap.settings import GitHubGiven, Settings, read_settings
from mcp_servers.checks.secret_scan import SecretScanner

PASSWORD = "correct-horse-77"
#: Names of what may hold a secret.
SUSPICIOUS = re.compile(r"key|token|secret|passw|credential|url|endpoint|servers$")


def settings_with(**environ: str) -> Settings:
    return read_settings({"ELF_HOME": "/nowhere", **environ})


def values(settings: Settings, tmp_path: Path) -> set[str]:
    home = Home(tmp_path / "home")
    home.prepare()
    return set(known_secrets(settings, home).values())


def filled(kind: object, canary: str) -> object:
    """A value of the field's type that holds the canary where a secret would stand."""
    if "Mapping" in str(kind):
        return {"NAME": canary}
    return (canary,) if "tuple" in str(kind) else canary


@pytest.mark.rows("F76", "F105")
@pytest.mark.parametrize("group", [Settings, GitHubGiven])
def test_every_secret_setting_is_looked_for(group: type[Settings | GitHubGiven], tmp_path: Path) -> None:
    secret = [one for one in fields(group) if not one.repr]
    assert len(secret) >= 6
    for one in secret:
        canary = f"https://elf:{PASSWORD}@host.example/x" if one.metadata.get("address") else PASSWORD
        settings, given = settings_with(), {one.name: filled(one.type, canary)}
        changed = replace(settings, **given) if group is Settings else replace(settings, github=GitHubGiven(**given))  # pyright: ignore[reportArgumentType] - by name
        assert PASSWORD in values(changed, tmp_path), one.name
        assert PASSWORD not in repr(changed), one.name


@pytest.mark.rows("F76")
@pytest.mark.parametrize("group", [Settings, GitHubGiven])
def test_a_setting_that_may_hold_a_secret_is_marked_as_one(group: type[Settings | GitHubGiven]) -> None:
    assert [one.name for one in fields(group) if one.repr and SUSPICIOUS.search(one.name)] == []


def test_a_secret_setting_that_somebody_adds_is_looked_for_without_further_ado(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class More(Settings):
        pager_code: str = field(default="", repr=False)

    before = {one.name: getattr(settings_with(), one.name) for one in fields(Settings)}
    assert "0815-pager-0815" in values(More(**before, pager_code="0815-pager-0815"), tmp_path)


def test_a_secret_of_a_kind_that_nobody_looks_for_is_said_and_not_passed_over(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class More(Settings):
        pin: int = field(default=0, repr=False)

    before = {one.name: getattr(settings_with(), one.name) for one in fields(Settings)}
    with pytest.raises(TypeError, match="pin is a secret of a kind"):
        values(More(**before, pin=12345678), tmp_path)


@pytest.mark.rows("F76", "F105")
@pytest.mark.parametrize(
    ("environ", "secret"),
    [
        ({"ELF_DATABASE_URL": "postgresql://elf:p%40ss-word-1@db.example:5432/elf"}, "p@ss-word-1"),
        ({"SUPABASE_DB_URL": "postgresql://postgres:sup4-base-pw@db.example/postgres"}, "sup4-base-pw"),
        ({"ELF_DATABASE_URL": "postgresql://db.example/elf?user=elf&password=in-the-query"}, "in-the-query"),
        ({"ELF_MODEL_BASE_URL": "https://a-model-token@models.example/v1"}, "a-model-token"),
        ({"ELF_MCP_SERVERS": "a=https://a.example/mcp,b=https://u:pw-of-b-99@b.example/mcp"}, "pw-of-b-99"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://o.example?api-key=otel-key-1"}, "otel-key-1"),
        ({"ELF_ALERT_URLS": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7F"}, "TIiajkdnlazkcOXrIdevi7F"),
        ({"ELF_ALERT_URLS": "mailto://me:mail-pw-123@example.com"}, "mail-pw-123"),
        ({"ELF_GITHUB_GATE_TOKEN": "a-token-of-no-shape"}, "a-token-of-no-shape"),
        ({"ELF_MCP_SERVERS": "a=https://[broken-secret-1"}, "https://[broken-secret-1"),
    ],
)
def test_what_is_secret_in_an_address_is_looked_for_by_itself(
    environ: dict[str, str], secret: str, tmp_path: Path
) -> None:
    assert secret in values(settings_with(**environ), tmp_path)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ELF_DATABASE_URL": "postgresql://postgres:postgres@localhost/elf"},
        {"ELF_DATABASE_URL": "sqlite:////srv/company/company.db"},
        {"ELF_MODEL_BASE_URL": "http://127.0.0.1:11434/v1"},
        {"ELF_GITHUB_API_URL": "https://github.example/api/v3"},
    ],
)
def test_an_address_without_a_secret_gives_none(environ: dict[str, str], tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    assert {name for name in known_secrets(settings_with(**environ), home) if not name.startswith("key ")} == set()


def findings(settings: Settings, home: Home) -> list[str]:
    scanner = SecretScanner(lambda: known_secrets(settings, home))
    return [one.what for one in scanner.look("teams/x/config.yaml", f"dsn: user=elf {PASSWORD} host=db")]


@pytest.mark.rows("F76", "F105")
def test_the_database_s_password_in_a_change_is_found_and_would_pass_if_it_were_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(ELF_DATABASE_URL=f"postgresql://elf:{PASSWORD}@db.example/elf")
    home = Home(tmp_path / "home")
    home.prepare()
    [found] = findings(settings, home)
    assert found.startswith("the company's ELF_DATABASE_URL (1)")
    assert PASSWORD not in found

    def without_it(of: Any) -> list[dataclasses.Field[Any]]:
        return [one for one in dataclasses.fields(of) if one.name != "database_url"]

    monkeypatch.setattr(module, "fields", without_it)
    assert findings(settings, home) == []


def test_every_file_under_keys_is_looked_for_whatever_its_name(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.path / "keys" / "deep").mkdir()
    (home.path / "keys" / "deep" / "ER").write_text("a-key-of-tomorrow\n")
    found: Mapping[str, str] = known_secrets(settings_with(), home)
    assert found["key deep/ER"] == "a-key-of-tomorrow"
    assert {f"key {name}" for name in ("gateway", "operator", "metrics", "forge-owner")} <= set(found)
