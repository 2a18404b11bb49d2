"""What is unsafe in a workflow that runs on pull requests with the base's rights. Pure: from the file's text to sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
#: The base's own commit; everything else of a pull request is whatever its author likes.
_BASE = "github.event.pull_request.base.sha"
#: Commands by which fetched commits would become a work tree.
_MAKES_A_TREE = re.compile(
    r"\bgit\s+(-\S+\s+\S+\s+)*(checkout|switch|worktree|reset|restore|merge|rebase|pull|apply|am)\b|\bgh\s+pr\s+checkout\b|\bgit\s+archive\b"
)


def unsafe(text: str) -> list[str]:
    """Empty for a workflow that runs nothing of the pull request and has nothing to lose."""
    workflow: dict[Any, Any] = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true.
    triggers: Any = workflow.get("on", workflow.get(True, ()))
    found: list[str] = []
    if set(triggers) != {"pull_request_target"}:
        found.append(f"it is started by {', '.join(map(str, triggers))}")
    found += _permissions("the workflow", workflow.get("permissions"))
    if "secrets." in text or "secrets[" in text or "toJSON(secrets)" in text:
        found.append("it reads secrets")
    for name, job in workflow["jobs"].items():
        found += _permissions(f"the job {name}", job.get("permissions", workflow.get("permissions")))
        if "uses" in job:
            found.append(f"the job {name} is another workflow")
        if "environment" in job:
            found.append(f"the job {name} has an environment, and with it secrets")
        for step in job.get("steps", []):
            found += _step(step)
    return found


def _permissions(where: str, given: object) -> Iterator[str]:
    if not isinstance(given, Mapping) or dict(given) != {"contents": "read"}:
        yield f"{where} may more than read: {given}"


def _step(step: Mapping[str, Any]) -> Iterator[str]:
    uses, run = step.get("uses"), step.get("run", "")
    if uses is not None and not _PINNED.fullmatch(uses):
        yield f"{uses} is not pinned to a commit"
    if uses is not None and uses.startswith("actions/checkout@"):
        given = step.get("with", {})
        if [it.strip() for it in _EXPRESSION.findall(str(given.get("ref", "")))] != [_BASE]:
            yield f"it checks out {given.get('ref', 'whatever the event names')}"
        if given.get("persist-credentials") is not False:
            yield "the checkout leaves its token in the work tree"
        if "repository" in given:
            yield "it checks out another repository"
    if _EXPRESSION.search(run):
        yield "a value of the pull request is pasted into a script"
    if _MAKES_A_TREE.search(run):
        yield f"it makes a work tree of what was fetched: {run.strip().splitlines()[0]}"
