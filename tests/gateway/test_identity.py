"""Only tokens this gateway issued, that have not ended, say who somebody is; all others get one same refusal."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from mcp_servers.gateway.identity import AUDIENCE, ISSUER, REFUSAL, Identity, operator_token_hash, signing_key
from mcp_servers.gateway.refusals import Refused

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
KEY = b"k" * 32
OPERATOR = "an-operator-token-of-32-characters"


class Lookup:
    """Which deployments live, and whether anybody asked."""

    def __init__(self, *alive: str) -> None:
        self.alive, self.asked = set(alive), 0

    def __call__(self, deployment: str, rows: object) -> bool:
        assert rows is None, "nobody holds a transaction here"
        self.asked += 1
        return deployment in self.alive


@pytest.fixture
def lookup() -> Lookup:
    return Lookup("d1")


@pytest.fixture
def identity(lookup: Lookup) -> Identity:
    return Identity(KEY, operator_token_hash(OPERATOR), lookup)


def claims(**changes: Any) -> dict[str, Any]:
    base = {"sub": "writers/ann", "iss": ISSUER, "aud": AUDIENCE, "role": "member", "deployment": "d1", "jti": "j"}
    times = {"iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 60}
    return {key: value for key, value in (base | times | changes).items() if value is not None}


def signed(key: bytes = KEY, **changes: Any) -> str:
    return jwt.encode(claims(**changes), signing_key(key), algorithm="EdDSA")


def shared(key: bytes, algorithm: str) -> str:
    """Signed with a secret that both sides would hold."""
    return jwt.encode(claims(), key, algorithm=algorithm)


def public_half() -> bytes:
    return signing_key(KEY).public_key().public_bytes_raw()


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims())
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def test_an_issued_token_says_who_calls(identity: Identity) -> None:
    token = identity.issue(
        "marketing-team", "editor", manager=True, deployment_id="d1", jti="j1", now=NOW, lifetime=timedelta(hours=1)
    )
    caller = identity.identify(f"Bearer {token}", NOW)
    assert (caller.address, caller.manager, caller.kind, caller.deployment_id) == (
        "marketing-team/editor",
        True,
        "member",
        "d1",
    )


def test_the_operator_token_is_the_person_and_a_hand_of_the_kernel_is_itself(identity: Identity) -> None:
    assert identity.identify(f"bearer {OPERATOR}", NOW).address == "person:owner"
    hand = identity.issue_kernel("merge-desk", jti="j", now=NOW, lifetime=timedelta(hours=1))
    caller = identity.identify(f"Bearer {hand}", NOW)
    assert (caller.address, caller.kind, caller.manager) == ("kernel:merge-desk", "kernel", True)


BAD: dict[str, str | None] = {
    "no header": None,
    "an empty header": "",
    "no scheme": signed(),
    "another scheme": f"Basic {signed()}",
    "an empty token": "Bearer  ",
    "not a token": "Bearer abc",
    "not ASCII": "Bearer \u00e9\u00e9\u00e9.a.b",
    "a huge one": "Bearer " + "a" * 5000,
    "the wrong audience": f"Bearer {signed(aud='elf-forge')}",
    "no audience": f"Bearer {signed(aud=None)}",
    "alg none": f"Bearer {unsigned()}",
    "another algorithm": f"Bearer {shared(KEY * 2, 'HS512')}",
    "the secret itself as the key": f"Bearer {shared(KEY, 'HS256')}",
    "the public key as a secret, which everybody has": f"Bearer {shared(public_half(), 'HS256')}",
    "another issuer": f"Bearer {signed(iss='somebody')}",
    "no issuer": f"Bearer {signed(iss=None)}",
    "another key": f"Bearer {signed(b'x' * 32)}",
    "expired": f"Bearer {signed(exp=int(NOW.timestamp()))}",
    "no expiry": f"Bearer {signed(exp=None)}",
    "an expiry that is text": f"Bearer {signed(exp='tomorrow')}",
    "issued in the future": f"Bearer {signed(iat=int(NOW.timestamp()) + 120)}",
    "no id": f"Bearer {signed(jti=None)}",
    "no deployment": f"Bearer {signed(deployment='')}",
    "a role nobody has": f"Bearer {signed(role='owner')}",
    "a member who claims to be the kernel": f"Bearer {signed(role='kernel')}",
    "a kernel's hand as a member": f"Bearer {signed(sub='kernel:merge-desk')}",
    "a subject that is a path": f"Bearer {signed(sub='../etc/passwd')}",
    "a subject with a line after it": f"Bearer {signed(sub=chr(10).join(('writers/ann', 'x')))}",
    "the wrong operator token": f"Bearer {OPERATOR}x",
}


@pytest.mark.rows("F39")
@pytest.mark.parametrize("header", BAD.values(), ids=BAD.keys())
def test_every_bad_token_gets_the_same_refusal_before_anything_is_looked_up(
    identity: Identity, lookup: Lookup, header: str | None
) -> None:
    with pytest.raises(Refused) as refusal:
        identity.identify(header, NOW)
    assert (refusal.value.code, refusal.value.message, lookup.asked) == ("unauthenticated", REFUSAL, 0)


@pytest.mark.rows("F39", "L7")
def test_a_token_replayed_from_another_team_is_that_other_teams_and_nothing_more(identity: Identity) -> None:
    """Who shows a token is who it was issued to: no header, id or claim beside it makes the caller anybody else."""
    stolen = identity.issue(
        "writers", "ann", manager=False, deployment_id="d1", jti="j", now=NOW, lifetime=timedelta(hours=1)
    )
    caller = identity.identify(f"Bearer {stolen}", NOW)
    assert (caller.address, caller.manager) == ("writers/ann", False)
    head, body, signature = stolen.split(".")
    grown = claims(sub="executive/ceo", role="manager")
    forged = base64.urlsafe_b64encode(json.dumps(grown).encode()).rstrip(b"=").decode()
    for token in (f"{head}.{forged}.{signature}", f"{head}.{body}.", f"{head}.{body}.{signature[:-2]}AA"):
        with pytest.raises(Refused, match="No valid token"):
            identity.identify(f"Bearer {token}", NOW)
    # And it is worth an hour: at its end it is refused like any other, whatever its deployment does.
    with pytest.raises(Refused, match="No valid token"):
        identity.identify(f"Bearer {stolen}", NOW + timedelta(hours=1))


PLANTED = {
    "the audience is not looked at": (signed(aud="elf-forge"), {"verify_aud": False}),
    "the expiry is not looked at": (signed(exp=int(NOW.timestamp()) - 1), {"verify_exp": False, "verify_aud": False}),
    "the signature is not looked at": (signed(b"x" * 32), {"verify_signature": False}),
}


@pytest.mark.rows("F39")
@pytest.mark.parametrize(("token", "careless"), PLANTED.values(), ids=PLANTED.keys())
def test_a_checker_without_that_look_lets_the_bad_token_in(
    identity: Identity, token: str, careless: dict[str, bool]
) -> None:
    options: Any = {"verify_exp": False, "verify_iat": False} | careless
    public = signing_key(KEY).public_key()
    assert jwt.decode(token, public, algorithms=["EdDSA"], options=options)["sub"] == "writers/ann"
    with pytest.raises(Refused, match="No valid token"):
        identity.identify(f"Bearer {token}", NOW)


@pytest.mark.rows("F39")
def test_a_token_of_a_deployment_that_ended_gets_it_too(identity: Identity, lookup: Lookup) -> None:
    header = f"Bearer {signed()}"
    assert identity.identify(header, NOW).address == "writers/ann"
    lookup.alive.clear()
    with pytest.raises(Refused, match="No valid token"):
        identity.identify(header, NOW)


def test_a_gateway_that_never_asks_about_deployments_lets_the_dead_in() -> None:
    careless = Identity(KEY, operator_token_hash(OPERATOR), lambda _id, _rows: True)
    assert careless.identify(f"Bearer {signed(deployment='ended-long-ago')}", NOW).team == "writers"


def test_a_checker_that_believes_the_token_about_its_algorithm_is_fooled() -> None:
    forged = unsigned()
    believed = jwt.decode(forged, options={"verify_signature": False})
    assert believed["sub"] == "writers/ann"


@pytest.mark.rows("F36", "F39")
def test_whoever_has_the_public_keys_can_check_a_token_and_make_none(identity: Identity) -> None:
    token = identity.issue("writers", "ann", manager=True, deployment_id="d1", jti="j", now=NOW, lifetime=timedelta(1))
    [key] = identity.public_keys["keys"]
    assert set(key) == {"kty", "crv", "x", "use", "alg", "kid"}, "no private part"
    found = jwt.PyJWK(key)
    assert jwt.get_unverified_header(token)["kid"] == found.key_id
    options: Any = {"verify_exp": False, "verify_iat": False}
    said = jwt.decode(token, found, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER, options=options)
    assert (said["sub"], said["role"]) == ("writers/ann", "manager")
    again = Identity(KEY, operator_token_hash(OPERATOR), lambda _id, _rows: True)
    assert again.public_keys == identity.public_keys, "a restart makes the same keys of the same secret"
    assert KEY.decode() not in json.dumps(identity.public_keys)


def test_short_keys_and_bad_hashes_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        Identity(b"short", operator_token_hash(OPERATOR), lambda _id, _rows: True)
    with pytest.raises(ValueError, match="SHA-256"):
        Identity(KEY, OPERATOR, lambda _id, _rows: True)


@pytest.mark.parametrize("member", ["", "Ann", "a/b", "ann\n", "a b", "änn"])
def test_no_token_is_issued_to_an_invalid_name(identity: Identity, member: str) -> None:
    with pytest.raises(ValueError, match="not a valid address"):
        identity.issue("writers", member, manager=False, deployment_id="d1", jti="j", now=NOW, lifetime=timedelta(1))
