"""`./elf` runs the code it lies beside, wherever it is called from."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.rows("F66")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that looks like a checkout: a clone of somebody's branch, say, with code of its own."""
    package = tmp_path / "bootstrap"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli.py").write_text("print('the code of the folder I stand in')\n")
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, str]]:
    """What the launcher would become, and with which environment; nothing is installed."""
    become = list[tuple[list[str], dict[str, str]]]()
    monkeypatch.setattr(sys, "argv", ["elf", "policy", "check", str(ROOT / "policies")])

    def execve(_path: str, arguments: list[str], environment: dict[str, str]) -> None:
        become.append((arguments, environment))

    def install_nothing(_lock: str) -> None:
        pass

    monkeypatch.setattr(os, "execve", execve)
    launcher = runpy.run_path(str(ROOT / "elf"), run_name="launcher")
    launcher["main"].__globals__["make_environment"] = install_nothing
    launcher["main"]()
    return become[0]


def run(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments[1:]],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def test_code_in_the_folder_it_is_called_from_is_not_run(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    said = run(*command(monkeypatch), elsewhere)
    assert "well-formed" in said
    assert "the folder I stand in" not in said


def test_without_the_safe_path_that_code_would_be_run(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    arguments, environment = command(monkeypatch)
    unsafe = [it for it in arguments if it != "-P"]
    assert "the folder I stand in" in run(unsafe, environment, elsewhere)
