"""A diagnosis of an ill team from its state and its log. Lines are quoted, never followed."""

from __future__ import annotations

import re
from typing import Any

from mcp_servers.gateway.rehearsal.words import clip, readable

_READ = 60_000
_FAULT = re.compile(
    r"\b\w*(error|exception|traceback|failed|failing|refused|denied|cannot|unknown|missing|killed|fatal|no such|invalid)\w*\b",
    re.IGNORECASE,
)
_INFRASTRUCTURE = re.compile(
    r"no space left|out of memory|oom|connection refused|gateway did not answer|name resolution|too many open files"
    r"|network is unreachable|timed? ?out",
    re.IGNORECASE,
)
_ENDED = re.compile(r"killed by signal|sigkill|sigterm|terminated", re.IGNORECASE)
_TAG = re.compile(r"</?\w{1,20}>")


def diagnose(task: str) -> dict[str, Any]:
    """`cause` in a sentence, `evidence` as lines of the log, `remedy`: `roll_back`, `restart` or `hold`."""
    lines = [_TAG.sub("", line).strip() for line in readable(task[-_READ:], _READ).splitlines()]
    told = [line for line in lines if _FAULT.search(line)]
    # The last error of a traceback is the one that names the cause.
    named = [line for line in told if re.match(r"[\w.]*(Error|Exception)\b", line)] or told
    evidence = list(dict.fromkeys(clip(line, 200) for line in (named[-3:] or told[-3:])))
    if not evidence:
        return {"cause": "The log does not show why the team is ill.", "evidence": [], "remedy": "roll_back"}
    last = evidence[-1]
    if _INFRASTRUCTURE.search(last):
        return {"cause": f"The surroundings failed, not the team: {last}", "evidence": evidence, "remedy": "hold"}
    if _ENDED.search(last):
        return {"cause": f"The process was ended from outside: {last}", "evidence": evidence, "remedy": "restart"}
    return {"cause": f"The change broke the team: {last}", "evidence": evidence, "remedy": "roll_back"}
