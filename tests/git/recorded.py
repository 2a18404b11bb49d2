"""Recorded exchanges with GitHub's API: played back where no network is, each file saying what it was recorded from.

`ELF_CASSETTES=record` makes the recorded ones anew, from the stand-ins; with `ELF_CONTRACT_GITHUB_TOKEN` and
`ELF_CONTRACT_GITHUB_REPO` one more, of what is only read, from GitHub. Those that were written by hand stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import vcr
from vcr.persisters.filesystem import FilesystemPersister
from vcr.serialize import serialize

FOLDER = Path(__file__).parent / "cassettes"
GITHUB_API = "https://api.github.com"
RECORDING = os.environ.get("ELF_CASSETTES") == "record"
HEADER = "# Recorded from: "
#: What of an answer's headers means something to us; the rest is of that day and machine.
_KEPT = {
    "content-type",
    "etag",
    "link",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
}
_SECRETS = ("authorization", "cookie")


def _persister(source: str) -> type[FilesystemPersister]:
    """Writes the cassette with what it was recorded from at its head."""

    class Saying(FilesystemPersister):
        @staticmethod
        def save_cassette(cassette_path: Any, cassette_dict: Any, serializer: Any) -> None:
            Path(cassette_path).write_text(f"{HEADER}{source}\n{serialize(cassette_dict, serializer)}")

    return Saying


def said_of(name: str) -> str:
    """What the cassette says it was recorded from; empty where it says nothing."""
    first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    return first.removeprefix(HEADER) if first.startswith(HEADER) else ""


@contextmanager
def cassette(name: str, *, live: str | None = None, source: str = "") -> Generator[Any]:
    """Plays the cassette; or, where `live` is the base URL of what answers, records it."""
    recorder = vcr.VCR(
        cassette_library_dir=str(FOLDER),
        record_mode=vcr.mode.NONE if live is None else vcr.mode.ALL,
        match_on=["method", "path", "query", "body"],
        filter_headers=[*_SECRETS, "user-agent"],
        decode_compressed_response=True,
        before_record_request=partial(_there, live),
        before_record_response=partial(_plain, live),
    )
    recorder.register_persister(_persister(source))
    if live is not None:
        (FOLDER / f"{name}.yaml").unlink(missing_ok=True)
    with recorder.use_cassette(f"{name}.yaml") as played:
        yield played
    if live is None:
        assert played.all_played, [
            it.path for it in played.requests if not played.play_counts[played.requests.index(it)]
        ]


def _there(live: str | None, request: Any) -> Any:
    """The request as it would go to GitHub."""
    if live is not None and request.uri.startswith(live):
        parts = urlsplit(GITHUB_API + request.uri.removeprefix(live))
        request.uri = urlunsplit(parts)
    request.headers = {
        name: value for name, value in request.headers.items() if name.lower() in {"accept", "content-type"}
    }
    return request


def _plain(live: str | None, response: Any) -> Any:
    if live is None:
        return response
    headers = {name: value for name, value in response["headers"].items() if name.lower() in _KEPT}
    text = response["body"]["string"].decode()
    local = {live: GITHUB_API, live.removesuffix("/api/v3"): "https://github.com"} if live != GITHUB_API else {}
    for old, new in local.items():
        text = text.replace(old, new)
        headers = {name: [value.replace(old, new) for value in values] for name, values in headers.items()}
    return {**response, "headers": headers, "body": {"string": text.encode()}}
