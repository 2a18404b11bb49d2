"""The REST routes about labels: the repository's, and those a pull request carries."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mcp_servers.git.forge import events, store, wire_pulls
from mcp_servers.git.forge.errors import ForgeError, invalid, not_found
from mcp_servers.git.forge.paging import paged
from mcp_servers.git.forge.site import Visit, Visiting
from mcp_servers.git.forge.standing import standing
from mcp_servers.git.forge.store import PullRow, Row
from mcp_servers.git.forge.wire import Json

router = APIRouter(prefix="/repos/{owner}/{repo}")

LABEL_LIMIT = 50


class Labels(BaseModel):
    labels: list[str]


class NewLabel(BaseModel):
    name: str
    color: str = Field(default="ededed", pattern=r"^[0-9a-fA-F]{6}$")
    description: str | None = None


class LabelEdit(BaseModel):
    new_name: str | None = None
    color: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{6}$")
    description: str | None = None


@router.get("/labels")
def list_all_labels(request: Request, visit: Visiting) -> JSONResponse:
    with visit.site.store.read() as connection:
        query = "SELECT name, color, description FROM labels WHERE repo = ? ORDER BY name"
        rows: list[Row] = connection.execute(query, (visit.repo,)).fetchall()
    return paged(request, visit, rows, lambda row: wire_pulls.label(visit, *row), "/labels")


@router.post("/labels", status_code=201)
def create_label(visit: Visiting, new: NewLabel) -> Json:
    visit.demand("open_pull", "merge")
    (name,) = _label_names([new.name])
    values = (visit.repo, name, new.color.lower(), new.description or "")
    with visit.site.store.write() as connection:
        if not connection.execute("INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?)", values).rowcount:
            raise ForgeError(
                422, "Validation Failed", [{"resource": "Label", "code": "already_exists", "field": "name"}]
            )
        shape = wire_pulls.label(visit, *values[1:])
        events.tell(visit, connection, "label", action="created", label=shape)
    visit.site.courier.wake()
    return shape


@router.get("/labels/{name}")
def get_label(visit: Visiting, name: str) -> Json:
    row = _label(visit, name)
    return wire_pulls.label(visit, row["name"], row["color"], row["description"])


@router.patch("/labels/{name}")
def edit_label(visit: Visiting, name: str, new: LabelEdit) -> Json:
    """Its colour and description; the name stays, for pull requests carry it."""
    visit.demand("admin", "open_pull", "merge")
    row = _label(visit, name)
    if new.new_name not in (None, name):
        raise invalid("Label", "new_name", "labels keep their names here; make another one")
    color = row["color"] if new.color is None else new.color.lower()
    description = row["description"] if new.description is None else new.description
    with visit.site.store.write() as connection:
        connection.execute(
            "UPDATE labels SET color = ?, description = ? WHERE repo = ? AND name = ?",
            (color, description, visit.repo, name),
        )
    return wire_pulls.label(visit, name, color, description)


@router.delete("/labels/{name}", status_code=204)
def delete_label(visit: Visiting, name: str) -> Response:
    """Also from every pull request that carries it."""
    visit.demand("admin")
    _label(visit, name)
    with visit.site.store.write() as connection:
        for row in store.pull_rows(connection, visit.repo):
            if name in row.labels:
                left = [label for label in row.labels if label != name]
                store.set_labels(connection, visit.repo, row.number, left, visit.site.time())
        connection.execute("DELETE FROM labels WHERE repo = ? AND name = ?", (visit.repo, name))
    return Response(status_code=204)


@router.get("/issues/{number}/labels")
def list_labels(request: Request, visit: Visiting, number: int) -> JSONResponse:
    labels = _pull(visit, number).labels
    return paged(request, visit, labels, lambda name: _label_shape(visit, name), f"/issues/{number}/labels")


@router.post("/issues/{number}/labels")
def add_labels(visit: Visiting, number: int, names: Labels | list[str]) -> list[Json]:
    return _put_labels(visit, number, [*_pull(visit, number).labels, *_named(names)])


@router.put("/issues/{number}/labels")
def replace_labels(visit: Visiting, number: int, names: Labels | list[str]) -> list[Json]:
    return _put_labels(visit, number, _named(names))


@router.delete("/issues/{number}/labels/{name}")
def remove_label(visit: Visiting, number: int, name: str) -> list[Json]:
    labels = _pull(visit, number).labels
    if name not in labels:
        raise ForgeError(404, "Label does not exist")
    return _put_labels(visit, number, [label for label in labels if label != name])


@router.delete("/issues/{number}/labels", status_code=204)
def remove_labels(visit: Visiting, number: int) -> Response:
    _put_labels(visit, number, [])
    return Response(status_code=204)


def _pull(visit: Visit, number: int) -> PullRow:
    with visit.site.store.read() as connection:
        row = store.pull_row(connection, visit.repo, number)
    if row is None:
        raise not_found()
    return row


def _label(visit: Visit, name: str) -> Row:
    with visit.site.store.read() as connection:
        query = "SELECT * FROM labels WHERE repo = ? AND name = ?"
        row: Row | None = connection.execute(query, (visit.repo, name)).fetchone()
    if row is None:
        raise not_found()
    return row


def _named(names: Labels | list[str]) -> list[str]:
    return names.labels if isinstance(names, Labels) else names


def _label_names(names: list[str]) -> list[str]:
    if len(names) > 100 or any(not name.strip() or len(name) > LABEL_LIMIT for name in names):
        raise invalid("Label", "name", f"a label has 1 to {LABEL_LIMIT} characters; at most 100 of them")
    return names


def _put_labels(visit: Visit, number: int, names: list[str]) -> list[Json]:
    pull = _pull(visit, number)
    if visit.identity.login != pull.author:
        visit.demand("merge", "review")
    with visit.site.store.write() as connection:
        store.set_labels(connection, visit.repo, number, _label_names(names), visit.site.time())
        row = store.pull_row(connection, visit.repo, number)
        assert row is not None
        for action, changed in (("labeled", set(row.labels) - set(pull.labels)),
                                ("unlabeled", set(pull.labels) - set(row.labels))):  # fmt: skip
            for name in sorted(changed):
                events.tell_pull(
                    visit, connection, action, standing(row, visit.repository.refs("refs/")),
                    label=wire_pulls.label(visit, name),
                )  # fmt: skip
    visit.site.courier.wake()
    return [_label_shape(visit, name) for name in row.labels]


def _label_shape(visit: Visit, name: str) -> Json:
    row = _label(visit, name)
    return wire_pulls.label(visit, name, row["color"], row["description"])
