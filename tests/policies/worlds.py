"""Worlds to search: changes of every make, and some with few things wrong at once; under laws of every make."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from policies.facts import ChangedFile, Facts, Kind, Override, Review, Slot
from policies.kinds import Ground
from policies.law import AutoMerge, Freeze, From, GroundLaw, KindRate, Law, Liftable, Overrides, Stale
from tests.policies.cases import (
    AFTER,
    BEFORE,
    HEAD,
    NOW,
    OTHER_HEAD,
    VERIFIED,
    amended,
    facts,
    spec,
    team,
)  # fmt: skip

LAW = amended(changes={"people": ("owner", "second")})
LOGINS = ("owner", "second", "Owner", "elf-devops", "elf-gate", "stranger")
BODIES = ("", "cost accepted: replaces the agency", "limit lifted: the launch is on Monday", "looks good")
PATHS = (
    "teams/marketing_team/team.yaml", "teams/marketing_team/README.md", "teams/sales_team/team.yaml", "teams/spec.py",
    "teams/runtime/server.py", "policies/limits.yaml", "policies/law.py", "meta_teams/devops/team.yaml", "README.md",
    "mcp_servers/git/merge_desk.py", "teams/marketing_team/../runtime/x.py", "gitops/x.yaml",
)  # fmt: skip

reviews = st.lists(
    st.builds(
        Review,
        who=st.sampled_from(LOGINS),
        state=st.sampled_from(["approved", "changes_requested", "commented", "dismissed"]),
        commit=st.sampled_from([HEAD, OTHER_HEAD]),
        at=st.integers(0, 5).map(lambda minutes: NOW + timedelta(minutes=minutes)),
        body=st.sampled_from(BODIES),
    ),
    max_size=5,
).map(tuple)
files = st.lists(
    st.builds(
        ChangedFile,
        path=st.sampled_from(PATHS),
        mode=st.sampled_from(["100644", "100755", "120000", "160000", None]),
        size=st.just(10),
    ),
    max_size=3,
    unique_by=lambda file: file.path,
).map(tuple)
teams = st.none() | st.builds(
    team,
    zone=st.sampled_from(["teams", "meta_teams"]),
    folder=st.sampled_from(["marketing_team", "sales_team", "devops"]),
    tree_before=st.sampled_from([None, BEFORE]),
    tree_after=st.sampled_from([None, AFTER, VERIFIED]),
    verified_trees=st.sampled_from([frozenset[str](), frozenset({VERIFIED})]),
    ill_trees=st.sampled_from([frozenset[str](), frozenset({BEFORE})]),
    different=st.sampled_from([(), ("agents/writer.py",)]),
    spec_after=st.sampled_from([spec(), spec(daily_budget_usd_micro=50_000_000), None]),
)
slots = st.lists(
    st.builds(
        Slot, number=st.integers(1, 9), state=st.sampled_from(["reserved", "consumed"]),
        at=st.integers(0, 30).map(lambda hours: NOW - timedelta(hours=hours)),
    ),
    max_size=7,
).map(tuple)  # fmt: skip
usual = st.just(facts().files)
worlds = st.builds(
    facts,
    author=st.sampled_from(LOGINS),
    requester=st.sampled_from(["devops/delivery-lead", "person:owner", "person:second", "kernel:seed", "owner"]),
    branch=st.sampled_from(["auto/x", "main", "feature"]),
    head_in_repository=st.sampled_from([HEAD, HEAD, OTHER_HEAD]),
    files=usual | files,
    team=st.just(team()) | teams,
    reviews=reviews,
    slots=slots,
)

peoples_words = st.lists(
    st.builds(
        Review,
        who=st.sampled_from(["owner", "second"]),
        state=st.sampled_from(["approved", "approved", "changes_requested"]),
        commit=st.sampled_from([HEAD, OTHER_HEAD]),
        at=st.integers(0, 3).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    ),
    max_size=3,
).map(tuple)
#: Worlds with few things wrong at once: where a hole, if there is one, shows.
near_misses = st.builds(
    facts,
    author=st.sampled_from(["elf-devops", "owner"]),
    requester=st.sampled_from(["devops/delivery-lead", "person:owner"]),
    head_in_repository=st.sampled_from([HEAD, HEAD, OTHER_HEAD]),
    files=usual | files,
    team=st.just(team()) | st.just(team(different=("agents/writer.py",))),
    reviews=peoples_words,
)

#: Overrides that count and that do not: of another head, run out, not begun, too long, by an agent, without a reason.
overrides = st.lists(
    st.builds(
        Override,
        who=st.sampled_from(["owner", "owner", "second", "elf-devops", "stranger"]),
        head=st.sampled_from([HEAD, HEAD, OTHER_HEAD]),
        rules=st.sampled_from(
            [
                ("approvals",),
                ("cooldown", "new_teams", "rates", "open_changes"),
                ("freeze",),
                ("daily_budget", "forecast"),
                ("approvals", "freeze", "cooldown", "new_teams", "forecast", "daily_budget"),
                ("rerender", "authority", "paths", "fresh", "objections", "law_readable", "stale", "refs"),
            ]
        ),
        reason=st.sampled_from(["the launch on Monday needs three more teams", "because"]),
        at=st.sampled_from([NOW - timedelta(hours=1), NOW + timedelta(hours=1)]),
        until=st.sampled_from([NOW + timedelta(hours=1), NOW - timedelta(minutes=1), NOW + timedelta(days=90)]),
        seq=st.just(1),
    ),
    max_size=2,
).map(tuple)
everything = tuple(Liftable)


def law_of(**parts: Any) -> Law:
    """This checkout's law with other people, overrides, limits; parts as `amended` takes them."""
    people = parts.pop("people", ("owner", "second"))
    liftable = parts.pop("liftable", everything)
    by = parts.pop("by", ("owner",))
    changes: dict[str, Any] = {"people": people} | parts.pop("changes", {})
    lifting = Overrides(by=by, liftable=liftable).model_dump()
    return amended(changes=changes, overrides=lifting, **parts)


frozen = Freeze(reason="the audit looks at the company")
lane = AutoMerge(kinds=(Kind.CHANGE_TEAM, Kind.ROLLBACK_TEAM))
laws = st.builds(
    law_of,
    people=st.sampled_from([("owner",), ("owner", "second")]),
    by=st.sampled_from([("owner",), ()]),
    liftable=st.lists(st.sampled_from(everything), max_size=4, unique=True).map(tuple),
    changes=st.fixed_dictionaries(
        {},
        optional={
            "auto_merge": st.just({"cheap": lane}),
            "zones": st.sampled_from(
                [
                    {Ground.TEAMS: GroundLaw(approvals=2)},
                    {Ground.CONSTITUTION: GroundLaw(approvals_from=(From(group="all"),))},
                ]
            ),
            "groups": st.just({"all": ("owner",)}),
        },
    ),
    limits=st.fixed_dictionaries(
        {},
        optional={
            "freeze": st.sampled_from([frozen, frozen.model_copy(update={"until": NOW - timedelta(hours=1)})]),
            "stale": st.just(Stale(after_days=14)),
            "rates": st.just({"servers": KindRate(kinds=(Kind.NEW_TEAM,), at_most=1, calendar="day")}),
        },
    ),
)
_moved = st.sampled_from([None, NOW - timedelta(hours=2), NOW - timedelta(days=20)])
_owners: dict[str, Any] = {"author": "owner", "requester": "owner", "team": None, "reviews": ()}
_one_file = st.sampled_from(
    [
        facts(files=(ChangedFile(path=path, mode="100644", size=10),)).files
        for path in ("policies/limits.yaml", "README.md", "meta_teams/devops/x", "mcp_servers/git/x.py")
    ]
)


def _owners_change(**more: Any) -> Facts:
    return facts(**(_owners | more))


#: A person's own change by hand, an agent's change to a living team, and anything at all; with overrides of all sorts.
overridden = st.one_of(
    st.builds(
        _owners_change,
        files=_one_file,
        overrides=overrides,
        moved_at=_moved,
    ),
    st.builds(facts, overrides=overrides, slots=slots, moved_at=_moved, reviews=reviews),
    st.builds(
        facts,
        author=st.sampled_from(["elf-devops", "owner"]),
        team=st.builds(
            team,
            zone=st.sampled_from(["teams", "teams", "meta_teams"]),
            tree_before=st.just(BEFORE),
            tree_after=st.sampled_from([AFTER, VERIFIED]),
            verified_trees=st.just(frozenset({VERIFIED})),
            ill_trees=st.sampled_from([frozenset[str](), frozenset({BEFORE})]),
            spec_before=st.sampled_from([spec(), spec(daily_budget_usd_micro=5_000_000), None]),
            different=st.sampled_from([(), ("agents/writer.py",)]),
        ),
        overrides=overrides,
        moved_at=_moved,
        reviews=st.just(()) | peoples_words,
    ).map(lambda it: it.model_copy(update={"files": _own_files(it)})),
    worlds,
)


def _own_files(change: Any) -> tuple[ChangedFile, ...]:
    return (ChangedFile(path=f"{change.team.zone}/{change.team.folder}/README.md", mode="100644", size=10),)
