"""Pull requests: their words from the store, and their state, head and mergeability from Git at every read.

A merge is one transaction of refs: the base branch moves by compare-and-swap, the head is verified, and `refs/pull/N/merged`
names the merge commit. So what is merged is known from Git alone, whatever was killed when.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from mcp_servers.git.forge import events, rulesets, store
from mcp_servers.git.forge.errors import ForgeError, forbidden, invalid, not_found, rule_violated
from mcp_servers.git.forge.identity import Identity, number_of
from mcp_servers.git.forge.rule_check import rulesets_of
from mcp_servers.git.forge.site import Visit
from mcp_servers.git.forge.standing import Pull, branch_ref, contains, standing
from mcp_servers.git.forge.store import PullRow
from mcp_servers.git.objects import ANY, Conflict, NoMergeBase, RefMoved, RefUpdate, Signature

Method = Literal["merge", "squash"]
TITLE_LIMIT, BODY_LIMIT = 256, 65_536


def all_pulls(visit: Visit, *, head: str | None = None) -> list[Pull]:
    """Every pull request of the repository, oldest first, by one git process."""
    with visit.site.store.read() as connection:
        rows = store.pull_rows(connection, visit.repo, head=head)
    refs = visit.repository.refs("refs/") if rows else {}
    return [standing(row, refs) for row in rows]


def get_row(visit: Visit, number: int) -> PullRow:
    """A pull request's words; 404."""
    with visit.site.store.read() as connection:
        row = store.pull_row(connection, visit.repo, number)
    if row is None:
        raise not_found()
    return row


def get_pull(visit: Visit, number: int) -> Pull:
    """One pull request; 404. Notices a head that reached the base by an interrupted merge."""
    row = get_row(visit, number)
    refs = visit.repository.refs("refs/")
    pull = standing(row, refs)
    return _settled(visit, pull, refs) if pull.is_open else pull


def create_pull(visit: Visit, title: str, body: str, head: str, base: str, *, draft: bool) -> Pull:
    """Open a pull request. 422 for a duplicate, an absent branch, or nothing to merge."""
    if len(title) > TITLE_LIMIT or not title.strip():
        raise invalid("PullRequest", "title", f"title must have 1 to {TITLE_LIMIT} characters")
    _limit_body(body)
    branch = head.removeprefix(f"{visit.owner}:")
    refs = visit.repository.refs("refs/")
    for field, name in (("head", branch), ("base", base)):
        if branch_ref(name) not in refs:
            raise invalid("PullRequest", field, f"{field} branch {name[:100]} does not exist", "invalid")
    if contains(visit, refs[branch_ref(branch)], refs[branch_ref(base)]):
        raise invalid("PullRequest", "head", f"No commits between {base} and {branch}")
    _check_related(visit, branch, refs[branch_ref(branch)], base, refs[branch_ref(base)])
    at = visit.site.time()
    with visit.site.store.write() as connection:
        for row in store.pull_rows(connection, visit.repo, head=branch):
            if row.base == base and standing(row, refs).is_open:
                raise invalid("PullRequest", "head", f"A pull request already exists for {visit.owner}:{branch}.")
        number = store.next_number(connection, visit.repo)
        row = PullRow(
            visit.repo, number, title, body, visit.identity.login, branch, base, draft, (), at, at, None, None, None
        )  # fmt: skip
        visit.repository.update_refs([RefUpdate(f"refs/pull/{number}/head", refs[branch_ref(branch)], ANY)])
        store.insert_pull(connection, row)
        made = standing(row, refs)
        events.tell_pull(visit, connection, "opened", made)
    visit.site.courier.wake()
    return made


def _check_related(visit: Visit, branch: str, head: str, base: str, base_sha: str) -> None:
    try:
        visit.repository.merge_base(base_sha, head)
    except NoMergeBase as error:
        sentence = f"The {branch} branch has no history in common with {base}"
        raise invalid("PullRequest", "head", sentence) from error


def edit_pull(visit: Visit, number: int, *, title: str | None, body: str | None, state: str | None) -> Pull:
    """Change the words (the author only) or close and reopen (also who reviews or merges)."""
    pull = get_pull(visit, number)
    is_author = visit.identity.login == pull.row.author
    if not is_author and (title is not None or body is not None):
        raise forbidden("only its author may edit a pull request")
    if not is_author and not visit.identity.may & {"review", "merge"}:
        raise forbidden("only its author, a reviewer or the merge desk may close or reopen a pull request")
    columns, actions = _edits(visit, pull, title, body, state)
    with visit.site.store.write() as connection:
        store.update_pull(connection, visit.repo, number, visit.site.time(), **columns)
        row = store.pull_row(connection, visit.repo, number)
        assert row is not None
        edited = standing(row, visit.repository.refs("refs/"))
        for action in actions:
            if action != "edited":
                store.insert_turn(connection, visit.repo, number, action, visit.identity.login, visit.site.time())
            events.tell_pull(visit, connection, action, edited, changes=_changes(pull.row, columns))
    visit.site.courier.wake()
    return edited


def _edits(
    visit: Visit, pull: Pull, title: str | None, body: str | None, state: str | None
) -> tuple[dict[str, str | None], list[str]]:
    """The columns that change, and GitHub's words for what happens by that."""
    columns: dict[str, str | None] = {}
    if title is not None:
        columns["title"] = title[:TITLE_LIMIT]
    if body is not None:
        columns["body"] = _limit_body(body)
    actions = ["edited"] if columns else []
    if state == "closed" and pull.is_open:
        keep_heads(visit, pull.row.head)
        columns["closed_at"] = visit.site.time()
        actions.append("closed")
    if state == "open" and not pull.is_open:
        _check_reopening(visit, pull)
        columns["closed_at"] = None
        actions.append("reopened")
    return columns, actions


def _changes(row: PullRow, columns: Mapping[str, str | None]) -> dict[str, dict[str, str]]:
    """What an edited pull request said before."""
    before = {"title": row.title, "body": row.body}
    return {name: {"from": before[name]} for name in before if name in columns}


def mergeable(visit: Visit, pull: Pull) -> bool | None:
    """Whether an open pull request merges without conflict; None once it is closed."""
    return None if not pull.is_open else isinstance(_merged_tree(visit, pull), str)


def merge_pull(
    visit: Visit, number: int, expected: str | None, title: str | None, message: str | None, method: Method
) -> str:
    """Merge exactly the head that is there now; the hash of the commit that main gets.

    409 if the head is not `expected` or moves meanwhile, 405 if it cannot be merged or the base moves meanwhile.
    """
    pull = get_pull(visit, number)
    if not pull.is_open:
        raise ForgeError(405, "Pull Request is not mergeable")
    if pull.row.draft:
        raise ForgeError(405, "Pull Request is still a draft")
    if expected is not None and expected != pull.head:
        raise ForgeError(409, "Head branch was modified. Review and try the merge again.")
    tree = _merged_tree(visit, pull)
    if not isinstance(tree, str):
        raise ForgeError(405, "Pull Request is not mergeable")
    if broken := rule_violations(visit, pull, method):
        raise rule_violated(405, *broken)
    commit = _merge_commit(visit, pull, tree, title, message, method)
    if method == "squash":
        # Its head will not be in the base's history: by this a merge cut short is recognised.
        visit.repository.update_refs([RefUpdate(_merging_ref(pull), commit, ANY)])
    _note_merge(visit, number)
    try:
        visit.repository.update_refs(_merge_updates(pull, commit), login=visit.identity.login)
    except RefMoved as error:
        raise _moved(pull, error) from error
    return commit


def rule_violations(visit: Visit, pull: Pull, method: Method) -> list[str]:
    """What the repository's rulesets have against this merge."""
    rules = rulesets_of(visit)
    if not rules:
        return []
    with visit.site.store.read() as connection:
        facts = _merge_facts(connection, visit.repo, pull)
    return rulesets.merge_violations(rules, visit.identity, branch_ref(pull.row.base), method, facts)


def _merge_facts(connection: sqlite3.Connection, repo: str, pull: Pull) -> rulesets.MergeFacts:
    latest: dict[str, str] = {}
    for row in store.review_rows(connection, repo, pull.row.number):
        if row["state"] in {"CHANGES_REQUESTED", "DISMISSED"}:
            latest[row["author"]] = row["state"]
        elif row["state"] == "APPROVED":
            latest[row["author"]] = "APPROVED" if row["commit_id"] == pull.head else "DISMISSED"
    states: dict[str, tuple[str, int]] = {}
    for row in store.status_rows(connection, repo, pull.head):
        states.setdefault(row["context"], (row["state"], number_of(row["creator"])))
    verdicts = list(latest.values())
    passed = frozenset((context, by) for context, (state, by) in states.items() if state == "success")
    return rulesets.MergeFacts(verdicts.count("APPROVED"), verdicts.count("CHANGES_REQUESTED"), passed)


def _merge_commit(visit: Visit, pull: Pull, tree: str, title: str | None, message: str | None, method: Method) -> str:
    """A merge of both sides by who merges; or, squashed, one commit on the base that keeps the author of the change."""
    row, by, now = pull.row, signature(visit.identity), visit.site.now()
    if method == "squash":
        added = visit.repository.log(pull.head, limit=250, without=pull.base_sha)
        listed = "\n\n".join(f"* {commit.message.strip()}" for commit in reversed(added))
        body = message if message is not None else listed if len(added) > 1 else _body(added[0].message)
        subject = title or f"{row.title} (#{row.number})"
        text = f"{subject}\n\n{body}".strip() + "\n"
        return visit.repository.commit_tree(tree, [pull.base_sha], text, added[-1].author, now, committer=by)
    subject = title or f"Merge pull request #{row.number} from {visit.owner}/{row.head}"
    text = f"{subject}\n\n{row.title if message is None else message}".strip() + "\n"
    return visit.repository.commit_tree(tree, [pull.base_sha, pull.head], text, by, now)


def _body(message: str) -> str:
    return message.partition("\n")[2].strip()


def keep_heads(visit: Visit, branch: str) -> None:
    """Keep where the branch is now as the head of its open pull requests, before they close or it goes."""
    moves = [
        RefUpdate(f"refs/pull/{pull.row.number}/head", pull.head, ANY)
        for pull in all_pulls(visit, head=branch)
        if pull.is_open
    ]
    if moves:
        visit.repository.update_refs(moves)


def signature(identity: Identity) -> Signature:
    return Signature(identity.login, f"{identity.login}@elf.local")


def _merge_updates(pull: Pull, commit: str) -> list[RefUpdate]:
    number = pull.row.number
    return [
        RefUpdate(branch_ref(pull.row.head), pull.head, pull.head),
        RefUpdate(branch_ref(pull.row.base), commit, pull.base_sha),
        RefUpdate(f"refs/pull/{number}/head", pull.head, ANY),
        RefUpdate(f"refs/pull/{number}/merged", commit, None),
    ]


def _moved(pull: Pull, error: RefMoved) -> ForgeError:
    if error.ref == branch_ref(pull.row.head):
        return ForgeError(409, "Head branch was modified. Review and try the merge again.")
    return ForgeError(405, "Base branch was modified. Review and try the merge again.")


def _merged_tree(visit: Visit, pull: Pull) -> str | Conflict:
    """The tree of the merge; a conflict also where there is nothing to merge or no shared history."""
    if not pull.base_sha or contains(visit, pull.head, pull.base_sha):
        return Conflict(())
    try:
        return visit.repository.merge_tree(pull.base_sha, pull.head)
    except NoMergeBase:
        return Conflict(())


def _settled(visit: Visit, pull: Pull, refs: Mapping[str, str]) -> Pull:
    """The same pull, or merged, if its merge commit is on the base already (it was cut short once)."""
    commit = _landed(visit, pull, refs.get(_merging_ref(pull)))
    if commit is None:
        return pull
    _note_merge(visit, pull.row.number)
    visit.repository.update_refs(_merge_updates(pull, commit)[2:])
    return replace(pull, is_open=False, merge_commit=commit)


def _landed(visit: Visit, pull: Pull, squashed: str | None) -> str | None:
    """The commit by which the head reached its base: a merge of it, or what it was squashed to."""
    if squashed is not None and contains(visit, squashed, pull.base_sha):
        return squashed
    if not pull.base_sha or not contains(visit, pull.head, pull.base_sha):
        return None
    merges = visit.repository.log(pull.base_sha, limit=1000, first_parent=True)
    return next((commit.sha for commit in merges if pull.head in commit.parents[1:]), None)


def _merging_ref(pull: Pull) -> str:
    return f"refs/pull/{pull.row.number}/merging"


def _note_merge(visit: Visit, number: int) -> None:
    """Note who merges and when, before it happens: it counts only once Git says that it has."""
    at = visit.site.time()
    with visit.site.store.write() as connection:
        store.update_pull(connection, visit.repo, number, at, merged_at=at, merged_by=visit.identity.login)


def _check_reopening(visit: Visit, pull: Pull) -> None:
    if pull.merge_commit is not None:
        raise invalid("PullRequest", "state", "state cannot be changed. The pull request is merged.")
    rivals = [other for other in all_pulls(visit, head=pull.row.head) if other.is_open]
    if rivals or branch_ref(pull.row.head) not in visit.repository.refs(branch_ref(pull.row.head)):
        raise invalid(
            "PullRequest", "state", "state cannot be changed. The branch is gone or has another pull request."
        )


def _limit_body(body: str) -> str:
    if len(body) > BODY_LIMIT:
        raise invalid("PullRequest", "body", f"body is too long (maximum is {BODY_LIMIT} characters)")
    return body
