"""Tries a change that a person made by hand, in a throw-away repository: what it is, and what the gate's own rules say of it.

Nothing is written but there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mcp_servers.checks.secret_scan import SecretScanner
from mcp_servers.git.carried import Brought
from mcp_servers.git.changes import Change, Proposal, not_yet_open
from mcp_servers.git.checking import Folder
from mcp_servers.git.command import run_git
from mcp_servers.git.compared import blob_sha
from mcp_servers.git.factory import Factory
from mcp_servers.git.handmade import Made, Unmakeable, folder_of, living_folder, make
from mcp_servers.git.inspection import Inspector
from mcp_servers.git.judging import Judgement, judge
from mcp_servers.git.objects import Signature, UnsafePath, checked_path
from mcp_servers.git.proposer import Refusal
from mcp_servers.git.repository import Repository
from mcp_servers.git.scratch import scratch_on
from memory.session import Database
from policies.facts import CheckRun, Kind
from policies.kinds import LAW_FOLDER
from policies.verdict import Outcome, Verdict

_MAX_TITLE, _MAX_WHY = 200, 20_000
#: Stands for the branch until the change's kind is known.
_SOME_BRANCH = "auto/by-hand"


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
class Trial:
    """`who` is whose change it is, by their login."""

    repository: Repository
    database: Database
    factory: Factory
    scanner: SecretScanner
    now: Callable[[], datetime]
    who: Signature
    target: str = "main"

    def look(self, asked: Asked, before: Change | None) -> Look:
        """What would be proposed, and what the gate would say of it; `before` is the open change that it replaces. Raises `Refusal`."""
        _check_words(asked)
        title, why = asked.title.strip(), asked.why.strip()
        with scratch_on(self.repository) as scratch:
            main = self.repository.resolve(self.target)
            made = self._made(scratch, main, asked)
            message = f"{title}\n\n{why}".strip() + "\n"
            tree = scratch.write_tree(main, made.files, made.modes)
            head = scratch.commit_tree(tree, [main], message, self.who, self.now())
            branch = before.branch if before else _SOME_BRANCH
            change = not_yet_open(head, self.target, self.who.name, self.now(), branch=branch, title=title, body=why)
            judgement = self._judged(scratch, main, change)
            kind = Kind(judgement.kind)
            branch = before.branch if before else _branch(kind, made)
            return Look(
                proposal=Proposal(branch, title, why, (), made.files, message, self.target, made.modes),
                kind=kind,
                files=_lines(scratch, main, head, made),
                made=made,
                verdict=judgement.verdict,
                diff=_diff(scratch, main, head, made),
                patch=_git(scratch, "format-patch", "-1", "--stdout", "--binary", "--no-signature", head),
            )

    def _made(self, scratch: Repository, main: str, asked: Asked) -> Made:
        try:
            for one in asked.files:
                checked_path(one.path)
            brought = [*asked.files, *(self._retired(scratch, main, asked.retire) if asked.retire else ())]
            made = make(scratch, self.factory, main, brought, whole=asked.whole)
        except (Unmakeable, UnsafePath) as error:
            raise Refusal(*(error.reasons if isinstance(error, Unmakeable) else (str(error),))) from error
        if not made.files:
            raise Refusal(_nothing(made))
        return made

    def _retired(self, scratch: Repository, main: str, team: str) -> list[Brought]:
        folder = living_folder(scratch, main, team)
        if folder is None:
            raise Unmakeable(f"there is no team '{team[:40]}' in {self.target}; ./elf teams lists them")
        return [Brought(f"{folder}/team.yaml", None)]

    def _judged(self, scratch: Repository, main: str, change: Change) -> Judgement:
        """By the very rules and facts that the pull request will be judged by. Its code is not run for that."""
        scratch.update_ref(f"refs/heads/{self.target}", main, None)
        scratch.update_ref(f"refs/heads/{change.branch}", change.head, None)
        inspector = Inspector(scratch, self.scanner, _NotYet())
        return judge(
            scratch, self.factory, self.database, change, (), self.now(), reserve=False, comments=(), inspector=inspector
        )  # fmt: skip


def refuse(look: Look) -> None:
    """Raises `Refusal` where no approval would help, with what to do."""
    noes = [f"{it.rule}: {it.reason}" for it in look.verdict.children if it.outcome is Outcome.DENY]
    if noes and look.kind is Kind.MIXED:
        raise Refusal(*noes, _split(look))
    if noes:
        raise Refusal(*noes)


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
