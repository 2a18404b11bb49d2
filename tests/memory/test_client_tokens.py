"""What the ledger keeps of tokens for own clients, and what messages and usage rows say of their talks: on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memory import client_tokens, messages, usage
from memory.client_tokens import ClientToken
from memory.messages import Sent
from memory.session import Database
from memory.usage import Total, Usage

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ME = "person:owner"


@pytest.mark.rows("L7", "L8")
def test_a_token_is_open_from_its_row_until_its_end_or_its_revocation(database: Database) -> None:
    mine = [ClientToken(id_, f"for {id_}", NOW, NOW + timedelta(days=1)) for id_ in ("aaaaaaaa", "bbbbbbbb")]
    assert not client_tokens.is_open(database, "aaaaaaaa")
    with database.begin() as session:
        for one in mine:
            client_tokens.record_issued(session, ME, one)
        client_tokens.record_revoked(session, ME, "bbbbbbbb", NOW + timedelta(hours=1))
    assert client_tokens.is_open(database, "aaaaaaaa")
    assert not client_tokens.is_open(database, "bbbbbbbb")
    assert not client_tokens.is_open(database, "aaaaaaa")
    with database.read() as session:
        kept = client_tokens.every(session)
    assert [(one.label, one.is_open(NOW)) for one in kept] == [("for aaaaaaaa", True), ("for bbbbbbbb", False)]
    assert not kept[0].is_open(NOW + timedelta(days=1))


@pytest.mark.rows("F24")
def test_a_conversation_is_what_one_sender_wrote_to_one_receiver_under_ids_that_begin_alike(database: Database) -> None:
    written = [
        ("mcp.t.a.k.1", ME, "executive"),
        ("mcp.t.a.k.2", ME, "executive"),
        ("mcp.t.ab.k.1", ME, "executive"),
        ("mcp_t.a.k.1", ME, "executive"),
        ("mcp.t.a.k.1", "executive/ceo", "devops"),
    ]
    with database.begin() as session:
        for number, (id_, sender, receiver) in enumerate(written):
            at = NOW + timedelta(seconds=number)
            messages.record_sent(session, Sent(str(number), at, id_, sender, sender, receiver, "text", 1, (), "hi"))
    with database.read() as session:
        found = messages.conversation(session, ME, "executive", "mcp.t.a.", most=9)
        assert [one.sent.id for one in found] == ["1", "0"]
        assert [one.sent.id for one in messages.conversation(session, ME, "executive", "mcp_t", most=9)] == ["3"]
        assert len(messages.conversation(session, ME, "executive", "mcp.", most=2)) == 2


@pytest.mark.rows("F44")
def test_what_a_run_took_is_known_if_every_call_was_counted_or_not_worked_on(database: Database) -> None:
    def one(run: str, outcome: str) -> Usage:
        return Usage("2026-11-20", NOW, "executive", "ceo", "m", "work", run, 10, 2, 3, 4, outcome)

    with database.begin() as session:
        for run, outcomes in {"a": ("ok", "rate_limit"), "b": ("ok", "gone"), "c": ("unmetered",)}.items():
            for outcome in outcomes:
                usage.record(session, one(run, outcome))
    with database.read() as session:
        assert usage.metered(session, "a") == Total(2, 20, 4, 6)
        assert [usage.metered(session, run) for run in ("b", "c", "nobody")] == [None, None, None]
