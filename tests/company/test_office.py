"""A person's day at the office, over HTTP and on the command line, with a real company behind it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from bootstrap.demo.stage import Stage, wait_for
from bootstrap.progress import Progress
from bootstrap.serve import run
from bootstrap.settings import BadSettings

ROOT = Path(__file__).resolve().parents[2]


def elf(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ELF_HOME": str(stage.home.path), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "bootstrap.cli", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@contextmanager
def running(stage: Stage, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """A command that goes on, until Ctrl-C."""
    environment = {**os.environ, "ELF_HOME": str(stage.home.path), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "bootstrap.cli", *arguments]
    # A test run that was started in the background ignores Ctrl-C, and would hand that on.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, ours)
    with process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def told(stage: Stage, *arguments: str) -> Any:
    done = elf(stage, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def active(stage: Stage, name: str) -> bool:
    team = stage.team(name)
    return team is not None and team["state"] == "active"


@pytest.mark.rows("F63", "F20", "F90")
def test_a_new_company_is_healthy_and_says_so_on_every_page(stage: Stage) -> None:
    status = told(stage, "status")
    assert {team["team"]: team["state"] for team in status["teams"]} == {"executive": "active", "devops": "active"}
    assert status["models"] == "rehearsal"
    doctor = told(stage, "doctor")
    assert doctor["ok"], doctor
    tree = told(stage, "teams")["hierarchy"]
    assert (tree[0]["team"], tree[0]["children"][0]["team"]) == ("executive", "devops")


@pytest.mark.rows("F66")
def test_a_browser_at_the_address_is_told_how_to_talk_to_the_company(stage: Stage) -> None:
    page = httpx.get(stage.company.address, trust_env=False)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain")
    for command in re.findall(r"^  \./elf (\w+)", page.text, re.MULTILINE):
        assert elf(stage, command, "--help").returncode == 0, command
    assert './elf say "' in page.text


@pytest.mark.rows("F92", "F97", "F98", "F101", "F102", "L6")
def test_a_wish_becomes_a_change_then_a_team_then_an_answer_and_the_command_line_shows_each(stage: Stage) -> None:
    said = told(stage, "say", "We need a legal team that reviews our contracts")
    assert said["rehearsal"]
    number, team = said["evidence"][0]["change"], said["evidence"][0]["team"]
    assert "needs_approval" in elf(stage, "show", str(number)).stdout
    assert [one["number"] for one in told(stage, "changes")["changes"]] == [number]
    assert told(stage, "approve", str(number))["merged"]
    wait_for(f"{team} active", lambda: active(stage, team))
    answer = elf(stage, "ask", team, "Review the contract with our landlord")
    assert "[rehearsal, no real model]" in answer.stdout
    assert "-> " in elf(stage, "log", team).stdout
    assert told(stage, "costs")["calls"] > 0
    assert told(stage, "audit", "verify")["ok"]
    state = told(stage, "changes", "--all")["changes"][0]["progress"]
    assert state == "verified"


@pytest.mark.rows("F103", "F102")
def test_a_rejected_change_is_closed_with_its_reason_and_deploys_nothing(stage: Stage) -> None:
    said = told(stage, "say", "We need a team that translates our website into five languages")
    number, team = said["evidence"][0]["change"], said["evidence"][0]["team"]
    assert elf(stage, "reject", str(number), "--why", " ").returncode == 1
    assert told(stage, "reject", str(number), "--why", "We have an agency for that")["state"] == "closed"
    assert elf(stage, "approve", str(number)).returncode == 1
    assert stage.team(team) is None
    rows = told(stage, "audit", "list", "-n", "200")["rows"]
    assert any(row["action"] == "change.reject" and "agency" in row["detail"]["why"] for row in rows)


@pytest.mark.rows("F92")
def test_an_unclear_wish_gets_a_question_and_no_change(stage: Stage) -> None:
    before = len(told(stage, "changes", "--all")["changes"])
    said = told(stage, "say", "We need something better")
    assert "?" in said["answer"]
    assert len(told(stage, "changes", "--all")["changes"]) == before


def test_what_is_not_there_is_said_in_one_sentence(stage: Stage) -> None:
    for arguments in (("show", "999"), ("ask", "no-such-team", "hello"), ("log", "no-such-team"), ("approve", "999")):
        done = elf(stage, *arguments)
        assert done.returncode == 1, arguments
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.rows("F22", "F23")
def test_messages_are_followed_as_they_are_sent_and_answered(stage: Stage) -> None:
    told(stage, "say", "How is the company?")
    before = told(stage, "messages")["messages"]
    with running(stage, "messages", "--follow", "--json") as following:
        assert following.stdout is not None
        seen = [json.loads(following.stdout.readline()) for _ in before]
        assert [one["id"] for one in seen] == [one["id"] for one in before]
        told(stage, "ask", "executive", "What do you do all day?")
        moves: list[dict[str, Any]] = []
        while not moves or moves[-1]["state"] == "under way":
            moves.append(json.loads(following.stdout.readline()))
    assert {one["text"] for one in moves} == {"What do you do all day?"}
    assert moves[-1]["state"] == "completed" and moves[-1]["answer"]


@pytest.mark.rows("L5", "L6", "L7", "F106")
def test_a_persons_own_client_gets_a_wish_proposed_once_and_cannot_decide_on_it(stage: Stage) -> None:
    made = told(stage, "token", "new", "my chat client", "--days", "1")
    wish = [{"role": "user", "content": "We need a team that keeps our books"}]
    before = len(told(stage, "changes", "--all")["changes"])
    with openai.OpenAI(base_url=made["openai"]["base_url"], api_key=made["token"]) as client:
        create: Any = client.chat.completions.create
        chunks = list(create(model="ceo", messages=wish, stream=True, stream_options={"include_usage": True}))
        answer = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert answer.startswith("[rehearsal, no real model] ") and "Evidence:\n- change #" in answer
        assert chunks[-1].usage.total_tokens > 0
        assert "nothing was done twice" in create(model="ceo", messages=wish).choices[0].message.content
        changes = told(stage, "changes", "--all")["changes"]
        assert len(changes) == before + 1
        number = max(one["number"] for one in changes)
        for act, body in (
            ("approve", {"head": "1234567"}),
            ("reject", {"why": "x"}),
            ("override", {"head": "1234567", "why": "x"}),
        ):
            url = f"{stage.company.address}/api/changes/{number}/{act}"
            refused = httpx.post(url, json=body, headers={"Authorization": f"Bearer {made['token']}"}, trust_env=False)
            assert refused.status_code == 401, act
        assert told(stage, "show", str(number))["state"] == "open"
        assert made["token"] not in elf(stage, "token", "list").stdout
        assert told(stage, "token", "revoke", made["id"])["state"] == "revoked"
        with pytest.raises(openai.AuthenticationError):
            create(model="ceo", messages=wish)
    assert made["token"] not in stage.home.log.read_text()
    assert told(stage, "reject", str(number), "--why", "It was a test")["state"] == "closed"
    exported = elf(stage, "token", "new", "shell", "--export").stdout
    assert re.fullmatch(r"export OPENAI_BASE_URL=http://\S+/v1\nexport OPENAI_API_KEY=elf-client-\S+\n", exported)
    key = exported.rpartition("=")[2].strip()
    with pytest.raises(BadSettings, match="no provider's key"):
        run(replace(stage.settings, openai_api_key=key), Progress(None))
