"""A team for a wish: a spec as plain data, from the tables of a known field or from the wish's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_servers.gateway.rehearsal.domain import Domain, Post
from mcp_servers.gateway.rehearsal.understanding import Wish
from mcp_servers.gateway.rehearsal.words import clip, listed, slug
from teams.spec import MAX_MEMBERS, MIN_MEMBERS, SKEPTIC_FROM


def design(wish: Wish) -> dict[str, Any]:
    """A spec that `TeamSpec` accepts, with three to seven members."""
    domain = wish.domain or _own_domain(wish)
    posts = _posts(wish, domain)
    skeptic = len(posts) + 2 >= SKEPTIC_FROM
    members = [_lead(wish, domain, posts), *(_specialist(post) for post in posts)]
    work = [_piece(post) for post in posts]
    if skeptic:
        # No piece of work is the skeptic's: the runtime has every team's work reviewed by its skeptic at the end.
        members.append(_skeptic(domain))
    return {
        "schema_version": 1,
        "name": wish.team or f"{slug(domain.name)}-team",
        "purpose": clip(f"{domain.name.replace('-', ' ').capitalize()}: {domain.result}", 200),
        "description": clip(f"Asked for with the words: {wish.gist}. {_scope(domain, posts)}{_size_note(wish)}", 2000),
        "placement": domain.placement,
        "framework": "langgraph" if wish.fixed_process else "crewai",
        "process": "sequential",
        "members": members,
        "work": work,
    }


def rationale(wish: Wish, spec: Mapping[str, Any]) -> str:
    """Why the team looks like this, in two sentences."""
    roles = listed([member["role"] for member in spec["members"]])
    framework = "a fixed order of steps was asked for" if wish.fixed_process else "the work is free-form"
    return f"The wish asks for {listed(_plain(wish.skills)) or wish.function}. {roles} cover that; {spec['framework']} because {framework}."


def _posts(wish: Wish, domain: Domain) -> list[Post]:
    """Who is needed for the skills asked for, filled up so that the team has three members, or five with its skeptic."""
    ordered = sorted(domain.posts, key=lambda post: not set(post.skills) & set(wish.skills))
    needed = sum(bool(set(post.skills) & set(wish.skills)) for post in domain.posts)
    size = min(max(wish.size or 0, MIN_MEMBERS), MAX_MEMBERS) if wish.size else (5 if needed >= 2 else 3)
    # With five or more, one place is the skeptic's; with one specialist too few for five, four work without one.
    return ordered[: max(2, size - 2 if size >= SKEPTIC_FROM else size - 1)]


def _lead(wish: Wish, domain: Domain, posts: list[Post]) -> dict[str, Any]:
    name, role = domain.lead
    return {
        "name": name,
        "role": role,
        "goal": f"See that every request ends in {domain.result}.",
        "backstory": f"You lead {listed([post.role.lower() + 's' for post in posts])}. You give clear work, put the parts together, "
        "say what is still open, and never present a guess as a fact.",
        "manager": True,
        "skeptic": False,
        # Skills asked for that no post has are the lead's to see to.
        "skills": [skill for skill in wish.skills if not any(skill in post.skills for post in posts)]
        + [slug(f"{domain.name} planning")],
        "tools": [],
    }


def _specialist(post: Post) -> dict[str, Any]:
    return {
        "name": post.name,
        "role": post.role,
        "goal": f"{post.does[0].upper()}{post.does[1:]}.",
        "backstory": f"You are the team's {post.role.lower()}. You {post.does}. You hand in {post.makes}, and say what you do not know.",
        "manager": False,
        "skeptic": False,
        "skills": list(post.skills),
        "tools": [],
    }


def _skeptic(domain: Domain) -> dict[str, Any]:
    return {
        "name": "skeptic",
        "role": "Skeptic",
        "goal": f"Ask {domain.doubt}.",
        "backstory": "You may challenge any decision of this team. You name one concrete doubt and what would settle it, "
        "and you say so when there is nothing to doubt.",
        "manager": False,
        "skeptic": True,
        "skills": ["critical-review"],
        "tools": [],
    }


def _piece(post: Post) -> dict[str, Any]:
    return {
        "name": f"{post.name}-part",
        "member": post.name,
        "description": f"For the request at hand, {post.does}. Build on what your colleagues handed in before you.",
        "expected_output": f"{post.makes[0].upper()}{post.makes[1:]}.",
    }


def _scope(domain: Domain, posts: list[Post]) -> str:
    return f"The team hands in {listed([post.makes for post in posts])}. It works towards {domain.result}."


def _size_note(wish: Wish) -> str:
    if wish.size is None or wish.size <= MAX_MEMBERS:
        return ""
    return f" {wish.size} members were asked for; a team has at most {MAX_MEMBERS}, so split further work by function into a second team."


def _own_domain(wish: Wish) -> Domain:
    """A field that no table knows, in the wish's own words."""
    field = wish.function.replace("-", " ")
    skills = wish.skills or (slug(wish.function, "general-work"),)
    first, rest = skills[0], tuple(skills[1:])
    research, review = slug(f"{wish.function[:30]}-research"), slug(f"{wish.function[:32]}-review")
    posts = (
        Post(
            "specialist",
            clip(f"Specialist for {field}", 200),
            (first, *rest[:1]),
            f"do the core of the work on {field}",
            f"the result asked for on {field}",
        ),
        Post(
            "researcher",
            clip(f"Researcher for {field}", 200),
            (research, *rest[1:2]),
            f"find out what is known about {field} and what it depends on",
            "facts with their sources, apart from guesses",
        ),
        Post(
            "reviewer",
            clip(f"Quality reviewer for {field}", 200),
            (review, *rest[2:3]),
            f"check results on {field} against what was asked",
            "what is right, what is missing, what to change",
        ),
    )
    return Domain(
        name=wish.function,
        department=wish.department,
        placement=wish.placement,
        result=f"results on {field} that can be used",
        lead=("coordinator", f"Coordinator for {field}"[:200]),
        posts=posts,
        skills={},
        words="",
    )


def _plain(skills: tuple[str, ...]) -> list[str]:
    return [skill.replace("-", " ") for skill in skills]
