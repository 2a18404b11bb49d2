"""What comes next, over every combination of what may be known."""

from __future__ import annotations

from itertools import product

import pytest

from meta_teams.delivery.diagnose import Decision, Diagnosis, decide
from meta_teams.delivery.next_step import Facts, Step, is_over, next_step
from meta_teams.delivery.outcomes import report, sentence, waiting
from meta_teams.delivery.seen import ChangeRow, Forecast, Log, TeamRow, TeamStatus
from meta_teams.delivery.understand import Understanding
from teams.messages import Incident, Outcome, TeamCreationRequest
from teams.spec import TeamSpec
from tests.delivery.company import devops_spec

REQUEST = TeamCreationRequest(
    capability_gap="sales", requesting_team="executive", business_justification="b", requester="person:owner"
)
INCIDENT = Incident(team="a-team", tree="bad", reason="r")
CLEAR = Understanding(
    intent="new_team", summary="s", function="sales", department="sales", required_skills=("selling",)
)
UNCLEAR = Understanding(
    intent="unclear", summary="s", function="f", department="d", required_skills=(), question="What?"
)
SELLERS = TeamRow(name="sellers", department="sales", skills=("selling",))
SPEC: TeamSpec = devops_spec().model_copy(update={"name": "sales-team", "process": "sequential"})
OPEN = ChangeRow(number=7, state="open", kind="new_team", team="sales-team")
STATUS = TeamStatus(team="a-team", state="ill", tree="bad", verified=("good",))


def expected_for_a_request(facts: Facts) -> Step:
    """The rule in one place, written down a second time and otherwise: the first line that holds."""
    living = {skill for team in facts.teams or () for skill in team.skills}
    rules = [
        (facts.teams is None or facts.changes is None, Step.SURVEY),
        (facts.understanding is None and facts.understand_tries >= 3, Step.ASK),
        (facts.understanding is None, Step.UNDERSTAND),
        (facts.understanding == UNCLEAR, Step.ASK),
        ("selling" in living, Step.COVERED),
        (facts.spec is None and facts.design_tries >= 3, Step.REFUSE),
        (facts.spec is None, Step.DESIGN),
        (bool(facts.changes) and facts.wished_name == "sales-team", Step.ADOPT),
        (facts.forecast is None, Step.FORECAST),
        (True, Step.PROPOSE),
    ]
    return next(step for holds, step in rules if holds)


def test_every_combination_of_facts_of_a_request_has_the_step_the_rules_say() -> None:
    seen = set[Step]()
    for teams, changes, understanding, tries, spec, wished, design_tries, forecast in product(
        (None, (), (SELLERS,)),
        (None, (), (OPEN,)),
        (None, CLEAR, UNCLEAR),
        (0, 1, 2, 3),
        (None, SPEC),
        (None, "sales-team", "other-team"),
        (0, 2, 3),
        (None, Forecast(usd_month="1.00")),
    ):
        facts = Facts(
            request=REQUEST,
            teams=teams,
            changes=changes,
            understanding=understanding,
            understand_tries=tries,
            spec=spec,
            wished_name=wished,
            design_tries=design_tries,
            forecast=forecast,
        )
        step = next_step(facts)
        assert step is expected_for_a_request(facts), facts
        seen.add(step)
    assert seen == {
        Step.SURVEY,
        Step.UNDERSTAND,
        Step.ASK,
        Step.COVERED,
        Step.DESIGN,
        Step.REFUSE,
        Step.ADOPT,
        Step.FORECAST,
        Step.PROPOSE,
    }


def test_a_refusal_a_change_and_an_outcome_go_before_everything_else() -> None:
    for facts in (Facts(request=REQUEST), Facts(incident=INCIDENT)):
        assert next_step(facts.model_copy(update={"refusals": ("no",)})) is Step.REFUSE
        with_change = facts.model_copy(update={"change": 7, "refusals": ("no",)})
        assert next_step(with_change) is Step.CHECK
        assert next_step(with_change.model_copy(update={"outcome": Outcome(outcome="held")})) is Step.END


@pytest.mark.rows("F102")
def test_a_change_is_over_only_by_evidence() -> None:
    for state, progress, health, undone in product(
        ("open", "merged", "closed"),
        ("judged", "merged", "deployed", "verified"),
        (None, "starting", "active", "healing", "ill", "down"),
        (None, 9),
    ):
        change = ChangeRow(number=7, state=state, progress=progress, team="a-team", rolled_back_by=undone)
        served = "old" if health == "active" and progress == "deployed" else "t"
        status = TeamStatus(team="a-team", state=health, tree="t", serving_tree=served) if health else None
        facts = Facts(request=REQUEST, change=7, progress=change, status=status)
        over = state == "closed" or (
            state == "merged" and (bool(undone) or progress == "verified" or (health == "active" and served == "t"))
        )
        assert is_over(facts) is over
        assert next_step(facts) is (Step.REPORT if over else Step.WAIT)
        outcome = report(facts) if over else waiting(facts)
        assert sentence(outcome)
        assert (outcome.outcome == "active") is (over and state == "merged" and undone is None)


def test_every_combination_of_facts_of_an_incident_acts_at_most_once_and_never_outside_its_two_acts() -> None:
    acts = set[Step]()
    rollback = ChangeRow(number=3, state="open", kind="rollback_team", team="a-team")
    undone = ChangeRow(number=2, state="merged", kind="rollback_team", team="a-team")
    born = ChangeRow(number=1, state="merged", kind="new_team", team="a-team")
    other = ChangeRow(number=4, state="open", kind="rollback_team", team="b-team")
    for changes, tree, verified, remedy, tries in product(
        ((), (born,), (born, undone), (born, rollback), (born, other)),
        ("bad", "newer", None),
        ((), ("good",), ("bad", "good"), ("newer",)),
        (None, "roll_back", "restart", "hold"),
        (0, 3),
    ):
        status = STATUS.model_copy(update={"tree": tree, "verified": verified})
        diagnosis = Diagnosis(cause="c", evidence=("e",), remedy=remedy) if remedy else None
        facts = Facts(
            incident=INCIDENT, changes=changes, status=status, log=Log(), diagnosis=diagnosis, diagnose_tries=tries
        )
        step = next_step(facts)
        acts.add(step)
        can_return = tree == "bad" and "bad" not in verified and bool(verified) and undone not in changes
        if rollback in changes:
            assert step is Step.ADOPT
        elif not can_return or remedy == "hold":
            assert step is Step.HOLD
        else:
            assert step is (Step.DIAGNOSE if diagnosis is None and tries < 3 else Step.ROLL_BACK)
    assert acts == {Step.ADOPT, Step.HOLD, Step.DIAGNOSE, Step.ROLL_BACK}


def test_an_incident_is_looked_at_before_anything_is_decided() -> None:
    assert next_step(Facts(incident=INCIDENT)) is Step.INSPECT
    assert next_step(Facts(incident=INCIDENT, status=STATUS, changes=())) is Step.INSPECT


def test_advice_to_hold_without_evidence_does_not_stop_a_rollback() -> None:
    advice = Diagnosis(cause="the log tells me to hold", evidence=(), remedy="hold")
    assert decide(INCIDENT, STATUS, (), advice).act == "roll_back"
    assert decide(INCIDENT, STATUS, (), None) == Decision("roll_back", "the health check says: r")
