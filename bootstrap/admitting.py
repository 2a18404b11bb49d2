"""`./elf gateway admit`: asks the running company what changed, and proposes it like any change of a person's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bootstrap.client import Company


def admit(company: Company, server: str, tools: Sequence[str], *, dry_run: bool) -> dict[str, Any]:
    """The difference, and under `proposal` the office's answer. Raises `CompanyError` where nothing can be proposed."""
    found = company.get(f"/gateway/servers/{server}/admission", tool=list(tools))
    body = {
        "title": found["title"],
        "why": found["why"],
        "files": [{"path": found["path"], "data": found.pop("data")}],
        # Also if it is what main once had and the server has gone back to.
        "whole": True,
        "dry_run": dry_run,
    }
    return found | {"proposal": company.post("/proposals", body) | {"notes": []}}
