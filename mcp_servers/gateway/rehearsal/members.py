"""What a member hands in: a draft made from the words of the task, which says what it rests on and what it does not know."""

from __future__ import annotations

import re

from mcp_servers.gateway.rehearsal import lexicon
from mcp_servers.gateway.rehearsal.prompt import Prompt, context
from mcp_servers.gateway.rehearsal.words import clip, listed, readable, stem, words

_ABOUT = re.compile(r"\b(?:about|regarding|concerning|announcing|on|for)\s+([^\n.!?;:]{2,120})", re.IGNORECASE)
_ROLE = re.compile(r"\byou are (?:the team's |the |an? )?([^.\n]{2,120})\.", re.IGNORECASE)
_PARTS = re.compile(r"\n\s*-{5,}\s*\n|\n\n(?=[^\n]{1,80} by [a-z0-9-]{1,40}:\n)")
_PART_HEAD = re.compile(r"^[^\n]{1,80} by [a-z0-9-]{1,40}:\n")
_MY_PART = re.compile(r"For the request at hand, ([^.\n]{5,200})\.")
_WANTED = re.compile(r"expected criteria for your final answer: ([^.\n]{5,200})")
DOUBT = "Doubt:"

#: A thing that can be asked for, and the lines it is drafted with. `{t}` is the topic, `{T}` with a capital.
_DRAFTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "headline": ("Headlines", ("{T}: come and see", "What {t} means for you", "Why we are proud of {t}")),
    "slogan": ("Slogans", ("{T}. Simply there.", "{T}: made for you", "More from {t}")),
    "tweet": (
        "Posts",
        ("{T}: here is what is new, and whom it helps.", "A question for you: what would you do with {t}?"),
    ),
    "blog": (
        "Blog post, first draft",
        (
            "{T}",
            "Opening: why {t} matters to the reader, in two sentences.",
            "Middle: three things that change, one example each.",
            "End: what the reader can do next.",
        ),
    ),
    "email": (
        "E-mail",
        (
            "Subject: {T}",
            "Hello, this is about {t}. Here is what you need to know: [facts].",
            "Please answer with any question; we reply to each.",
        ),
    ),
    "summary": (
        "Summary",
        (
            "Subject: {t}.",
            "What is given: only the words of the request.",
            "What to add: figures, dates and who is concerned.",
        ),
    ),
    "plan": (
        "Plan",
        (
            "1. Settle what {t} shall achieve and how that is seen.",
            "2. Name who does what, and by when.",
            "3. Do the smallest part first and look at the result.",
            "4. Decide on the rest from what was seen.",
        ),
    ),
    "report": (
        "Report, outline",
        (
            "Question: what do we want to know about {t}?",
            "Findings: [to be filled from sources].",
            "Open points: what no source says.",
        ),
    ),
    "answer": (
        "Reply",
        (
            "Thank you for writing about {t}.",
            "Here is what we can say, and what we are looking into: [facts].",
            "You will hear from us again by [date].",
        ),
    ),
    "haiku": ("Three lines", ("{T} in the morning", "a quiet word, and one more", "{t} stays with us")),
    "list": ("List", ("{T}: what it is", "{T}: whom it concerns", "{T}: what comes next")),
}
_THINGS: dict[str, tuple[str, ...]] = {
    "headline": ("headline", "headlines", "title", "titles"),
    "slogan": ("slogan", "slogans", "tagline", "taglines", "copy", "advert", "ad"),
    "tweet": ("tweet", "tweets", "linkedin", "instagram", "social"),
    "blog": ("blog", "article", "articles", "story", "newsletter", "page", "announcement"),
    "email": ("email", "emails", "letter", "mail", "invitation"),
    "summary": ("summary", "summarize", "summarise"),
    "plan": ("plan", "schedule", "agenda", "checklist", "campaign", "organize", "organise"),
    "report": ("report", "analysis", "analyze", "analyse", "research", "review", "compare", "forecast"),
    "answer": ("answer", "reply", "respond", "faq", "complaint"),
    "haiku": ("haiku", "poem", "verse"),
    "list": ("list", "ideas", "names"),
}
_WRITES = frozenset(
    [
        "write",
        "writer",
        "writing",
        "content",
        "copy",
        "author",
        "headlines",
        "translator",
        "agent",
        "editor",
        "draft",
        "text",
        "specialist",
    ]
)


def is_skeptic(prompt: Prompt) -> bool:
    return prompt.purpose == "skeptic-review" or "skeptic" in role(prompt).lower()


def role(prompt: Prompt) -> str:
    """The role that the system prompt gives, such as `Content writer`."""
    found = _ROLE.search(prompt.system[:2000])
    return found[1].strip() if found else "Member"


def member_work(prompt: Prompt) -> str:
    """This member's part of the task."""
    asked = readable(prompt.asked)
    topic = topic_of(asked)
    thing = _thing(asked)
    if thing and (_is_a_writer(prompt) or not context(prompt.task)):
        return _draft(thing, topic)
    return _notes(prompt, topic, asked)


def skeptic_review(prompt: Prompt) -> str:
    """One concrete doubt about what was handed in, and what would settle it."""
    claims = [line.strip(" -*") for line in readable(context(prompt.task)).splitlines() if len(line.split()) >= 3]
    topic = topic_of(readable(prompt.asked))
    if not claims:
        return f"{DOUBT} nothing was handed in yet on {topic}, so nothing can be challenged; it is settled by a first draft."
    claim = clip(next((line for line in claims if "[" not in line and not line.endswith(":")), claims[0]), 120)
    return (
        f'{DOUBT} "{claim}" says more about {topic} than the request does. '
        "It is settled by one fact that the sender can confirm: a date, a figure or a name."
    )


def manager_answer(prompt: Prompt, handed_in: list[str]) -> str:
    """The team's answer: what was handed in, each thing once, doubts last."""
    parts = list(dict.fromkeys(part.strip() for part in handed_in if part.strip()))
    doubts = [part for part in parts if part.startswith(DOUBT)]
    drafts = [part for part in parts if part not in doubts]
    if not drafts:
        return member_work(prompt)
    topic = topic_of(readable(prompt.asked))
    ending = [f"Still open, says the skeptic: {doubt.removeprefix(DOUBT).strip()}" for doubt in doubts]
    return "\n\n".join([f"Here is our work on {topic}.", *drafts, *ending])


def parts_of(text: str) -> list[str]:
    """The single contributions in a task's context."""
    return [_PART_HEAD.sub("", part.strip(), count=1) for part in _PARTS.split(text[:60_000]) if part.strip()]


def topic_of(asked: str) -> str:
    """What a request is about, in its own words."""
    line = " ".join(asked.split())[:600]
    if found := _ABOUT.search(line):
        return clip(found[1].strip(" \"'`,"), 80)
    content = [word for word in words(line) if _is_content(word)][:6]
    return " ".join(content) or "this request"


def _thing(asked: str) -> str | None:
    found = words(asked)
    return next((thing for word in found for thing, names in _THINGS.items() if word in names), None)


def _is_a_writer(prompt: Prompt) -> bool:
    instructions = prompt.task.split("<request>", 1)[0][:1000]
    return bool(_WRITES & set(words(f"{role(prompt)} {instructions}")))


def _draft(thing: str, topic: str) -> str:
    title, lines = _DRAFTS[thing]
    capital = topic[:1].upper() + topic[1:]
    body = "\n".join(f"- {line.format(t=topic, T=capital)}" for line in lines)
    facts = "; facts in [brackets] are for you to add" if "[" in body else ""
    return f"{title} on {topic}:\n{body}\nMade from the words of the request alone{facts}."


def _notes(prompt: Prompt, topic: str, asked: str) -> str:
    """What this member would do and what it would take, where there is nothing to draft."""
    mine, wanted = _MY_PART.search(prompt.task[:4000]), _WANTED.search(prompt.task[-4000:])
    content = [word for word in dict.fromkeys(words(asked)) if _is_content(word) and len(word) > 2][:4]
    lines = [
        f"My part is to {mine[1]}." if mine else "",
        f"What is asked turns on {listed(content)}." if content else "",
        f"For {wanted[1][:1].lower()}{wanted[1][1:]} I would need facts, figures and dates, which the request does not give."
        if wanted
        else "Not known to me: facts, figures and dates that the request does not give.",
    ]
    return "\n".join([f"From the {role(prompt)}, on {topic}:", *(f"- {line}" for line in lines if line)])


def _is_content(word: str) -> bool:
    return word not in lexicon.STOP and stem(word) not in lexicon.DOING
