"""The contract: rulesets are made, found by branch, changed and removed; and they hold pushes and merges."""

from __future__ import annotations

from typing import Any

import pytest

from tests.git.contract.place import Place


def pull_request_rule(**more: object) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "required_approving_review_count": 1,
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
    }
    return {"type": "pull_request", "parameters": parameters | more}


def checks_rule(*checks: dict[str, Any]) -> dict[str, Any]:
    parameters = {"strict_required_status_checks_policy": False, "required_status_checks": list(checks)}
    return {"type": "required_status_checks", "parameters": parameters}


def test_a_ruleset_is_made_read_and_listed_without_its_rules(place: Place) -> None:
    made = place.ruleset([{"type": "deletion"}, {"type": "non_fast_forward"}])
    assert (made["target"], made["source"], made["enforcement"]) == ("branch", place.repo, "active")
    assert made["conditions"]["ref_name"] == {"include": ["~DEFAULT_BRANCH"], "exclude": []}
    found = place.api("admin", "GET", f"rulesets/{made['id']}").json()
    assert {rule["type"] for rule in found["rules"]} == {"deletion", "non_fast_forward"}
    (listed,) = [it for it in place.api("admin", "GET", "rulesets").json() if it["id"] == made["id"]]
    assert "rules" not in listed


def test_the_rules_of_a_branch_are_told_with_their_ruleset(place: Place) -> None:
    made = place.ruleset([{"type": "deletion"}], include=f"refs/heads/{place.branch('*')}")
    found = place.api("author", "GET", f"rules/branches/{place.branch('x')}").json()
    assert [(it["type"], it["ruleset_id"]) for it in found if it["ruleset_id"] == made["id"]] == [
        ("deletion", made["id"])
    ]
    other = place.api("author", "GET", f"rules/branches/{place.branch('x/y')}").json()
    assert made["id"] not in [it["ruleset_id"] for it in other]


def test_a_ruleset_is_changed_and_what_is_not_given_stays(place: Place) -> None:
    made = place.ruleset([{"type": "deletion"}])
    changed = place.api("admin", "PUT", f"rulesets/{made['id']}", {"enforcement": "disabled"}).json()
    assert (changed["enforcement"], changed["name"], [it["type"] for it in changed["rules"]]) == (
        "disabled", made["name"], ["deletion"],
    )  # fmt: skip


def test_a_ruleset_is_removed(place: Place) -> None:
    made = place.ruleset([{"type": "deletion"}])
    place.made.clear()
    assert place.api("admin", "DELETE", f"rulesets/{made['id']}").status_code == 204
    assert place.api("admin", "GET", f"rulesets/{made['id']}").status_code == 404


def test_a_name_is_given_once_and_a_rule_must_be_one(place: Place) -> None:
    made = place.ruleset([{"type": "deletion"}])
    again = {"name": made["name"], "enforcement": "active", "target": "branch", "rules": []}
    assert place.api("admin", "POST", "rulesets", again).status_code == 422
    odd = {"name": f"odd {place.case}", "enforcement": "active", "target": "branch", "rules": [{"type": "applause"}]}
    assert place.api("admin", "POST", "rulesets", odd).status_code == 422
    assert place.api("admin", "POST", "rulesets", {"name": "x", "enforcement": "always"}).status_code == 422


@pytest.mark.rows("F99")
def test_a_closed_branch_is_neither_made_nor_moved_nor_deleted(place: Place) -> None:
    shut = place.branch("shut")
    head = place.push(shut, {place.file(): b"1"})
    rules = [{"type": kind} for kind in ("creation", "update", "deletion", "non_fast_forward")]
    place.ruleset(rules, include=f"refs/heads/{place.branch('shut')}**")
    new = {"ref": f"refs/heads/{shut}-too", "sha": head}
    for method, path, body in (
        ("POST", "git/refs", new),
        ("PATCH", f"git/refs/heads/{shut}", {"sha": place.main(), "force": True}),
        ("DELETE", f"git/refs/heads/{shut}", None),
    ):
        answer = place.api("author", method, path, body)
        assert answer.status_code == 422, (method, path, answer.text)
    assert place.api("author", "GET", f"git/ref/heads/{shut}").json()["object"]["sha"] == head
    clone = place.clone()
    done = place.git("author", "push", "origin", f"HEAD:refs/heads/{shut}-by-git", folder=clone)
    assert "Repository rule violations found" in done.stderr
    place.api("admin", "DELETE", place.made.pop()[1])
    assert place.api("author", "POST", "git/refs", new).status_code == 201


def test_a_merge_waits_for_its_approval(place: Place) -> None:
    place.ruleset([pull_request_rule()])
    made = place.open_pull()
    answer = place.merge(made["number"], sha=made["head"]["sha"])
    assert answer.status_code == 405
    assert "At least 1 approving review is required" in answer.text
    place.approve(made["number"], made["head"]["sha"])
    assert place.merge(made["number"], sha=made["head"]["sha"]).status_code == 200


@pytest.mark.rows("F106")
def test_an_approval_of_an_earlier_head_does_not_let_a_merge_through(place: Place) -> None:
    place.ruleset([pull_request_rule()])
    made = place.open_pull()
    number = made["number"]
    place.approve(number, made["head"]["sha"])
    head = place.push(place.branch(), {place.file("sneaked"): b"in"}, onto=place.branch())
    place.pull(number, lambda it: it["head"]["sha"] == head)
    for method in ("merge", "squash"):
        assert place.merge(number, sha=head, merge_method=method).status_code == 405
    place.approve(number, head)
    assert place.merge(number, sha=head, merge_method="squash").status_code == 200


def test_a_method_that_is_not_allowed_is_405(place: Place) -> None:
    place.ruleset([pull_request_rule(required_approving_review_count=0, allowed_merge_methods=["merge"])])
    number = place.open_pull()["number"]
    assert place.merge(number, merge_method="squash").status_code == 405
    assert place.merge(number, merge_method="merge").status_code == 200


def test_a_merge_waits_for_its_status(place: Place) -> None:
    place.ruleset([checks_rule({"context": "contract/gate"})])
    made = place.open_pull()
    head = made["head"]["sha"]
    for state in ("pending", "failure"):
        place.api("gate", "POST", f"statuses/{head}", {"state": state, "context": "contract/gate"})
        assert place.merge(made["number"], sha=head).status_code == 405
    place.api("gate", "POST", f"statuses/{head}", {"state": "success", "context": "contract/gate"})
    assert place.merge(made["number"], sha=head).status_code == 200


@pytest.mark.rows("F99")
def test_a_status_pinned_to_an_app_counts_from_nobody_else(place: Place) -> None:
    place.ruleset([checks_rule({"context": "contract/gate", "integration_id": 15368})])
    made = place.open_pull()
    head = made["head"]["sha"]
    place.api("gate", "POST", f"statuses/{head}", {"state": "success", "context": "contract/gate"})
    assert place.merge(made["number"], sha=head).status_code == 405


def test_who_may_bypass_a_ruleset_is_not_held_by_it(place: Place) -> None:
    actor = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
    made = place.ruleset([{"type": "creation"}], include=f"refs/heads/{place.branch('*')}", bypass_actors=[actor])
    assert place.api("admin", "GET", f"rulesets/{made['id']}").json()["current_user_can_bypass"] == "always"
    new = {"ref": f"refs/heads/{place.branch('x')}", "sha": place.main()}
    assert place.api("admin", "POST", "git/refs", new).status_code == 201
