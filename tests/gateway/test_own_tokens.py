"""A token that one team got from another opens nothing in its hands. Real processes, real connections, the real gateway."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doubles.gateway import OPERATOR, Office, office
from tests.doubles.team_process import TeamProcess, team_process


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[Office]:
    with office(tmp_path) as it:
        yield it


@contextmanager
def process_of(gateway: Office, team: str, *, known: bool = True) -> Generator[TeamProcess]:
    with team_process(gateway.url) as process:
        gateway.world.processes |= {process.pid: team} if known else {}
        yield process
        gateway.world.processes.pop(process.pid, None)


@pytest.mark.rows("F39", "L7")
def test_a_token_is_good_in_its_own_teams_process_and_refused_in_another_teams(gateway: Office) -> None:
    own, others = gateway.token(), gateway.token("devops/delivery-lead")
    with process_of(gateway, "marketing-team") as marketing, process_of(gateway, "devops"):
        # One connection: what it was found to be holds for one token, not for the next that is shown on it.
        said = [marketing.asks("/v1/models", token) for token in (own, others, own, others)]
        assert said == [200, 401, 200, 401]
        assert marketing.asks("/v1/models", others, by_an_orphan=True) == 401
        assert marketing.asks("/v1/models", OPERATOR) == 401
    first, *_ = gateway.ledger("request")
    assert "devops/delivery-lead was used by a process of the team marketing-team" in first[4]["why"]


@pytest.mark.rows("F39", "L7")
def test_another_connection_from_the_same_port_is_asked_about_anew(gateway: Office) -> None:
    token = gateway.token("devops/delivery-lead")
    with process_of(gateway, "devops") as devops:
        assert devops.asks("/v1/models", token) == 200
    with process_of(gateway, "marketing-team") as marketing:
        assert [marketing.asks("/v1/models", token) for _ in range(3)] == [401] * 3


@pytest.mark.rows("F39", "L7")
def test_planted_hole_where_nobody_asks_whose_process_it_is_a_replayed_token_opens_the_door(gateway: Office) -> None:
    others = gateway.token("devops/delivery-lead")
    with process_of(gateway, "marketing-team", known=False) as marketing:
        assert marketing.asks("/v1/models", others) == 200
