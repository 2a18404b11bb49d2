"""`./elf propose` and `./elf main`: asks the running company; the files are read here, by whoever types."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.bringing import gather
from bootstrap.client import Company, CompanyError


@dataclass(frozen=True)
class Wish:
    """What was typed."""

    paths: tuple[Path, ...]
    title: str
    why: str
    retire: str
    change: int | None
    whole: bool


def propose_files(company: Company, wish: Wish, *, dry_run: bool, patch: Path | None) -> dict[str, Any]:
    """The office's answer, with `notes` on what was left out. Raises `CompanyError` where nothing can be proposed."""
    if not wish.paths and not wish.retire:
        raise CompanyError("name the files or folders that you changed, or a team with --retire TEAM")
    if wish.paths and wish.retire:
        raise CompanyError("one change at a time: --retire TEAM goes by itself, without files")
    only_look = dry_run or patch is not None
    gathered = gather(wish.paths, company.get("/main")["files"])
    if not gathered.files and not wish.retire:
        raise CompanyError("\n".join(["nothing to propose: main has all of it already", *gathered.notes]))
    before = company.get(f"/changes/{wish.change}") if wish.change is not None else {"title": "", "body": ""}
    body = {
        "title": wish.title or before["title"] or ("A change" if only_look else ""),
        "why": wish.why or before["body"],
        "files": list(gathered.files.values()),
        "retire": wish.retire,
        "whole": wish.whole,
        "change": wish.change,
        "dry_run": only_look,
    }
    found = company.post("/proposals", body) | {"notes": gathered.notes}
    if patch is not None:
        found |= {"written": _write(patch, found["patch"])}
    return found


def _write(file: Path, text: str) -> str:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise CompanyError(f"{file} cannot be written: {error.strerror}") from error
    return str(file.resolve())


def main_files(company: Company, folder: str) -> list[str]:
    """The paths of main below that folder (empty: all of them)."""
    prefix = f"{folder.rstrip('/')}/" if folder else ""
    return [one["path"] for one in company.get("/main")["files"] if one["path"].startswith(prefix)]


def main_file(company: Company, path: str) -> bytes:
    """A file as it stands in main. Raises `CompanyError`."""
    return base64.b64decode(company.get("/main/file", name=path)["data"])
