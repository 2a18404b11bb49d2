"""What happened, told to webhooks in GitHub's words.

What is said (a pull request opened, a comment, a review, a status) is told in the transaction that writes it down. What Git does (a
push, a merge, a branch gone) is found by comparing the refs with those that were last told of: after every push and merge, and when
the forge starts. So nothing is left out, whatever was killed when.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from mcp_servers.git.forge import hooks, store
from mcp_servers.git.forge.identity import Identity
from mcp_servers.git.forge.site import Visit
from mcp_servers.git.forge.standing import Pull, size, standing
from mcp_servers.git.forge.wire import Json, iso, repository, user
from mcp_servers.git.forge.wire_pulls import pull as pull_shape
from mcp_servers.git.forge.wire_pulls import told_review, whole_pull
from mcp_servers.git.objects import NO_SHA, Commit

#: The most commits of one push that are listed.
COMMITS_LISTED = 50
BRANCHES, PULLS = "refs/heads/", "refs/pull/"


def tell(visit: Visit, connection: sqlite3.Connection, event: str, **payload: Any) -> None:
    """Of something said by the visitor, inside the transaction that keeps it; wake the courier after it."""

    def made() -> Json:
        called = {name: value() if callable(value) else value for name, value in payload.items()}
        return {**called, "repository": repository(visit), "sender": user(visit.site, visit.identity.login)}

    hooks.tell(connection, visit.repo, event, made, visit.site.time())


def tell_pull(visit: Visit, connection: sqlite3.Connection, action: str, pull: Pull, **more: Any) -> None:
    """Of a pull request, as `tell`."""

    def shape() -> Json:
        return whole_pull(
            visit, pull, size(visit, pull), None, store.comment_count(connection, visit.repo, pull.row.number)
        )

    if action != "edited":
        more.pop("changes", None)
    tell(visit, connection, "pull_request", action=action, number=pull.row.number, pull_request=shape, **more)


def notice(visit: Visit) -> None:
    """After refs may have moved: dismiss approvals of what is no longer the head, and tell of every ref that moved."""
    with visit.site.store.read() as connection:
        hooked = hooks.has_hooks(connection, visit.repo)
        stale = _stale_reviews(visit, connection, visit.repository.refs("refs/"))
    if not hooked and not stale:
        return
    with visit.site.store.write() as connection:
        refs = visit.repository.refs("refs/")
        for row, pull in _stale_reviews(visit, connection, refs):
            connection.execute("UPDATE reviews SET state = 'DISMISSED' WHERE id = ?", (row["id"],))
            tell(
                visit, connection, "pull_request_review", action="dismissed", review=told_review(visit, row, pull),
                pull_request=pull_shape(visit, pull),
            )  # fmt: skip
        if hooks.has_hooks(connection, visit.repo):
            _tell_of_refs(visit, connection, refs)
    visit.site.courier.wake()


def remember_refs(visit: Visit, connection: sqlite3.Connection) -> None:
    """Take the refs as they are for told: of what was before the first webhook nobody asked."""
    _remember(visit, connection, _told_kind(visit.repository.refs("refs/")))


def _stale_reviews(
    visit: Visit, connection: sqlite3.Connection, refs: Mapping[str, str]
) -> list[tuple[store.Row, Pull]]:
    """The approvals of open pull requests that are of an earlier head."""
    query = "SELECT * FROM reviews WHERE repo = ? AND state = 'APPROVED'"
    found: list[tuple[store.Row, Pull]] = []
    for row in connection.execute(query, (visit.repo,)).fetchall():
        if f"{PULLS}{row['number']}/merged" in refs:
            continue
        pull_row = store.pull_row(connection, visit.repo, row["number"])
        pull = standing(pull_row, refs) if pull_row else None
        if pull is not None and pull.is_open and pull.head != row["commit_id"]:
            found.append((row, pull))
    return found


def _tell_of_refs(visit: Visit, connection: sqlite3.Connection, refs: Mapping[str, str]) -> None:
    """Tell of each ref that is not where it was last told to be, and remember where it is."""
    now = _told_kind(refs)
    rows = connection.execute("SELECT ref, sha FROM told_refs WHERE repo = ?", (visit.repo,))
    told = {row["ref"]: row["sha"] for row in rows}
    rows_of_pulls = store.pull_rows(connection, visit.repo) if now != told else []
    for ref in sorted(now.keys() | told.keys()):
        before, after = told.get(ref), now.get(ref)
        if before == after:
            continue
        by = _by(visit, ref, rows_of_pulls)
        if ref.startswith(PULLS):
            merged = [row for row in rows_of_pulls if ref == f"{PULLS}{row.number}/merged"]
            for row in merged:
                tell_pull(by, connection, "closed", standing(row, refs))
        else:
            _tell_of_branch(by, connection, ref, before, after)
            _tell_of_heads(by, connection, ref, before, after, rows_of_pulls, refs)
    if now != told:
        _remember(visit, connection, now)


def _tell_of_branch(
    visit: Visit, connection: sqlite3.Connection, ref: str, before: str | None, after: str | None
) -> None:
    name = ref.removeprefix(BRANCHES)
    if before is None or after is None:
        more = {"master_branch": "main", "description": None} if after else {}
        event = "create" if after else "delete"
        tell(visit, connection, event, ref=name, ref_type="branch", pusher_type="user", **more)

    def push() -> Json:
        return _push(visit, ref, before, after)

    hooks.tell(connection, visit.repo, "push", push, visit.site.time())


def _tell_of_heads(
    visit: Visit,
    connection: sqlite3.Connection,
    ref: str,
    before: str | None,
    after: str | None,
    rows: list[store.PullRow],
    refs: Mapping[str, str],
) -> None:
    """Of the pull requests whose head this branch is: it moved, or it went and closed them."""
    for row in rows:
        if BRANCHES + row.head != ref or row.closed_at is not None or before is None:
            continue
        if f"{PULLS}{row.number}/merged" in refs:
            continue
        pull = standing(row, refs)
        if after is None:
            tell_pull(visit, connection, "closed", pull)
        else:
            tell_pull(visit, connection, "synchronize", pull, before=before, after=after)


def _push(visit: Visit, ref: str, before: str | None, after: str | None) -> Json:
    added: list[Commit] = []
    forced = False
    if after is not None:
        without = before or visit.repository.refs(f"{BRANCHES}main").get(f"{BRANCHES}main")
        added = visit.repository.log(after, limit=COMMITS_LISTED, without=without)
        forced = before is not None and not visit.repository.is_ancestor(before, after)
    commits = [_commit(visit, commit) for commit in reversed(added)]
    login = visit.identity.login
    return {
        "ref": ref,
        "before": before or NO_SHA,
        "after": after or NO_SHA,
        "created": before is None,
        "deleted": after is None,
        "forced": forced,
        "base_ref": None,
        "compare": f"{visit.html_url}/compare/{(before or NO_SHA)[:12]}...{(after or NO_SHA)[:12]}",
        "commits": commits,
        "head_commit": _commit(visit, visit.repository.log(after, limit=1)[0]) if after else None,
        "repository": repository(visit),
        "pusher": {"name": login, "email": f"{login}@elf.local"},
        "sender": user(visit.site, login),
    }


def _commit(visit: Visit, it: Commit) -> Json:
    """A commit as a push lists it; of a merge, what it changed on the branch."""
    paths: dict[str, list[str]] = {"A": [], "D": [], "M": [], "T": []}
    for change in visit.repository.changes(it.parents[0], it.sha) if it.parents else ():
        paths[change.status].append(change.path)
    return {
        "id": it.sha,
        "tree_id": it.tree,
        "distinct": True,
        "message": it.message.rstrip("\n"),
        "timestamp": iso(it.committed_at),
        "url": f"{visit.html_url}/commit/{it.sha}",
        "author": {"name": it.author.name, "email": it.author.email, "username": it.author.name},
        "committer": {"name": it.committer.name, "email": it.committer.email, "username": it.committer.name},
        "added": paths["A"],
        "removed": paths["D"],
        "modified": paths["M"] + paths["T"],
    }


def _by(visit: Visit, ref: str, rows: list[store.PullRow]) -> Visit:
    """The visit of whoever moved the ref, as its reflog or the merge's note has it; else the visitor's own."""
    login = next((row.merged_by for row in rows if ref == f"{PULLS}{row.number}/merged"), None)
    if login is None and ref.startswith(BRANCHES):
        login = next(iter(visit.repository.reflog_names(ref)), None)
    known = next((identity for identity in visit.site.identities if identity.login == login), visit.identity)
    return Visit(visit.site, known, visit.owner, visit.name, visit.repository)


def stranger() -> Identity:
    """Who stands for somebody nobody wrote down, when the forge starts and finds refs moved."""
    return Identity("elf-forge", "", frozenset())


def _told_kind(refs: Mapping[str, str]) -> dict[str, str]:
    """The refs that are told of: branches, and what is merged."""
    return {
        ref: sha
        for ref, sha in refs.items()
        if ref.startswith(BRANCHES) or (ref.startswith(PULLS) and ref.endswith("/merged"))
    }


def _remember(visit: Visit, connection: sqlite3.Connection, refs: Mapping[str, str]) -> None:
    connection.execute("DELETE FROM told_refs WHERE repo = ?", (visit.repo,))
    connection.executemany("INSERT INTO told_refs VALUES (?, ?, ?)", [(visit.repo, *item) for item in refs.items()])
