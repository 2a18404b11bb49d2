"""Fields of work around knowledge and language."""

from __future__ import annotations

from mcp_servers.gateway.rehearsal.domain import Domain, Post

RESEARCH = Domain(
    name="research",
    department="research",
    placement="research",
    result="findings with their sources and their limits",
    lead=("research-lead", "Head of research"),
    posts=(
        Post(
            "source-finder",
            "Source researcher",
            ("desk-research", "literature-review"),
            "find what is known and who says so",
            "sources with what each supports",
        ),
        Post(
            "market-researcher",
            "Market researcher",
            ("market-research", "competitor-analysis"),
            "find out what customers want and competitors do",
            "findings apart from guesses",
        ),
        Post(
            "synthesist",
            "Research writer",
            ("research-synthesis", "report-writing"),
            "put findings together so that one can decide",
            "a short report: question, findings, open points",
        ),
    ),
    skills={
        "desk-research": "investigate investigation",
        "literature-review": "literature papers studies scientific science",
        "market-research": "market markets surveys survey interviews",
        "competitor-analysis": "competitor competitors competition rivals",
        "research-synthesis": "findings",
        "report-writing": "report reports reporting whitepaper whitepapers",
    },
    words="research researcher researchers",
    foreign="forschung recherche investigacion marktforschung",
    doubt="whether the opposite would fit the sources as well",
)

TRANSLATION = Domain(
    name="translation",
    department="content",
    placement="content.translation",
    result="texts that read as if written in the reader's language",
    lead=("language-lead", "Head of translation"),
    posts=(
        Post(
            "translator",
            "Translator",
            ("translation", "localization"),
            "carry meaning and tone into the other language",
            "a translation with doubtful places marked",
        ),
        Post(
            "terminologist",
            "Terminologist",
            ("terminology", "glossaries"),
            "see that one thing has one word everywhere",
            "the terms used, with the choice for each",
        ),
        Post(
            "proofreader",
            "Proofreader",
            ("proofreading", "style-review"),
            "read the result as its reader will",
            "corrections, each with its reason",
        ),
    ),
    skills={
        "translation": "translate translates translating translation translations translator translators",
        "localization": "localize localise localization localisation locale",
        "terminology": "terminology glossary glossaries",
        "proofreading": "proofread proofreading spelling grammar",
    },
    words="language languages multilingual translation",
    foreign="ubersetz traduc tradui traduct",
    doubt="whether a native reader would stumble",
)
