"""What a person proposes by hand: shown first, opened in their name, with what comes next as the gate itself says it."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import Any

from mcp_servers.git import facts as reading
from mcp_servers.git.changes import Change
from mcp_servers.git.hand_look import Asked, Look, refuse
from mcp_servers.git.hand_proposer import HandProposer
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.repository import Repository
from mcp_servers.git.server import describe
from memory.session import Database
from policies.simulated import Options
from policies.verdict import Outcome, Verdict

#: What is true of a change to which nothing but waiting is left.
_BY_ITSELF = frozenset({Outcome.ALLOW, Outcome.PENDING})


@dataclass(frozen=True)
class ProposalDesk:
    """`site` is the repository's page on GitHub; None where the company keeps its own."""

    proposer: HandProposer
    desk: MergeDesk
    repository: Repository
    database: Database
    site: str | None = None

    def look(self, asked: Asked) -> dict[str, Any]:
        """What would be proposed, and what the gate would say. Nothing is written. Raises `Refusal`, `ChangesError`."""
        look = self.proposer.look(asked)
        refuse(look)
        return _shown(look) | {
            "opened": False,
            "verdict": look.verdict.to_dict(),
            "patch": look.patch,
            "elsewhere": self._elsewhere(look),
        }

    def propose(self, asked: Asked) -> dict[str, Any]:
        """The pull request, as it stands after this call. Raises `Refusal`, `ChangesError`."""
        look, done = self.proposer.propose(asked)
        now = self.proposer.change(done.change.number)
        change = describe(now, self.database)
        return _shown(look) | change | {
            "opened": True,
            "news": done.news,
            "verdict": done.verdict.to_dict(),
            "next": self._next(now, done.verdict),
            "alike": [other.number for other in done.alike],
        }  # fmt: skip

    def _elsewhere(self, look: Look) -> dict[str, str] | None:
        """Where the person opens it themselves."""
        if self.site is None:
            return None
        branch = look.proposal.branch
        return {"clone": f"{self.site}.git", "open": f"{self.site}/compare/main...{branch}?expand=1"}

    def _next(self, change: Change, verdict: Verdict) -> str:
        """What the person can do now, tried on the gate before it is said."""
        number, me = change.number, self.proposer.login
        if change.state != "open":
            return f"change {number} is {change.state}: ./elf show {number}"
        if verdict.outcome in _BY_ITSELF:
            return "nothing: it is merged by itself once nothing is pending"
        if verdict.outcome is Outcome.DENY:
            return f'mend what the lines marked deny name, and propose it again with --change {number}; or ./elf reject {number} --why "…"'
        law = reading.read_base(self.repository, change.base).law
        others = tuple(person for person in law.changes.people if person.casefold() != me.casefold())
        if others and self._supposed(number, Options(approved_by=others)):
            return f"somebody else approves it ({', '.join(others)}): ./elf approve {number}"
        if self._supposed(number, Options(overridden_by=me)):
            alone = (
                ""
                if others
                else f"{me} is alone here, and nobody approves their own change: an override stands for that. "
            )
            return f'{alone}./elf override {number} --why "…" (why, in {law.overrides.reason_of_at_least} characters or more)'
        return f"the lines marked needs_approval say what it wants: ./elf show {number}"

    def _supposed(self, number: int, options: Options) -> bool:
        return self.desk.what_if(number, options).outcome in _BY_ITSELF

    # --- main, to begin from ---

    def listing(self) -> dict[str, Any]:
        """Every file of main: `{commit, files: [{path, mode, sha}]}`."""
        commit = self.repository.resolve("main")
        entries = self.repository.listing(commit)
        return {"commit": commit, "files": [{"path": it.path, "mode": it.mode, "sha": it.sha} for it in entries]}

    def file(self, path: str) -> dict[str, Any]:
        """A file as it stands in main, `data` in base64. Raises `UnknownRevision`."""
        commit = self.repository.resolve("main")
        data = self.repository.read(commit, path)
        return {"path": path, "commit": commit, "data": base64.b64encode(data).decode()}


def _shown(look: Look) -> dict[str, Any]:
    return {
        "kind": look.kind.value,
        "branch": look.proposal.branch,
        "title": look.proposal.title,
        "files": [asdict(file) for file in look.files],
        "diff": look.diff,
        "merged": look.made.carried.merged,
        "behind": look.made.carried.behind,
        "not_taken": look.made.not_taken,
    }
