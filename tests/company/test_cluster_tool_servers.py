"""A whole company whose cluster is asked for tool servers: it starts without an answer, and says in three places what it was told."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from rich.console import Console

from bootstrap import show
from bootstrap.kube_settings import KubeGiven
from bootstrap.office.server_findings import findings
from bootstrap.settings import CHECKOUT
from tests.doubles.kernel import Turned, kernel_by_hand
from tests.doubles.kube import ACCOUNT, kube, kubeconfig_of, service

pytestmark = pytest.mark.rows("F37", "F38", "F63")


async def ask_the_cluster(company: Turned) -> None:
    [asking] = [one for one in company.loops.rounds() if "cluster" in one.what]
    await asking.act()


async def test_a_company_says_what_its_cluster_answered(tmp_path: Path) -> None:
    with kube() as cluster:
        cluster.may_list = set()
        given = KubeGiven(("tools",), kubeconfig_of(cluster, tmp_path / "config"))
        async with kernel_by_hand(tmp_path / "home", teams=False, kube=given) as company:
            url, token = company.kernel.office.person.url, company.home.key("operator")
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=30, headers=headers) as http:
                assert cluster.asked == [], "nothing waits for the cluster at the start"
                await ask_the_cluster(company)
                assert (await http.get("/health")).json() == {"status": "ok", "cluster": {"namespace tools": "403"}}
                found = (await http.get("/api/gateway/servers")).json()
                [finding] = findings(found)
                assert "may not be listed (403)" in finding and ACCOUNT in finding
                assert finding.partition(": ")[2] in said(found)
                cluster.may_list = {"tools"}
                cluster.apply(service("search"))
                await ask_the_cluster(company)
                assert (await http.get("/health")).json()["cluster"] == {"namespace tools": "ok"}
                found = (await http.get("/api/gateway/servers")).json()
                assert findings(found) == []
                assert "search  not admitted  service tools/search" in said(found)
                assert "the cluster, namespace tools  ok  services with the label: 1" in said(found)


async def test_an_api_server_that_never_answers_delays_no_tool(tmp_path: Path) -> None:
    with kube() as cluster:
        cluster.seconds = 60
        given = KubeGiven(("tools",), kubeconfig_of(cluster, tmp_path / "config"))
        async with kernel_by_hand(tmp_path / "home", teams=False, kube=given) as company:
            url, token = company.kernel.office.person.url, company.home.key("operator")
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
            async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=30, headers=headers) as http:
                looking = asyncio.create_task(ask_the_cluster(company))
                while not cluster.asked:
                    await asyncio.sleep(0.01)
                assert (await http.post("/mcp", json=body)).json()["result"]["tools"]
                assert not looking.done(), "the tools are listed while the cluster is still waited for"
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)


def test_the_role_in_the_handbook_grants_what_is_asked_and_no_more() -> None:
    page = (CHECKOUT / "docs" / "tool-servers.md").read_text()
    [block] = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.S) if "kind: Role\n" in text]
    role, binding = yaml.safe_load_all(block)
    assert role["rules"] == [{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"] and binding["roleRef"]["kind"] == role["kind"]
    assert binding["metadata"]["namespace"] == role["metadata"]["namespace"]
    [subject] = binding["subjects"]
    assert f"system:serviceaccount:{subject['namespace']}:{subject['name']}" == ACCOUNT


def said(found: Any) -> str:
    """What `./elf gateway servers` prints."""
    out = io.StringIO()
    show.servers(Console(file=out, width=2000), found)
    return out.getvalue()
