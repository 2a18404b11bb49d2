"""All that a team process is told when it starts. It holds no key but its own members' tokens."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Deployment(BaseModel):
    """One start of one team.

    `package` is the team's import name (`teams.marketing_team`), found below `source`; `tree` is the Git tree it was taken from.
    `member_tokens` maps each member to the token it shows the gateway. `inbound_token_sha256` (hex) is the hash of the token that
    callers must show: the team can check it and cannot use it elsewhere. `work_dir` is the only folder the team may write to;
    `told_dir` is one that the company writes to while the team runs, and the team reads (`reports.json`: the teams that report to it).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment_id: str
    team: str
    tree: str
    package: str
    source: str
    gateway_url: str
    member_tokens: dict[str, str]
    inbound_token_sha256: str
    work_dir: str
    told_dir: str

    @property
    def zone(self) -> str:
        """`teams` or `meta_teams`."""
        return self.package.split(".")[0]

    @property
    def folder(self) -> Path:
        return Path(self.source, *self.package.split("."))
