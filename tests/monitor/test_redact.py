"""No secret leaves in a text: those of the home by value, all others by their shape."""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from bootstrap.home import Home
from bootstrap.known_secrets import known_secrets
from bootstrap.settings import read_settings
from mcp_servers.gateway.redaction import MARK
from mcp_servers.monitor.redact import Redactor

#: Put together here, so that no scanner takes them for real ones.
SHAPES = {
    "OpenAI": "sk-" + "proj-" + "a1B2" * 8,
    "Anthropic": "sk-" + "ant-api03-" + "x9" * 20,
    "GitHub": "gh" + "p_" + "A1b2" * 9,
    "GitHub, fine-grained": "github_" + "pat_" + "A1" * 20,
    "Slack": "xox" + "b-1234567890-" + "abc" * 6,
    "AWS": "AKIA" + "ABCDEFGH" * 2,
    "Google": "AIza" + "x" * 35,
    "a web token": "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxIn0" + ".c2lnbmF0dXJl",
    "a Slack webhook": "https://hooks.slack.com" + "/services/T000/B000/abc",
    "a Discord webhook": "https://discord.com" + "/api/webhooks/1/abc-def",
}


@pytest.mark.rows("F76", "F100")
@pytest.mark.parametrize("kind", list(SHAPES))
def test_every_known_kind_of_token_is_hidden(kind: str) -> None:
    secret = SHAPES[kind]
    hide = Redactor(list)
    for text in (secret, f"failed with {secret}, sorry", f"url?key={secret}&x=1", f'{{"it": "{secret}"}}'):
        assert secret not in hide(text)
        assert MARK in hide(text)


def test_named_values_and_addresses_with_passwords_are_hidden() -> None:
    hide = Redactor(list)
    for text, secret in (
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("password=hunter2hunter2 for it", "hunter2hunter2"),
        ('"api_key": "abcdefgh12345678"', "abcdefgh12345678"),
        ("postgresql://elf:s3cr3tpass@db:5432/x", "s3cr3tpass"),
        ("-----BEGIN " + "PRIVATE KEY-----\nMIIabc\n-----END " + "PRIVATE KEY-----", "MIIabc"),
    ):
        assert secret not in hide(text), text


@pytest.mark.rows("F76", "F100")
def test_every_secret_that_is_held_is_hidden_whole_by_line_and_encoded_and_also_one_made_later() -> None:
    held: list[str] = []
    hide = Redactor(lambda: held)
    for _ in range(5):
        key = secrets.token_urlsafe(48) + "/+ä"
        held.append(f"{key}\n{key[::-1]}\n")
        forms = (key, key[::-1], quote(key, safe=""), b64encode(key.encode()).decode(), key.encode().hex())
        for form in forms:
            assert key not in hide(form) and hide(f"see {form}.").startswith(f"see {MARK}"), form


@pytest.mark.rows("F76", "F100")
def test_what_the_gateway_may_inject_is_hidden_however_short(tmp_path: Path) -> None:
    settings = read_settings({"ELF_HOME": str(tmp_path), "ELF_SECRET_WIKI": "wiki-pw1"})
    hide = Redactor(lambda: known_secrets(settings, Home(tmp_path)).values())
    assert hide("refused with wiki-pw1.") == f"refused with {MARK}."


def test_ordinary_words_stay() -> None:
    text = "The team legal-team is ill: import error in teams/legal_team/crew.py, row 12; sk-ip it. 95 % of 24 GB."
    assert Redactor(lambda: ["ill", "", "  "])(text) == text


def test_no_text_takes_long_to_look_through() -> None:
    hide = Redactor(list)
    for part in ("a", "://", "-_", "eyJ", "eyJaaaaaaaa.", "token ", "sk-", "-----BEGIN ", "a@", "bearer ", "."):
        began = time.perf_counter()
        hide(part * (100_000 // len(part)))
        assert time.perf_counter() - began < 1.0, part
