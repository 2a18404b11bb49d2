"""What the gateway notices reaches the monitor of a whole company."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.kernel import kernel_by_hand


@pytest.mark.rows("F57", "L4")
async def test_a_stopped_run_is_an_alert_of_the_company(tmp_path: Path) -> None:
    async with kernel_by_hand(tmp_path / "home", teams=False) as company:
        company.kernel.gateway.door.till.noticed.loop("The run 'r' of a-team", "It went round.", company.clock())
        await company.kernel.monitor.round()
        assert "loop:The run 'r' of a-team" in {one["cause"] for one in company.kernel.monitor.report()["alerts"]}
