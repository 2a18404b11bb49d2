"""One telling without kills, and a way to tell it again with them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count

import pytest

from tests.git.desk_world import running_server
from tests.killing.telling import Told, make_template, storytellers, tell


@pytest.fixture(scope="session")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[..., Told]]:
    """Tells a story with kills at these points."""
    template, processes, number = make_template(tmp_path_factory.mktemp("template")), storytellers(), count()
    root = tmp_path_factory.mktemp("stories")
    with running_server() as server:

        def told(*kills: int, naive: bool = False) -> Told:
            return tell(root / str(next(number)), server, template, processes, *kills, naive=naive)

        yield told


@pytest.fixture(scope="session")
def undisturbed(telling: Callable[..., Told]) -> Told:
    return telling()
