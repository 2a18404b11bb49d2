"""Killed with `kill -9` before and after outside calls and commits, the story ends as if nothing had happened (L5).

`python -m tests.killing` tells it for every point, and for pairs of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import pytest

from tests.git.desk_world import running_server
from tests.killing.telling import Told, difference, make_template, storytellers, tell

pytestmark = pytest.mark.rows("L5", "F102")
#: So many points of the story are tried here, spread evenly over it.
TRIED = 42
#: Two kills in one story: the second meets the process that repairs what the first left.
PAIRS = [(3, 0), (5, 1), (9, 4), (19, 2), (29, 1), (31, 3), (36, 2), (90, 5)]


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[..., Told]]:
    """Tells a story with kills at these points."""
    template, processes, number = make_template(tmp_path_factory.mktemp("template")), storytellers(), count()
    root = tmp_path_factory.mktemp("stories")
    with running_server() as server:

        def told(*kills: int, naive: bool = False) -> Told:
            return tell(root / str(next(number)), server, template, processes, *kills, naive=naive)

        yield told


@pytest.fixture(scope="module")
def undisturbed(telling: Callable[..., Told]) -> Told:
    return telling()


def test_the_story_has_its_moments_and_leaves_three_changes_behind(undisturbed: Told) -> None:
    assert len(undisturbed.passed) >= 100
    assert {"before git push", "after PUT pulls/N/merge", "before commit in Records.started"} <= {*undisturbed.passed}
    account: dict[str, Any] = undisturbed.account
    assert account["ledger holds"] and account["merges"] == 4 and account["open incidents"] == 0
    assert [state for _, _, state in account["pull requests"]] == ["merged"] * 3


@pytest.mark.parametrize("part", range(TRIED))
def test_killed_at_any_moment_it_ends_as_if_nothing_had_happened(
    telling: Callable[..., Told], undisturbed: Told, part: int
) -> None:
    at = part * len(undisturbed.passed) // TRIED
    assert difference(undisturbed, telling(at)) == {}, undisturbed.passed[at]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_killed_again_while_it_repairs_it_ends_the_same(
    telling: Callable[..., Told], undisturbed: Told, first: int, second: int
) -> None:
    assert difference(undisturbed, telling(first, second)) == {}


def test_the_same_kills_make_a_naive_company_lose_and_duplicate(telling: Callable[..., Told]) -> None:
    whole = telling(naive=True)
    spoilt = [difference(whole, telling(at, naive=True)) for at in range(len(whole.passed))]
    duplicated = [found for found in spoilt if "pull requests" in found]
    lost = [found for found in spoilt if "ends" in found and "pull requests" not in found]
    assert duplicated and lost
