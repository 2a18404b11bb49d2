"""On a whole company, what runs as a team's process opens no door with a token that is not its team's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from mcp_servers.cluster.processes import LocalProcesses
from tests.doubles.kernel import kernel_by_hand
from tests.doubles.team_process import TeamProcess, team_process

#: The key that opens each, as the home names it.
DOORS = {
    "/v1/models": "operator",
    "/api/status": "operator",
    "/api/gateway/servers": "operator",
    "/forge/api/v3/user": "forge-owner",
}


@pytest.mark.rows("F39", "L7")
async def test_the_persons_keys_in_a_teams_process_open_neither_gateway_nor_office_nor_forge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kernel_by_hand(tmp_path, teams=False) as company:
        keys = {path: company.home.key(name) for path, name in DOORS.items()}
        with team_process(company.kernel.office.person.url) as process:
            outside = await anyio.to_thread.run_sync(_statuses, process, keys)
        with team_process(company.kernel.office.person.url) as process:
            by_pid = {process.pid: "marketing-team"}
            monkeypatch.setattr(LocalProcesses, "team_by_pid", lambda _cluster: by_pid)  # pyright: ignore[reportUnknownLambdaType]
            as_a_team = await anyio.to_thread.run_sync(_statuses, process, keys)
    assert (outside, as_a_team) == ([200] * len(DOORS), [401] * len(DOORS))


def _statuses(process: TeamProcess, keys: Mapping[str, str]) -> list[int]:
    return [process.asks(path, token) for path, token in keys.items()]
