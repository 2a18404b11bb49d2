"""What an editor is told: every field says what it is, and what the law refuses is marked where a schema can say it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import jsonschema
import pytest

from policies import law
from policies.law import BadLaw
from policies.schemas import schemas
from policies.strict_yaml import load
from tests.policies.cases import policy_files

SCHEMAS = {name.removesuffix(".json"): json.loads(text) for name, text in schemas().items()}


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, one in [("", schema), *schema.get("$defs", {}).items()]:
        for name, field in one.get("properties", {}).items():
            yield f"{where}.{name}", field


@pytest.mark.rows("F64")
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_of_every_file_has_a_description(name: str) -> None:
    found = dict(properties(SCHEMAS[name]))
    assert found
    assert [where for where, field in found.items() if len(field.get("description", "")) < 10] == []


def marked(name: str, text: bytes) -> bool:
    try:
        jsonschema.validate(cast("Any", load(text)), SCHEMAS[name], cls=jsonschema.Draft202012Validator)
    except jsonschema.ValidationError:
        return True
    return False


def changed(name: str, old: str, new: str) -> bytes:
    text = policy_files()[f"{name}.yaml"].decode()
    assert old in text
    return text.replace(old, new, 1).encode()


LAWS = "  law:\n    agents_in: []\n    people_in: [policies]\n    approvals: 1\n"
A_RATE = "rates:\n  {name}:\n    kinds: [change_team]\n    at_most: 2\nstale:\n"
A_RULE = "rules:\n  a: {when: files > 3, then: deny, kinds: [law], reason: because it was decided so}\n"
WRONG_TYPES = [
    ("limits", "in_hours: 24", "in_hours: true"),
    ("limits", "in_hours: 24", 'in_hours: "24"'),
    ("limits", "at_most: 5", "at_most: true"),
    ("limits", "files: 120", 'files: "120"'),
    ("overrides", "at_most_hours: 24", "at_most_hours: true"),
    ("overrides", "reason_of_at_least: 20", 'reason_of_at_least: "20"'),
    ("costs", "daily_budget_usd: 10", 'daily_budget_usd: "10"'),
    ("costs", "daily_budget_usd: 10", "daily_budget_usd: true"),
    ("budgets", "warn_at_percent: 80", 'warn_at_percent: "80"'),
    ("models", "deadline_seconds: 120", 'deadline_seconds: "120"'),
    ("models", "  failures: 5", "  failures: true"),
    ("watch", "every_seconds: 15", 'every_seconds: "15"'),
    ("watch", "{warning: 80, critical: 100}", "{warning: true, critical: 100}"),
    ("changes", "people:\n  - owner", "people: owner"),
    ("changes", "approvals: 1", 'approvals: "1"'),
    ("changes", "kinds:", "auto_merge: {cheap: {kinds: [change_team], no_new_tools: no}}\nkinds:"),
    ("access", "grants:", "named_in_team: yes\ngrants:"),
]
MEANINGLESS = [
    ("limits", "in_hours: 24", "in_hours: 24\n  calendar: day"),
    ("limits", "in_hours: 24", "in_hours: 0"),
    ("limits", "cooldown_seconds: 60", "cooldown_seconds: 3200000000"),
    ("limits", "stale:\n", A_RATE.format(name="Bad-Name")),
    ("limits", "stale:\n", A_RATE.format(name="new_teams")),
    ("limits", "stale:\n", "freeze:\n  reason: the audit looks at it\n  until: 2026-12-01T08:00:00\nstale:\n"),
    ("limits", "stale:\n", "freeze:\n  reason: the audit looks at it\n  until: 1796112000\nstale:\n"),
    ("changes", LAWS, LAWS.replace("approvals: 1", "approvals: 0")),
    ("changes", LAWS, LAWS.replace("agents_in: []", "agents_in: [teams]")),
    ("changes", "people:\n  - owner", "people:\n  - owner\n  - helper[bot]"),
    ("changes", "kinds:", "groups: {Bad Name: [owner]}\nkinds:"),
    ("models", "  standard: [", "  openai: [local]\n  standard: ["),
    ("overrides", "at_most_hours: 24", "at_most_hours: 100000"),
    ("rules", "rules: {}", A_RULE),
]


@pytest.mark.rows("F64")
@pytest.mark.parametrize(("name", "old", "new"), WRONG_TYPES + MEANINGLESS)
def test_what_a_schema_can_say_is_refused_by_the_law_and_marked_by_the_editor(name: str, old: str, new: str) -> None:
    if name == "access" and "named_in_team" in policy_files()["access.yaml"].decode():
        old, new = "named_in_team: true", "named_in_team: yes"
    text = changed(name, old, new)
    with pytest.raises(BadLaw, match=f"policies/{name}.yaml"):
        law.read(policy_files() | {f"{name}.yaml": text})
    assert marked(name, text)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("limits", "stale:\n", A_RATE.format(name="team_changes")),
        ("limits", "stale:\n", "freeze:\n  reason: the audit looks at it\n  until: 2026-12-01T08:00:00Z\nstale:\n"),
        (
            "limits",
            "stale:\n",
            "freeze:\n  reason: the audit looks at it\n  until: 2026-12-01T08:00:00+01:00\nstale:\n",
        ),
        ("limits", "  in_hours: 24", "  calendar: day"),
        ("models", "deadline_seconds: 120", "deadline_seconds: 120.5"),
        ("costs", "daily_budget_usd: 10", "daily_budget_usd: 0.25"),
        ("changes", "people:\n  - owner", "people:\n  - owner\n  - second"),
    ],
)
def test_what_the_law_accepts_no_editor_marks(name: str, old: str, new: str) -> None:
    text = changed(name, old, new)
    law.read(policy_files() | {f"{name}.yaml": text})
    assert not marked(name, text)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("changes", "    approvals: 1", "    approvals: 1\n    approvals_from: [{group: nobody}]"),
        ("changes", "agents:\n", "agents:\n  - owner\n"),
        ("overrides", "by:\n  - owner", "by:\n  - somebody-else"),
        ("models", "default: standard", "default: missing"),
        ("watch", "{warning: 80, critical: 100}", "{warning: 80, critical: 10}"),
        ("limits", "in_hours: 24", "in_hours: 24.0"),
    ],
)
def test_what_only_the_law_knows_is_refused_by_it_alone(name: str, old: str, new: str) -> None:
    """docs/law.md names these: `./elf policy check` finds them, an editor cannot."""
    text = changed(name, old, new)
    with pytest.raises(BadLaw):
        law.read(policy_files() | {f"{name}.yaml": text})
    assert not marked(name, text)
