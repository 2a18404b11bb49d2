"""Pull requests: their words from the store, and their state, head and mergeability from Git at every read.

A merge is one transaction of refs: the base branch moves by compare-and-swap, the head is verified, and `refs/pull/N/merged`
names the merge commit. So what is merged is known from Git alone, whatever was killed when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_servers.git.forge import store
from mcp_servers.git.forge.errors import ForgeError, forbidden, invalid, not_found
from mcp_servers.git.forge.identity import Identity
from mcp_servers.git.forge.site import Visit
from mcp_servers.git.forge.store import PullRow
from mcp_servers.git.objects import ANY, Conflict, NoMergeBase, RefMoved, RefUpdate, Signature, UnknownRevision

TITLE_LIMIT, BODY_LIMIT = 256, 65_536


@dataclass(frozen=True)
class Pull:
    """A pull request as it stands. `head` is frozen when it closes; `base_sha` is the base branch's tip now."""

    row: PullRow
    head: str
    base_sha: str
    is_open: bool
    merge_commit: str | None


def branch_ref(name: str) -> str:
    return f"refs/heads/{name}"


def standing(row: PullRow, refs: Mapping[str, str]) -> Pull:
    """How a pull request stands, given all refs of its repository. Without its branch it is closed."""
    kept = f"refs/pull/{row.number}/head"
    merge_commit = refs.get(f"refs/pull/{row.number}/merged")
    tip = refs.get(branch_ref(row.head))
    is_open = merge_commit is None and row.closed_at is None and tip is not None
    head = tip if is_open and tip else refs.get(kept, tip or "")
    return Pull(row, head, refs.get(branch_ref(row.base), ""), is_open, merge_commit)


def all_pulls(visit: Visit, *, head: str | None = None) -> list[Pull]:
    """Every pull request of the repository, oldest first, by one git process."""
    with visit.site.store.read() as connection:
        rows = store.pull_rows(connection, visit.repo, head=head)
    refs = visit.repository.refs("refs/") if rows else {}
    return [standing(row, refs) for row in rows]


def get_pull(visit: Visit, number: int) -> Pull:
    """One pull request; 404. Notices a head that reached the base by an interrupted merge."""
    with visit.site.store.read() as connection:
        row = store.pull_row(connection, visit.repo, number)
    if row is None:
        raise not_found()
    pull = standing(row, visit.repository.refs("refs/"))
    return _settled(visit, pull) if pull.is_open else pull


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
    if _contains(visit, refs[branch_ref(branch)], refs[branch_ref(base)]):
        raise invalid("PullRequest", "head", f"No commits between {base} and {branch}")
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
    return standing(row, refs)


def edit_pull(visit: Visit, number: int, *, title: str | None, body: str | None, state: str | None) -> Pull:
    """Change the words (the author only) or close and reopen (also who reviews or merges)."""
    pull = get_pull(visit, number)
    is_author = visit.identity.login == pull.row.author
    if not is_author and (title is not None or body is not None):
        raise forbidden("only its author may edit a pull request")
    if not is_author and not visit.identity.may & {"review", "merge"}:
        raise forbidden("only its author, a reviewer or the merge desk may close or reopen a pull request")
    columns: dict[str, str | None] = {}
    if title is not None:
        columns["title"] = title[:TITLE_LIMIT]
    if body is not None:
        columns["body"] = _limit_body(body)
    if state == "closed" and pull.is_open:
        keep_heads(visit, pull.row.head)
        columns["closed_at"] = visit.site.time()
    if state == "open" and not pull.is_open:
        _check_reopening(visit, pull)
        columns["closed_at"] = None
    with visit.site.store.write() as connection:
        store.update_pull(connection, visit.repo, number, visit.site.time(), **columns)
    return get_pull(visit, number)


def mergeable(visit: Visit, pull: Pull) -> bool | None:
    """Whether an open pull request merges without conflict; None once it is closed."""
    return None if not pull.is_open else isinstance(_merged_tree(visit, pull), str)


def merge_pull(visit: Visit, number: int, expected: str | None, title: str | None, message: str) -> str:
    """Merge exactly the head that is there now; the merge commit's hash.

    409 if the head is not `expected` or moves meanwhile, 405 if it cannot be merged or the base moves meanwhile.
    """
    pull = get_pull(visit, number)
    if not pull.is_open or pull.row.draft:
        raise ForgeError(405, "Pull Request is not mergeable")
    if expected is not None and expected != pull.head:
        raise ForgeError(409, "Head branch was modified. Review and try the merge again.")
    tree = _merged_tree(visit, pull)
    if not isinstance(tree, str):
        raise ForgeError(405, "Pull Request is not mergeable")
    subject = title or f"Merge pull request #{number} from {visit.owner}/{pull.row.head}"
    by = signature(visit.identity)
    text = f"{subject}\n\n{message}".strip() + "\n"
    commit = visit.repository.commit_tree(tree, [pull.base_sha, pull.head], text, by, visit.site.now())
    _note_merge(visit, number)
    try:
        visit.repository.update_refs(_merge_updates(pull, commit), login=visit.identity.login)
    except RefMoved as error:
        raise _moved(pull, error) from error
    return commit


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
    if not pull.base_sha or _contains(visit, pull.head, pull.base_sha):
        return Conflict(())
    try:
        return visit.repository.merge_tree(pull.base_sha, pull.head)
    except NoMergeBase:
        return Conflict(())


def _settled(visit: Visit, pull: Pull) -> Pull:
    """The same pull, or merged, if its head is already a merge commit's second parent on the base (cut short once)."""
    if not pull.base_sha or not _contains(visit, pull.head, pull.base_sha):
        return pull
    for commit in visit.repository.log(pull.base_sha, limit=1000, first_parent=True):
        if pull.head in commit.parents[1:]:
            _note_merge(visit, pull.row.number)
            visit.repository.update_refs(_merge_updates(pull, commit.sha)[2:])
            return Pull(pull.row, pull.head, pull.base_sha, is_open=False, merge_commit=commit.sha)
    return pull


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


def _contains(visit: Visit, commit: str, base: str) -> bool:
    try:
        return visit.repository.is_ancestor(commit, base)
    except UnknownRevision:
        return False


def _limit_body(body: str) -> str:
    if len(body) > BODY_LIMIT:
        raise invalid("PullRequest", "body", f"body is too long (maximum is {BODY_LIMIT} characters)")
    return body
