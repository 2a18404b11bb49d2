"""Tokens rotate while a team runs: a real process outlives its first tokens, by a clock that the test turns."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from mcp_servers.cluster.plan import TOKEN_LIFETIME
from mcp_servers.cluster.processes import LocalProcesses
from mcp_servers.cluster.reconciler import Reconciler
from mcp_servers.cluster.renewal import TRY_AGAIN, NotRenewed, RenewalLog, bring_tokens
from mcp_servers.factories.team import render
from mcp_servers.gateway.a2a_api import TeamAddress
from mcp_servers.git.forge import seed
from mcp_servers.git.objects import Signature
from memory import deployments
from memory.tables import DeploymentRow, IncidentRow
from teams.runtime.gateway_client import Gateway, GatewayError
from teams.runtime.tokens import PutInToken, Tokens, stand_in
from tests.doubles.gateway import START, Office, World, office
from tests.factories.specs import support_team
from tests.runtime.conftest import INBOUND, Runs, deploy
from tests.runtime.conftest import runs as runs
from tests.runtime.conftest import standin as standin
from tests.runtime.conftest import standin_server as standin_server
from tests.runtime.standin import StandIn

ROOT = Path(__file__).resolve().parents[2]
TEAM = "support-team"


def small_team() -> Any:
    members = [member.model_dump() for member in support_team().members[:3]]
    return support_team(process="hierarchical", members=members, model="default")


class Company:
    """A gateway, a reconciler and one team in a process of its own. The clock is the test's."""

    def __init__(self, found: Office, folder: Path) -> None:
        self.office = found
        rendered = render(small_team())
        files = {f"teams/support_team/{path}": rendered[path] for path in rendered}
        seeder = Signature("seed", "seed@company.invalid")
        repository = seed(
            folder / "forge", "elf", "company", files, dict.fromkeys(files, "100644"), seeder, START, "Seed\n"
        )
        self.cluster = LocalProcesses(ROOT, folder)
        self.client = httpx.AsyncClient(trust_env=False)
        self.reconciler = Reconciler(
            repository=repository,
            database=found.database,
            cluster=self.cluster,
            home=folder,
            gateway_url=found.url,
            issue_token=self._issue,
            report_incident=self._ill,
            now=lambda: found.world.now,
            client=self.client,
        )

    def _issue(self, team: str, member: Any, deployment: str, now: Any, lifetime: timedelta) -> str:
        self.office.world.alive.add(deployment)
        return self.office.identity.issue(
            team,
            member.name,
            manager=member.manager,
            deployment_id=deployment,
            jti="j",
            now=now,
            lifetime=lifetime,
        )

    async def _ill(self, incident: IncidentRow) -> None:
        raise AssertionError(incident.reason)

    async def until_healthy(self) -> DeploymentRow:
        for _ in range(400):
            await self.reconciler.tick()
            with self.office.database.read() as session:
                if (row := deployments.serving(session, TEAM)) and row.address:
                    self.office.world.addresses[TEAM] = TeamAddress(row.address, row.inbound_token)
                    return row
        raise AssertionError(self.cluster.log(TEAM, 20).diagnostics)

    async def ask(self) -> str:
        """The state of the team's answer to a task."""
        parts = [{"text": "Answer the customer"}]
        message = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": parts}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": message}
        headers = self.office.headers("executive/ceo", manager=True) | {"A2A-Version": "1.0"}
        answer = await self.client.post(f"{self.office.url}/a2a/{TEAM}", json=body, headers=headers, timeout=30)
        return str(answer.json()["result"]["task"]["status"]["state"]).removeprefix("TASK_STATE_")

    def later(self, by: timedelta) -> None:
        self.office.world.now += by


@pytest.fixture
async def company(tmp_path: Path) -> AsyncGenerator[Company]:
    with office(tmp_path, world=World()) as found:
        running = Company(found, tmp_path)
        yield running
        await running.cluster.close()
        await running.client.aclose()


@pytest.mark.rows("F39", "L7")
@pytest.mark.timeout(120)
async def test_a_team_that_runs_past_the_end_of_its_first_tokens_works_on(company: Company) -> None:
    row = await company.until_healthy()
    # The gateway asks, as in the real company, whose process it is that shows a token.
    company.office.world.processes |= (by_pid := company.cluster.team_by_pid())
    [process] = company.cluster.running().values()
    assert {f"pid {pid}": team for pid, team in by_pid.items()} == {process.process: TEAM}
    assert await company.ask() == "COMPLETED"
    for _ in range(3):
        company.later(TOKEN_LIFETIME * 0.6)
        await company.reconciler.tick()
        assert await company.ask() == "COMPLETED"
    assert (await company.until_healthy()).id == row.id, "it is still the first process"
    renewals = company.office.ledger("team.tokens")
    assert [(entry[0], entry[2], entry[3]) for entry in renewals] == [("kernel:reconciler", row.id, "renewed")] * 3
    # The hole, planted: nobody renews. Then the tokens are dead, and the next round brings new ones.
    company.later(TOKEN_LIFETIME * 1.1)
    assert await company.ask() == "FAILED"
    await company.reconciler.tick()
    assert await company.ask() == "COMPLETED"
    # With the deployment, every token ends, however young.
    company.office.world.alive.discard(row.id)
    assert await company.ask() == "FAILED"


async def test_new_tokens_are_taken_from_the_kernel_alone_and_for_the_members_there_are(
    tmp_path: Path, standin: StandIn, runs: Runs
) -> None:
    deployment = deploy(small_team(), tmp_path, standin.url)
    fresh = {member: f"token-{member}-2" for member in deployment.member_tokens}
    with runs(deployment) as running:
        running.settled()
        async with httpx.AsyncClient() as client:
            # Another team's token and this team's own: the same refusal.
            for shown in ("token-of-another-team", *deployment.member_tokens.values()):
                with pytest.raises(NotRenewed, match="401"):
                    await bring_tokens(client, running.url, shown, fresh)
            first = dict(list(fresh.items())[:-1])
            for wrong in ({}, first, fresh | {"intruder": "t"}, dict.fromkeys(fresh, "")):
                with pytest.raises(NotRenewed, match="422"):
                    await bring_tokens(client, running.url, INBOUND, wrong)
            running.client.post("/task", json={"message": "Hi"})
            await bring_tokens(client, running.url, INBOUND, fresh)
            running.client.post("/task", json={"message": "Hi"})
            with pytest.raises(NotRenewed, match="Connect"):
                await bring_tokens(client, "http://127.0.0.1:1", INBOUND, fresh)
    assert {call.token.endswith("-2") for call in standin.calls[:1]} == {False}
    assert standin.calls[-1].token.endswith("-2")


def test_a_client_in_the_middle_of_a_run_sends_the_token_of_the_day_and_only_to_the_gateway() -> None:
    shown: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        shown.append((request.url.host, request.headers["authorization"]))
        message = {"role": "assistant", "content": "yes"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return httpx.Response(
            200, json={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        )

    tokens = Tokens({"editor": "first"})
    http = httpx.Client(transport=httpx.MockTransport(answer), auth=PutInToken(tokens, "http://127.0.0.1:7070"))
    client = OpenAI(base_url="http://127.0.0.1:7070/v1", api_key=stand_in("editor"), http_client=http, max_retries=0)
    question: Any = [{"role": "user", "content": "?"}]
    client.chat.completions.create(model="m", messages=question)
    tokens.renew({"editor": "second"})
    client.chat.completions.create(model="m", messages=question)
    client.with_options(base_url="http://127.0.0.2:7070/v1").chat.completions.create(model="m", messages=question)
    assert shown == [
        ("127.0.0.1", "Bearer first"),
        ("127.0.0.1", "Bearer second"),
        ("127.0.0.2", "Bearer member:editor"),
    ]


async def test_a_member_that_is_none_has_no_key() -> None:
    gateway = Gateway("http://127.0.0.1:1", {"editor": hashlib.sha256(b"t").hexdigest()})
    assert gateway.key("editor") == "member:editor"
    with pytest.raises(GatewayError, match="no token for the member 'ghost'"):
        gateway.key("ghost")
    await gateway.aclose()


def test_a_failed_renewal_is_tried_again_after_a_pause_even_when_the_clock_goes_back() -> None:
    log = RenewalLog()
    log.issued("d", START)
    log.failed("d", START)
    assert log.is_failing("d") and not log.may_try("d", START + TRY_AGAIN / 2)
    assert log.may_try("d", START + TRY_AGAIN) and log.may_try("d", START - TOKEN_LIFETIME)
    log.issued("d", START + TRY_AGAIN)
    assert not log.is_failing("d") and log.issued_at("d") == START + TRY_AGAIN
    log.forget("d")
    assert log.issued_at("d") is None
