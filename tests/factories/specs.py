"""Specs that the factory's tests share."""

from __future__ import annotations

from typing import Any

from teams.spec import TeamSpec


def content_team(**changes: Any) -> TeamSpec:
    """A CrewAI team of three that works in sequence."""
    data: dict[str, Any] = {
        "name": "content-team",
        "purpose": "Writes what the company publishes",
        "description": "Turns a wish for text into a text that is checked and ready to publish.",
        "placement": "marketing.content",
        "framework": "crewai",
        "members": [
            {
                "name": "editor",
                "role": "Managing Editor",
                "goal": "Every text answers what was asked, in words its readers use",
                "backstory": "You have edited for many years and cut what does not help the reader.",
                "manager": True,
                "skills": ["editing", "planning"],
            },
            {
                "name": "researcher",
                "role": "Researcher",
                "goal": "Facts before opinions",
                "backstory": "You check who already knows, and say where a fact is from.",
                "skills": ["research"],
                "tools": ["registry__query_teams"],
            },
            {
                "name": "writer",
                "role": "Writer",
                "goal": "A first draft that is nearly the last",
                "backstory": "You write plainly.",
                "skills": ["blog-writing"],
            },
        ],
        "work": [
            {
                "name": "research",
                "member": "researcher",
                "description": "Collect the facts the text needs. Say which of them are not certain.",
                "expected_output": "A list of facts, each with its source",
            },
            {
                "name": "draft",
                "member": "writer",
                "description": "Write the text that was asked for, from the facts collected.",
                "expected_output": "The text",
            },
        ],
    }
    return TeamSpec.model_validate(data | changes)


def support_team(**changes: Any) -> TeamSpec:
    """A LangGraph team of five with a skeptic, which works in sequence."""
    data: dict[str, Any] = {
        "name": "support-team",
        "purpose": "Answers customers' questions",
        "description": "Finds out what a customer needs and answers it.\nHands over what it cannot answer.",
        "placement": "operations.support",
        "framework": "langgraph",
        "model": "openai/gpt-5-mini",
        "daily_budget_usd": "4.50",
        "members": [
            {
                "name": name,
                "role": role,
                "goal": f"The best {role.lower()} a customer can meet",
                "backstory": 'You say "I do not know" when you don\'t.',
                "manager": name == "lead",
                "skeptic": name == "doubter",
                "skills": [skill],
                **({"model": "anthropic/claude-haiku-4-5"} if name == "doubter" else {}),
            }
            for name, role, skill in [
                ("lead", "Support Lead", "support"),
                ("triager", "Triage Agent", "triage"),
                ("answerer-1", "Answer Writer", "support"),
                ("answerer-2", "Answer Writer for Bills", "billing"),
                ("doubter", "Quality Skeptic", "quality"),
            ]
        ],
        "work": [
            {
                "name": "triage",
                "member": "triager",
                "description": "Say what the customer needs, and how urgent it is.",
                "expected_output": "Need and urgency",
            },
            {
                "name": "answer",
                "member": "answerer-1",
                "description": "Answer the customer.",
                "expected_output": "The answer",
            },
        ],
    }
    return TeamSpec.model_validate(data | changes)
