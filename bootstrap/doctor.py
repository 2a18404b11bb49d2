"""`./elf doctor`: what is wrong on this machine or in this company, each finding with its fix."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from bootstrap.client import Company, CompanyError
from bootstrap.home import NEEDED_BYTES, Home, HomeUnusable
from bootstrap.launch import check_port
from bootstrap.office.server_findings import findings
from bootstrap.places import connection_of
from bootstrap.policy import check_policies
from bootstrap.settings import Settings
from mcp_servers.sandbox.choice import choose
from memory.migrate import drift
from memory.session import Database

#: What a check found, in words; it raises `_Wrong` with the fix if something is not as it should be.
Check = Callable[[], str]


class _Wrong(Exception):
    pass


def examine(settings: Settings) -> dict[str, Any]:
    """`{ok, findings: [{what, ok, text}]}`. Every check runs; one that breaks is a finding, not an end."""
    home = Home(settings.home)
    checks: list[tuple[str, Check]] = [
        ("Python", _python),
        ("Git", _git),
        ("room", lambda: _room(home)),
        ("confinement", _confinement),
        ("sandbox", _sandbox),
        ("policies", lambda: _policies(settings, home)),
        ("repository", lambda: _repository(home)),
        ("address", lambda: _address(settings, home)),
        ("models", lambda: _models(settings, home)),
        ("database", lambda: _database(settings)),
        ("teams", lambda: _teams(home)),
        ("tool servers", lambda: _servers(home)),
        ("audit", lambda: _audit(home)),
        ("health", lambda: _health(home)),
    ]
    findings = [{"what": what, **_found(check)} for what, check in checks]
    return {"ok": all(finding["ok"] for finding in findings), "findings": findings}


def _found(check: Check) -> dict[str, Any]:
    try:
        return {"ok": True, "text": check()}
    except (_Wrong, CompanyError, HomeUnusable) as error:
        return {"ok": False, "text": str(error)}
    except Exception as error:  # noqa: BLE001 (a check that breaks has not passed, and says so)
        return {"ok": False, "text": f"this check itself failed: {type(error).__name__}: {error}"}


def _python() -> str:
    return f"{sys.version.split()[0]}"


def _git() -> str:
    said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    backend = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    if shutil.which("git-http-backend", path=backend) is None:
        raise _Wrong(
            f"{said} has no git-http-backend, which serves the company's repository; install the full git package"
        )
    return said


def _room(home: Home) -> str:
    place = home.path if home.path.exists() else home.path.parent
    free = shutil.disk_usage(place).free
    if free < NEEDED_BYTES:
        raise _Wrong(
            f"{place} has {free // 1_000_000} MB left; free {NEEDED_BYTES // 1_000_000} MB or set ELF_HOME elsewhere"
        )
    return f"{free // 1_000_000_000} GB free at {place}"


def _confinement() -> str:
    probe = (
        "from pathlib import Path; import sys; from teams.runtime.confine import code_to_read, confine; "
        "print(confine(readable=code_to_read(), writable=[], connect_port=7070))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=30)
    said = done.stdout.strip() or done.stderr.strip().splitlines()[-1]
    if done.returncode != 0 or said.startswith("none"):
        raise _Wrong(f"team processes are not shut in here ({said}); they run, with this user's rights on this machine")
    return f"team processes are shut in by {said}"


def _sandbox() -> str:
    chosen = choose()
    if chosen.sandbox is None:
        raise _Wrong(
            f"proposed code cannot be run here before it is merged ({chosen.said}); every new team wants a person's explicit words"
        )
    return f"proposed code is run in {chosen.said}"


def _policies(settings: Settings, home: Home) -> str:
    found = check_policies(None, settings.checkout, home)
    said = f"{found['lines'][1]} (read: {found['read']})"
    if not found["ok"]:
        raise _Wrong(said)
    return said


def _repository(home: Home) -> str:
    connection = connection_of(home)
    if connection is None:
        return "kept by the embedded forge"
    return f"kept at {connection.repo}; ./elf github doctor looks whether it is as it has to be there"


def _address(settings: Settings, home: Home) -> str:
    if kernel := home.kernel():
        return f"a company serves on http://127.0.0.1:{kernel['port']}"
    check_port(settings.port)
    return f"{settings.address} is free; no company runs in {home.path}"


def _models(settings: Settings, home: Home) -> str:
    if home.kernel() is not None:
        found = Company(home).get("/status")
        if left_out := found["models_left_out"]:
            raise _Wrong("; ".join(f"{name} is left out: {why}" for name, why in left_out.items()))
        return str(found["models"])
    if settings.model_base_url:
        return f"the server at {settings.model_base_url}"
    if settings.anthropic_api_key or settings.openai_api_key:
        return "anthropic" if settings.anthropic_api_key else "openai"
    if settings.provider_keys:
        return f"as policies/models.yaml says, with {', '.join(sorted(settings.provider_keys))}"
    return "rehearsal (no key set: OPENAI_API_KEY, ANTHROPIC_API_KEY or ELF_MODEL_BASE_URL choose a real model)"


def _database(settings: Settings) -> str:
    url = make_url(settings.database_url)
    # SQLite would make the file that is asked for: looking must leave nothing behind.
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return "there is none yet; ./elf up makes it"
    database = Database(url)
    try:
        differing = drift(database)
    finally:
        database.close()
    if differing:
        raise _Wrong(
            f"it is not as this version needs it ({len(differing)} differences, first {differing[0][:120]}); run ./elf up"
        )
    return f"{url.get_backend_name()}, as this version needs it"


def _teams(home: Home) -> str:
    if home.kernel() is None:
        return "no company runs"
    teams = Company(home).get("/status")["teams"]
    if ill := [f"{team['team']} is {team['state']}: {team['reason']}" for team in teams if team["state"] != "active"]:
        raise _Wrong("; ".join(ill))
    return f"{len(teams)} teams, all active"


def _servers(home: Home) -> str:
    if home.kernel() is None:
        return "no company runs"
    found = Company(home).get("/gateway/servers")
    if wrong := findings(found):
        raise _Wrong("; ".join(wrong))
    return f"{sum(1 for one in found['servers'] if one['admitted'])} tool servers, all well and as admitted"


def _audit(home: Home) -> str:
    if home.kernel() is None:
        return "no company runs"
    found = Company(home).get("/audit/verify")
    if not found["ok"]:
        raise _Wrong(f"the ledger does not hold at row {found['first_bad']}: {found['reason']}")
    return f"{found['rows']} rows hold"


def _health(home: Home) -> str:
    if home.kernel() is None:
        return "no company runs"
    found = Company(home).get("/health/report")
    bad = [one for one in found["resources"] if one["level"] in {"warning", "critical"}]
    said = [f"{one['resource']} is {one['level']}: {one['text']} ({one['remedy']})" for one in bad]
    if any(one["level"] == "critical" for one in bad):
        raise _Wrong("; ".join(said))
    return "; ".join(said) or f"{len(found['resources'])} resources watched, none at a mark"
