"""What the rehearsal model knows of a field of work: who does it, which skills it takes, by which words it is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_servers.gateway.rehearsal.words import stem, words


@dataclass(frozen=True)
class Post:
    """A specialist: `does` completes "you …", `makes` names what they hand in."""

    name: str
    role: str
    skills: tuple[str, ...]
    does: str
    makes: str


@dataclass(frozen=True)
class Domain:
    """A field of work. `lead` and `posts` are who a team in it needs, the most important first; `skills` maps each skill to
    the words that ask for it; `words` point to the field as a whole. `foreign` are German, Spanish and French words for it.
    """

    name: str
    department: str
    placement: str
    result: str
    lead: tuple[str, str]
    posts: tuple[Post, ...]
    skills: Mapping[str, str]
    words: str
    foreign: str = ""
    doubt: str = "whether what we claim is true and can be shown"

    @property
    def first_skills(self) -> tuple[str, ...]:
        """What a team in this field must be able to do when the wish names nothing more exact."""
        return tuple(post.skills[0] for post in self.posts[:3])


@dataclass(frozen=True)
class Hits:
    """How strongly some words point to a domain, and to which of its skills."""

    domain: Domain
    score: int
    skills: tuple[str, ...] = field(default=())


def hits(domain: Domain, found: frozenset[str], foreign: frozenset[str], named: frozenset[str] = frozenset()) -> Hits:
    """`found` are stems of English words, `named` those that say which team is meant, `foreign` plain words as written."""
    skills = tuple(skill for skill, asking in domain.skills.items() if found & stems(asking))
    general = len(found & stems(domain.words))
    specific = len({word for asking in domain.skills.values() for word in found & stems(asking)})
    abroad = sum(any(word.startswith(known) for known in domain.foreign.split()) for word in foreign)
    by_name = bool(named & stems(domain.words))
    return Hits(domain, 2 * general + 3 * specific + 2 * abroad + 3 * by_name, skills)


def stems(text: str) -> frozenset[str]:
    """The stems of a list of words."""
    return frozenset(stem(word) for word in words(text))
