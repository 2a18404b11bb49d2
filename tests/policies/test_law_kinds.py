"""The kinds of rule that the law can hold beyond the ones it ships with: rates, groups, zones, lanes, freezes, schemas."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policies import law
from policies.facts import MICRO, Kind, Slot
from policies.kinds import Ground
from policies.law import AutoMerge, BadLaw, Freeze, From, GroundLaw, KindLaw, KindRate, Rate, Stale
from policies.schemas import schemas
from policies.strict_yaml import load
from policies.verdict import Outcome
from tests.policies.cases import (
    AFTER,
    BEFORE,
    NOW,
    amended,
    answer,
    approval,
    blocked_by,
    facts,
    files,
    judged,
    policy_files,
    rollback,
    spec,
    team,
    the_law,
)  # fmt: skip

CHANGE = {"team": team(tree_before=BEFORE, tree_after=AFTER, spec_before=spec()), "reviews": ()}


def merged(kind: Kind, at: datetime, requester: str | None = "devops/delivery-lead") -> Slot:
    return Slot(number=1, state="consumed", at=at, kind=kind, requester=requester)


# ---------------------------------------------------------------- rates


@pytest.mark.rows("F104")
@pytest.mark.parametrize(
    ("calendar", "begin", "end"),
    [
        ("day", datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
        ("week", datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)),
        ("month", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_calendar_window_begins_and_ends_with_its_period(calendar: Any, begin: datetime, end: datetime) -> None:
    one = amended(limits={"rates": {"changes": KindRate(kinds=(Kind.CHANGE_TEAM,), at_most=1, calendar=calendar)}})
    change = CHANGE | {"reviews": (approval(),)}
    inside = judged(facts(**change, slots=(merged(Kind.CHANGE_TEAM, begin + timedelta(seconds=1)),)), one)
    assert blocked_by(inside) == {"rates": Outcome.PENDING} and inside.retry_at == end
    assert judged(facts(**change, slots=(merged(Kind.CHANGE_TEAM, begin - timedelta(seconds=1)),)), one).allowed


@pytest.mark.rows("F104")
def test_a_rate_counts_its_kinds_its_requester_and_what_it_says_it_counts() -> None:
    def rate(**fields: Any) -> law.Law:
        return amended(limits={"rates": {"changes": KindRate(kinds=(Kind.CHANGE_TEAM,), at_most=1, **fields)}})

    change = CHANGE | {"reviews": (approval(),)}
    just = NOW - timedelta(hours=1)
    assert judged(facts(**change, slots=(merged(Kind.NEW_SERVER, just),)), rate()).allowed
    assert not judged(facts(**change, slots=(merged(Kind.CHANGE_TEAM, just, "sales/lead"),)), rate()).allowed
    assert judged(facts(**change, slots=(merged(Kind.CHANGE_TEAM, just, "sales/lead"),)), rate(per="requester")).allowed
    assert not judged(facts(**change, slots=(merged(Kind.CHANGE_TEAM, just),)), rate(per="requester")).allowed
    proposed = Slot(number=3, state="reserved", at=just, kind=Kind.CHANGE_TEAM)
    assert not judged(facts(**change, slots=(proposed,)), rate()).allowed
    assert judged(facts(**change, slots=(proposed,)), rate(counts="merged")).allowed
    assert judged(
        facts(**change, slots=(merged(Kind.CHANGE_TEAM, just, "kernel:seed"),)), rate(exempt=("kernel:seed",))
    ).allowed


def test_a_cooldown_of_a_rate_waits_and_says_until_when() -> None:
    one = amended(limits={"rates": {"changes": KindRate(kinds=(Kind.CHANGE_TEAM,), cooldown_seconds=600)}})
    late = judged(facts(**CHANGE | {"reviews": (approval(),)}, slots=(merged(Kind.CHANGE_TEAM, NOW),)), one)
    assert blocked_by(late) == {"rates": Outcome.PENDING} and late.retry_at == NOW + timedelta(seconds=600)


def test_a_rate_that_says_two_windows_or_takes_a_taken_name_is_refused() -> None:
    with pytest.raises(ValueError, match="two windows"):
        Rate(in_hours=24, calendar="day")
    with pytest.raises(ValueError, match="name is taken"):
        law.Limits(rates={"new_teams": KindRate(kinds=(Kind.LAW,))})


# ---------------------------------------------------------------- who has to agree


def with_people(**changes: Any) -> law.Law:
    return amended(
        changes={"people": ("owner", "second", "third"), "groups": {"finance": ("second", "third")}} | changes
    )


@pytest.mark.rows("F106", "F95")
def test_approvals_are_asked_from_groups_as_well_as_in_number() -> None:
    kinds = {**the_law().changes.kinds}
    kinds[Kind.NEW_TEAM] = kinds[Kind.NEW_TEAM].model_copy(
        update={"approvals": 2, "approvals_from": (From(group="finance"),)}
    )
    both = with_people(kinds=kinds)
    said = judged(facts(), both)
    assert "1 of 2 approvals" in said.reason and "1 of them by the group finance" in said.reason
    assert judged(facts(reviews=(approval(), approval("second"))), both).allowed
    kinds[Kind.NEW_TEAM] = kinds[Kind.NEW_TEAM].model_copy(
        update={"approvals_from": (From(group="finance", approvals=2),)}
    )
    stricter = with_people(kinds=kinds)
    assert not judged(facts(reviews=(approval(), approval("second"))), stricter).allowed
    assert judged(facts(reviews=(approval("third"), approval("second"))), stricter).allowed


@pytest.mark.rows("F106")
def test_a_zone_asks_on_top_of_the_kind_and_a_lane_does_not_waive_it() -> None:
    lane = {"cheap": AutoMerge(kinds=(Kind.CHANGE_TEAM,))}
    assert judged(facts(**CHANGE), with_people(auto_merge=lane)).allowed
    zones = {Ground.TEAMS: GroundLaw(approvals=1)}
    assert blocked_by(judged(facts(**CHANGE), with_people(auto_merge=lane, zones=zones))) == {
        "approvals": Outcome.NEEDS_APPROVAL
    }
    two = {Ground.TEAMS: GroundLaw(approvals=2, approvals_from=(From(group="finance"),))}
    assert not judged(facts(), with_people(zones=two)).allowed
    assert judged(facts(reviews=(approval(), approval("third"))), with_people(zones=two)).allowed


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            b"approvals: 1\n  change_team",
            b"approvals: 1\n    approvals_from: [{group: finance}]\n  change_team",
            "no group",
        ),
        (b"agents:\n", b"groups: {finance: [nobody]}\nagents:\n", "not among the people"),
        (b"agents:\n", b"auto_merge: {x: {kinds: [law]}}\nagents:\n", "auto_merge.x.kinds"),
        (b"agents:\n", b"zones: {everything: {approvals: 1}}\nagents:\n", "zones"),
        (b"agents:\n", b'auto_merge: {x: {kinds: [change_team], only_paths: ["(?=a)"]}}\nagents:\n', "linear time"),
    ],
)
def test_a_demand_that_cannot_be_meant_is_refused(old: bytes, new: bytes, said: str) -> None:
    text = policy_files()["changes.yaml"]
    assert old in text
    with pytest.raises(BadLaw, match=said):
        law.read(policy_files() | {"changes.yaml": text.replace(old, new, 1)})


def test_a_kind_s_own_paths_are_the_only_ones() -> None:
    kinds = {**the_law().changes.kinds}
    kinds[Kind.NEW_TEAM] = KindLaw(
        agents_in=("teams",), people_in=("teams",), approvals=1, only_paths=("teams/[a-z]+_team/.*",)
    )
    assert judged(facts(), amended(changes={"kinds": kinds})).allowed
    kinds[Kind.NEW_TEAM] = kinds[Kind.NEW_TEAM].model_copy(update={"only_paths": ("teams/sales.*",)})
    assert blocked_by(judged(facts(), amended(changes={"kinds": kinds})))["authority"] is Outcome.DENY


# ---------------------------------------------------------------- lanes


@pytest.mark.rows("F107")
@pytest.mark.parametrize(
    ("lane", "world", "carried"),
    [
        ({}, {}, True),
        ({"files_at_most": 1}, {}, False),
        ({"only_paths": ("teams/[a-z_]+/README.md",)}, {}, False),
        ({"only_paths": ("teams/[a-z_]+/.*",)}, {}, True),
        ({"requesters": ("sales/.*",)}, {}, False),
        ({"requesters": ("devops/.*",)}, {}, True),
        ({"forecast_usd_month_at_most": 100 * MICRO}, {}, False),
        ({"forecast_usd_month_at_most": 300 * MICRO}, {}, True),
        ({}, {"spec_after": spec(members=4)}, False),
        ({"same_shape": False}, {"spec_after": spec(members=4)}, True),
        ({}, {"spec_after": spec(tools=(("editor", True, "registry__query_teams"),))}, False),
        ({"no_new_tools": False}, {"spec_after": spec(tools=(("editor", True, "registry__query_teams"),))}, True),
        ({}, {"spec_after": spec(daily_budget_usd_micro=9 * MICRO)}, True),
        ({}, {"spec_before": spec(daily_budget_usd_micro=9 * MICRO)}, False),
        ({}, {"spec_before": None}, False),
    ],
)
def test_a_lane_carries_exactly_what_fulfils_all_its_conditions(lane: Any, world: Any, carried: bool) -> None:
    made = AutoMerge(kinds=(Kind.CHANGE_TEAM,)).model_copy(update=lane)
    before = team(tree_before=BEFORE, tree_after=AFTER, spec_before=spec()).model_copy(update=world)
    change = facts(team=before, reviews=())
    verdict = judged(change, amended(changes={"auto_merge": {"cheap": made}}))
    assert verdict.allowed is carried, verdict.text()
    found = answer(verdict, "approvals")
    assert found is not None and ("auto_merge.cheap" in found.reason) is carried


@pytest.mark.rows("F107")
@pytest.mark.parametrize(
    ("asked_for", "carried"), [(None, True), (Kind.CHANGE_TEAM, True), (Kind.ROLLBACK_TEAM, False)]
)
def test_a_lane_believes_a_requester_only_for_what_they_asked_for(asked_for: Kind | None, carried: bool) -> None:
    """The bot's branch of a rollback that a trusted member asked for is pushed a change to another team."""
    by_law = amended(changes={"auto_merge": {"cheap": AutoMerge(kinds=(Kind.CHANGE_TEAM,), requesters=("devops/.*",))}})
    change = facts(team=team(tree_before=BEFORE, spec_before=spec()), reviews=(), asked_for=asked_for)
    assert judged(change, by_law).allowed is carried


@pytest.mark.rows("F107")
def test_no_lane_carries_a_meta_team_even_a_person_s() -> None:
    meta = team(zone="meta_teams", folder="devops", tree_before=BEFORE, spec_before=spec(name="devops", folder="devops"),
                spec_after=spec(name="devops", folder="devops"))  # fmt: skip
    by_law = amended(changes={"auto_merge": {"cheap": AutoMerge(kinds=(Kind.CHANGE_TEAM,))}})
    change = facts(author="owner", requester="owner", team=meta, reviews=(), files=files("meta_teams/devops/README.md"))
    assert blocked_by(judged(change, by_law)) == {"approvals": Outcome.NEEDS_APPROVAL}


# ---------------------------------------------------------------- freeze, stale, ceiling


@pytest.mark.rows("F104")
def test_a_freeze_holds_everything_but_what_is_exempt_and_the_law_itself() -> None:
    until = NOW + timedelta(hours=2)
    frozen = amended(limits={"freeze": Freeze(reason="the audit looks at it", until=until)})
    held = judged(facts(), frozen)
    assert blocked_by(held) == {"freeze": Outcome.PENDING} and held.retry_at == until and "the audit" in held.reason
    assert judged(rollback(), frozen).allowed and judged(facts(read_at=until), frozen, now=until).allowed
    strict = amended(limits={"freeze": Freeze(reason="the audit looks at it", exempt=())})
    assert not judged(rollback(), strict).allowed
    change = facts(author="owner", requester="owner", team=None, files=files("policies/limits.yaml"))
    assert "freeze" not in blocked_by(judged(change, strict))


@pytest.mark.parametrize("wrong", [b"freeze: {}", b'freeze: {reason: "no"}', b"freeze: {reason: the audit is here, until: 1764576000}",
                                   b'freeze: {reason: the audit is here, until: "2026-12-01T08:00:00"}', b"stale: {}",
                                   b"stale: {after_days: 0}"])  # fmt: skip
def test_a_freeze_wants_a_reason_and_a_moment_with_its_zone_and_staleness_its_days(wrong: bytes) -> None:
    text = policy_files()["limits.yaml"].replace(b"stale:\n  after_days: 14\n", b"")
    law.read(policy_files() | {"limits.yaml": text})
    with pytest.raises(BadLaw, match=r"limits\.yaml"):
        law.read(policy_files() | {"limits.yaml": text + wrong + b"\n"})


def test_no_staleness_means_that_a_change_may_lie_for_ever() -> None:
    old = NOW - timedelta(days=400)
    assert blocked_by(judged(facts(moved_at=old))) == {"stale": Outcome.DENY}
    assert judged(facts(moved_at=old), amended(limits={"stale": None})).allowed
    assert judged(facts(moved_at=old), amended(limits={"stale": Stale(after_days=14, exempt=(Kind.NEW_TEAM,))})).allowed


@pytest.mark.rows("F95")
def test_a_forecast_above_the_ceiling_is_refused_whatever_is_said() -> None:
    dear = facts(
        team=team(forecast_usd_micro_month=3000 * MICRO), reviews=(approval(body="cost accepted: we are rich enough"),)
    )
    assert judged(dear).allowed
    capped = amended(costs={"refused_above_usd_month": 2000 * MICRO})
    assert blocked_by(judged(dear, capped)) == {"forecast": Outcome.DENY}
    unknown = facts(team=team(forecast_usd_micro_month=None), reviews=dear.reviews)
    assert blocked_by(judged(unknown, capped)) == {"forecast": Outcome.DENY}


# ---------------------------------------------------------------- overrides and schemas


def test_only_people_of_the_law_can_be_named_for_overrides_and_without_the_file_nobody_is() -> None:
    text = policy_files()["overrides.yaml"]
    with pytest.raises(BadLaw, match=r"overrides\.yaml: by: elf-devops is not among the people"):
        law.read(policy_files() | {"overrides.yaml": text.replace(b"  - owner", b"  - elf-devops")})
    without = law.read({name: raw for name, raw in policy_files().items() if name != "overrides.yaml"})
    assert without.overrides.by == () and without.overrides.liftable == ()
    with pytest.raises(BadLaw, match=r"overrides\.yaml: liftable"):
        law.read(policy_files() | {"overrides.yaml": text.replace(b"[limits,", b"[rerender, limits,")})


@pytest.mark.rows("F64")
def test_the_schemas_beside_the_files_are_those_of_the_models() -> None:
    """`./elf policy schemas` writes them anew."""
    folder = Path(law.__file__).parent
    assert {path.name: path.read_text("utf-8") for path in (folder / "schemas").glob("*.json")} == schemas()
    for name, raw in policy_files().items():
        assert raw.startswith(f"# yaml-language-server: $schema=schemas/{name.removesuffix('.yaml')}.json\n".encode())


@pytest.mark.rows("F64")
def test_an_editor_accepts_what_the_law_accepts_and_marks_a_field_nobody_knows() -> None:
    made = schemas()
    for name, raw in policy_files().items():
        schema = json.loads(made[name.replace(".yaml", ".json")])
        said: Any = load(raw)
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(said, schema)
        with pytest.raises(jsonschema.ValidationError, match="nobody_knows"):
            jsonschema.validate(said | {"nobody_knows": 1}, schema)
