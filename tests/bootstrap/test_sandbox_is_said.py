"""Which sandbox is in use is said where people look; and the keys that no change may hold are all that this company has."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bootstrap import doctor, show
from bootstrap.home import KEYS, Home
from bootstrap.known_secrets import known_secrets
from bootstrap.settings import read_settings
from mcp_servers.sandbox.choice import Chosen


def finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: Chosen) -> dict[str, Any]:
    monkeypatch.setattr(doctor, "choose", lambda: chosen)
    found = doctor.examine(read_settings({"ELF_HOME": str(tmp_path / "home")}))
    return next(one for one in found["findings"] if one["what"] == "sandbox")


@pytest.mark.rows("F105")
def test_the_doctor_says_which_sandbox_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Any_:
        name = "bubblewrap: files, network"

        def run(self, job: object) -> Any:
            raise AssertionError(job)

    found = finding(monkeypatch, tmp_path, Chosen(Any_(), "bubblewrap: files, network"))
    assert found["ok"]
    assert "bubblewrap" in found["text"]


@pytest.mark.rows("F105")
def test_the_doctor_says_what_to_install_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = finding(
        monkeypatch,
        tmp_path,
        Chosen(None, "none: bubblewrap is not installed; install it (apt-get install bubblewrap)"),
    )
    assert not found["ok"]
    assert "apt-get install bubblewrap" in found["text"]


def test_the_status_says_it_too() -> None:
    out = io.StringIO()
    said = {
        "teams": [],
        "models": "rehearsal",
        "models_left_out": {},
        "confinement": "landlock",
        "sandbox": "bubblewrap: files",
    }
    show.status(Console(file=out, width=120), said)
    assert "proposed code is run in: bubblewrap: files" in out.getvalue()


@pytest.mark.rows("F76", "F105")
def test_every_key_of_the_home_and_of_the_environment_is_looked_for(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.path / "keys" / "servers").mkdir()
    (home.path / "keys" / "servers" / "WEATHER").write_text("a-weather-key\n")
    given = {
        "OPENAI_API_KEY": "an-openai-key",
        "ANTHROPIC_API_KEY": "an-anthropic-key",
        "ELF_MODEL_API_KEY": "a-model-key",
        "ELF_PROVIDER_CLOUD_API_KEY": "a-provider-key",
        "ELF_ALERT_URLS": "slack://a/b/c",
        "ELF_SECRET_MAPS": "a-maps-key",
    }
    found = known_secrets(read_settings({"ELF_HOME": str(home.path), **given}), home)
    assert set(given.values()) | {"a-weather-key"} | {home.key(name) for name in KEYS} <= set(found.values())
