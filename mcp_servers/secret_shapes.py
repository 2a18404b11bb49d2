"""What tokens and keys look like, whoever issued them: a kind, and the shape of its text. Pure.

Repetitions are bounded: a text cannot be made that takes long to look through. Each shape names a piece of text without which it cannot
be there, because looking for plain text first is many times faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: (kind, texts of which one must be there, the shape)
SHAPES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "private key",
        ("PRIVATE KEY-----",),
        r"-----BEGIN[ A-Z0-9]{0,40}PRIVATE\ KEY-----.*?(?:-----END[ A-Z0-9]{0,40}PRIVATE\ KEY-----|\Z)",
    ),
    ("web token", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,8000}(?:\.[A-Za-z0-9_-]*)?"),
    ("model provider's key", ("sk-", "pk-", "rk-"), r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"),
    ("payment key", ("sk_", "pk_", "rk_", "whsec_"), r"\b(?:sk|pk|rk|whsec)_[A-Za-z0-9_]{16,}"),
    (
        "GitHub token",
        ("ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_"),
        r"\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}",
    ),
    ("GitLab token", ("glpat-",), r"\bglpat-[A-Za-z0-9_-]{16,}"),
    ("Slack token", ("xox", "xapp-"), r"\bxox[a-z]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}"),
    ("AWS key", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("Google key", ("AIza",), r"\bAIza[A-Za-z0-9_-]{30,}"),
    (
        "registry token",
        ("hf_", "npm_", "pypi-"),
        r"\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}",
    ),
    (
        "webhook address",
        ("hooks.slack.com", "/api/webhooks/"),
        r"https://hooks\.slack\.com/\S+|https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/webhooks/\S+",
    ),
)
_COMPILED = tuple((kind, marks, re.compile(shape, re.DOTALL)) for kind, marks, shape in SHAPES)
#: All of them at once, for taking them out of a text.
ANY = re.compile("|".join(f"(?:{shape})" for _, _, shape in SHAPES), re.DOTALL)


def find(text: str) -> Iterator[tuple[str, str]]:
    """(kind, the text itself) of everything that looks like a secret."""
    for kind, marks, shape in _COMPILED:
        if any(mark in text for mark in marks):
            for match in shape.finditer(text):
                yield kind, match.group()
