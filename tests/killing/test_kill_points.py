"""Killed with `kill -9` before and after outside calls and commits, the story ends as if nothing had happened (L5).

`python -m tests.killing` tells it for every point, and for pairs of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.killing.telling import PARTS, Told, difference

pytestmark = [pytest.mark.rows("L5", "F102"), pytest.mark.slow]


def test_the_story_has_its_moments_and_leaves_three_changes_behind(undisturbed: Told) -> None:
    assert len(undisturbed.passed) >= 100
    assert {"before git push", "after PUT pulls/N/merge", "before commit in Records.started"} <= {*undisturbed.passed}
    account: dict[str, Any] = undisturbed.account
    assert account["ledger holds"] and account["merges"] == 4 and account["open incidents"] == 0
    assert [state for _, _, state in account["pull requests"]] == ["merged"] * 3


@pytest.mark.parametrize("part", range(PARTS // 2))
def test_killed_at_any_moment_until_a_team_lives_it_ends_as_if_nothing_had_happened(
    telling: Callable[..., Told], undisturbed: Told, part: int
) -> None:
    at = part * len(undisturbed.passed) // PARTS
    assert difference(undisturbed, telling(at)) == {}, undisturbed.passed[at]


def test_the_same_kills_make_a_naive_company_lose_and_duplicate(telling: Callable[..., Told]) -> None:
    whole = telling(naive=True)
    spoilt = [difference(whole, telling(at, naive=True)) for at in range(len(whole.passed))]
    duplicated = [found for found in spoilt if "pull requests" in found]
    lost = [found for found in spoilt if "ends" in found and "pull requests" not in found]
    assert duplicated and lost
