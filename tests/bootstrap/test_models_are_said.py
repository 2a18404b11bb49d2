"""A provider that the law names and that cannot be used is shown where people look, with what to do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bootstrap import doctor, show
from bootstrap.home import Home
from bootstrap.settings import read_settings

WHY = "ELF_PROVIDER_CLOUD_API_KEY is not set"


@pytest.mark.rows("F64")
def test_the_status_names_each_model_that_is_left_out() -> None:
    out = io.StringIO()
    said: dict[str, Any] = {"teams": [], "models": "local/m", "confinement": "landlock", "sandbox": "bubblewrap"}
    show.status(Console(file=out, width=160), said | {"models_left_out": {"cloud": WHY}})
    assert f"model left out: cloud: {WHY}" in out.getvalue()


@pytest.mark.rows("F64")
def test_the_doctor_finds_it_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left_out = {"cloud": WHY}

    class Answering:
        def __init__(self, _home: Home) -> None:
            pass

        def get(self, path: str) -> dict[str, Any]:
            return {"models": "local/m", "models_left_out": left_out} if path == "/status" else {}

    def kernel(_home: Home) -> dict[str, int]:
        return {"port": 1}

    def finding() -> dict[str, Any]:
        found = doctor.examine(read_settings({"ELF_HOME": str(tmp_path / "home")}))["findings"]
        return next(one for one in found if one["what"] == "models")

    monkeypatch.setattr(Home, "kernel", kernel)
    monkeypatch.setattr(doctor, "Company", Answering)
    assert finding() == {"what": "models", "ok": False, "text": f"cloud is left out: {WHY}"}
    left_out.clear()
    assert finding() == {"what": "models", "ok": True, "text": "local/m"}


@pytest.mark.rows("F64")
def test_before_a_company_runs_the_doctor_names_the_keys_that_are_set_and_shows_none(tmp_path: Path) -> None:
    given = {"ELF_HOME": str(tmp_path / "home"), "ELF_PROVIDER_CLOUD_API_KEY": "k-secret"}
    found = str(doctor.examine(read_settings(given)))
    assert "as policies/models.yaml says, with ELF_PROVIDER_CLOUD_API_KEY" in found and "k-secret" not in found
    assert "k-secret" not in repr(read_settings(given))
