"""People's own clients come in at the reception with a token that talks and reads; teams do not, and nothing there decides."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import openai
import pytest

from mcp_servers.gateway import client_tokens, identity
from mcp_servers.gateway.client_tokens import PREFIX, ClientTokens
from mcp_servers.gateway.identity import PERSON, REFUSAL
from mcp_servers.gateway.reception import SAYS_PER_MINUTE, Reception, Speaker
from mcp_servers.gateway.refusals import Refused
from mcp_servers.gateway.refused_rows import OWN_ROWS
from memory import client_tokens as kept
from tests.doubles.gateway import KEY, OPERATOR, START
from tests.doubles.own_clients import Reached, reached

HELLO: dict[str, Any] = {"model": "ceo", "messages": [{"role": "user", "content": "How is the company?"}]}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Reached]:
    with reached(tmp_path, monkeypatch) as found:
        yield found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def post(company: Reached, path: str, body: Any, token: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = bearer(token) | {"Content-Type": "application/json"}
    return httpx.post(f"{company.office.url}{path}", content=content, headers=headers)


def asked(client: openai.OpenAI, body: dict[str, Any]) -> Any:
    create: Any = client.chat.completions.create
    return create(**body)


def forged(**changes: Any) -> str:
    """A token by the kernel's own key with other claims than it would sign."""
    now = int(START.timestamp())
    claims = {"sub": "0123456789abcdef", "aud": "elf-ceo", "role": "client", "iat": now, "exp": now + 3600} | changes
    return PREFIX + jwt.encode({name: it for name, it in claims.items() if it is not None}, KEY, algorithm="HS256")


@pytest.mark.rows("L7", "F39")
def test_a_clients_token_talks_with_the_ceo_and_the_list_of_models_has_nobody_else(company: Reached) -> None:
    with openai.OpenAI(base_url=company.v1, api_key=company.token()) as client:
        assert [model.id for model in client.models.list()] == ["ceo"]
        answer = asked(client, HELLO)
        assert "All is well." in str(answer.choices[0].message.content)
        with pytest.raises(openai.PermissionDeniedError, match="ask for the model ceo"):
            asked(client, HELLO | {"model": "default"})
    with openai.OpenAI(base_url=company.v1, api_key=OPERATOR) as client:
        assert [model.id for model in client.models.list()][-1] == "ceo"
        assert asked(client, HELLO).choices
        assert asked(client, HELLO | {"model": "default"}).model == "rehearsal"
    rows = [(row[0], row[3], row[4]["where"]) for row in company.office.ledger("person.talk")]
    assert rows == [(PERSON.address, outcome, "/v1") for outcome in ("allowed", "refused", "allowed")]


@pytest.mark.rows("F23", "L7")
def test_a_team_may_not_talk_with_the_ceo_as_a_person_whatever_its_rank_and_the_ledger_says_who_tried(
    company: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = company.office.identity.issue_kernel("hand", jti="h", now=START, lifetime=timedelta(hours=1))
    teams = {
        "marketing-team/editor": company.office.token("marketing-team/editor"),
        "marketing-team/lead": company.office.token("marketing-team/lead", manager=True),
        "executive/ceo": company.office.token("executive/ceo", manager=True),
        "kernel:hand": hand,
    }
    for who, token in teams.items():
        for path, body in (("/v1/chat/completions", HELLO), ("/ceo/mcp", LIST)):
            refused = post(company, path, body, token)
            assert refused.status_code == 403, (who, path)
            assert "that is for people" in refused.json()["error"]["message"]
            assert company.office.ledger("person.talk")[-1][0] == who
            assert company.office.ledger("person.talk")[-1][3] == "refused"
        models = httpx.get(f"{company.v1}/models", headers=bearer(token)).json()["data"]
        assert "ceo" not in [one["id"] for one in models]
    written = json.dumps(HELLO).replace('"ceo"', '"\\u0063eo"').encode()
    assert post(company, "/v1/chat/completions", written, teams["executive/ceo"]).status_code in (403, 404)
    assert company.ceo.told == []

    async def everybody(_self: Reception, authorization: str | None, _where: str) -> Speaker:
        await company.office.gateway.door.identify(authorization)
        return Speaker("operator")

    monkeypatch.setattr(Reception, "speaker", everybody)
    assert post(company, "/v1/chat/completions", HELLO, teams["marketing-team/editor"]).status_code == 200
    assert len(company.ceo.told) == 1, "without the reception's look a team speaks with a person's voice"


def everything(_id: str) -> bool:
    return True


def anybody_is_the_person(claims: dict[str, Any]) -> Any:
    return identity._Signed(PERSON, claims["iat"], claims["exp"])  # pyright: ignore[reportPrivateUsage]


FAULTS: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "elf-gateway"},
    "no audience": {"aud": None},
    "ended": {"exp": int(START.timestamp())},
    "no end": {"exp": None},
    "issued tomorrow": {"iat": int(START.timestamp()) + 86_400},
    "another role": {"role": "manager"},
    "no id": {"sub": "owner"},
    "never issued": {},
}


@pytest.mark.rows("L7", "F39")
def test_a_token_that_does_not_count_is_refused_in_the_same_words_whatever_is_wrong_with_it(company: Reached) -> None:
    good = company.token(days=1)
    bad = {what: forged(**claims) for what, claims in FAULTS.items()}
    bad["unsigned"] = PREFIX + jwt.encode(
        jwt.decode(good[len(PREFIX) :], options={"verify_signature": False}), "", "none"
    )
    bad["cut off"] = good[:-1]
    bad["nothing"] = PREFIX
    for what, token in bad.items():
        for path, body in (("/v1/chat/completions", HELLO), ("/ceo/mcp", LIST)):
            refused = post(company, path, body, token)
            assert (refused.status_code, REFUSAL in refused.text) == (401, True), (what, path, refused.text)
    assert httpx.get(f"{company.v1}/models", headers=bearer(bad["ended"])).status_code == 401
    assert company.ceo.told == []
    rows = company.office.ledger("identify")
    assert {row[3] for row in rows} == {"refused"}
    assert len(rows) <= OWN_ROWS, "and guessing fills no ledger"
    assert post(company, "/ceo/mcp", LIST, good).status_code == 200
    company.office.world.now += timedelta(days=1)
    assert post(company, "/ceo/mcp", LIST, good).status_code == 401


@pytest.mark.rows("L7")
def test_a_revoked_token_ends_at_once_and_with_a_check_that_does_not_look_it_would_go_on(
    company: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, other = company.token(), company.token()
    id_ = company.tokens.identify(f"Bearer {token}", START)
    assert post(company, "/ceo/mcp", LIST, token).status_code == 200
    company.desk.revoke(id_)
    assert post(company, "/ceo/mcp", LIST, token).status_code == 401
    assert post(company, "/v1/chat/completions", HELLO, token).status_code == 401
    assert post(company, "/ceo/mcp", LIST, other).status_code == 200
    states = {one["id"]: one["state"] for one in company.desk.listed()["tokens"]}
    assert states[id_] == "revoked" and sorted(states.values()) == ["living", "revoked"]
    rows = [(row[0], row[1], row[2]) for row in company.office.ledger() if row[1].startswith("token.")]
    assert rows.count(("person:owner", "token.revoke", f"token:{id_}")) == 1
    assert token.removeprefix(PREFIX) not in json.dumps(company.office.ledger())
    monkeypatch.setattr(company.tokens, "_is_open", everything)
    assert post(company, "/ceo/mcp", LIST, token).status_code == 200


@pytest.mark.rows("L7", "F39", "F106")
def test_a_clients_token_opens_no_other_door_and_without_its_audience_it_would_be_let_further(
    company: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = company.token()
    message = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}
    doors = [("/mcp", LIST), ("/mcp/desk", LIST), ("/a2a/executive", message), ("/v1/embeddings", {"model": "lexical"})]
    for path, body in doors:
        for shown in (token, token.removeprefix(PREFIX)):
            assert post(company, path, body, shown).status_code == 401, path
    assert post(company, "/v1/chat/completions", HELLO, token.removeprefix(PREFIX)).status_code == 401
    with pytest.raises(Refused):
        company.office.identity.identify(f"Bearer {token}", START)
    # Three things stand between it and a member's rights: another kind of signature, the audience and issuer, and the role.
    monkeypatch.setattr(identity, "ALGORITHM", client_tokens.ALGORITHM)
    monkeypatch.setattr(company.office.identity, "_public", KEY)
    monkeypatch.setattr(identity, "ISSUER", None)
    monkeypatch.setattr(client_tokens, "AUDIENCE", identity.AUDIENCE)
    careless = ClientTokens(KEY, lambda _: True).issue("0123456789abcdef", now=START, lifetime=timedelta(days=1))
    monkeypatch.setattr(identity, "_CLAIMS", ["sub", "aud", "role", "iat", "exp"])
    monkeypatch.setattr(identity, "_read", anybody_is_the_person)
    assert post(company, "/mcp", LIST, careless.removeprefix(PREFIX)).status_code == 200


@pytest.mark.rows("F39")
def test_a_client_that_lost_its_way_is_slowed_down_and_the_person_is_not(company: Reached) -> None:
    token = company.token()
    for number in range(SAYS_PER_MINUTE):
        ask = {"model": "ceo", "messages": [{"role": "user", "content": f"Again {number}"}]}
        assert post(company, "/v1/chat/completions", ask, token).status_code == 200
    slowed = post(company, "/v1/chat/completions", HELLO, token)
    assert (slowed.status_code, slowed.headers["x-should-retry"]) == (429, "false")
    assert int(slowed.headers["retry-after"]) <= 60
    assert post(company, "/v1/chat/completions", HELLO, OPERATOR).status_code == 200
    company.office.world.now += timedelta(minutes=1)
    assert post(company, "/v1/chat/completions", HELLO, token).status_code == 200


def test_tokens_have_an_end_to_their_number(company: Reached, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.office.token_desk.MOST", 2)
    company.token()
    company.token(days=1)
    with pytest.raises(ValueError, match="revoke one"):
        company.token()
    company.office.world.now += timedelta(days=2)
    assert company.token()
    with company.office.database.read() as session:
        ends = [one.is_open(company.office.world.now) for one in kept.every(session)]
    assert ends == [True, False, True]
