"""The turns before a message, as the CEO is shown them: each client has a conversation of its own, known by how its ids begin."""

from __future__ import annotations

from collections.abc import Sequence

from memory import messages
from memory.session import Database
from teams.messages import Utterance

#: Earlier turns the CEO is shown with a message.
REMEMBERED_TURNS = 6
_TURN_LENGTH = 2000


def remembered(database: Database, person: str, team: str, conversation: str) -> tuple[Utterance, ...]:
    """The last turns of the person and the team in messages whose correlation ids begin so, oldest first."""
    with database.read() as session:
        carried = messages.conversation(session, person, team, conversation, most=REMEMBERED_TURNS * 3)
    turns = [(("person", one.sent.text), ("ceo", one.answer.text)) for one in carried if one.answer]
    return as_history([spoken for turn in reversed(turns[:REMEMBERED_TURNS]) for spoken in turn])


def as_history(spoken: Sequence[tuple[str, str]]) -> tuple[Utterance, ...]:
    """The last of these (speaker, words), shortened, without what is empty. `ValidationError` for words that nobody types."""
    said = [(speaker, words) for speaker, words in spoken if words.strip()]
    return tuple(
        Utterance(speaker=speaker, text=words[:_TURN_LENGTH]) for speaker, words in said[-2 * REMEMBERED_TURNS :]
    )
