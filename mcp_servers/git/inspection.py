"""Looks a change through before it is judged: its files, its words, its manifests; and asks what came of running its code.

Looking is done here, outside, on bytes. Running is done elsewhere, in a sandbox, and only of a folder that is byte for byte what the
factory makes: whatever else is in a change is refused unread and unrun.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mcp_servers.checks import code_shape, manifests, texts
from mcp_servers.checks.secret_scan import SecretScanner, text_of
from mcp_servers.git.changes import Change, Comment, Proposal, Review
from mcp_servers.git.checking import Checks, Folder
from mcp_servers.git.facts import Contents
from mcp_servers.git.objects import Entry
from mcp_servers.git.repository import Repository
from policies.facts import CheckRun, Facts, Finding, ServerFacts, TeamFacts
from policies.kinds import server_folder, team_folder
from policies.verdict import Verdict

_REMEMBERED = 64
#: Bytes of earlier versions that are looked through.
_MOST_PAST = 32_000_000
#: More findings than this help nobody.
_MOST_FINDINGS = 50


@dataclass
class Inspector:
    """Threads may share it."""

    repository: Repository
    scanner: SecretScanner
    checks: Checks
    _seen: dict[tuple[str, ...], tuple[Finding, ...]] = field(
        default_factory=dict[tuple[str, ...], tuple[Finding, ...]]
    )

    def inspect(
        self,
        facts: Facts,
        contents: Contents,
        change: Change,
        comments: Sequence[Comment],
        reviews: Sequence[Review] = (),
    ) -> Facts:
        """The facts, with what was seen and what came of running it."""
        words = [*words_of(change), *said_of(reviews), *_comments(comments)]
        found = [*self._files(facts, contents), *look_at_words(self.scanner, words)]
        return facts.model_copy(
            update={"findings": tuple(found[:_MOST_FINDINGS]), "check_run": self._run(facts, contents)}
        )

    def preview(self, proposal: Proposal) -> tuple[Finding, ...]:
        """What would be seen in a change that is not made yet."""
        files = {path: data for path, data in proposal.files.items() if data is not None}
        words = [*words_of(proposal), ("the commit message", proposal.message)]
        found = [*look_at_files(self.scanner, files), *look_at_words(self.scanner, words)]
        return tuple(found[:_MOST_FINDINGS])

    def scrubbed(self, verdict: Verdict) -> Verdict:
        """The verdict without any secret that a rule may have quoted from the change."""
        children = tuple(self.scrubbed(child) for child in verdict.children)
        return verdict.model_copy(update={"reason": self.scanner.hide(verdict.reason), "children": children})

    # ------------------------------------------------------------------ looking

    def _files(self, facts: Facts, contents: Contents) -> tuple[Finding, ...]:
        """Findings in the files as they would be after the merge, and in the commits on the way; the same are looked through once."""
        key = (facts.base, facts.head, contents.tree, self.scanner.fingerprint())
        if key not in self._seen:
            folder = _folder(facts)
            found = [*look_at_files(self.scanner, self._changed(contents)), *self._past(contents)]
            if folder is not None:
                found += look_at_folder(folder.path, self._folder(contents.tree, folder.path))
            while len(self._seen) >= _REMEMBERED:
                self._seen.pop(next(iter(self._seen)))
            self._seen[key] = tuple(found)
        return self._seen[key]

    def _changed(self, contents: Contents) -> dict[str, bytes]:
        entries = _leaves(contents)
        # A file that is too large to look through is a finding by its size alone.
        small = [it for it in entries if (it.size or 0) <= texts.LARGEST]
        files = dict(zip([it.path for it in small], self.repository.blobs([it.sha for it in small]), strict=True))
        return files | {it.path: b"\0" * (texts.LARGEST + 1) for it in entries if it.path not in files}

    def _past(self, contents: Contents) -> Iterator[Finding]:
        """Findings in what the merge would bring into the target's history, beside the files that it leaves there."""
        history = contents.history
        left = {it.sha for it in _leaves(contents)}
        blobs = [it for it in history.blobs if it.sha not in left]
        where = {it.sha: f"{it.path} in commit {it.commit[:12]}" for it in history.passing}
        named = [(where.get(it.sha, f"{it.path} in its history"), it) for it in blobs]
        for place, it in named:
            if it.size > texts.LARGEST:
                what = f"it has {it.size} bytes; {texts.LARGEST} are looked through at most. Make the branch again without it"
                yield Finding(check="text", where=self.scanner.hide(place), what=what)
        small = [(place, it) for place, it in named if it.size <= texts.LARGEST]
        if (total := sum(it.size for _, it in small)) > _MOST_PAST:
            what = f"its commits hold {total} bytes that it does not leave; {_MOST_PAST} are looked through at most. Squash them"
            yield Finding(check="text", where="the branch's history", what=what)
            return
        read = self.repository.blobs([it.sha for _, it in small])
        yield from look_at_past(self.scanner, [(place, data) for (place, _), data in zip(small, read, strict=True)])
        paths = [(f"a path in commit {it.commit[:12]}", it.path) for it in history.passing]
        # A commit as Git keeps it: its message, who made it, and whatever else its headers say.
        commits = zip(history.commits, self.repository.blobs(history.commits, "commit"), strict=True)
        said = [(f"commit {sha[:12]}", data.decode("utf-8", "backslashreplace")) for sha, data in commits]
        yield from look_at_words(self.scanner, [*said, *paths])

    def _folder(self, tree: str, path: str) -> dict[str, bytes]:
        """A folder's files by path inside it."""
        entries = [it for it in self.repository.listing(tree, path) if it.kind == "blob"]
        blobs = self.repository.blobs([it.sha for it in entries])
        return {it.path.removeprefix(f"{path}/"): data for it, data in zip(entries, blobs, strict=True)}

    # ------------------------------------------------------------------ running

    def _run(self, facts: Facts, contents: Contents) -> CheckRun | None:
        folder = _folder(facts)
        if folder is None or folder.tree_after is None:
            return None
        if isinstance(folder, TeamFacts) and folder.tree_after in folder.verified_trees:
            return None
        if folder.problem is not None or folder.missing or folder.extra or folder.different:
            return CheckRun(state="not_executed", said="what is not what the factory makes is not run")
        read = Folder(folder.path, folder.tree_after, lambda: self._folder(contents.tree, folder.path))
        return self.checks.ask(facts.number, read)


def _leaves(contents: Contents) -> list[Entry]:
    """The changed files as they would be after the merge."""
    wanted = {file.path for file in contents.files if file.mode is not None}
    return [it for it in contents.after if it.path in wanted and it.kind == "blob"]


def _folder(facts: Facts) -> TeamFacts | ServerFacts | None:
    return facts.team or facts.server


def look_at_files(scanner: SecretScanner, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Findings in each file (path in the repository -> bytes) by itself."""
    read = {path: text_of(data) for path, data in files.items() if len(data) <= texts.LARGEST}
    # Nearly always there is nothing, and that is found out many times faster of all of them at once.
    clean = scanner.is_clean("\n".join((*files, *read.values())))
    for path, data in files.items():
        made = team_folder(path) is not None or server_folder(path) is not None
        yield from texts.look(path if clean else scanner.hide(path), data, strict=made)
        if not clean and path in read:
            yield from scanner.look(path, read[path])


def look_at_past(scanner: SecretScanner, versions: Sequence[tuple[str, bytes]]) -> Iterator[Finding]:
    """Secrets in what files were on the way: (where, content). How it read does not matter any more, what it says does."""
    read = [(where, text_of(data)) for where, data in versions]
    if not scanner.is_clean("\n".join(text for pair in read for text in pair)):
        for where, text in read:
            yield from scanner.look(where, text)


def look_at_folder(path: str, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Findings in a factory's folder as a whole: its Python and its manifests."""
    python = {name: data for name, data in files.items() if name.endswith(".py")}
    for name, data in python.items():
        yield from code_shape.look(f"{path}/{name}", data.decode("utf-8", "backslashreplace"))
    inside = {name.removeprefix("k8s/"): data for name, data in files.items() if name.startswith("k8s/")}
    if inside:
        for finding in manifests.lint(inside):
            yield finding.model_copy(update={"where": f"{path}/k8s/{finding.where}"})


def look_at_words(scanner: SecretScanner, words: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Findings in what is said around a change: (where, text)."""
    for where, text in words:
        yield from texts.look_at_words(where, text.replace("\r\n", "\n"))
        yield from scanner.look(where, text)


def words_of(change: Change | Proposal) -> list[tuple[str, str]]:
    named = [("a label", label) for label in change.labels]
    return [("the title", change.title), ("the body", change.body), ("the branch's name", change.branch), *named]


def said_of(reviews: Sequence[Review]) -> list[tuple[str, str]]:
    return [(f"a review by {review.author}", review.body) for review in reviews]


def _comments(comments: Sequence[Comment]) -> Iterator[tuple[str, str]]:
    for comment in comments:
        yield f"a comment by {comment.author}", comment.body
