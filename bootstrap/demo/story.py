"""`./elf demo`: the life of a company in one sitting. Each step is done for real and leaves evidence, or the demo fails."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bootstrap.client import CompanyError
from bootstrap.demo.stage import NoEvidence, Stage, expect, throw_away_company, wait_for
from bootstrap.fixpoint import check_fixpoint
from bootstrap.settings import Settings
from mcp_servers.factories.spec_files import dump_spec, load_spec
from mcp_servers.factories.team import render
from mcp_servers.git.changes import Proposal

WISH = "We need a marketing team that writes blog posts and runs our social media"
WORK = "Write a headline about our new office"
#: A model that no provider serves: the change that names it passes the gate and fails its health check.
UNSERVED = "local/no-such-model"


@dataclass
class Told:
    """What the story knows so far, and what it told: a step with its seconds and evidence at a time."""

    stage: Stage
    console: Console
    steps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    change: int = 0
    team: str = ""


Step = Callable[[Told], list[str]]


def play(settings: Settings, *, as_json: bool, keep: bool, console: Console) -> int:
    """Plays every step; 0 only if each one's evidence was found."""
    shown = Console(stderr=True, highlight=False, soft_wrap=True) if as_json else console
    began = time.monotonic()
    shown.print("A company in a throw-away home, from nothing:", style="bold")
    steps: list[dict[str, Any]] = []
    failure: str | None = None
    try:
        with throw_away_company(settings, shown, keep=keep) as stage:
            up = {"step": "up", "ok": True, "seconds": round(time.monotonic() - began, 2)}
            steps.append(up | {"evidence": [f"{stage.company.address} serves"]})
            told = Told(stage, shown, steps)
            for step in STEPS:
                _perform(step, told)
    except (NoEvidence, CompanyError) as error:
        failure = str(error)
        shown.print(f"✗ {failure}", style="red", markup=False)
    seconds = round(time.monotonic() - began, 2)
    if as_json:
        sys.stdout.write(
            json.dumps({"ok": failure is None, "seconds": seconds, "failure": failure, "steps": steps}, indent=2) + "\n"
        )
    elif failure is None:
        shown.print(
            f"\nThe whole story, with evidence for every step, in {seconds:.1f} s. Start your own: ./elf up",
            style="bold",
        )
    return 0 if failure is None else 1


def _perform(step: Step, told: Told) -> None:
    began = time.monotonic()
    name = (step.__doc__ or step.__name__).strip().rstrip(".")
    try:
        evidence = step(told)
    except (NoEvidence, CompanyError) as error:
        told.steps.append(
            {
                "step": step.__name__,
                "ok": False,
                "seconds": round(time.monotonic() - began, 2),
                "evidence": [str(error)],
            }
        )
        raise
    seconds = round(time.monotonic() - began, 2)
    told.steps.append({"step": step.__name__, "ok": True, "seconds": seconds, "evidence": evidence})
    told.console.print(f"  ✓ {name:<68} {seconds:6.2f} s", markup=False)
    for line in evidence:
        told.console.print(f"      {line}", style="dim", markup=False)


def ask_for_a_capability(told: Told) -> list[str]:
    """A person tells the CEO what is missing"""
    said = told.stage.company.post("/say", {"text": WISH})
    found = [one for one in said["evidence"] if one["kind"] == "change"]
    expect(found, f"no change came of the wish; the CEO said: {said['answer'][:300]}")
    told.change, told.team = found[0]["change"], found[0]["team"]
    label = " [rehearsal]" if said["rehearsal"] else ""
    return [f"person: {WISH}", f"CEO{label}: {_short(said['answer'])}", found[0]["text"]]


def read_the_verdict(told: Told) -> list[str]:
    """The gate has judged the pull request, and waits for a person"""
    change = told.stage.company.get(f"/changes/{told.change}")
    expect(change["verdict"], "the change carries no verdict")
    expect(change["verdict"]["outcome"] == "needs_approval", f"the verdict is {change['verdict']['outcome']}")
    expect({"automated", "new-team", "needs-review"} <= set(change["labels"]), f"labels are {change['labels']}")
    log = told.stage.git("ls-remote", f"{told.stage.company.address}/forge/git/elf/company.git", change["branch"])
    expect(log.stdout.startswith(change["head"]), f"git does not see the branch: {log.stderr}")
    rules = [
        f"{one['outcome']}: {one['rule']}: {_short(one['reason'])}" for one in change["verdict"].get("children", [])
    ]
    return [f"{change['title']}: {len(change['files'])} files on {change['branch']}", *rules]


def try_the_back_door(told: Told) -> list[str]:
    """A push past the gate is refused by the server"""
    folder = told.stage.home.path / "clone"
    url = f"{told.stage.company.address}/forge/git/elf/company.git"
    cloned = told.stage.git("clone", "--quiet", "--depth", "1", url, str(folder), login="elf-devops")
    expect(cloned.returncode == 0, f"git clone failed: {cloned.stderr}")
    (folder / "policies" / "limits.yaml").write_text("new_teams: {}\n")
    who = ("-c", "user.name=elf-devops", "-c", "user.email=elf-devops@company.invalid")
    told.stage.git(*who, "commit", "--quiet", "-am", "No limits", cwd=folder)
    before = told.stage.company.get("/status")["main"]
    pushed = told.stage.git("push", "origin", "HEAD:main", login="elf-devops", cwd=folder)
    expect(pushed.returncode != 0, "a push to main went through")
    expect(told.stage.company.get("/status")["main"] == before, "main moved")
    return [_remote_words(pushed.stderr)]


def approve(told: Told) -> list[str]:
    """The person approves; exactly the judged commit is merged"""
    change = told.stage.company.get(f"/changes/{told.change}")
    done = told.stage.company.post(f"/changes/{told.change}/approve", {"head": change["head"], "why": _words(change)})
    expect(done["merged"], f"it was not merged: {done['text']}")
    return [f"main is at {str(done['commit'])[:12]}"]


def see_it_live(told: Told) -> list[str]:
    """The team is deployed and healthy"""
    team = wait_for(f"{told.team} active", lambda: _active(told), 60)
    return [
        f"{team['team']} is {team['state']}: {team['process']}, {team['framework']}, shut in by {team['confinement']}"
    ]


def give_it_work(told: Told) -> list[str]:
    """The team answers work, its members talking among themselves"""
    answered = told.stage.company.post("/ask", {"team": told.team, "text": WORK})
    expect(answered["state"] == "completed", f"it ended as {answered['state']}: {answered['answer'][:200]}")
    expect(answered["answer"].strip(), "the answer is empty")
    lines = told.stage.company.get(f"/log/{told.team}", lines=200)["lines"]
    speakers = sorted({line["speaker"] for line in lines})
    expect(len(speakers) >= 3, f"only {speakers} spoke")
    return [
        f"asked: {WORK}",
        f"answer: {_short(answered['answer'])}",
        f"{len(lines)} utterances by {', '.join(speakers)}",
    ]


def ask_for_what_there_is(told: Told) -> list[str]:
    """The same wish again: the CEO knows who can do it, and proposes nothing"""
    before = len(told.stage.company.get("/changes", state="all")["changes"])
    said = told.stage.company.post("/say", {"text": WISH})
    after = len(told.stage.company.get("/changes", state="all")["changes"])
    expect(before == after, "a second change was opened")
    expect(told.team in said["answer"], f"the CEO does not name {told.team}: {said['answer'][:300]}")
    return [f"CEO: {_short(said['answer'])}"]


def kill_it(told: Told) -> list[str]:
    """The team's process is killed; it comes back without a person"""
    team = wait_for(f"{told.team} active", lambda: _active(told))
    pid = int(str(team["process"]).removeprefix("pid "))
    os.kill(pid, signal.SIGKILL)
    back = wait_for("another process", lambda: (now := _active(told)) and now["process"] != team["process"] and now)
    return [f"{team['process']} was killed; {back['process']} serves"]


def break_it(told: Told) -> list[str]:
    """A change that the gate cannot fault, and that makes the team ill, is approved and merged"""
    repository, folder = told.stage.home.path / "clone", told.team.replace("-", "_")
    told.stage.git("fetch", "--quiet", "origin", "main", login="elf-devops", cwd=repository)
    text = told.stage.git("show", f"FETCH_HEAD:teams/{folder}/team.yaml", cwd=repository).stdout
    spec = load_spec(text).model_copy(update={"model": UNSERVED})
    files: dict[str, bytes | None] = {
        f"teams/{folder}/{path}": data for path, data in render(load_spec(dump_spec(spec))).items()
    }
    bot = told.stage.bot()
    proposed = bot.propose(
        Proposal(
            branch=f"auto/change-team/{told.team}-demo",
            title=f"Let {told.team} use another model",
            body="A model that sounds good and that nobody serves.",
            labels=("automated",),
            files=files,
            message=f"Let {told.team} use {UNSERVED}\n",
        )
    )
    bot.close()
    judged = wait_for("the verdict", lambda: _judged(told, proposed.number))
    done = told.stage.company.post(
        f"/changes/{proposed.number}/approve", {"head": judged["head"], "why": _words(judged)}
    )
    expect(done["merged"], f"it was not merged: {done['text']} {json.dumps(done['verdict'])[:600]}")
    return [f"change #{proposed.number} is merged: {told.team} now wants the model {UNSERVED}"]


def be_healed(told: Told) -> list[str]:
    """The illness is found and diagnosed, and the road back is taken: a revert the law lets pass"""
    company = told.stage.company
    rollback = wait_for("a rollback, merged", lambda: _rollback(told), 60)
    team = wait_for(f"{told.team} active again", lambda: _active(told))
    expect(team["serving_tree"] == team["wanted_tree"], "what serves is not what main wants")
    rows = company.get("/audit", lines=400)["rows"]
    approvals = [
        row for row in rows if row["action"] == "change.approve" and row["subject"] == f"change:{rollback['number']}"
    ]
    expect(not approvals, "a person had to approve the rollback")
    incident = next((row for row in rows if row["action"] == "incident.open"), None)
    expect(incident, "the ledger knows no incident")
    log = company.get("/log/devops", lines=400)["lines"]
    diagnosis = [line["text"] for line in log if "I would roll back" in line["text"]]
    expect(diagnosis, "the DevOps team diagnosed nothing")
    return [
        f"found: {incident['detail']['reason'] if incident else ''}",
        f"DevOps: {_short(diagnosis[-1])}",
        f"change #{rollback['number']} ({rollback['branch']}) merged without a person; {told.team} is active",
    ]


def check_the_books(told: Told) -> list[str]:
    """The fixpoint holds, the audit chain holds, and the money is accounted for"""
    checkout = told.stage.home.path / "clone"
    told.stage.git("fetch", "--quiet", "origin", "main", login="elf-devops", cwd=checkout)
    told.stage.git("checkout", "--quiet", "--force", "FETCH_HEAD", cwd=checkout)
    fixpoint = check_fixpoint(Path(checkout))
    expect(fixpoint["ok"], f"the meta-teams are not what the factory makes: {fixpoint['teams']}")
    audit = told.stage.company.get("/audit/verify")
    expect(audit["ok"], f"the ledger does not hold at row {audit['first_bad']}: {audit['reason']}")
    costs = told.stage.company.get("/costs")
    expect(costs["calls"] > 0, "no model call was recorded")
    return [
        *(f"{team['team']}: {team['files']} files rendered anew, the same bytes" for team in fixpoint["teams"]),
        f"audit: {audit['rows']} rows hold, {audit['anchors']} heads anchored in Git",
        f"spent: ${costs['total_usd']} in {costs['calls']} model calls",
    ]


STEPS: tuple[Step, ...] = (
    ask_for_a_capability,
    read_the_verdict,
    try_the_back_door,
    approve,
    see_it_live,
    give_it_work,
    ask_for_what_there_is,
    kill_it,
    break_it,
    be_healed,
    check_the_books,
)


def _active(told: Told) -> dict[str, Any] | None:
    team = told.stage.team(told.team)
    return team if team and team["state"] == "active" and team["process"] else None


def _judged(told: Told, number: int) -> dict[str, Any] | None:
    change = told.stage.company.get(f"/changes/{number}")
    return change if change["verdict"] else None


def _rollback(told: Told) -> dict[str, Any] | None:
    listed = told.stage.company.get("/changes", state="all")["changes"]
    return next((one for one in listed if one["kind"] == "rollback_team" and one["state"] == "merged"), None)


def _words(change: dict[str, Any]) -> str:
    """The explicit words that the law wants from who approves this, if it wants any."""
    asked = [one["reason"] for one in change["verdict"]["children"] if one["outcome"] == "needs_approval"]
    known = {
        "cost accepted:": "the demo wants to see the team fall ill",
        "unchecked accepted:": "this machine has no sandbox, and the files are the factory's",
    }
    return "\n".join(f"{words} {reason}" for words, reason in known.items() if any(words in why for why in asked))


def _short(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _remote_words(stderr: str) -> str:
    words = [line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:")]
    return f"the server: {_short(next((word for word in words if word), stderr))}"
