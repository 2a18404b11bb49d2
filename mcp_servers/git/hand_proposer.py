"""Proposes what a person changed by hand, in that person's name: tried in a throw-away repository and judged there by the gate's own
rules first, so that what would be refused is refused before anything is pushed.

The same change proposed again is the same pull request. A refusal leaves no branch, no pull request and no row.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mcp_servers.git.carried import Brought
from mcp_servers.git.changes import Change, Changes, ChangesError, NotMergeable, Proposal, Unavailable, not_yet_open
from mcp_servers.git.checking import Folder
from mcp_servers.git.command import run_git
from mcp_servers.git.compared import blob_sha
from mcp_servers.git.factory import Factory
from mcp_servers.git.github import GitHubChanges
from mcp_servers.git.handmade import Made, Unmakeable, folder_of, living_folder, make
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.judging import Judgement, judge
from mcp_servers.git.merge_desk import MergeDesk
from mcp_servers.git.objects import UnsafePath
from mcp_servers.git.proposer import Refusal
from mcp_servers.git.repository import Repository, Signature, checked_path
from mcp_servers.git.scratch import scratch_on
from memory import ledger
from memory.session import Database
from policies.facts import CheckRun, Kind
from policies.kinds import LAW_FOLDER
from policies.verdict import Outcome, Verdict

_MAX_TITLE, _MAX_WHY = 200, 20_000


@dataclass(frozen=True)
class Asked:
    """What the person brings. `retire` is a team's name, `change` the number of an open change of theirs to be replaced by this."""

    title: str
    why: str = ""
    files: Sequence[Brought] = ()
    retire: str = ""
    whole: bool = False
    change: int | None = None


@dataclass(frozen=True)
class FileLine:
    """One file that would change. `status` is A, M or D; `made` where a factory makes it."""

    status: str
    path: str
    added: int
    deleted: int
    made: bool


@dataclass(frozen=True)
class Look:
    """A change that is not made yet, as the gate would see it."""

    proposal: Proposal
    kind: Kind
    files: tuple[FileLine, ...]
    made: Made
    verdict: Verdict
    #: What changes in files that no factory makes, as a unified diff; and all of it, as `git am` takes it.
    diff: str
    patch: str


@dataclass(frozen=True)
class Opened:
    """The pull request. `news` says what this call did: opened it, replaced its commit, or found it as it is."""

    change: Change
    news: str
    verdict: Verdict
    #: Other open changes of the same person to some of the same files.
    alike: tuple[Change, ...] = ()


class HandProposer:
    """`place` acts as the person `login`; None where their key is none of this company's: then there is only `look`."""

    def __init__(
        self,
        place: GitHubChanges | None,
        gate: Changes,
        desk: MergeDesk,
        repository: Repository,
        database: Database,
        factory: Factory,
        now: Callable[[], datetime],
        *,
        login: str,
        target: str = "main",
    ) -> None:
        self._place, self._gate, self._desk, self._repository = place, gate, desk, repository
        self._database, self._factory, self._now = database, factory, now
        self.login, self._target = login, target

    @property
    def may_open(self) -> bool:
        """Whether pull requests are opened from here."""
        return self._place is not None

    def look(self, asked: Asked) -> Look:
        """What would be proposed, and what the gate would say of it. Writes nothing. Raises `Refusal`, `ChangesError`."""
        before = self._own_open(asked.change) if asked.change is not None else None
        _check_words(asked)
        with scratch_on(self._repository) as scratch:
            main = self._repository.resolve(self._target)
            made = self._made(scratch, main, asked)
            message = f"{asked.title.strip()}\n\n{asked.why.strip()}".strip() + "\n"
            tree = scratch.write_tree(main, made.files, made.modes)
            who = self._place.account.signature if self._place else Signature(self.login, f"{self.login}@elf.local")
            head = scratch.commit_tree(tree, [main], message, who, self._now())
            change = not_yet_open(
                head, self._target, self.login, self._now(), branch=before.branch if before else "auto/by-hand",
                title=asked.title.strip(), body=asked.why.strip(),
            )  # fmt: skip
            judgement = self._judged(scratch, main, change)
            kind = Kind(judgement.kind)
            branch = before.branch if before else _branch(kind, made)
            proposal = Proposal(
                branch, asked.title.strip(), asked.why.strip(), (), made.files, message, self._target, made.modes
            )
            return Look(
                proposal, kind, _lines(scratch, main, head, made), made, judgement.verdict, _diff(scratch, main, head, made),
                _git(scratch, "format-patch", "-1", "--stdout", "--binary", "--no-signature", head),
            )  # fmt: skip

    def propose(self, asked: Asked) -> tuple[Look, Opened]:
        """The pull request of the person's change: found, or made; then judged. Raises `Refusal`, `ChangesError`."""
        look = self.look(asked)
        refuse(look)
        if self._place is None:
            raise Refusal(
                f"{self.login} opens it on GitHub, signed in there: their key is none of this company's. --patch FILE writes the change down"
            )
        branch, before = self._where(look.proposal.branch) if asked.change is None else (look.proposal.branch, None)
        before = self._own_open(asked.change) if asked.change is not None else before
        proposal = replace(look.proposal, branch=branch)
        try:
            change = self._place.propose(proposal)
        except ChangesError as error:
            if before is None:
                _take_back(self._place, branch, error)
            raise
        news = "opened" if before is None else "found" if before.head == change.head else "replaced"
        if news != "found":
            self._record(change, look.kind, news)
        return look, Opened(change, news, self._desk.judge(change.number), self._alike(change, look))

    def change(self, number: int) -> Change:
        """The change as it is now."""
        return self._gate.get(number)

    # ------------------------------------------------------------------ leaves

    def _made(self, scratch: Repository, main: str, asked: Asked) -> Made:
        try:
            for one in asked.files:
                checked_path(one.path)
            brought = [*asked.files, *(self._retired(scratch, main, asked.retire) if asked.retire else ())]
            made = make(scratch, self._factory, main, brought, whole=asked.whole)
        except (Unmakeable, UnsafePath) as error:
            raise Refusal(*(error.reasons if isinstance(error, Unmakeable) else (str(error),))) from error
        if not made.files:
            raise Refusal(_nothing(made))
        return made

    def _retired(self, scratch: Repository, main: str, team: str) -> list[Brought]:
        folder = living_folder(scratch, main, team)
        if folder is None:
            raise Unmakeable(f"there is no team '{team[:40]}' in {self._target}; ./elf teams lists them")
        return [Brought(f"{folder}/team.yaml", None)]

    def _judged(self, scratch: Repository, main: str, change: Change) -> Judgement:
        """By the very rules and facts that the pull request will be judged by. Its code is not run for that."""
        scratch.update_ref(f"refs/heads/{self._target}", main, None)
        scratch.update_ref(f"refs/heads/{change.branch}", change.head, None)
        inspector = Inspector(scratch, self._desk.inspector.scanner, _NotYet())
        return judge(
            scratch, self._factory, self._database, change, (), self._now(), reserve=False, comments=(), inspector=inspector
        )  # fmt: skip

    def _own_open(self, number: int) -> Change:
        change = self._gate.get(number)
        if change.state != "open":
            raise NotMergeable(f"change {number} is {change.state}; propose this without --change, as another one")
        if change.author != self.login:
            raise Refusal(f"change {number} was opened by {change.author}; only a change of your own is replaced")
        return change

    def _where(self, branch: str) -> tuple[str, Change | None]:
        """The branch to take, and the open pull request that is there already: what ended stays ended, and leaves its name behind."""
        mine = re.compile(re.escape(branch) + r"(-\d+)?")
        taken = [change for change in self._gate.all() if mine.fullmatch(change.branch)]
        if still := [change for change in taken if change.state == "open"]:
            return still[-1].branch, still[-1]
        return (f"{branch}-{len(taken) + 1}" if taken else branch), None

    def _alike(self, change: Change, look: Look) -> tuple[Change, ...]:
        mine = {file.path for file in look.files if not file.made}
        others = [it for it in self._gate.open() if it.author == self.login and it.number != change.number]
        touched = {it.number: {one.path for one in self._repository.changes(self._target, it.head)} for it in others}
        return tuple(it for it in others if touched[it.number] & mine)

    def _record(self, change: Change, kind: Kind, news: str) -> None:
        detail = {"kind": kind.value, "head": change.head, "branch": change.branch, "url": change.url}
        outcome = "proposed" if news == "opened" else news
        with self._database.begin() as session:
            who, subject = f"person:{self.login}", f"change:{change.number}"
            ledger.append(session, ledger.Entry(who, "change.propose", subject, outcome, self._now(), detail))


def refuse(look: Look) -> None:
    """Raises `Refusal` where no approval would help, with what to do."""
    noes = [f"{it.rule}: {it.reason}" for it in look.verdict.children if it.outcome is Outcome.DENY]
    if noes and look.kind is Kind.MIXED:
        raise Refusal(*noes, _split(look))
    if noes:
        raise Refusal(*noes)


def _take_back(place: GitHubChanges, branch: str, failed: ChangesError) -> None:
    """No branch is left of a pull request that could not be opened."""
    try:
        place.withdraw(branch)
    except ChangesError as error:
        raise Unavailable(
            f"{failed}; the branch {branch} may be left ({error}): the same command takes it up"
        ) from failed


class _NotYet:
    """Stands for the sandbox: nothing is run of what is not proposed."""

    finished = 0

    def ask(self, number: int, folder: Folder) -> CheckRun:  # noqa: ARG002 (what `Checks` is asked with)
        return CheckRun(state="running", said="its code is run once it is proposed")

    def wait(self, seconds: float) -> None:  # noqa: ARG002 (what `Checks` is asked with)
        return None

    def forget(self, number: int) -> None:  # noqa: ARG002 (what `Checks` is asked with)
        return None


def _check_words(asked: Asked) -> None:
    title = asked.title.strip()
    if not title or len(title) > _MAX_TITLE or "\n" in title:
        raise Refusal(f"--title: say in one line, of at most {_MAX_TITLE} characters, what the change does")
    if len(asked.why) > _MAX_WHY:
        raise Refusal(f"--why: {len(asked.why)} characters are more than {_MAX_WHY}; say it shorter")


def _nothing(made: Made) -> str:
    if made.not_taken:
        return (
            f"nothing to propose: {_few(made.not_taken)} is made by the factory, and cannot be changed by hand; "
            "change the team.yaml or server.yaml beside it"
        )
    if made.carried.behind:
        return (
            f"nothing to propose: {_few(made.carried.behind)} is as main once had it, and main has moved on since; "
            "to go back to it all the same: --whole"
        )
    return "nothing to propose: main has all of it already"


def _few(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _split(look: Look) -> str:
    """Which part goes by itself."""
    parts: dict[str, None] = {}
    for file in look.files:
        if not file.path.startswith("reports/"):
            parts[folder_of(file.path) or ("policies" if file.path.startswith(LAW_FOLDER) else file.path)] = None
    return f"these are several changes; propose each by itself: {', '.join(list(parts)[:8])}"


def _branch(kind: Kind, made: Made) -> str:
    """A name that says what it is about; the same change has the same one."""
    folders = sorted({folder for path in made.files if (folder := folder_of(path))})
    about = (folders or sorted(made.files))[0].rsplit("/", 1)[-1].rsplit(".", 1)[0]
    slug = re.sub("[^a-z0-9]+", "-", about.lower()).strip("-")[:40] or "files"
    return f"auto/{kind.value.replace('_', '-')}/{slug}-{_fingerprint(made.files)}"


def _fingerprint(files: Mapping[str, bytes | None]) -> str:
    named = "".join(f"{path}\0{blob_sha(data) if data is not None else '-'}\n" for path, data in sorted(files.items()))
    return hashlib.sha256(named.encode()).hexdigest()[:8]


def _lines(scratch: Repository, main: str, head: str, made: Made) -> tuple[FileLine, ...]:
    counts = scratch.line_counts(main, head)
    return tuple(
        FileLine(one.status, one.path, counts[one.path].added, counts[one.path].deleted, made.is_made(one.path))
        for one in scratch.changes(main, head)
    )


def _diff(scratch: Repository, main: str, head: str, made: Made) -> str:
    by_hand = [path for path in made.files if not made.is_made(path)]
    return (
        _git(scratch, "diff", "--no-color", "--no-ext-diff", "--no-renames", main, head, "--", *by_hand)
        if by_hand
        else ""
    )


def _git(repository: Repository, *arguments: str) -> str:
    return run_git(repository.git_dir, arguments)[1].decode("utf-8", "backslashreplace")
