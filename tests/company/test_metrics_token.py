"""Prometheus has a credential of its own: it reads the metrics, and every other door is closed to it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.doubles.kernel import kernel_by_hand

DOORS = [
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/mcp"),
    ("POST", "/ceo/mcp"),
    ("POST", "/a2a/executive"),
    ("GET", "/api/status"),
    ("GET", "/api/health/report"),
    ("GET", "/api/costs"),
    ("GET", "/api/audit"),
    ("GET", "/api/tokens"),
    ("GET", "/api/gateway/servers"),
    ("POST", "/api/say"),
    ("GET", "/forge/api/v3/user"),
    ("GET", "/forge/git/elf/company.git/info/refs?service=git-receive-pack"),
]


@pytest.mark.rows("F68", "F76")
async def test_the_metrics_token_reads_the_metrics_and_nothing_else(tmp_path: Path) -> None:
    async with kernel_by_hand(tmp_path, teams=False) as company:
        url = company.kernel.office.person.url
        operator, metrics = (
            {"Authorization": f"Bearer {company.home.key(name)}", "Content-Type": "application/json"}
            for name in ("operator", "metrics")
        )
        async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=30) as http:
            page = await http.get("/metrics", headers=metrics)
            assert page.status_code == 200 and "elf_calls_waiting" in page.text
            for method, path in DOORS:
                closed = await http.request(method, path, headers=metrics, content=b"{}")
                assert closed.status_code in (401, 403), path
                if not path.startswith("/forge"):
                    opened = await http.request(method, path, headers=operator, content=b"{}")
                    assert opened.status_code not in (401, 403), f"{path} is a door that somebody may pass"
        assert (company.home.path / "keys" / "metrics").stat().st_mode & 0o077 == 0
