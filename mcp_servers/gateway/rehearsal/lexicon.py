"""The rehearsal model's words: what people say when they want, ask, greet or agree, and which fields of work it knows."""

from __future__ import annotations

import re
from functools import cache

from mcp_servers.gateway.rehearsal import domains_knowledge as knowledge
from mcp_servers.gateway.rehearsal import domains_market as market
from mcp_servers.gateway.rehearsal import domains_office as office
from mcp_servers.gateway.rehearsal import domains_product as product
from mcp_servers.gateway.rehearsal.domain import Domain, stems
from mcp_servers.gateway.rehearsal.words import stem, words

DOMAINS: tuple[Domain, ...] = (
    market.MARKETING,
    market.SALES,
    market.SUPPORT,
    office.FINANCE,
    office.LEGAL,
    office.HR,
    office.OPERATIONS,
    product.ENGINEERING,
    product.QA,
    product.DATA,
    knowledge.RESEARCH,
    product.SECURITY,
    knowledge.TRANSLATION,
    market.DESIGN,
)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words that ask for something lasting, and words for who shall do it.
WANTING = stems(
    """need needs want wants require lacking lack missing would like looking create build establish form hire found
    assemble start setup add wish introduce launch"""
)
GROUP = stems(
    """team teams department crew squad unit division group staff somebody someone people specialist specialists
    experts expert agency capability"""
)
#: What one does to get a piece of work: at the start of a sentence, these ask for work and not for a team.
WORK = stems(
    """write draft compose translate summarize summarise prepare review proofread analyse analyze plan calculate check
    describe list suggest explain design outline research find make give propose rewrite edit compare answer reply
    produce brainstorm estimate schedule"""
)
#: Verbs that say what a team shall do, without being what it is about.
DOING = WORK | stems(
    """handle run manage do take care keep look after deal process handles runs manages watch monitor provide deliver"""
)
QUESTION = _set("""who what which how when where why is are do does did has have whats hows""")
COMPANY = stems(
    """team teams company status cost costs spend spent spending budget change changes proposal proposals approval
    approvals health healthy deployed running busy doing work working reports structure hierarchy organisation
    organization members pending waiting open"""
)
GREETING = _set(
    """hi hello hey hiya moin hallo hola bonjour servus ciao good morning afternoon evening day greetings thanks thank
    you thx cheers bye goodbye there ceo everyone team how are doing today dear welcome nice to meet gracias danke
    merci"""
)
GREETING_FIRST = _set(
    """hi hello hey hiya moin hallo hola bonjour servus ciao good greetings thanks thank thx cheers bye goodbye welcome
    nice gracias danke merci"""
)
YES = _set(
    """yes yeah yep yup sure ok okay please go do proceed ja si oui absolutely definitely agreed confirm confirmed
    correct exactly right"""
)
NO = _set("no nope not nein non never cancel stop forget")
AFTER_YES = YES | _set("it ask that the team them would be great create is delegate with ahead")
AFTER_NO = NO | _set("thanks thank you it that not now mind about is all")
VAGUE = stems(
    """something anything stuff things thing better help improve great good nice more new work works everything
    whatever team company us business"""
)
#: What is handed over once, when it is asked for.
THINGS = _set(
    """headline headlines slogan slogans tagline taglines haiku poem poems text texts email emails letter letters post
    posts article articles tweet tweets plan plans report reports summary summaries list lists translation
    translations logo logos quote quotes idea ideas answer answers schedule agenda checklist outline draft story
    stories announcement invitation speech name names"""
)
SUBJECTS = _set(
    """we you they i there the our your any my all these those it this that somebody someone anybody anyone"""
)
#: Short words often mistyped, too short for the general mending.
SLIPS = {
    "ned": "need",
    "nede": "need",
    "neeed": "need",
    "taem": "team",
    "tema": "team",
    "teem": "team",
    "tean": "team",
    "wnat": "want",
    "teh": "the",
    "wirte": "write",
    "writ": "write",
    "plese": "please",
    "pls": "please",
    "crate": "create",
}
URGENT = stems("""urgent urgently asap immediately now today critical emergency""")
FIXED_PROCESS = re.compile(
    r"\b(pipeline|state machine|workflow|step by step|steps|stages|fixed process|fixed order|langgraph"
    r"|checklist process|approval process)\b"
)
CREW_NAMED = re.compile(r"\bcrew ?ai\b")

#: Sentences that try to give orders to the machinery instead of saying what is wanted.
ORDERS = re.compile(
    r"\b(ignore|disregard|forget|override|bypass|skip|disable|circumvent)\b.{0,60}"
    r"\b(polic\w*|rules?|instructions?|limits?|gate|prompt|approval|approvals|guardrails?|above|previous)\b"
    r"|\b(edit|change|delete|overwrite|modify|rewrite|write to)\b.{0,40}(policies|limits\.ya?ml|\.ya?ml|\.git\b|/etc/|\bmain branch\b)"
    r"|\bpush\b.{0,30}\b(to )?(main|master)\b|\bmerge\b.{0,30}\b(yourself|without|directly|at once)\b"
    r"|\b(grant|give)\b.{0,30}\b(admin|root|yourself|all tools|all permissions|every tool)\b"
    r"|\byou are now\b|\bsystem prompt\b|\bjailbreak\b|\bdeveloper mode\b|\bapprove\b.{0,30}\b(yourself|automatically|it yourself)\b"
    r"|\breveal\b.{0,40}\b(key|keys|secret|secrets|token|tokens|password|passwords)\b"
)

STOP = _set("""a an the this that these those and or but nor so if then than as at by for from in into of off on onto out over to up with
    without within about after before between through during under again is are was were be been being am do does did doing have
    has had having i me my mine we us our ours you your yours he him his she her hers it its they them their theirs who whom which
    what whose can could may might must shall should will would not no yes please just really very too also only own same some any
    all each every both few more most other such there here when where why how one two three four five six seven eight nine ten
    need needs want wants like looking get gets got make makes new good able lot lots kind sort way able ready
    team teams department crew squad unit division group somebody someone people person company business
    create build set establish form hire start add let lets want hello hi hey dear thanks thank us asap now urgently today ever
    named called that's it's we're i'm can't don't""")

#: Words that only one language has, to recognise which one a message is in.
LANGUAGES: dict[str, frozenset[str]] = {
    "German": _set(
        """wir brauchen ein eine einen das die der und fur ich mochte bitte uns unsere unser nicht mit soll sollen kannst
    jemanden mannschaft abteilung schreibt auch ist wer"""
    ),
    "Spanish": _set(
        """necesitamos necesito un una equipo que para el la los las y nuestro nuestra por favor queremos quiero con
    escriba del como esta"""
    ),
    "French": _set(
        """nous avons besoin une equipe qui pour le la les et notre nos avec je voudrais des du est il faut"""
    ),
    "Italian": _set("""abbiamo bisogno di una squadra che per il lo gli e nostro nostra con vorrei della"""),
}
ENGLISH = _set(
    """the a an we i need want team that to for and our of is are can you please write who which what with in on it do
    should"""
)

#: Ordinary words that must not be read as a mistyped word of a field.
_NEVER_TYPOS = _set(
    """stuff thing things great other place house mouse water right write wrote white while whole these those there
    their three score store story storm clock clocks close world words women money month months years night think
    thank party parts piece peace price prize plane plant plan train brain grain drain rest test best cost most post
    host"""
)


@cache
def _vocabulary() -> frozenset[str]:
    known = (f"{domain.words} {' '.join(domain.skills.values())}" for domain in DOMAINS)
    return frozenset(word for text in known for word in words(text) if len(word) >= 6) | frozenset(
        words("department create translate social marketing specialist customer")
    )


@cache
def _misspellings() -> dict[str, str]:
    """Each long known word with any one letter left out, and the word it comes from."""
    return {short: word for word in sorted(_vocabulary(), reverse=True) for short in _shortened(word)}


def _shortened(word: str) -> set[str]:
    return {word[:index] + word[index + 1 :] for index in range(len(word))}


def mended(word: str) -> str:
    """The known word that this one is a slip of the pen away from, else the word itself."""
    if len(word) < 5 or len(word) > 24 or word in _vocabulary() or word in _NEVER_TYPOS or word in STOP:
        return word
    typos = _misspellings()
    if word in typos:
        return typos[word]
    for short in sorted(_shortened(word)):
        if short in _vocabulary():
            return short
        if len(word) >= 6 and short in typos and abs(len(typos[short]) - len(word)) <= 1 and typos[short][0] == word[0]:
            return typos[short]
    return word


def meaning(found: tuple[str, ...]) -> frozenset[str]:
    """The stems of these words, slips of the pen mended."""
    return frozenset(stem(mended(word)) for word in found)


def language(found: tuple[str, ...]) -> str:
    """Which language the words are in; `English` where nothing speaks clearly for another."""
    english = sum(word in ENGLISH for word in found)
    counts = {name: sum(word in own for word in found) for name, own in LANGUAGES.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 2 and counts[best] > english else "English"
