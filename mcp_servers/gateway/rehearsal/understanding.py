"""A lexical reading of a wish: what somebody wants of the company, in which field, with which skills.

Orders to break rules are text like any other: sentences that hold them are set aside, and what remains is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from mcp_servers.gateway.rehearsal import lexicon
from mcp_servers.gateway.rehearsal.domain import Domain, Hits, hits, stems
from mcp_servers.gateway.rehearsal.intent import ASKED_TEAM, Kind, content_words, kind_of
from mcp_servers.gateway.rehearsal.naming import NAMED, as_team, said_before_team, team_name
from mcp_servers.gateway.rehearsal.words import READ_LIMIT, clip, listed, readable, slug, stem, words
from teams.spec import DEPARTMENT_HEADS

_SENTENCE = re.compile(r"(?<=[.!?;\n])\s+|\n")
_CLAUSE = re.compile(r",\s*(?:and\s+)?|\s+and\s+(?:then\s+)?|\s+but\s+|:\s+")
#: What looks like a tag is nobody's word.
_TAG = re.compile(r"(?:<|&lt;)\s{0,3}/?\s{0,3}\w{1,20}\s{0,3}(?:>|&gt;)")
_SIZE = re.compile(r"\b(\d{1,3}|three|four|five|six|seven|eight|ten|twelve)\s+(?:people|members|agents|persons)\b")
_NUMBERS = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "ten": 10, "twelve": 12}
#: A field is recognised from this score on.
_CLEAR_FIELD = 2


@dataclass(frozen=True)
class Wish:
    """What was understood. `text` is the wish without orders; `about` its content words; `question` what to ask back.

    `function` names the field (a domain's name or the wish's own words), `team` the team that was named, or would be made.
    """

    kind: Kind
    text: str
    about: tuple[str, ...] = ()
    domain: Domain | None = None
    function: str = "general"
    skills: tuple[str, ...] = ()
    team: str = "general-team"
    placement: str = "operations"
    urgent: bool = False
    fixed_process: bool = False
    size: int | None = None
    question: str | None = None

    @property
    def department(self) -> str:
        return self.placement.split(".")[0]

    @property
    def gist(self) -> str:
        """The wish in a few words, for a title or a sentence."""
        return clip(" ".join(self.text.split()), 160).strip(" .!?")


def understand(text: str) -> Wish:
    """Reads one message. Bounded work whatever its length; never raises."""
    clean, orders_ignored = _without_orders(readable(_TAG.sub("\n", text[:READ_LIMIT])))
    wish = _read(clean)
    if wish.kind == "unclear" and orders_ignored:
        return replace(
            wish,
            question="I cannot change the company's rules from a message; people edit them in the policy files. "
            "Which capability or piece of work do you need?",
        )
    return wish


def covered_share(skills: tuple[str, ...], living: tuple[str, ...]) -> float:
    """Which part of these skills somebody living has, from 0 to 1; a skill counts if its words are another's."""
    if not skills:
        return 0.0
    theirs = [stems(skill.replace("-", " ")) for skill in living]
    mine = [stems(skill.replace("-", " ")) for skill in skills]
    return sum(any(one <= other for other in theirs) for one in mine) / len(skills)


def _without_orders(text: str) -> tuple[str, bool]:
    sentences = [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]
    kept = list[str]()
    for sentence in sentences:
        if not lexicon.ORDERS.search(sentence.lower()):
            kept.append(sentence)
            continue
        # An order may share its sentence with the wish: keep the clauses that give none.
        kept += [clause for clause in _CLAUSE.split(sentence) if clause and not lexicon.ORDERS.search(clause.lower())]
    return "\n".join(kept), kept != sentences


def _read(text: str) -> Wish:
    found = _bare(text)
    tongue = lexicon.language(found)
    # How the work is organised, and what the team is called, say nothing of what it is about.
    topic = _bare(lexicon.FIXED_PROCESS.sub(" ", NAMED.sub(" ", text).lower()))
    about, meant = content_words(topic), lexicon.meaning(found)
    foreign = frozenset(topic) if tongue != "English" else frozenset[str]()
    doing = tuple(word for before, word in pairwise(topic) if before in ("that", "who", "which"))
    best = _best_domain(
        lexicon.meaning(topic), foreign, lexicon.meaning(said_before_team(text)), lexicon.meaning(doing)
    )
    lowered = text.lower()
    wish = Wish(
        kind=kind_of(text, found, meant, about, best),
        text=text,
        about=about,
        urgent=bool(meant & lexicon.URGENT),
        fixed_process=bool(lexicon.FIXED_PROCESS.search(lowered)) and not lexicon.CREW_NAMED.search(lowered),
        size=_size(lowered),
    )
    wish = _placed(wish, best)
    if tongue != "English" and wish.kind not in ("greeting", "yes", "no"):
        return replace(wish, kind="unclear", question=_ask_in_english(tongue, best))
    return replace(wish, question=_question(best)) if wish.kind == "unclear" else wish


def _bare(text: str) -> tuple[str, ...]:
    return tuple(lexicon.SLIPS.get(word, word).removesuffix("'s") for word in words(text))


def _best_domain(
    meant: frozenset[str], foreign: frozenset[str], named: frozenset[str], doing: frozenset[str]
) -> Hits | None:
    scored = [hits(domain, meant, foreign, named) for domain in lexicon.DOMAINS]
    # What the team does (`that translates …`) says more than what it does it with (`… our website`).
    done = [hits(domain, doing, frozenset()) for domain in lexicon.DOMAINS]
    best, _ = max(zip(scored, done, strict=True), key=lambda pair: pair[0].score + pair[1].score)
    return best if best.score >= _CLEAR_FIELD else None


def _placed(wish: Wish, best: Hits | None) -> Wish:
    asked = ASKED_TEAM.search(wish.text.lower()) if wish.kind in ("work", "question") else None
    team = as_team(slug(asked[1] or asked[2])) if asked else team_name(wish.text, best, wish.about)
    if best is None:
        own = [word for word in wish.about if stem(word) not in lexicon.VAGUE and len(word) > 2][:3]
        department = next((word for word in wish.about if word in DEPARTMENT_HEADS), wish.placement)
        function, skills = slug(" ".join(own), "general"), _own_skills(wish.text, own)
        return replace(wish, function=function, skills=skills, team=team, placement=department)
    skills = (best.skills or best.domain.first_skills)[:6]
    domain = best.domain
    return replace(wish, domain=domain, function=domain.name, skills=skills, team=team, placement=domain.placement)


def _own_skills(text: str, own: list[str]) -> tuple[str, ...]:
    """Skills in the wish's own words: each doing word with what follows it, else the words themselves."""
    pairs = [f"{word} {after}" for word, after in pairwise(words(text)) if after in own and word not in lexicon.STOP]
    named = [slug(pair) for pair in pairs] or [slug(word) for word in own]
    return tuple(dict.fromkeys(named))[:4]


def _size(lowered: str) -> int | None:
    found = _SIZE.search(lowered)
    return (_NUMBERS.get(found[1]) or int(found[1])) if found else None


def _question(best: Hits | None) -> str:
    if best:
        skills = listed([skill.replace("-", " ") for skill in best.skills or best.domain.first_skills], "or")
        return f"Do you want a new team for {best.domain.name.replace('-', ' ')} ({skills}), or one piece of work done?"
    return "What should be done, and for whom? One sentence is enough, such as: we need a team that answers customers' emails."


def _ask_in_english(tongue: str, best: Hits | None) -> str:
    guess = f" Do you want a new team for {best.domain.name.replace('-', ' ')}?" if best else ""
    return (
        f"This looks like {tongue}, of which I read only single words.{guess} "
        "Please say in English what the company should be able to do."
    )
