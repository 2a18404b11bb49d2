"""The REST routes about who may do what: rulesets, the rules of a branch, an account's permission, an App's repositories."""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mcp_servers.git.forge import wire
from mcp_servers.git.forge.errors import ForgeError, not_found
from mcp_servers.git.forge.paging import paged
from mcp_servers.git.forge.rulesets import KEPT, of_row
from mcp_servers.git.forge.site import SignedIn, SiteOf, Visit, Visiting
from mcp_servers.git.forge.store import LARGEST_NUMBER, Row, ruleset_rows
from mcp_servers.git.forge.wire import Json

router = APIRouter()
AT = "/repos/{owner}/{repo}"


class Rule(BaseModel):
    type: str
    parameters: dict[str, Any] | None = None


class Actor(BaseModel):
    actor_id: int | None = None
    actor_type: Literal["Integration", "OrganizationAdmin", "RepositoryRole", "Team", "DeployKey", "User"]
    bypass_mode: Literal["always", "pull_request", "exempt"] = "always"


class Names(BaseModel):
    include: list[str] = []
    exclude: list[str] = []


class Conditions(BaseModel):
    ref_name: Names = Names()


class NewRuleset(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    enforcement: Literal["disabled", "active", "evaluate"]
    target: Literal["branch"] = "branch"
    bypass_actors: list[Actor] = []
    conditions: Conditions = Conditions()
    rules: list[Rule] = []


class RulesetEdit(BaseModel):
    name: str | None = Field(default=None, min_length=1, max_length=200)
    enforcement: Literal["disabled", "active", "evaluate"] | None = None
    target: Literal["branch"] | None = None
    bypass_actors: list[Actor] | None = None
    conditions: Conditions | None = None
    rules: list[Rule] | None = None


@router.get(AT + "/rulesets")
def list_rulesets(request: Request, visit: Visiting) -> JSONResponse:
    return paged(request, visit, _rows(visit), lambda row: _shape(visit, row), "/rulesets")


@router.post(AT + "/rulesets", status_code=201)
def create_ruleset(visit: Visiting, new: NewRuleset) -> Json:
    visit.administer()
    _check_rules(new.rules)
    at, columns = visit.site.time(), _columns(new)
    _check_name(visit, new.name, None)
    with visit.site.store.write() as connection:
        cursor = connection.execute(
            "INSERT INTO rulesets (repo, name, enforcement, bypass_actors, conditions, rules, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (visit.repo, new.name, new.enforcement, *columns, at, at),
        )
        number = int(cursor.lastrowid or 0)
    return _whole(visit, _row(visit, number))


@router.get(AT + "/rulesets/{number}")
def get_ruleset(visit: Visiting, number: int) -> Json:
    return _whole(visit, _row(visit, number))


@router.put(AT + "/rulesets/{number}")
def edit_ruleset(visit: Visiting, number: int, edit: RulesetEdit) -> Json:
    """What is not given stays."""
    visit.administer()
    row = _row(visit, number)
    given = edit.model_dump(exclude_none=True)
    new = NewRuleset.model_validate({**_stored(row), **given})
    _check_rules(new.rules)
    _check_name(visit, new.name, number)
    with visit.site.store.write() as connection:
        connection.execute(
            "UPDATE rulesets SET name = ?, enforcement = ?, bypass_actors = ?, conditions = ?, rules = ?, updated_at = ?"
            " WHERE id = ?",
            (new.name, new.enforcement, *_columns(new), visit.site.time(), number),
        )
    return _whole(visit, _row(visit, number))


@router.delete(AT + "/rulesets/{number}", status_code=204)
def delete_ruleset(visit: Visiting, number: int) -> Response:
    visit.administer()
    _row(visit, number)
    with visit.site.store.write() as connection:
        connection.execute("DELETE FROM rulesets WHERE id = ?", (number,))
    return Response(status_code=204)


@router.get(AT + "/rules/branches/{branch:path}")
def rules_of_branch(request: Request, visit: Visiting, branch: str) -> JSONResponse:
    """Every active rule that speaks of the branch, there or not."""
    found = [
        {**rule, "ruleset_source_type": "Repository", "ruleset_source": visit.repo, "ruleset_id": row["id"]}
        for row in _rows(visit)
        if of_row(row).covers(f"refs/heads/{branch}")
        for rule in json.loads(row["rules"])
    ]
    return paged(request, visit, found, lambda rule: rule, f"/rules/branches/{branch}")


@router.get(AT + "/collaborators/{login}/permission")
def permission(visit: Visiting, login: str) -> Json:
    """What the account may, in GitHub's one word: admin, write or read."""
    found = next((identity for identity in visit.site.identities if identity.login == login), None)
    if found is None:
        raise not_found()
    word = "admin" if "admin" in found.may else "write" if found.may & {"push_auto", "merge"} else "read"
    may = wire.repository(Visit(visit.site, found, visit.owner, visit.name, visit.repository))["permissions"]
    about = {**wire.user(visit.site, login), "permissions": may, "role_name": word}
    return {"permission": word, "role_name": word, "user": about}


@router.get("/installation/repositories")
def installation_repositories(request: Request, site: SiteOf, me: SignedIn) -> JSONResponse:
    """The repositories of an App's account; a person's token has no installation."""
    if not me.is_bot:
        raise ForgeError(
            403,
            "You must authenticate with an installation access token in order to list repositories for an installation.",
        )
    found = [Visit(site, me, owner, name, repository) for owner, name, repository in site.repositories()]
    if not found:
        return JSONResponse({"total_count": 0, "repositories": []})

    def around(shown: list[Json]) -> Json:
        return {"total_count": len(found), "repositories": shown, "repository_selection": "selected"}

    return paged(request, found[0], found, wire.repository, "/installation/repositories", around)


def _shape(visit: Visit, row: Row) -> Json:
    """A ruleset as lists have it: without its rules."""
    url = f"{visit.url}/rulesets/{row['id']}"
    return {
        "id": row["id"],
        "node_id": wire.node_id("RepositoryRuleset", row["id"]),
        "name": row["name"],
        "target": "branch",
        "source_type": "Repository",
        "source": visit.repo,
        "enforcement": row["enforcement"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "_links": {"self": {"href": url}, "html": {"href": f"{visit.html_url}/rules/{row['id']}"}},
    }


def _whole(visit: Visit, row: Row) -> Json:
    bypass = "always" if of_row(row).bypassed_by(visit.identity, merging=False) else "never"
    stored = {key: json.loads(row[key]) for key in ("conditions", "rules")}
    actors = {"bypass_actors": json.loads(row["bypass_actors"])} if "admin" in visit.identity.may else {}
    return {**_shape(visit, row), **stored, **actors, "current_user_can_bypass": bypass}


def _columns(new: NewRuleset) -> tuple[str, str, str]:
    actors = json.dumps([actor.model_dump() for actor in new.bypass_actors])
    rules = json.dumps([rule.model_dump(exclude_none=True) for rule in new.rules])
    return actors, json.dumps(new.conditions.model_dump()), rules


def _stored(row: Row) -> Json:
    lists = {key: json.loads(row[key]) for key in ("bypass_actors", "conditions", "rules")}
    return {"name": row["name"], "enforcement": row["enforcement"], **lists}


def _check_rules(rules: list[Rule]) -> None:
    unknown = sorted({rule.type for rule in rules} - KEPT)
    if unknown:
        raise ForgeError(422, "Validation Failed", [f"Invalid rule '{unknown[0][:60]}': this forge does not keep it"])
    for rule in rules:
        if rule.type in {"pull_request", "required_status_checks"} and not rule.parameters:
            raise ForgeError(422, "Validation Failed", [f"Invalid rule '{rule.type}': it needs parameters"])


def _check_name(visit: Visit, name: str, but: int | None) -> None:
    if any(row["name"] == name and row["id"] != but for row in _rows(visit)):
        raise ForgeError(422, "Validation Failed", ["Name must be unique"])


def _rows(visit: Visit) -> list[Row]:
    with visit.site.store.read() as connection:
        return ruleset_rows(connection, visit.repo)


def _row(visit: Visit, number: int) -> Row:
    if not 0 < number <= LARGEST_NUMBER:
        raise not_found()
    found = next((row for row in _rows(visit) if row["id"] == number), None)
    if found is None:
        raise not_found()
    return found
