"""`./elf policy judge`: what the gate's content rules say of two commits in a clone. Nothing of the head is run or checked out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from bootstrap.client import CompanyError
from mcp_servers.git import facts as reading
from mcp_servers.git.changes import not_yet_open
from mcp_servers.git.factory import TeamFactory
from mcp_servers.git.objects import NoMergeBase, UnknownRevision
from mcp_servers.git.repository import GitFailed, Repository
from policies.evaluate import evaluate
from policies.law import BadLaw
from policies.rules import CONTENT_RULES
from policies.verdict import Outcome


def judge_commits(clone: Path, base: str, head: str, author: str, now: datetime) -> dict[str, Any]:
    """`{ok, base, head, verdict, text}`; the law and everything that judges come from `base`'s side. Raises `CompanyError`."""
    repository = Repository(clone)
    try:
        law_base = reading.read_base(repository, base)
        change = not_yet_open(repository.resolve(head), base, author, now)
        contents = reading.read_contents(repository, law_base.commit, change.head)
        factory = TeamFactory(lambda _model: None)
        facts = reading.build(repository, factory, change, law_base, contents, [], reading.Remembered(), now)
    except (UnknownRevision, NoMergeBase, BadLaw, GitFailed) as error:
        raise CompanyError(f"these two commits cannot be judged: {error}") from error
    verdict = evaluate(facts, law_base.law, now, CONTENT_RULES)
    return {
        "ok": verdict.outcome is Outcome.ALLOW,
        "base": law_base.commit,
        "head": change.head,
        "verdict": verdict.to_dict(),
        "text": verdict.text(),
    }
