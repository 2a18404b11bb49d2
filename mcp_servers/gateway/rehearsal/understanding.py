"""A lexical reading of a wish: what somebody wants of the company, in which field, with which skills.

Orders to break rules are text like any other: sentences that hold them are set aside, and what remains is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from mcp_servers.gateway.rehearsal import lexicon
from mcp_servers.gateway.rehearsal.domain import Domain, Hits, hits, stems
from mcp_servers.gateway.rehearsal.words import READ_LIMIT, clip, listed, readable, slug, stem, words
from teams.spec import RESERVED_NAMES

Kind = Literal["capability", "work", "question", "greeting", "yes", "no", "unclear"]

_SENTENCE = re.compile(r"(?<=[.!?;\n])\s+|\n")
#: What looks like a tag is nobody's word.
_TAG = re.compile(r"(?:<|&lt;)\s{0,3}/?\s{0,3}\w{1,20}\s{0,3}(?:>|&gt;)")
_NAMED = re.compile(r"""\b(?:named|called|name it|call it)\s+["'`]?([^\s"'`,;]{1,80})""", re.IGNORECASE)
_TEAM_FOR = re.compile(
    r"\b(?:a|an|the|our|new|another)\s+((?:[\w&-]+\s+){1,3}?)(?:team|department|crew|squad|unit|group)\b"
)
_ASKED_TEAM = re.compile(
    r"\b(?:ask|have|let|tell|get|want|give)\s+(?:the\s+|our\s+)?((?:[\w&-]+\s+){0,2}?[\w-]+)[ -]team\b|\b([a-z][a-z0-9-]*-team)\b"
)
_SIZE = re.compile(r"\b(\d{1,3}|three|four|five|six|seven|eight|ten|twelve)\s+(?:people|members|agents|persons)\b")
_NUMBERS = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "ten": 10, "twelve": 12}


@dataclass(frozen=True)
class Wish:
    """What was understood. `text` is the wish without orders; `about` its content words; `question` what to ask back.

    `function` names the field (a domain's name or the wish's own words), `team` the team that was named, if one was.
    """

    kind: Kind
    text: str
    about: tuple[str, ...] = ()
    domain: Domain | None = None
    function: str = "general"
    skills: tuple[str, ...] = ()
    team: str | None = None
    placement: str = "operations"
    urgent: bool = False
    fixed_process: bool = False
    size: int | None = None
    question: str | None = None
    orders_ignored: bool = False

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
    wish = replace(_read(clean), orders_ignored=orders_ignored)
    if wish.kind == "unclear" and orders_ignored:
        return replace(
            wish,
            question="I cannot change the company's rules from a message; people edit them in the policy files. "
            "Which capability or piece of work do you need?",
        )
    return wish


def _without_orders(text: str) -> tuple[str, bool]:
    sentences = [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]
    kept = list[str]()
    for sentence in sentences:
        if not lexicon.ORDERS.search(sentence.lower()):
            kept.append(sentence)
            continue
        # An order may share its sentence with the wish: keep the clauses that give none.
        clauses = re.split(r",\s*(?:and\s+)?|\s+and\s+(?:then\s+)?|\s+but\s+|:\s+", sentence)
        kept += [clause for clause in clauses if clause and not lexicon.ORDERS.search(clause.lower())]
    return "\n".join(kept), len(kept) != len(sentences) or kept != sentences


def _read(text: str) -> Wish:
    found = tuple(lexicon.SLIPS.get(word, word).removesuffix("'s") for word in words(text))
    tongue = lexicon.language(found)
    english = tongue == "English"
    field = words(lexicon.FIXED_PROCESS.sub(" ", _NAMED.sub(" ", text).lower()))
    meant = lexicon.meaning(found)
    about = _about(field)
    best = _best_domain(lexicon.meaning(field), frozenset(field), abroad=not english)
    wish = Wish(
        kind=_kind(text, found, meant, about, best),
        text=text,
        about=about,
        urgent=bool(meant & lexicon.URGENT),
        fixed_process=bool(lexicon.FIXED_PROCESS.search(text.lower())) and not lexicon.CREW_NAMED.search(text.lower()),
        size=_size(text),
    )
    wish = _placed(wish, best, text)
    if not english and wish.kind not in ("greeting", "yes", "no"):
        return replace(wish, kind="unclear", question=_ask_in_english(tongue, best))
    return replace(wish, question=_question(best)) if wish.kind == "unclear" else wish


def _about(found: tuple[str, ...]) -> tuple[str, ...]:
    """The content words: neither fillers, nor what somebody does (`that restores`), nor words for doing in general."""
    bare = tuple(word.removesuffix("'s") for word in found)
    doing = {word for before, word in pairwise(bare) if before in ("that", "who", "which") and word.endswith("s")}
    return tuple(
        dict.fromkeys(
            word
            for word in bare
            if word not in lexicon.STOP and word not in doing and stem(word) not in lexicon.DOING and len(word) > 1
        )
    )


def _best_domain(meant: frozenset[str], found: frozenset[str], *, abroad: bool) -> Hits | None:
    scored = [hits(domain, meant, found if abroad else frozenset()) for domain in lexicon.DOMAINS]
    best = max(scored, key=lambda one: one.score)
    return best if best.score >= 2 else None


def _kind(text: str, found: tuple[str, ...], meant: frozenset[str], about: tuple[str, ...], best: Hits | None) -> Kind:
    if not found:
        return "unclear"
    if (short := _small_talk(found)) is not None:
        return short
    lowered = text.lower().strip()
    substance = [word for word in about if stem(word) not in lexicon.VAGUE]
    asks = _is_question(lowered, found)
    if _ASKED_TEAM.search(lowered) and _starts_with_asking(found):
        return "work" if substance else "unclear"
    if _wants_a_thing(found):
        return "work"
    wants = bool(meant & lexicon.WANTING) and bool((meant & lexicon.GROUP) or best)
    if asks and (meant & lexicon.COMPANY or best) and not re.match(r"(can|could|would|will) (we|you|i)\b", lowered):
        return "question"
    if _orders_work(found) and not (_makes_a_team(lowered)):
        return "work" if substance or best else "unclear"
    if wants or _makes_a_team(lowered) or (best and meant & lexicon.GROUP):
        return "capability" if best or _says_what_for(substance) else "unclear"
    if asks:
        return "question"
    if best and re.search(r"\b(nobody|no one|mess|overwhelmed|drowning|behind|too much|problem|help)\b", lowered):
        return "capability"
    return "capability" if best and best.score >= 3 and meant & lexicon.WANTING else "unclear"


def _small_talk(found: tuple[str, ...]) -> Kind | None:
    if len(found) <= 6 and found[0] in lexicon.YES and all(word in lexicon.YES or word in ("it", "ask", "that", "the", "team", "them", "would", "be", "great", "create", "is", "delegate", "with", "ahead") for word in found):  # fmt: skip
        return "yes"
    if len(found) <= 6 and found[0] in lexicon.NO and all(word in lexicon.NO or word in ("thanks", "thank", "you", "it", "that", "not", "now", "mind", "about", "is", "all") for word in found):  # fmt: skip
        return "no"
    if found[0] in lexicon.GREETING_FIRST and all(word in lexicon.GREETING for word in found[:12]) and len(found) <= 12:
        return "greeting"
    return None


def _is_question(lowered: str, found: tuple[str, ...]) -> bool:
    if found[0] in ("do", "does", "did", "have", "has", "is", "are"):
        return len(found) > 1 and found[1] in lexicon.SUBJECTS
    return found[0].split("'")[0] in lexicon.QUESTION or (lowered.endswith("?") and found[0] in ("any", "tell", "show", "can", "could"))  # fmt: skip


def _starts_with_asking(found: tuple[str, ...]) -> bool:
    head = [
        word for word in found[:6] if word not in ("please", "could", "can", "would", "you", "i", "want", "hi", "hello")
    ]
    return bool(head) and head[0] in ("ask", "have", "let", "tell", "get", "the", "give")


def _orders_work(found: tuple[str, ...]) -> bool:
    polite = (
        "please",
        "could",
        "can",
        "would",
        "you",
        "hi",
        "hello",
        "hey",
        "kindly",
        "i",
        "need",
        "to",
        "us",
        "me",
        "want",
    )
    head = next((word for word in found[:8] if word not in polite), "")
    return stem(head) in lexicon.WORK


def _wants_a_thing(found: tuple[str, ...]) -> bool:
    """`We need a slogan …`: a thing to hand over, and nobody to do it for ever."""
    head = found[:12]
    wanting = next((index for index, word in enumerate(head) if word in ("need", "want", "like")), None)
    if wanting is None or any(stem(word) in lexicon.GROUP for word in found):
        return False
    things = [
        word for word in head[wanting + 1 : wanting + 6] if word not in ("a", "an", "one", "some", "the", "to", "have")
    ]
    return any(word in lexicon.THINGS for word in things[:3])


def _makes_a_team(lowered: str) -> bool:
    return bool(re.search(r"\b(team|department|crew|squad|unit|division|group)\b", lowered[:400])) and bool(
        re.match(
            r"(?:(?:please|could|can|would|you|we|i|us|let's|lets|also|now)\s+)*(?:create|build|make|set up|establish|form|hire|found|assemble|start|add|get|need|want|give)\b",
            lowered,
        )
    )


def _says_what_for(substance: list[str]) -> bool:
    return len(substance) >= 1 and any(len(word) >= 4 for word in substance)


def _placed(wish: Wish, best: Hits | None, text: str) -> Wish:
    asked = _ASKED_TEAM.search(text.lower()) if wish.kind == "work" else None
    team = slug(f"{asked[1]}-team" if asked[1] else asked[2]) if asked else _team_name(text, best, wish.about)
    if best is None:
        own = [word for word in wish.about if stem(word) not in lexicon.VAGUE and len(word) > 2][:3]
        function = slug(" ".join(own), "general")
        return replace(wish, function=function, skills=_own_skills(text, own), team=team)
    skills = best.skills or best.domain.first_skills
    return replace(
        wish,
        domain=best.domain,
        function=best.domain.name,
        skills=skills[:6],
        team=team,
        placement=best.domain.placement,
    )


def _own_skills(text: str, own: list[str]) -> tuple[str, ...]:
    """Skills in the wish's own words: each doing word with what follows it, else the words themselves."""
    found = words(text)
    pairs = [f"{word} {after}" for word, after in pairwise(found) if after in own and word not in lexicon.STOP]
    named = [slug(pair) for pair in pairs] or [slug(word) for word in own]
    return tuple(dict.fromkeys(named))[:4]


def _team_name(text: str, best: Hits | None, about: tuple[str, ...]) -> str:
    """The name asked for, else `X-team` from the wish's words, else from the field."""
    if named := _NAMED.search(text):
        wanted = slug(named[1], "")
        if wanted and wanted not in RESERVED_NAMES:
            return wanted if wanted.endswith("team") else _team(wanted)
    if phrase := _TEAM_FOR.search(lexicon.FIXED_PROCESS.sub(" ", text.lower())):
        useful = [lexicon.mended(word) for word in words(phrase[1]) if word not in lexicon.STOP and stem(word) not in lexicon.VAGUE and not word.isdigit()]  # fmt: skip
        useful = [
            word
            for word in useful
            if word not in ("small", "big", "whole", "dedicated", "little", "real", "langgraph", "crewai")
        ]
        if useful and any(word[0].isalpha() for word in useful):
            return _team(slug(" ".join(useful[-2:])))
    if best:
        return _team(best.domain.name)
    own = [word for word in about if stem(word) not in lexicon.VAGUE and len(word) > 2]
    return _team(slug(" ".join(own[:2]), "general"))


def _team(base: str) -> str:
    return base if base.endswith("-team") else f"{base[:34].strip('-')}-team"


def _size(text: str) -> int | None:
    found = _SIZE.search(text.lower())
    return (_NUMBERS.get(found[1]) or int(found[1])) if found else None


def _question(best: Hits | None) -> str:
    if best:
        skills = listed([skill.replace("-", " ") for skill in best.skills or best.domain.first_skills], "or")
        return f"Do you want a new team for {best.domain.name.replace('-', ' ')} ({skills}), or one piece of work done?"
    return "What should be done, and for whom? One sentence is enough, such as: we need a team that answers customers' emails."


def _ask_in_english(tongue: str, best: Hits | None) -> str:
    guess = f" Do you want a new team for {best.domain.name.replace('-', ' ')}?" if best else ""
    return f"This looks like {tongue}, of which I read only single words.{guess} Please say in English what the company should be able to do."


def covered_share(skills: tuple[str, ...], living: tuple[str, ...]) -> float:
    """Which part of these skills somebody living has, from 0 to 1; a skill counts if its words are another's."""
    if not skills:
        return 0.0
    theirs = [stems(skill.replace("-", " ")) for skill in living]
    met = sum(any(mine <= other for other in theirs) for mine in (stems(skill.replace("-", " ")) for skill in skills))
    return met / len(skills)
